# SPDX-License-Identifier: Apache-2.0
"""Times rivals in turn, so that a slow spell of the machine meets all of them."""

from __future__ import annotations

import math
import statistics
import timeit
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

# Seconds that a number of calls takes.
Timer = Callable[[int], float]


@dataclass(frozen=True)
class Effort:
    """How long to measure: as the programs do with five repetitions."""

    rounds: int = 5
    seconds: float = 0.2


def timer_of(call: Callable[[], Any]) -> Timer:
    return lambda count: timeit.timeit(call, number=count)


def number_of_calls(timer: Timer, seconds: float) -> int:
    """How many calls take at least `seconds`; warms up on the way."""
    timer(1)
    count = 1
    while True:
        elapsed = timer(count)
        if elapsed >= seconds:
            return count
        # Never by more than ten: a first call says little about the next ones.
        count = max(count + 1, min(10 * count, math.ceil(1.2 * count * seconds / elapsed)))


def take_turns(timers: Sequence[Timer], effort: Effort) -> list[float]:
    """Seconds a call: of each, the median of rounds, each the mean of many calls."""
    counts = [number_of_calls(timer, effort.seconds) for timer in timers]
    rounds: list[list[float]] = [[] for _ in timers]
    for _ in range(effort.rounds):
        for timer, count, times in zip(timers, counts, rounds):
            times.append(timer(count) / count)
    return [statistics.median(times) for times in rounds]
