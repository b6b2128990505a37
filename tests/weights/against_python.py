# SPDX-License-Identifier: Apache-2.0
"""Takes weights to Python's projects and back, by the program `convert`: any difference fails.

    python3 tests/weights/against_python.py          # in a Python of its own, made on the first run

pip installs timm, transformers and safetensors into build/weights, beside the torch in reach (else
torch, too). Files are read by torch.load(weights_only=True) and safetensors.torch; models are
loaded with strict=True, and their features compared with those of the C++ MAE
(build/tests/weights_features).
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import subprocess
import sys
import tempfile
import time
import venv
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGES = ("timm", "transformers", "safetensors", "numpy")


# --- A Python with the projects ------------------------------------------------------------------


def run_in_environment(build: Path) -> None:
    """Goes on in build/weights: returns there, and nowhere else."""
    folder = build.resolve() / "weights"
    if Path(sys.prefix).resolve() == folder:
        return
    python = folder / "bin" / "python"
    if not (folder / "complete").is_file():
        try:
            make_environment(folder, build)
        except subprocess.CalledProcessError:
            if can_download(python):
                raise
            print("SKIPPED: weights were not compared with timm and transformers, since pip "
                  "reaches no package index")
            sys.exit(0)
        (folder / "complete").touch()
    sys.stdout.flush()
    os.execv(python, [str(python), *sys.argv])


def can_download(python: Path) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        return subprocess.run([str(python), "-m", "pip", "download", "--quiet", "--no-deps",
                               "--no-cache-dir", "--dest", folder, "safetensors"],
                              capture_output=True).returncode == 0


def make_environment(folder: Path, build: Path) -> None:
    # The search for a torch is that of the benchmarks.
    specification = importlib.util.spec_from_file_location(
        "environment", REPOSITORY / "benchmarks" / "peers" / "environment.py")
    assert specification is not None and specification.loader is not None
    environment = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(environment)

    venv.create(folder, with_pip=True, clear=True)
    python = folder / "bin" / "python"
    found = environment.existing_torch(python, build)
    version = environment.TORCH_VERSION
    if found is not None:
        place, version = found
        site_packages = next((folder / "lib").glob("python*/site-packages"))
        (site_packages / "torch_in_reach.pth").write_text(f"{place}\n", encoding="utf-8")
        print(f"torch {version} is taken from {place}", flush=True)
    print(f"pip installs {', '.join(PACKAGES)} into {folder}", flush=True)
    environment.install(python, f"torch=={version.partition('+')[0]}", *PACKAGES)


# --- The comparison ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Size:
    """A model: small ones of several shapes, and one of the usual widths."""

    image: int
    patch: int
    dim: int
    depth: int
    heads: int
    decoder_dim: int
    decoder_depth: int
    decoder_heads: int

    @property
    def grid(self) -> int:
        return self.image // self.patch

    def __str__(self) -> str:
        return f"{self.dim} wide, {self.depth} deep, {self.image} pixels by {self.patch}"


SIZES = (Size(32, 8, 24, 2, 3, 16, 1, 4), Size(96, 16, 64, 11, 4, 32, 2, 2),
         Size(224, 16, 192, 4, 3, 128, 2, 4))
# Of the largest feature: float32 kernels differ in the order of their sums.
ALLOWED = 1e-5


class Failure(Exception):
    pass


def require(truth: bool, message: str) -> None:
    if not truth:
        raise Failure(message)


class Comparison:
    """One model size in one folder."""

    def __init__(self, build: Path, folder: Path, size: Size) -> None:
        self.convert_program = build / "examples" / "convert"
        self.features_program = build / "tests" / "weights_features"
        self.folder = folder
        self.size = size
        self.largest: dict[str, float] = {}
        generator = torch.Generator().manual_seed(size.dim)
        self.images = torch.randn(2, 3, size.image, size.image, generator=generator)
        self.noise = torch.rand(2, size.grid ** 2, generator=generator)
        self.state = mae_state(size, generator)
        self.source = self.path("mae.pth")
        torch.save({"model": self.state, "optimizer": {}, "epoch": 3, "scaler": None,
                    "args": argparse.Namespace(lr=1e-3)}, self.source)

    def path(self, name: str) -> Path:
        return self.folder / name

    def convert(self, source: Path, target: str, *options: str) -> Path:
        path = self.path(target)
        done = subprocess.run([str(self.convert_program), str(source), str(path), *options],
                              text=True, capture_output=True)
        require(done.returncode == 0, f"convert {source.name} {target} {options}: {done.stderr}")
        return path

    def read(self, path: Path) -> dict[str, torch.Tensor]:
        if path.suffix == ".safetensors":
            return load_file(path)
        content = torch.load(path, weights_only=True)
        for key in ("model", "state_dict"):
            if key in content:
                return content[key]
        return content

    def features(self, weights: Path) -> dict[str, torch.Tensor]:
        question, answer = self.path("question.safetensors"), self.path("answer.safetensors")
        save_file({"images": self.images, "noise": self.noise,
                   "patch_size": torch.tensor(self.size.patch),
                   "num_heads": torch.tensor(self.size.heads),
                   "decoder_num_heads": torch.tensor(self.size.decoder_heads)}, question)
        done = subprocess.run([str(self.features_program), str(weights), str(question),
                               str(answer)], text=True, capture_output=True)
        require(done.returncode == 0, f"weights_features {weights.name}: {done.stderr}")
        return load_file(answer)

    def close(self, what: str, ours: torch.Tensor, theirs: torch.Tensor) -> None:
        require(ours.shape == theirs.shape, f"{what}: {tuple(ours.shape)}, {tuple(theirs.shape)}")
        apart = float((ours - theirs).abs().max() / theirs.abs().max().clamp(min=1))
        self.largest[what] = max(self.largest.get(what, 0.0), apart)
        require(apart <= ALLOWED, f"{what} differs by {apart:.1e}, of {ALLOWED:.0e} allowed")

    # Each of these is a way that weights take.

    def round_trips(self) -> None:
        endings = ["pth", "safetensors"]
        if self.size is SIZES[1]:
            endings.reverse()
        for scheme in ("mae", "timm", "mmpretrain", "mmseg", "hf", "detectron2"):
            there = self.convert(self.source, f"there.{endings[0]}", "--to", scheme)
            back = self.read(self.convert(there, f"back.{endings[1]}", "--to", "mae", "--from",
                                          scheme))
            left_out = set(self.state) - set(back)
            require(set(back) <= set(self.state), f"{scheme}: names that were not there")
            require(all(name.startswith("decoder") or name == "mask_token" or
                        (scheme in ("mmseg", "detectron2") and name in
                         ("cls_token", "norm.weight", "norm.bias")) for name in left_out),
                    f"{scheme}: {sorted(left_out)} did not come back")
            require(not left_out or scheme not in ("mae", "mmpretrain", "hf"),
                    f"{scheme}: {sorted(left_out)} did not come back")
            for name, tensor in back.items():
                require(torch.equal(tensor, self.state[name].detach()),
                        f"{scheme}: {name} came back as another")

    def timm_features(self) -> None:
        size = self.size
        for ending in ("pth", "safetensors"):
            path = self.convert(self.source, f"timm.{ending}", "--to", "timm")
            model = timm.models.VisionTransformer(
                img_size=size.image, patch_size=size.patch, embed_dim=size.dim, depth=size.depth,
                num_heads=size.heads, num_classes=0, global_pool="token").eval()
            model.load_state_dict(self.read(path), strict=True)
            with torch.no_grad():
                theirs = model.forward_features(self.images)
            self.close("timm, latent", self.features(path)["latent"], theirs)
            self.close("timm, latent", self.features(self.source)["latent"], theirs)

    def timm_of_another_size(self) -> None:
        size = self.size
        larger = 2 * size.image
        path = self.convert(self.source, "larger.safetensors", "--to", "timm", "--image-size",
                            str(larger))
        model = timm.models.VisionTransformer(
            img_size=larger, patch_size=size.patch, embed_dim=size.dim, depth=size.depth,
            num_heads=size.heads, num_classes=0).eval()
        model.load_state_dict(load_file(path), strict=True)
        given = self.state["pos_embed"].detach()
        grid = given[:, 1:].reshape(1, size.grid, size.grid, size.dim).permute(0, 3, 1, 2)
        expected = torch.nn.functional.interpolate(
            grid, size=(2 * size.grid, 2 * size.grid), mode="bicubic", align_corners=False)
        expected = torch.cat((given[:, :1], expected.permute(0, 2, 3, 1).flatten(1, 2)), dim=1)
        self.close("positions of twice the size", model.pos_embed.detach(), expected)

    def transformers_features(self) -> None:
        size = self.size
        config = transformers.ViTMAEConfig(
            hidden_size=size.dim, num_hidden_layers=size.depth, num_attention_heads=size.heads,
            intermediate_size=4 * size.dim, image_size=size.image, patch_size=size.patch,
            decoder_num_attention_heads=size.decoder_heads, decoder_hidden_size=size.decoder_dim,
            decoder_num_hidden_layers=size.decoder_depth,
            decoder_intermediate_size=4 * size.decoder_dim, mask_ratio=0.75, layer_norm_eps=1e-6)
        # The names of the hub's files, by transformers' own loader: nothing missing or unexpected.
        folder = self.path("hf")
        folder.mkdir()
        config.save_pretrained(folder)
        self.convert(self.source, "hf/model.safetensors", "--to", "hf")
        model = load_strictly(transformers.ViTMAEForPreTraining, folder)
        ours = self.features(folder / "model.safetensors")
        with torch.no_grad():
            theirs = model(self.images, noise=self.noise)
            latent = model.vit(self.images, noise=self.noise).last_hidden_state
        self.close("transformers, masked latent", ours["masked_latent"], latent)
        self.close("transformers, prediction", ours["prediction"], theirs.logits)

        # What transformers writes, whatever its version calls things.
        again = self.path("hf_again")
        model.save_pretrained(again)
        back = self.read(self.convert(again / "model.safetensors", "back.pth", "--to", "mae"))
        require(set(back) == set(self.state), "transformers: other names came back: "
                f"{sorted(set(back) ^ set(self.state))}")
        for name, tensor in back.items():
            require(torch.equal(tensor, self.state[name].detach()), f"transformers: {name}")
        # And what it has in memory.
        save_file(model.state_dict(), self.path("memory.safetensors"))
        memory = self.read(self.convert(self.path("memory.safetensors"), "back.pth", "--to", "mae"))
        require(set(memory) == set(self.state), "transformers, in memory: other names")

        # The encoder alone, with nothing masked.
        encoder = self.path("hf_encoder")
        encoder.mkdir()
        config.mask_ratio = 0.0
        config.save_pretrained(encoder)
        self.convert(self.source, "hf_encoder/model.safetensors", "--to", "hf", "--encoder-only")
        bare = load_strictly(transformers.ViTMAEModel, encoder)
        order = torch.arange(size.grid ** 2, dtype=torch.float32).expand(2, -1)
        with torch.no_grad():
            latent = bare(self.images, noise=order).last_hidden_state
        self.close("transformers, latent",
                   self.features(encoder / "model.safetensors")["latent"], latent)

    def beit_features(self) -> None:
        """SimMIM's encoder in timm's Beit and transformers' BeitModel, which have to agree."""
        size = self.size
        state = simmim_state(size, torch.Generator().manual_seed(size.depth))
        source = self.path("simmim.pth")
        torch.save({"model": state}, source)
        path = self.convert(source, "beit.safetensors", "--to", "timm")
        beit = timm.models.beit.Beit(
            img_size=size.image, patch_size=size.patch, embed_dim=size.dim, depth=size.depth,
            num_heads=size.heads, num_classes=0, global_pool="token", use_abs_pos_emb=False,
            use_shared_rel_pos_bias=True, init_values=0.1).eval()
        beit.load_state_dict(self.read(path), strict=True)

        folder = self.path("hf_beit")
        folder.mkdir()
        transformers.BeitConfig(
            hidden_size=size.dim, num_hidden_layers=size.depth, num_attention_heads=size.heads,
            intermediate_size=4 * size.dim, image_size=size.image, patch_size=size.patch,
            use_mask_token=True, use_shared_relative_position_bias=True, use_mean_pooling=False,
            layer_norm_eps=1e-6).save_pretrained(folder)
        self.convert(source, "hf_beit/model.safetensors", "--to", "hf")
        model = load_strictly(transformers.BeitModel, folder, add_pooling_layer=False)
        with torch.no_grad():
            ours = model(self.images).last_hidden_state
            theirs = beit.forward_features(self.images)
        self.close("SimMIM's encoder, transformers and timm", ours, theirs)

        # What both have comes back, from transformers' own spelling too.
        again = self.path("hf_beit_again")
        model.save_pretrained(again)
        save_file(model.state_dict(), self.path("memory.safetensors"))
        for there in (path, folder / "model.safetensors", again / "model.safetensors",
                      self.path("memory.safetensors")):
            back = self.read(self.convert(there, "back.pth", "--to", "mae"))
            for name, tensor in state.items():
                if name in back:
                    require(torch.equal(back[name], tensor), f"SimMIM, {there.name}: {name}")
                else:
                    require(name.startswith("decoder") or "index" in name or "mask_token" in name,
                            f"SimMIM, {there.name}: {name} did not come back")

    def files_of_python(self) -> None:
        for name, content in python_files(self.state):
            for suffix, target, options in (
                    ("zip", "ours.pth", {}),
                    ("plain", "ours.safetensors", {"_use_new_zipfile_serialization": False}),
                    ("protocol 5", "ours.safetensors", {"pickle_protocol": 5})):
                source = self.path("python.pth")
                torch.save(content["file"], source, **options)
                ours = self.read(self.convert(source, target, "--to", "mae"))
                expected = content["tensors"]
                require(set(ours) == set(expected), f"{name}, {suffix}: other names")
                for key, tensor in expected.items():
                    require(same(ours[key], tensor), f"{name}, {suffix}: {key}")
        plain = {key: tensor.detach().clone().contiguous() for key, tensor in kinds().items()}
        save_file(plain, self.path("python.safetensors"), metadata={"format": "pt"})
        for target in ("ours.safetensors", "ours.pth"):
            ours = self.read(self.convert(self.path("python.safetensors"), target, "--to", "mae"))
            require(all(same(ours[key], tensor) for key, tensor in plain.items()),
                    f"safetensors, {target}")


