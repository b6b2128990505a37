# SPDX-License-Identifier: Apache-2.0
"""Says which engine each component should take on the GPU of a run of gpu.sh: choose_engines.py FOLDER

An engine beats LibTorch's operators where the geometric mean of its rows' times is at least 5 % below. Rows
that both runs have count, without references and copies, which show how alike the two runs were."""

import json
import math
import sys
from pathlib import Path

COMPONENTS = {"low_freq_target": "target", "simple_resized_crop": "crop", "masking": "masking", "loss": "loss"}
WORTH_IT = 0.95


def times_of(path: Path) -> dict[str, float]:
    try:
        rows = json.loads(path.read_text())["benchmarks"]
    except json.JSONDecodeError:  # a benchmark that was cut off
        print(f"{path} is not complete", file=sys.stderr)
        return {}
    return {row["name"]: row["real_time"] for row in rows if not row.get("error_occurred")}


def is_ours(name: str) -> bool:
    what = name.split("/")[1]
    return not any(part in what for part in ("reference", "copy", "composition", "index_select", "peak", "apart", "patchify",
                                       "block", "masked_fill"))


def mean_ratio(ratios: list[float]) -> float:
    return math.exp(sum(map(math.log, ratios)) / len(ratios))


def main() -> int:
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    folder = Path(sys.argv[1])
    is_complete = True
    for benchmark, component in COMPONENTS.items():
        runs = {path.stem[len(benchmark) + 1:]: times_of(path) for path in sorted(folder.glob(f"{benchmark}_*.json"))}
        operators = runs.pop("operators", {})
        runs = {engine: times for engine, times in runs.items() if times}
        if not operators or not runs:
            print(f"{component}: no results in {folder}", file=sys.stderr)
            is_complete = False
            continue
        choice, best, lines = "operators", WORTH_IT, []
        for engine, times in runs.items():
            common = operators.keys() & times.keys()
            ours = [times[name] / operators[name] for name in common if is_ours(name)]
            others = [times[name] / operators[name] for name in common if not is_ours(name)]
            if not ours:
                print(f"{component}: no row in both runs", file=sys.stderr)
                return 1
            ratio = mean_ratio(ours)
            if ratio < best:
                choice, best = engine, ratio
            steady = f"; rows that no engine touches {mean_ratio(others):.2f} times" if others else ""
            lines.append(f"  {engine} takes {ratio:.2f} times as long as operators, of {len(ours)} rows from "
                         f"{min(ours):.2f} to {max(ours):.2f}{steady}")
        print(f"{component}: {choice}", *lines, sep="\n")
    print("the table is include/pixmim/detail/cuda/default_engines.hpp; note this run beside a choice")
    return 0 if is_complete else 1


if __name__ == "__main__":
    sys.exit(main())
