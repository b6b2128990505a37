# SPDX-License-Identifier: Apache-2.0
"""Compares pixmim's crops and the example's data path with their peers on this machine.

The peers are torchvision on Pillow, torchvision's transforms.v2 on tensors, and OpenCV; pip
installs what is missing into BUILD/peers. Writes OUT/crop_table.md and prints it:

    cmake --build build --target crop_rounds data_path_rounds
    python3 benchmarks/compare_crop.py --photographs FOLDER
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from peers import environment


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Compares pixmim's crops and data path with their peers.")
    parser.add_argument("--build", type=Path, default=Path("build"), metavar="FOLDER",
                        help="folder of the build (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=Path("docs"), metavar="FOLDER",
                        help="folder for the table (default: %(default)s)")
    parser.add_argument("--photographs", type=Path, metavar="FOLDER",
                        help="JPEGs for the data path, which is left out without them")
    parser.add_argument("--only", choices=("crops", "data"), help="one half of it")
    parser.add_argument("--workers", type=int, default=2,
                        help="of every loader (default: %(default)s)")
    parser.add_argument("--quick", action="store_true",
                        help="one short pass, to see that it works: no figures to quote")
    return parser.parse_args()


def main() -> int:
    arguments = parse_arguments()
    programs = arguments.build / "benchmarks"
    for program in ("crop_rounds", "data_path_rounds"):
        if not (programs / program).is_file():
            raise SystemExit(f"compare_crop.py: {programs / program} is not built")
    if arguments.photographs is None and arguments.only == "data":
        raise SystemExit("compare_crop.py: the data path needs --photographs")
    environment.run_in(arguments.build)

    # From here on in the peers' Python.
    from peers import crop_comparison, crop_table, data_comparison
    from rounds import Effort

    crops, libraries = [], set()
    if arguments.only != "data":
        effort = Effort(rounds=1, seconds=0.02) if arguments.quick else Effort()
        for case in crop_comparison.cases(arguments.photographs):
            result = crop_comparison.compare(programs / "crop_rounds", case,
                                             arguments.photographs, effort)
            if result is not None:
                crops.append(result[0])
                libraries.add(result[1])
                print(crop_table.progress(result[0]), flush=True)
    data = None
    if arguments.photographs is not None and arguments.only != "crops":
        data = data_comparison.compare(programs / "data_path_rounds", arguments.photographs,
                                       arguments.workers, arguments.quick)
    text = crop_table.page(crops, data, sorted(libraries), arguments.quick)
    arguments.out.mkdir(parents=True, exist_ok=True)
    table = arguments.out / "crop_table.md"
    table.write_text(text, encoding="utf-8")
    print(f"\n{text}\nwrote {table}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
