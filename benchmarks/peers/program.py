# SPDX-License-Identifier: Apache-2.0
"""A running benchmark program that is given orders, a line each, and answers in lines."""

from __future__ import annotations

import subprocess
from pathlib import Path


class Ended(Exception):
    """The program gave no answer, and its exit code."""


class Program:
    def __init__(self, program: Path, *arguments: object) -> None:
        self._name = program.name
        self._process = subprocess.Popen([str(program), *map(str, arguments)],
                                         stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def order(self, order: str) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(f"{order}\n".encode())
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # the answer that does not come tells

    def line(self) -> str:
        """An empty line is an answer; the end of the program is none."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline().decode()
        if not line:
            raise Ended(f"{self._name} ended with {self._process.wait()}")
        return line.strip()

    def bytes(self, count: int) -> bytearray:
        assert self._process.stdout is not None
        return bytearray(self._process.stdout.read(count))

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