def load_strictly(model: Any, folder: Path, **options: Any) -> Any:
    loaded, information = model.from_pretrained(folder, output_loading_info=True, **options)
    for problem in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        require(not information[problem], f"transformers: {problem} {information[problem]}")
    return loaded.eval()


def same(ours: torch.Tensor, theirs: torch.Tensor) -> bool:
    theirs = theirs.detach().contiguous()
    return (ours.dtype == theirs.dtype and ours.shape == theirs.shape and
            torch.equal(ours.contiguous().reshape(-1).view(torch.uint8),
                        theirs.reshape(-1).view(torch.uint8)))


def kinds() -> OrderedDict[str, torch.Tensor]:
    """Of each dtype, and of the ways in which tensors can lie in memory."""
    whole = torch.randn(4, 6)
    tensors = OrderedDict(
        half=torch.randn(3, 4).half(), bfloat16=torch.randn(5).bfloat16(),
        double=torch.randn(2).double(), int64=torch.arange(4),
        uint8=torch.arange(3, dtype=torch.uint8), bool=torch.tensor([True, False]),
        parameter=torch.nn.Parameter(torch.randn(2, 3)), scalar=torch.tensor(1.5),
        empty=torch.empty(0, 3), row=whole[1], column=whole[:, 2], transposed=whole.t(),
        complex=torch.randn(2, dtype=torch.complex64))
    for name in ("uint16", "uint32", "uint64", "float8_e4m3fn", "float8_e5m2"):
        if hasattr(torch, name):
            tensors[name] = torch.arange(4).to(getattr(torch, name))
    tensors["channels_last"] = torch.randn(1, 3, 2, 2).to(memory_format=torch.channels_last)
    return tensors


