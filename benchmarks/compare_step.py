# SPDX-License-Identifier: Apache-2.0
"""Times training steps of the example's MAE, plain and with PixMIM, and of the official MAE in turn.

    git clone https://github.com/facebookresearch/mae CHECKOUT
    cmake --build build --target step_rounds
    python3 benchmarks/compare_step.py --mae CHECKOUT

pip installs what is missing into BUILD/peers.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
from pathlib import Path

from peers import environment

TIMM = "timm==0.4.12"


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Times training steps of the example's MAE and of the official one in turn.")
    parser.add_argument("--mae", type=Path, required=True, metavar="CHECKOUT",
                        help="a checkout of facebookresearch/mae")
    parser.add_argument("--build", type=Path, default=Path("build"), metavar="FOLDER",
                        help="folder of the build (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=8, help="images in a step (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=os.cpu_count(),
                        help="of each side (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=7,
                        help="steps of each side (default: %(default)s)")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32",
                        help="bfloat16: under autocast (default: %(default)s)")
    parser.add_argument("--fused-attention", action="store_true",
                        help="give the official model PyTorch's scaled_dot_product_attention")
    return parser.parse_args()


def main() -> int:
    arguments = parse_arguments()
    program = arguments.build / "benchmarks" / "step_rounds"
    if not program.is_file():
        raise SystemExit(f"compare_step.py: {program} is not built")
    if not (arguments.mae / "models_mae.py").is_file():
        raise SystemExit(f"compare_step.py: there is no models_mae.py in {arguments.mae}")
    environment.run_in(arguments.build)
    environment.require("timm", "--no-deps", TIMM)

    # From here on in the peers' Python.
    import torch

    from peers.official_mae import OfficialStep
    from peers.pixmim_step import PixmimStep
    from rounds import timer_of

    torch.set_num_threads(arguments.threads)
    sides = {
        "official MAE, PyTorch eager": timer_of(OfficialStep(
            arguments.mae.resolve(), arguments.batch, arguments.fused_attention,
            arguments.dtype == "bfloat16")),
    }
    programs = []
    for name, recipe in (("our MAE", "mae_vit_base_300e"),
                         ("our MAE with PixMIM", "pixmim_vit_base_300e")):
        step = PixmimStep(program, recipe, arguments.batch, arguments.threads, arguments.dtype)
        programs.append(step)
        sides[name] = step.seconds

    rounds: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(arguments.rounds + 1):
        for name, seconds in sides.items():
            elapsed = seconds(1)
            if turn > 0:  # the first one allocates
                rounds[name].append(elapsed)
    for step in programs:
        step.close()

    medians = {name: statistics.median(times) for name, times in rounds.items()}
    official = medians["official MAE, PyTorch eager"]
    print(f"ViT-B/16, batch {arguments.batch}, {arguments.threads} threads, {arguments.dtype}, "
          f"PyTorch {torch.__version__}, medians of {arguments.rounds} steps"
          f"{', fused attention' if arguments.fused_attention else ''}")
    for name, median in medians.items():
        print(f"  {name:30} {median * 1e3:8.1f} ms (least {min(rounds[name]) * 1e3:.1f}, most "
              f"{max(rounds[name]) * 1e3:.1f})   {official / median:.2f}x")
    return 0


if __name__ == "__main__":
    sys.exit(main())
