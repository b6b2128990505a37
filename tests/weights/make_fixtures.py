# SPDX-License-Identifier: Apache-2.0
"""Makes tests/data/weights: files as Python's torch.save writes them, and what is in them.

    python tests/weights/make_fixtures.py        # needs torch, numpy, safetensors, yacs, mmengine
"""

from __future__ import annotations

import argparse
import os
import pathlib
import zipfile
from collections import OrderedDict
from typing import Any

import addict
import numpy
import torch
from mmengine.config import Config, ConfigDict
from safetensors.torch import save_file
from yacs.config import CfgNode

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "data" / "weights"


class Attack:
    """Its pickle asks the reader to run a command."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.system, ("true",))


def tensors() -> OrderedDict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    storage = torch.randn(24, generator=generator)
    state: OrderedDict[str, torch.Tensor] = OrderedDict()
    state["float32"] = torch.randn(2, 3, generator=generator)
    state["float16"] = torch.randn(5, generator=generator).half()
    state["bfloat16"] = torch.randn(2, 2, generator=generator).bfloat16()
    state["float64"] = torch.randn(3, generator=generator).double()
    state["int64"] = torch.arange(-2, 3)
    state["int32"] = torch.arange(4, dtype=torch.int32)
    state["int16"] = torch.arange(4, dtype=torch.int16)
    state["int8"] = torch.arange(-3, 3, dtype=torch.int8)
    state["uint8"] = torch.arange(7, dtype=torch.uint8)
    state["bool"] = torch.tensor([True, False, True])
    state["complex64"] = torch.randn(2, dtype=torch.complex64, generator=generator)
    state["uint16"] = torch.tensor([1, 65535], dtype=torch.uint16)
    state["float8_e4m3fn"] = torch.randn(4, generator=generator).to(torch.float8_e4m3fn)
    state["parameter"] = torch.nn.Parameter(torch.randn(2, 2, generator=generator))
    state["shared.slice"] = storage[3:9]
    state["shared.transposed"] = storage.view(4, 6).t()
    state["shared.strided"] = storage[1::5]
    state["scalar"] = torch.tensor(3.5)
    state["empty"] = torch.empty(0, 4)
    return state


def checkpoint(state: OrderedDict[str, torch.Tensor]) -> dict[str, Any]:
    """As the official MAE's main_pretrain.py leaves them, and with more kinds of values."""
    return {
        "model": state,
        "optimizer": {"state": {0: {"step": torch.tensor(7.0), "exp_avg": torch.ones(3)}},
                      "param_groups": [{"lr": 1.5e-4, "betas": (0.9, 0.95), "params": [0]}]},
        "epoch": 799,
        "scaler": {"scale": 65536.0, "_growth_tracker": 1 << 70},
        "args": argparse.Namespace(output_dir=pathlib.PurePosixPath("out"), resume="", dist=False,
                                   seed=None, blr=numpy.float64(1.5e-4), device="cuda"),
        "sizes": {torch.Size([1, 2]), frozenset({3})},
        "dtype": torch.float16,
        "history": numpy.arange(3.0),
    }


def configurations() -> dict[str, Any]:
    """What detectron2's and OpenMMLab's checkpoints hold beside the weights."""
    return {
        "yacs": CfgNode({"MODEL": {"DEPTH": 12, "PIXELS": [1.0, 2.0]}}),
        "addict": addict.Dict(a=1, b=addict.Dict(c=2)),
        "mmengine_dict": ConfigDict(model={"type": "PixMIM"}),
        "mmengine": Config({"model": {"type": "PixMIM", "radius": 40}}),
        "numpy": [numpy.float32(2), numpy.bool_(True), numpy.int64(3), numpy.arange(3)],
        "path": pathlib.PosixPath("work_dirs"),
        "args": argparse.Namespace(lr=1e-3, output_dir=pathlib.PosixPath("out")),
    }


def compressed(source: pathlib.Path, target: pathlib.Path) -> None:
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    state = tensors()
    whole = checkpoint(state)
    torch.save(whole, FOLDER / "checkpoint.pth")
    torch.save(whole, FOLDER / "protocol_5.pth", pickle_protocol=5)
    torch.save(whole, FOLDER / "before_1_6.pth", _use_new_zipfile_serialization=False)
    torch.save(torch.nn.Linear(2, 2), FOLDER / "whole_module.pth")
    torch.save({"state_dict": state, "hook": Attack()}, FOLDER / "attack.pth")
    torch.save({"state_dict": {"weight": torch.ones(2), "threshold": 0.5,
                               "names": argparse.Namespace(a=1)}},
               FOLDER / "opaque_entry.pth")
    torch.save({"state_dict": {"weight": torch.ones(2)}, **configurations()},
               FOLDER / "configurations.pth")
    compressed(FOLDER / "opaque_entry.pth", FOLDER / "compressed.pth")
    expected = {name: tensor.detach().clone().contiguous() for name, tensor in state.items()}
    save_file(expected, FOLDER / "expected.safetensors", metadata={"format": "pt"})


if __name__ == "__main__":
    main()