def python_files(state: OrderedDict[str, torch.Tensor]) -> list[tuple[str, dict[str, Any]]]:
    tensors = kinds()
    tied = torch.randn(3, 3)
    return [
        ("a plain dict", {"file": dict(state), "tensors": state}),
        ("OrderedDict", {"file": tensors, "tensors": tensors}),
        ("under model", {"file": {"model": tensors, "epoch": 1}, "tensors": tensors}),
        ("under state_dict", {"file": {"meta": {"epoch": 2, "time": "now"}, "state_dict": tensors},
                              "tensors": tensors}),
        ("under model, state_dict", {"file": {"model": {"state_dict": tensors}},
                                     "tensors": tensors}),
        ("tied", {"file": {"a": tied, "b": tied, "c": tied[1:]},
                  "tensors": {"a": tied, "b": tied, "c": tied[1:]}}),
        ("numbers and text beside", {
            "file": {"model": tensors, "none": None, "truth": True,
                     "list": [1, 2.5, "x", (3, b"y")],
                     "large": 1 << 90, "numpy": numpy.float32(2), "array": numpy.arange(3),
                     "args": argparse.Namespace(a=1, b=argparse.Namespace(c=None)),
                     "path": Path("a") / "b", "size": torch.Size([1, 2]), "dtype": torch.half,
                     "device": torch.device("cpu"), "set": {1, 2}},
            "tensors": tensors}),
        ("a module's state_dict", {"file": torch.nn.BatchNorm2d(3).state_dict(),
                                   "tensors": torch.nn.BatchNorm2d(3).state_dict()}),
    ]


