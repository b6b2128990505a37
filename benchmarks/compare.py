# SPDX-License-Identifier: Apache-2.0
"""Compares pixmim with PyTorch on this machine: a table and charts.

Reads the JSON files of the benchmark programs, times the same cases in PyTorch, eager and under
torch.compile, and writes OUT/performance_table.md and OUT/charts/*.svg:

    cmake --build build --target run_benchmarks
    python benchmarks/compare.py                  # reads build/benchmarks, writes docs
    python benchmarks/compare.py --programs       # runs the programs itself first
"""

from __future__ import annotations

import argparse
import json
import os
import re
import socket
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

import matplotlib
import torch

matplotlib.use("Agg")
from matplotlib import pyplot, ticker  # noqa: E402

from figures import NOTHING, commit, number, ratio, table_row, threads_text  # noqa: E402
from rounds import Effort, take_turns, timer_of  # noqa: E402

PROGRAMS = ("low_freq_target", "loss")
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
MASK_RATIO = 0.75
# The paper's case; charts are drawn around it.
BASE_SIDE, BASE_RADIUS, BASE_BATCH = 224, 40, 16
MICROSECONDS = {"ns": 1e-3, "us": 1.0, "ms": 1e3, "s": 1e6}
# Parts of a row's name that Google Benchmark appends; they do not tell what ran.
APPENDED = {"real_time", "process_time", "manual_time"}
APPENDED_AXES = {"iterations", "repeats", "min_time", "min_warmup_time"}
# The program's reference and eager are one formula; noise and Python do not set them so far apart.
MOST_APART = 1.5
# The axes of a row: (name, value), in no order.
Axes = frozenset[tuple[str, str]]


class Refusal(Exception):
    """Why no comparison can be made."""


# --- The programs' rows -------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    """A row of a benchmark program: what ran, and the time of a call."""

    component: str
    what: str
    axes: Axes
    microseconds: float
    single_call: bool = False

    def axis(self, name: str) -> str:
        """The value of an axis, such as "40" of "r"; empty if there is none."""
        return dict(self.axes).get(name, "")

    @property
    def batch(self) -> int:
        return int(self.axis("N"))

    @property
    def threads(self) -> int:
        return int(self.axis("threads"))

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        height, width = self.axis("size").split("x")
        return int(height), int(width)

    @property
    def radius(self) -> float:
        return float(self.axis("r"))

    @property
    def per_image(self) -> float:
        """Microseconds an image."""
        return self.microseconds / self.batch


def parse_name(name: str) -> tuple[str, str, Axes]:
    """Component, what of it ran, and the axes of a row's name, whatever their order."""
    component, what, *parts = [*name.split("/"), ""]
    axes = set()
    for part in parts:
        key, colon, value = part.partition(":")
        if not part or part in APPENDED or (colon and key in APPENDED_AXES):
            continue
        if colon:
            axes.add((key, value))
        elif re.fullmatch(r"\d+x\d+", part):
            axes.add(("size", part))
        elif re.fullmatch(r"b?float\d+|u?int\d+", part):
            axes.add(("dtype", part))
        else:
            axes.add((part, ""))
    return component, what, frozenset(axes)


def read_rows(benchmarks: list[dict[str, Any]]) -> list[Row]:
    """The rows of a JSON file, in its order; of repetitions, the median."""
    runs: dict[str, list[float]] = {}
    medians: dict[str, float] = {}
    single_calls = set()
    for entry in benchmarks:
        if entry.get("error_occurred") or "real_time" not in entry:
            continue
        name = entry.get("run_name", entry["name"])
        time = entry["real_time"] * MICROSECONDS[entry.get("time_unit", "ns")]
        if entry.get("run_type") != "aggregate":
            runs.setdefault(name, []).append(time)
            if entry.get("iterations") == 1:
                single_calls.add(name)
        elif entry.get("aggregate_name") == "median":
            medians[name] = time
    # Files of aggregates alone have no runs.
    times = {**medians, **{name: statistics.median(values) for name, values in runs.items()}}
    return [Row(*parse_name(name), time, name in single_calls and len(runs[name]) == 1)
            for name, time in times.items()]


