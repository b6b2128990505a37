# SPDX-License-Identifier: Apache-2.0
"""The running program step_rounds: training steps of a recipe, a round at a time."""

from __future__ import annotations

from pathlib import Path

from peers.program import Program


class PixmimStep:
    def __init__(self, program: Path, recipe: str, batch: int, threads: int, dtype: str) -> None:
        self._program = Program(program, recipe, batch, threads, dtype)
        self.library = self._program.line()
        self.close = self._program.close

    def seconds(self, calls: int) -> float:
        self._program.order(f"time {calls}")
        return float(self._program.line())
