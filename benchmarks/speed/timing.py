"""Rates of repeated calls, taken in turn."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

LONGEST = 2.0  # seconds that one call may take before larger blocks are no longer tried
BUDGET = 12.0  # seconds that one library may have for the rounds of one figure
FEWEST_ROUNDS = 3

Call = Callable[[], Any]


@dataclass
class Work:
    """Something to call again and again.

    Attributes:
        call: The call.
        rows: How many rows one call goes through.
        block: How many of them at once.
        tried: Rows per second with each block that was tried before this one was chosen.
    """

    call: Call
    rows: int
    block: int
    tried: dict[int, float] = field(default_factory=dict)


def rate(work: Work, seconds: float) -> float:
    """Rows per second over as many calls as take so long, one at least."""
    calls, started = 0, time.perf_counter()
    while True:
        work.call()
        calls += 1
        elapsed = time.perf_counter() - started
        if elapsed >= seconds:
            return calls * work.rows / elapsed


def fastest(
    make: Callable[[int, int], Call],
    blocks: list[int],
    total: int,
    seconds: float,
    check: Callable[[Any, int], None] = lambda result, rows: None,
) -> Work:
    """The work with the block of rows that goes fastest.

    Args:
        make: From rows and a block to a call.
        blocks: The blocks to try, rising. One whose call would take too long is left out.
        total: How many rows there are; fewer are used where they take long.
        seconds: How long one measurement takes.
        check: Called with what a first call returned, and for how many rows.
    """
    tried: dict[int, float] = {}
    for block in blocks:
        if tried and block / max(tried.values()) > LONGEST:
            break
        work = Work(make(block, block), block, block)
        started = time.perf_counter()
        result = work.call()  # to warm up, unless it takes so long that warmth does not matter
        first = time.perf_counter() - started
        check(result, block)
        tried[block] = block / first if first > LONGEST else rate(work, seconds / 2)
    best = max(tried, key=lambda block: tried[block])
    rows = best * max(1, min(total, int(seconds / 2 * tried[best])) // best)
    work = Work(make(rows, best), rows, best, tried)
    if rows > best:
        work.call()
    return work


def alternate(
    works: dict[str, Work], rounds: int, seconds: float
) -> tuple[dict[str, list[float]], dict[str, Exception]]:
    """Rows per second, round by round: each work once a round, and another one first each time.

    A work so slow that it is over its budget has fewer rounds; one that fails has none.

    Returns:
        The rates, and the errors of those that failed.
    """
    rates: dict[str, list[float]] = {name: [] for name in works}
    errors: dict[str, Exception] = {}
    spent = dict.fromkeys(works, 0.0)
    names = list(works)
    for number in range(rounds):
        shift = number % max(1, len(names))
        for name in names[shift:] + names[:shift]:
            if name in errors or (number >= FEWEST_ROUNDS and spent[name] > BUDGET):
                continue
            started = time.perf_counter()
            try:
                rates[name].append(rate(works[name], seconds))
            except Exception as error:
                errors[name] = error
            spent[name] += time.perf_counter() - started
    return {name: found for name, found in rates.items() if name not in errors}, errors