def expect_this_machine(path: Path, context: dict[str, Any]) -> None:
    """Throws unless the file was made here, on the CPU: a ratio needs one machine."""
    here = {
        "host_name": socket.gethostname(),
        "num_cpus": os.cpu_count(),
        "torch_cpu": torch.backends.cpu.get_cpu_capability(),
        "device": "cpu",
    }
    differences = [f"{key} is {context.get(key, 'not told')} there, {value} here"
                   for key, value in here.items() if context.get(key) != value]
    if differences:
        raise Refusal(f"{path} was made on another machine or device: {'; '.join(differences)}. "
                      "Run the benchmark programs here (--programs).")


def read_programs(folder: Path) -> tuple[list[Row], list[dict[str, Any]]]:
    """The rows of all programs and the contexts of their files."""
    rows: list[Row] = []
    contexts = []
    for program in PROGRAMS:
        path = folder / f"{program}_bench.json"
        if not path.is_file():
            print(f"{path} is not there: {program} is left out")
            continue
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            context, benchmarks = content["context"], content["benchmarks"]
        except (ValueError, KeyError, TypeError) as error:
            raise Refusal(f"{path} is not a JSON file of Google Benchmark ({error!r})") from error
        expect_this_machine(path, context)
        rows += read_rows(benchmarks)
        contexts.append(context)
    if not rows:
        raise Refusal(f"no rows in {folder}: build the target run_benchmarks, or give --programs")
    return rows, contexts


def run_programs(folder: Path, quick: bool) -> None:
    """Runs the benchmark programs in `folder`, which write their JSON files there."""
    effort = ["--benchmark_min_time=0.02"] if quick else ["--benchmark_repetitions=5"]
    for program in PROGRAMS:
        executable = folder.resolve() / f"{program}_bench"
        if not executable.is_file():
            raise Refusal(f"{executable} is not built")
        subprocess.run([str(executable), *effort, f"--benchmark_context=commit={commit()}",
                        f"--benchmark_out={executable}.json", "--benchmark_out_format=json"],
                       check=True)


# --- The same cases in PyTorch ------------------------------------------------------------------


@dataclass(frozen=True)
class Workload:
    """A case in PyTorch: the formula, and what a timed call does with it."""

    formula: Callable[..., torch.Tensor]
    call: Callable[[Callable[..., torch.Tensor]], torch.Tensor]
    needs_grad: bool = False


def channel_values(values: tuple[float, ...]) -> torch.Tensor:
    return torch.tensor(values).view(1, -1, 1, 1)


def random_images(row: Row) -> torch.Tensor:
    return torch.randn(row.batch, 3, *row.size)


def published_workload(row: Row) -> Workload:
    """mmselfsup low_freq_generator.py; its constants are made once, as in the C++ reference."""
    mean, std = channel_values(IMAGENET_MEAN), channel_values(IMAGENET_STD)
    fy, fx = (torch.arange(n, dtype=torch.float64) - (n - 1) / 2 for n in row.size)
    inside = fy.square()[:, None] + fx.square() <= row.radius**2
    low_pass_filter = inside.float().expand(3, *row.size).contiguous()

    def formula(images: torch.Tensor) -> torch.Tensor:
        spectrum = torch.fft.fftshift(torch.fft.fft2(images * std + mean), dim=(-2, -1))
        # Not shifted back: the magnitude of the result does not depend on it.
        low_pass = torch.fft.ifft2(spectrum * low_pass_filter).abs()
        return (low_pass - mean) / std

    images = random_images(row)
    return Workload(formula, lambda function: function(images))


