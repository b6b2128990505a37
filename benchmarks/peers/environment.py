# SPDX-License-Identifier: Apache-2.0
"""A Python in which the peers are installed: made by pip in the build folder, on the first run."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import venv
from collections.abc import Iterator
from pathlib import Path

TORCH_VERSION = "2.11.0"
REQUIRED = ("torchvision", "pillow>=13", "numpy")
OPTIONAL = ("opencv-python-headless",)


def run_in(build: Path) -> None:
    """Goes on in the peers' Python: returns there, and nowhere else."""
    environment = build.resolve() / "peers"
    if Path(sys.prefix).resolve() == environment:
        return
    python = environment / "bin" / "python"
    if not (environment / "complete").is_file():
        make(environment, build)
        (environment / "complete").touch()
    sys.stdout.flush()
    os.execv(python, [str(python), *sys.argv])


def make(environment: Path, build: Path) -> None:
    venv.create(environment, with_pip=True, clear=True)
    python = environment / "bin" / "python"
    site_packages = next((environment / "lib").glob("python*/site-packages"))
    torch = existing_torch(python, build)
    if torch is None:
        print(f"no torch in reach: pip installs it, with CUDA's libraries, into {environment} "
              "(5 GB on the disk)", flush=True)
        version = TORCH_VERSION
    else:
        folder, version = torch
        print(f"torch {version} is taken from {folder}", flush=True)
        (site_packages / "torch_in_reach.pth").write_text(f"{folder}\n", encoding="utf-8")
    print(f"pip installs {', '.join((*REQUIRED, *OPTIONAL))} into {environment}", flush=True)
    # The local part of a version, such as +cu130, is on no index; torchvision asks for a torch
    # without it.
    install(python, f"torch=={version.partition('+')[0]}", *REQUIRED)
    for package in OPTIONAL:
        try:
            install(python, package)
        except subprocess.CalledProcessError:
            print(f"{package} could not be installed: it is left out", flush=True)


def install(python: Path, *packages: str) -> None:
    subprocess.run([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
                    *packages], check=True)


def require(module: str, *pip_arguments: str) -> None:
    """Has pip install what only one comparison needs, if `module` is not there."""
    if importlib.util.find_spec(module) is None:
        print(f"pip installs {' '.join(pip_arguments)} into {sys.prefix}", flush=True)
        install(Path(sys.executable), *pip_arguments)
        importlib.invalidate_caches()


def existing_torch(python: Path, build: Path) -> tuple[Path, str] | None:
    """The site-packages of a whole torch, and its version: this Python's, or the build's."""
    for folder in candidates(build):
        found = subprocess.run([str(python), "-c", "import torch; print(torch.__version__)"],
                               env={**os.environ, "PYTHONPATH": str(folder)}, text=True,
                               capture_output=True)
        if found.returncode == 0:
            return folder, found.stdout.strip()
    return None


def candidates(build: Path) -> Iterator[Path]:
    for entry in sys.path:
        if (Path(entry) / "torch" / "__init__.py").is_file():
            yield Path(entry).resolve()
    cache = build / "CMakeCache.txt"
    if not cache.is_file():
        return
    for folder in re.findall(r"^(?:pixmim_TORCH_DIR|Torch_DIR|CMAKE_PREFIX_PATH):\w+=(.+)$",
                             cache.read_text(encoding="utf-8"), flags=re.MULTILINE):
        for parent in Path(folder).parents:
            if (parent / "torch" / "__init__.py").is_file():
                yield parent
