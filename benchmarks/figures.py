# SPDX-License-Identifier: Apache-2.0
"""How the pages of figures write numbers, and what they say of their origin."""

from __future__ import annotations

import math
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Optional

NOTHING = "–"


def number(value: Optional[float]) -> str:
    """Three digits, or more before the point."""
    if value is None:
        return NOTHING
    decimals = max(0, 2 - math.floor(math.log10(value))) if value > 0 else 0
    return f"{value:.{decimals}f}"


def ratio(value: Optional[float]) -> str:
    return NOTHING if value is None else f"{value:.{1 if value >= 10 else 2}f}x"


def threads_text(threads: int) -> str:
    return "1 thread" if threads == 1 else f"{threads} threads"


def table_row(cells: Iterable[str]) -> str:
    """A line of a table in Markdown."""
    return "| " + " | ".join(cells) + " |"


def commit() -> str:
    """The commit of the sources, as the target run_benchmarks names it."""
    source = Path(__file__).resolve().parent
    command = ["git", "-C", str(source), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
