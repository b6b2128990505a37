# SPDX-License-Identifier: Apache-2.0
"""Draws the loss curve of a run: plot_loss.py loss.csv loss.png"""

import csv
import sys

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot  # noqa: E402

table, picture = sys.argv[1:]
with open(table, newline="") as file:
    rows = list(csv.DictReader(file))
steps = [int(row["step"]) for row in rows]
losses = [float(row["loss"]) for row in rows]
width = max(1, len(losses) // 40)
smooth = [sum(losses[max(0, i - width):i + 1]) / len(losses[max(0, i - width):i + 1])
          for i in range(len(losses))]

pyplot.figure(figsize=(8, 4.5))
pyplot.plot(steps, losses, color="tab:blue", alpha=0.3, label="each step")
pyplot.plot(steps, smooth, color="tab:blue", label=f"mean of {width + 1} steps")
pyplot.yscale("log")
pyplot.xlabel("step")
pyplot.ylabel("loss over the hidden patches")
pyplot.grid(True, which="both", alpha=0.3)
pyplot.legend()
pyplot.tight_layout()
pyplot.savefig(picture, dpi=120)