def mae_state(size: Size, generator: torch.Generator) -> OrderedDict[str, torch.Tensor]:
    """Random weights under the official MAE's names."""

    def random(*shape: int) -> torch.Tensor:
        scale = shape[-1] ** -0.5 if len(shape) > 1 else 0.1
        return torch.randn(shape, generator=generator) * scale

    state: OrderedDict[str, torch.Tensor] = OrderedDict()

    def linear(name: str, out: int, inner: int) -> None:
        state[f"{name}.weight"], state[f"{name}.bias"] = random(out, inner), random(out)

    def norm(name: str, dim: int) -> None:
        state[f"{name}.weight"], state[f"{name}.bias"] = 1 + random(dim), random(dim)

    def blocks(name: str, depth: int, dim: int) -> None:
        for i in range(depth):
            norm(f"{name}.{i}.norm1", dim)
            linear(f"{name}.{i}.attn.qkv", 3 * dim, dim)
            linear(f"{name}.{i}.attn.proj", dim, dim)
            norm(f"{name}.{i}.norm2", dim)
            linear(f"{name}.{i}.mlp.fc1", 4 * dim, dim)
            linear(f"{name}.{i}.mlp.fc2", dim, 4 * dim)

    positions = 1 + size.grid ** 2
    state["cls_token"] = torch.nn.Parameter(random(1, 1, size.dim))
    state["pos_embed"] = torch.nn.Parameter(random(1, positions, size.dim), requires_grad=False)
    state["patch_embed.proj.weight"] = random(size.dim, 3, size.patch, size.patch) * 0.3
    state["patch_embed.proj.bias"] = random(size.dim)
    blocks("blocks", size.depth, size.dim)
    norm("norm", size.dim)
    linear("decoder_embed", size.decoder_dim, size.dim)
    state["mask_token"] = random(1, 1, size.decoder_dim)
    state["decoder_pos_embed"] = random(1, positions, size.decoder_dim)
    blocks("decoder_blocks", size.decoder_depth, size.decoder_dim)
    norm("decoder_norm", size.decoder_dim)
    linear("decoder_pred", 3 * size.patch ** 2, size.decoder_dim)
    return state