def circle_workload(row: Row) -> Workload:
    """The circle around DC by real transforms."""
    height, width = row.size
    fy = torch.fft.fftfreq(height, 1 / height, dtype=torch.float64)
    fx = torch.fft.rfftfreq(width, 1 / width, dtype=torch.float64)
    # Rounded: the frequencies are whole numbers but for the division by 1 / n.
    mask = ((fy.square()[:, None] + fx.square()).round() <= row.radius**2).float()

    def formula(images: torch.Tensor) -> torch.Tensor:
        return torch.fft.irfft2(torch.fft.rfft2(images) * mask, s=(height, width))

    images = random_images(row)
    return Workload(formula, lambda function: function(images))


def mae_patchify(images: torch.Tensor, p: int) -> torch.Tensor:
    """MAE models_mae.py patchify."""
    n, channels, height, width = images.shape
    x = images.reshape(n, channels, height // p, p, width // p, p)
    x = torch.einsum("nchpwq->nhwpqc", x)
    return x.reshape(n, (height // p) * (width // p), p * p * channels)


def loss_workload(row: Row, backward: bool) -> Workload:
    """MAE models_mae.py forward_loss; `backward`: and its gradient."""
    p, norm_pix = int(row.axis("p")), row.axis("norm_pix") == "1"

    def formula(images: torch.Tensor, prediction: torch.Tensor,
                mask: torch.Tensor) -> torch.Tensor:
        target = mae_patchify(images, p)
        if norm_pix:
            mean = target.mean(dim=-1, keepdim=True)
            variance = target.var(dim=-1, keepdim=True)
            target = (target - mean) / (variance + 1e-6)**0.5
        loss = ((prediction - target)**2).mean(dim=-1)
        return (loss * mask).sum() / mask.sum()

    images = random_images(row)
    prediction = torch.randn_like(mae_patchify(images, p))
    mask = (torch.rand(prediction.shape[:2]) < MASK_RATIO).float()

    def gradient(function: Callable[..., torch.Tensor]) -> torch.Tensor:
        leaf = prediction.detach().requires_grad_()
        function(images, leaf, mask).backward()
        assert leaf.grad is not None
        return leaf.grad

    if backward:
        return Workload(formula, gradient, needs_grad=True)
    return Workload(formula, lambda function: function(images, prediction, mask))


TARGET_AXES = frozenset({"dtype", "N", "size", "r", "threads"})
LOSS_AXES = frozenset({"dtype", "N", "size", "p", "norm_pix", "threads"})
# What is compared: (component, what) -> its name in the table, its axes, and how PyTorch does it.
RIVALS: dict[tuple[str, str], tuple[str, frozenset[str], Callable[[Row], Workload]]] = {
    ("low_freq_target", "published"): ("published target", TARGET_AXES, published_workload),
    ("low_freq_target", "circle"): ("circle target", TARGET_AXES, circle_workload),
    ("loss", "forward"): ("loss", LOSS_AXES, lambda row: loss_workload(row, backward=False)),
    ("loss", "backward"): ("loss and gradient", LOSS_AXES,
                           lambda row: loss_workload(row, backward=True)),
}


def comparable(row: Row) -> bool:
    """Whether PyTorch is timed beside a row: one that this file knows all about, in float32. Others
    have no part in it."""
    rival = RIVALS.get((row.component, row.what))
    return (rival is not None and row.axis("dtype") == "float32"
            and {name for name, _ in row.axes} == rival[1])


# --- Timing -------------------------------------------------------------------------------------


def run_and_list_operators(call: Callable[[], torch.Tensor]) -> tuple[torch.Tensor, list[str]]:
    """The result of a compiled function's first call, and the operators left uncompiled.

    Inductor has no public way to ask; without the private one the list is empty.
    """
    try:
        from torch._inductor.utils import run_and_get_code
    except ImportError:
        return call(), []
    result, sources = run_and_get_code(call)
    lines = [line for source in sources for line in source.splitlines()
             if not line.lstrip().startswith("#")]
    found = re.findall(r"torch\.ops\.aten\.(\w+)[.\w]*\(", "\n".join(lines))
    return result, sorted(set(found))


def compile_formula(work: Workload,
                    threads: int) -> tuple[Optional[Callable[..., torch.Tensor]], str]:
    """The formula under torch.compile, None if that fails; and what there is to say about it."""
    # Thrown away before each case: past eight versions of one function, Dynamo gives up.
    torch.compiler.reset()
    try:
        # fullgraph: a graph break is an error, not a silent return to eager. cpp.threads: the
        # generated code has the number of threads in it. compile_threads: no idle processes.
        compiled = torch.compile(work.formula, fullgraph=True, dynamic=False,
                                 options={"cpp.threads": threads, "compile_threads": 1})
        result, operators = run_and_list_operators(lambda: work.call(compiled))
    except Exception as error:  # Dynamo, Inductor and the compiler each have their own types
        lines = str(error).strip().splitlines() or [""]
        return None, f"failed, not timed: {type(error).__name__}: {lines[0]}"
    expected = work.call(work.formula)
    if (result - expected).abs().max() > 1e-4 * expected.abs().max():
        return None, "not timed: its values are not eager's"
    if operators:
        return compiled, ("generates no code for " + ", ".join(operators)
                          + " and calls PyTorch's operators for them, as eager does")
    return compiled, ""


@dataclass(frozen=True)
class Comparison:
    """A case: microseconds an image of each side; None where there is no figure."""

    row: Row
    eager: float
    compiled: Optional[float]
    copy: Optional[float]
    reference: Optional[float]  # eager's formula in the program, by LibTorch
    note: str

    @property
    def pixmim(self) -> float:
        return self.row.per_image

    @property
    def label(self) -> str:
        return RIVALS[self.row.component, self.row.what][0]

    @property
    def ratio_to_eager(self) -> float:
        return self.eager / self.pixmim

    @property
    def ratio_to_compiled(self) -> Optional[float]:
        return None if self.compiled is None else self.compiled / self.pixmim

    @property
    def share_of_copy(self) -> Optional[float]:
        return None if self.copy is None else self.copy / self.pixmim


def compare(row: Row, rows: dict[tuple[str, str, Axes], Row], effort: Effort) -> Comparison:
    """Times PyTorch's side of a row; `rows` are all of the programs."""
    torch.manual_seed(0)
    torch.set_num_threads(row.threads)
    work = RIVALS[row.component, row.what][2](row)
    with torch.set_grad_enabled(work.needs_grad):
        compiled, note = compile_formula(work, row.threads)
        calls = [lambda: work.call(work.formula)]
        if compiled is not None:
            calls.append(lambda: work.call(compiled))
        times = [seconds * 1e6 / row.batch
                 for seconds in take_turns([timer_of(call) for call in calls], effort)]
    copy = rows.get((row.component, "copy", row.axes))
    reference = rows.get((row.component, row.what + "_reference", row.axes))
    return Comparison(row, times[0], times[1] if compiled is not None else None,
                      copy.per_image if copy is not None else None,
                      reference.per_image if reference is not None else None, note)


def compare_all(rows: list[Row], effort: Effort) -> list[Comparison]:
    """All comparisons, each printed as it is there."""
    by_name = {(row.component, row.what, row.axes): row for row in rows}
    known = [row for row in rows if comparable(row)]
    if not known:
        raise Refusal("the JSON files have no row that this file can compare")
    comparisons = []
    for index, row in enumerate(known, start=1):
        comparison = compare(row, by_name, effort)
        print(f"[{index}/{len(known)}] {case_text(comparison)}, {threads_text(row.threads)}: "
              f"eager {number(comparison.eager)}, compiled {number(comparison.compiled)}, "
              f"pixmim {number(comparison.pixmim)} us/image")
        comparisons.append(comparison)
    return comparisons


# --- The table ----------------------------------------------------------------------------------


def case_text(comparison: Comparison) -> str:
    """A case in words, without its threads."""
    row = comparison.row
    parts = [comparison.label, row.axis("size")]
    if row.axis("r"):
        parts.append(f"r {row.axis('r')}")
    if row.axis("p"):
        parts.append(f"p {row.axis('p')}")
    if row.axis("norm_pix") == "1":
        parts.append("norm_pix")
    return ", ".join([*parts, f"batch {row.batch}"])


def processor() -> str:
    """The processor's name, empty where the system does not tell it."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return ""
    match = re.search(r"^model name\s*:\s*(.+)$", text, flags=re.MULTILINE)
    return match.group(1).strip() if match else ""


def values_of(contexts: list[dict[str, Any]], key: str) -> str:
    return ", ".join(sorted({str(context.get(key, "unknown")) for context in contexts}))


def heading_lines(contexts: list[dict[str, Any]], warnings: list[str]) -> list[str]:
    """What the figures hold for."""
    machine = [processor(), f"{os.cpu_count()} CPUs", torch.backends.cpu.get_cpu_capability()]
    return [
        "# pixmim and PyTorch on one machine",
        "",
        "Written by `benchmarks/compare.py`. Microseconds an image, float32; a ratio above 1x: "
        "pixmim is faster.",
        "",
        f"- Machine: {', '.join(part for part in machine if part)}",
        f"- pixmim {values_of(contexts, 'pixmim')}, commit {values_of(contexts, 'commit')}, "
        f"with LibTorch {values_of(contexts, 'torch')}; PyTorch {torch.__version__}",
        *[f"- **{warning}**" for warning in warnings],
        "",
    ]


def table_line(comparison: Comparison) -> str:
    share = comparison.share_of_copy
    cells = [
        case_text(comparison),
        str(comparison.row.threads),
        number(comparison.eager),
        number(comparison.compiled),
        number(comparison.pixmim),
        ratio(comparison.ratio_to_eager),
        ratio(comparison.ratio_to_compiled),
        NOTHING if share is None else f"{share:.0%}".replace("%", " %"),
    ]
    return table_row(cells)


def compile_notes(comparisons: list[Comparison]) -> list[str]:
    """What torch.compile did not do, once for each kind of case."""
    notes = dict.fromkeys((item.label, item.note) for item in comparisons if item.note)
    return [f"- torch.compile, {label}: {note}." for label, note in notes]


def table_text(comparisons: list[Comparison], contexts: list[dict[str, Any]],
               warnings: list[str]) -> str:
    """The page with the table."""
    notes = compile_notes(comparisons)
    return "\n".join([
        *heading_lines(contexts, warnings),
        "| case | threads | PyTorch eager, us/image | torch.compile, us/image | pixmim, us/image "
        "| to eager | to torch.compile | of a copy's speed |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
        *map(table_line, comparisons),
        "",
        *notes,
        *([""] if notes else []),
    ])


# --- The charts ---------------------------------------------------------------------------------

# Okabe and Ito's colours, told apart by colour-blind eyes; line and marker tell them apart too.
ORANGE, BLUE, GREY = "#d55e00", "#0072b2", "#666666"
STYLE: Any = {
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "pixmim",  # the same figures give the same file
    "font.size": 10,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
}


@dataclass(frozen=True)
class Line:
    """A line of a chart: whose time, and of which target; "": the same for all."""

    label: str
    what: str
    side: str
    style: dict[str, Any] = field(default_factory=dict)


def side_style(colour: str, side: str) -> dict[str, Any]:
    line, marker, fill = {"pixmim": ("-", "o", colour), "eager": ("--", "s", "white"),
                          "compiled": (":", "^", "white")}[side]
    return {"color": colour, "linestyle": line, "marker": marker, "markerfacecolor": fill}


LINES = (
    Line("published, PyTorch eager", "published", "eager", side_style(ORANGE, "eager")),
    Line("published, torch.compile", "published", "compiled", side_style(ORANGE, "compiled")),
    Line("published, pixmim", "published", "pixmim", side_style(ORANGE, "pixmim")),
    Line("circle, PyTorch eager", "circle", "eager", side_style(BLUE, "eager")),
    Line("circle, torch.compile", "circle", "compiled", side_style(BLUE, "compiled")),
    Line("circle, pixmim", "circle", "pixmim", side_style(BLUE, "pixmim")),
    Line("copy of the images", "", "copy", {"color": GREY, "linestyle": "-"}),
)


def targets(comparisons: list[Comparison]) -> list[Comparison]:
    """The cases of charts: the target of square images."""
    return [item for item in comparisons if item.row.component == "low_freq_target"
            and item.row.size[0] == item.row.size[1]]


def largest_batches(items: list[Comparison]) -> list[Comparison]:
    """Of each size, the cases of its largest batch."""
    largest: dict[tuple[int, int], int] = {}
    for item in items:
        largest[item.row.size] = max(item.row.batch, largest.get(item.row.size, 0))
    return [item for item in items if item.row.batch == largest[item.row.size]]


def sides_of(items: Iterable[Comparison]) -> list[int]:
    return sorted({item.row.size[0] for item in items})


def size_series(items: list[Comparison]) -> tuple[list[Comparison], str]:
    """The cases for the chart over the side, and its radius in words.

    Of a radius in proportion to the side and a fixed one: what has more sizes.
    """
    scale = BASE_RADIUS / BASE_SIDE
    scaled = [item for item in items if abs(item.row.radius - scale * item.row.size[0]) < 1]
    fixed = [item for item in items if item.row.radius == BASE_RADIUS]
    if len(sides_of(scaled)) >= len(sides_of(fixed)):
        return largest_batches(scaled), f"radius {BASE_RADIUS} for {BASE_SIDE} pixels, to scale"
    return largest_batches(fixed), f"radius {BASE_RADIUS}"


def radius_series(items: list[Comparison]) -> list[Comparison]:
    """The cases for the chart over the radius: of the batch with the most radii."""
    here = [item for item in items if item.row.size[0] == BASE_SIDE]
    radii: dict[int, set[float]] = {}
    for item in here:
        radii.setdefault(item.row.batch, set()).add(item.row.radius)
    best = max(radii, key=lambda batch: (len(radii[batch]), batch), default=0)
    return [item for item in here if item.row.batch == best]


def panels(items: list[Comparison], width: float,
           height: float) -> tuple[Any, list[tuple[Any, list[Comparison]]]]:
    """A figure with a panel for each number of threads, and the cases of each."""
    counts = sorted({item.row.threads for item in items})
    figure, axes = pyplot.subplots(1, len(counts), sharex=True, sharey=True, squeeze=False,
                                   figsize=(width * len(counts) + 2.2, height),
                                   layout="constrained")
    parts = []
    for axis, count in zip(axes[0], counts):
        axis.set_title(threads_text(count))
        parts.append((axis, [item for item in items if item.row.threads == count]))
    return figure, parts


def draw_lines(axis: Any, items: list[Comparison], x_of: Callable[[Row], float]) -> None:
    """Each line that has values, over `x_of` a row."""
    for line in LINES:
        points = sorted({(x_of(item.row), getattr(item, line.side)) for item in items
                         if line.what in ("", item.row.what)
                         and getattr(item, line.side) is not None})
        if points:
            axis.plot(*zip(*points), label=line.label, markersize=5, linewidth=1.5, **line.style)


def finish_lines(figure: Any, axes: list[Any], title: str, x_label: str) -> None:
    """Axes, labels and legend of a chart of lines."""
    for axis in axes:
        axis.set_yscale("log")
        axis.yaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
        axis.yaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:g}"))
        axis.yaxis.set_minor_locator(ticker.NullLocator())
        axis.grid(True, axis="y")
        axis.set_xlabel(x_label)
    axes[0].set_ylabel("time, microseconds an image")
    # The panels may have different lines: the legend has all of them, in one order.
    handles = {label: handle for axis in axes
               for handle, label in zip(*axis.get_legend_handles_labels())}
    labels = [line.label for line in LINES if line.label in handles]
    figure.legend([handles[label] for label in labels], labels, loc="outside right center")
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)


def save(figure: Any, path: Path, title: str) -> None:
    """Writes an SVG that depends on the figures alone: no date, no version of Matplotlib."""
    figure.savefig(path, metadata={"Date": None, "Creator": None, "Title": title})
    pyplot.close(figure)
    print(f"wrote {path}")


def leave_out(path: Path, reason: str) -> None:
    """No chart; nor one of another run, which would not fit the table."""
    print(f"no {path}: {reason}")
    path.unlink(missing_ok=True)


def draw_sizes(comparisons: list[Comparison], path: Path) -> None:
    """Time against the side of the image."""
    items, radius = size_series(targets(comparisons))
    sides = sides_of(items)
    if len(sides) < 2:
        return leave_out(path, "the rows have fewer than two sizes")
    figure, parts = panels(items, 4.4, 4.2)
    batches = {item.row.size[0]: item.row.batch for item in items}
    same_batch = len(set(batches.values())) == 1
    for axis, part in parts:
        draw_lines(axis, part, lambda row: row.size[0])
        axis.set_xscale("log")
        axis.set_xticks(sides, [str(side) if same_batch else f"{side}\n{batches[side]}"
                                for side in sides], fontsize=8)
        axis.xaxis.set_minor_locator(ticker.NullLocator())
    title = f"Low-frequency target by image size (float32, {radius})"
    x_label = (f"side, pixels (batch {batches[sides[0]]})" if same_batch
               else "side, pixels (below: batch)")
    finish_lines(figure, [axis for axis, _ in parts], title, x_label)
    return save(figure, path, title)


def draw_radii(comparisons: list[Comparison], path: Path) -> None:
    """Time against the radius."""
    items = radius_series(targets(comparisons))
    if len({item.row.radius for item in items}) < 2:
        return leave_out(path, f"the rows of {BASE_SIDE}x{BASE_SIDE} have fewer than two radii")
    figure, parts = panels(items, 3.7, 4.2)
    for axis, part in parts:
        draw_lines(axis, part, lambda row: row.radius)
        axis.set_xlim(left=0)
    title = (f"Low-frequency target by radius (float32, {BASE_SIDE}x{BASE_SIDE}, "
             f"batch {items[0].row.batch})")
    finish_lines(figure, [axis for axis, _ in parts], title, "radius, frequency bins")
    return save(figure, path, title)


def draw_bars(axis: Any, items: list[Comparison], whats: list[str]) -> None:
    """Two bars for each of `whats`, the first on top; a ratio that is not there has its place."""
    by_what = {item.row.what: item for item in items}
    labels: list[str] = []
    for what in whats:
        item = by_what.get(what)
        for side, opacity in (("eager", 1.0), ("compiled", 0.55)):
            value = getattr(item, f"ratio_to_{side}") if item is not None else None
            axis.barh(len(labels), value or 0, height=0.6, alpha=opacity,
                      color=ORANGE if what == "published" else BLUE)
            axis.annotate(ratio(value), (value or 0, len(labels)), xytext=(4, 0), va="center",
                          textcoords="offset points")
            rival = "PyTorch eager" if side == "eager" else "torch.compile"
            labels.append(f"{what} target\nto {rival}")
    axis.set_yticks(range(len(labels)), labels)
    axis.tick_params(axis="y", length=0)
    axis.margins(x=0.15)
    axis.set_xlim(left=0)
    axis.axvline(1, color="black", linewidth=0.8, linestyle="--")
    axis.set_xlabel("PyTorch's time / pixmim's time (dashed: as fast)")


def draw_ratios(comparisons: list[Comparison], path: Path) -> None:
    """Bars of the ratios of the paper's case."""
    items = [item for item in targets(comparisons)
             if (item.row.size[0], item.row.radius, item.row.batch)
             == (BASE_SIDE, BASE_RADIUS, BASE_BATCH)]
    case = f"{BASE_SIDE}x{BASE_SIDE}, radius {BASE_RADIUS}, batch {BASE_BATCH}"
    if not items:
        return leave_out(path, f"no row of {case}")
    figure, parts = panels(items, 3.7, 3.2)
    whats = sorted({item.row.what for item in items}, reverse=True)  # the published one first
    for axis, part in parts:
        draw_bars(axis, part, whats)
    parts[0][0].invert_yaxis()  # one is enough: the panels share the axis
    title = f"Speed of pixmim against PyTorch (float32, {case})"
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    return save(figure, path, title)


# --- The program --------------------------------------------------------------------------------


def warnings_of(comparisons: list[Comparison], quick: bool) -> list[str]:
    """Why the figures may not be quoted."""
    warnings = []
    if quick:
        warnings.append("One short pass (--quick): no figures to quote.")
    if any(item.row.single_call for item in comparisons):
        warnings.append("Some of pixmim's rows are a single call: no figures to quote.")
    apart = [item.eager / item.reference for item in comparisons
             if item.reference is not None]
    too_far = [factor for factor in apart if not 1 / MOST_APART < factor < MOST_APART]
    if too_far:
        warnings.append(f"In {len(too_far)} of {len(apart)} cases eager's time here and that of "
                        f"the same formula in the program differ by more than {MOST_APART}x: the "
                        "machine was not equally quiet for both, and their ratios say nothing.")
    return warnings


def write_outputs(comparisons: list[Comparison], contexts: list[dict[str, Any]],
                  warnings: list[str], out: Path) -> None:
    """The table and the charts."""
    charts = out / "charts"
    charts.mkdir(parents=True, exist_ok=True)
    table = out / "performance_table.md"
    table.write_text(table_text(comparisons, contexts, warnings), encoding="utf-8")
    print(f"wrote {table}")
    with pyplot.rc_context(STYLE):
        draw_sizes(comparisons, charts / "time_by_size.svg")
        draw_radii(comparisons, charts / "time_by_radius.svg")
        draw_ratios(comparisons, charts / "ratios.svg")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Compares pixmim with PyTorch on this machine: a table and charts.")
    parser.add_argument("--json", type=Path, default=Path("build/benchmarks"), metavar="FOLDER",
                        help="folder of the programs and their JSON files (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=Path("docs"), metavar="FOLDER",
                        help="folder for the table and charts/ (default: %(default)s)")
    parser.add_argument("--programs", action="store_true",
                        help="run the benchmark programs first; replaces their JSON files")
    parser.add_argument("--quick", action="store_true",
                        help="one short pass, to see that it works: no figures to quote")
    return parser.parse_args()


def main() -> int:
    arguments = parse_arguments()
    try:
        if arguments.programs:
            run_programs(arguments.json, arguments.quick)
        rows, contexts = read_programs(arguments.json)
        effort = Effort(rounds=1, seconds=0.02) if arguments.quick else Effort()
        comparisons = compare_all(rows, effort)
    except (Refusal, subprocess.CalledProcessError) as error:
        print(f"compare.py: {error}", file=sys.stderr)
        return 1
    warnings = warnings_of(comparisons, arguments.quick)
    for line in [*warnings, *compile_notes(comparisons)]:
        print(line)
    write_outputs(comparisons, contexts, warnings, arguments.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