def simmim_state(size: Size, generator: torch.Generator) -> OrderedDict[str, torch.Tensor]:
    """Random weights under the official SimMIM's names: MAE's encoder with what BEiT adds."""
    state: OrderedDict[str, torch.Tensor] = OrderedDict()
    for name, tensor in mae_state(size, generator).items():
        if name.startswith("decoder") or name in ("pos_embed", "mask_token"):
            continue
        if name.endswith("qkv.bias"):
            query, _, value = tensor.chunk(3)
            attention = name.removesuffix("qkv.bias")
            state[f"encoder.{attention}q_bias"], state[f"encoder.{attention}v_bias"] = query, value
        else:
            state[f"encoder.{name}"] = tensor.detach()
    for block in range(size.depth):
        for branch in (1, 2):
            state[f"encoder.blocks.{block}.gamma_{branch}"] = torch.rand(size.dim,
                                                                         generator=generator)
    state["encoder.mask_token"] = torch.randn(1, 1, size.dim, generator=generator)
    table = "encoder.rel_pos_bias.relative_position_bias_table"
    state[table] = torch.randn((2 * size.grid - 1) ** 2 + 3, size.heads, generator=generator)
    positions = 1 + size.grid ** 2
    index = torch.zeros(positions, positions, dtype=torch.int64)
    state["encoder.rel_pos_bias.relative_position_index"] = index
    state["decoder.0.weight"] = torch.randn(3 * size.patch ** 2, size.dim, 1, 1,
                                            generator=generator)
    state["decoder.0.bias"] = torch.randn(3 * size.patch ** 2, generator=generator)
    return state


def time_loading(build: Path, repetitions: int) -> None:
    """The same ViT-Base by Python's loaders and by ours."""
    size = Size(224, 16, 768, 12, 12, 512, 8, 16)
    state = mae_state(size, torch.Generator().manual_seed(0))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        torch.save(state, folder / "base.pth")
        save_file({key: tensor.detach() for key, tensor in state.items()},
                  folder / "base.safetensors")

        def best(call: Callable[[], object]) -> float:
            times = []
            for _ in range(repetitions):
                start = time.perf_counter()
                call()
                times.append(time.perf_counter() - start)
            return min(times) * 1e3

        megabytes = (folder / "base.safetensors").stat().st_size / 1e6
        print(f"ViT-Base MAE, {megabytes:.0f} MB, best of {repetitions}, from the page cache:")
        print("  torch.load                  "
              f"{best(lambda: torch.load(folder / 'base.pth')):8.2f} ms")
        print("  torch.load(mmap=True)       "
              f"{best(lambda: torch.load(folder / 'base.pth', mmap=True)):8.2f} ms")
        print("  safetensors.torch.load_file "
              f"{best(lambda: load_file(folder / 'base.safetensors')):8.2f} ms")
        sys.stdout.flush()
        for file in ("base.safetensors", "base.pth"):
            subprocess.run([str(build / "tests" / "weights_features"), "--time",
                            str(folder / file), str(repetitions)], check=True)


def compare(build: Path) -> dict[str, float]:
    largest: dict[str, float] = {}
    for size in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            comparison = Comparison(build, Path(folder), size)
            comparison.round_trips()
            comparison.timm_features()
            comparison.timm_of_another_size()
            comparison.transformers_features()
            comparison.beit_features()
            if size is SIZES[0]:
                comparison.files_of_python()
            for what, apart in comparison.largest.items():
                largest[what] = max(largest.get(what, 0.0), apart)
        print(f"the same there and back: {size}", flush=True)
    return largest


def main() -> int:
    parser = argparse.ArgumentParser(
        description="Compares weights that convert wrote with timm and transformers.")
    parser.add_argument("--build", type=Path, default=Path("build"), help="default: %(default)s")
    parser.add_argument("--time", type=int, default=0, metavar="N",
                        help="time how a ViT-Base is loaded instead, N times")
    arguments = parser.parse_args()
    for program in ("examples/convert", "tests/weights_features"):
        if not (arguments.build / program).is_file():
            raise SystemExit(f"against_python.py: {arguments.build / program} is not built")
    run_in_environment(arguments.build)
    import_projects()
    if arguments.time > 0:
        time_loading(arguments.build, arguments.time)
        return 0
    print(f"weights against timm {timm.__version__}, transformers {transformers.__version__}, "
          f"torch {torch.__version__}", flush=True)
    start = time.monotonic()
    try:
        largest = compare(arguments.build)
    except Failure as failure:
        print(f"against_python.py: {failure}", file=sys.stderr)
        return 1
    for what, apart in sorted(largest.items()):
        print(f"  {what}: differs by {apart:.1e}, of {ALLOWED:.0e} allowed")
    print(f"all compared ({time.monotonic() - start:.0f} s)")
    return 0


def import_projects() -> None:
    """Only where they are installed."""
    global numpy, timm, torch, transformers, load_file, save_file
    import numpy
    import timm
    import torch
    import transformers
    from safetensors.torch import load_file, save_file

    torch.set_num_threads(2)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()


if __name__ == "__main__":
    sys.exit(main())
