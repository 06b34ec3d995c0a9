"""A density at work on many rows, in several processes at once."""

from __future__ import annotations

import math
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from itertools import chain
from types import TracebackType

import numpy as np
import torch

from flowcli.model.density import DRAWN_ROWS, Density, Rows, SampleRequest
from flowcli.parallel.workers import Workers
from flowcli.table import Waiting

# Seconds of work at hand that are worth the start of processes, which costs some hundredths; or the share of what has
# been done, where the blocks come one by one and nobody knows how many there will be.
WORTHWHILE = 0.05
SHARE = 0.25
# The first block takes longer than those after it, and says little about them.
FIRST_BLOCKS = 2
# Blocks under way, at least: enough for the workers while this process reads and writes.
SLOTS = 64


@dataclass(frozen=True)
class _Work:
    """What is done with each block of at most so many rows: from its number and rows (b, inputs) to (b, outputs)."""

    compute: Callable[[int, Rows], Rows]
    rows: int
    inputs: int
    outputs: int


@dataclass(frozen=True)
class _Task:
    """A block to be computed; ``left`` of them are at hand, with this one."""

    number: int
    values: Rows
    left: int


class BlockPool:
    """A density that scores and draws block by block, in several processes when there is enough to do.

    While they compute, the caller of an iterator is free to write what came before, and the iterator reads what comes
    next. Each process computes in one thread, the only one too: so a number is the same, to the bit, however many there
    are. Elsewhere than on Linux, and where the flow is computed on another device, this process does everything.

    A context manager: no process is left when it ends.

    Args:
        density: The density.
        processes: How many processes compute.
    """

    def __init__(self, density: Density, processes: int) -> None:
        self._density = density
        self._on_processor = density.device.type == "cpu"
        self._processes = processes if self._on_processor and sys.platform == "linux" else 1
        self._stack = ExitStack()

    def __enter__(self) -> BlockPool:
        if self._on_processor:
            self._stack.callback(torch.set_num_threads, torch.get_num_threads())
            torch.set_num_threads(1)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def each(
        self,
        chunks: Iterable[Rows | Waiting],
        compute: Callable[[int, Rows], Rows],
        outputs: int,
        rows: int | None = None,
    ) -> Iterator[Rows]:
        """Compute something of each row of chunks (n, N_c), of some ahead of the one that is asked for.

        Args:
            chunks: The rows. Where a ``Waiting`` stands among them, what is finished is given out until there are more.
            compute: From a block's number and its rows (b, N_c) to (b, outputs).
            outputs: How many numbers that are.
            rows: Of a block; by default as many as the density scores at once.

        Yields:
            What is computed of each chunk, (n, outputs), in order.

        Raises:
            ResourceError: A process was killed.
            Exception: What ``compute`` raises; and what the chunks do, after the results of those before.
        """
        size = rows or self._density.block_rows

        def tasks() -> Iterator[_Task | Waiting]:
            number = 0
            for chunk in chunks:
                if isinstance(chunk, Waiting):
                    yield chunk
                    continue
                blocks = max(1, -(-len(chunk) // size))
                for block in range(blocks):
                    yield _Task(number, chunk[block * size : (block + 1) * size], blocks - block)
                    number += 1

        parts: list[Rows] = []
        for left, found in self._computed(tasks(), _Work(compute, size, len(self._density.schema.columns), outputs)):
            parts.append(found)
            if left == 1:
                whole = np.concatenate(parts)
                parts.clear()
                yield whole

    def log_prob(self, rows: Rows, *, seed: int = 0) -> Rows:
        """The log-densities of rows (B, N_c), (B,); see ``Density.log_prob``."""
        (found,) = self.each([rows], lambda _, some: self._density.log_prob(some, seed=seed)[:, None], 1)
        return found[:, 0]

    def sample_blocks(self, rows: int, wanted: SampleRequest) -> Iterator[Rows]:
        """Draw the very blocks of ``Density.sample_blocks``."""
        columns = len(self._density.schema.columns)

        def compute(block: int, _: Rows) -> Rows:
            return self._density.block(block, wanted)

        yield from self._drawn(rows, _Work(compute, DRAWN_ROWS, 0, columns))

    def scored_blocks(self, rows: int, wanted: SampleRequest) -> Iterator[tuple[Rows, Rows]]:
        """Draw the very blocks of ``Density.scored_blocks``, with the log-densities of their rows."""

        def compute(block: int, _: Rows) -> Rows:
            values = self._density.block(block, wanted)
            return np.column_stack([values, self._density.log_prob(values)])

        columns = len(self._density.schema.columns)
        for found in self._drawn(rows, _Work(compute, DRAWN_ROWS, 0, columns + 1)):
            yield found[:, :columns], found[:, columns]

    def _drawn(self, rows: int, work: _Work) -> Iterator[Rows]:
        blocks = -(-rows // DRAWN_ROWS)
        nothing = np.empty((DRAWN_ROWS, 0))
        tasks = (_Task(block, nothing, blocks - block) for block in range(blocks))
        for left, found in self._computed(tasks, work):
            yield found if left > 1 else found[: rows - (blocks - 1) * DRAWN_ROWS]

    def _computed(self, tasks: Iterator[_Task | Waiting], work: _Work) -> Iterator[tuple[int, Rows]]:
        """The results of tasks in their order, each with its ``left``; in this process until more are worth it."""
        computed, quickest = 0, math.inf
        for task in tasks:
            if isinstance(task, Waiting):
                continue
            enough = computed >= FIRST_BLOCKS and quickest * max(task.left, SHARE * computed) > WORTHWHILE
            if enough and self._processes > 1 and (workers := self._started(max(task.left, computed), work)):
                yield from _shared(chain([task], tasks), workers)
                workers.close()
                return
            started = time.perf_counter()
            found = work.compute(task.number, task.values)
            quickest = min(quickest, time.perf_counter() - started)
            computed += 1
            yield task.left, found

    def _started(self, most: int, work: _Work) -> Workers | None:
        """The workers, no more than ``most``, unless the system lets none start."""
        processes = min(self._processes, most)
        with suppress(OSError):
            workers = Workers(processes, max(SLOTS, 4 * processes), work.rows, work.inputs, work.outputs, work.compute)
            self._stack.enter_context(closing(workers))
            if len(workers):
                return workers
        self._processes = 1
        return None


def _shared(tasks: Iterator[_Task | Waiting], workers: Workers) -> Iterator[tuple[int, Rows]]:
    """The results of tasks that workers compute, in the order of the tasks, each with its ``left``."""
    under_way: deque[tuple[int, int]] = deque()
    waiting: int | None = None
    failed: Exception | None = None
    ended = False
    while True:
        workers.note()
        if under_way and workers.is_finished(under_way[0][0]):
            slot, left = under_way.popleft()
            yield left, workers.take(slot)
        elif under_way and (ended or not workers.free):
            workers.wait()
        elif under_way and waiting is not None:
            waiting = None if workers.wait(waiting) else waiting
        elif ended:
            break
        else:
            waiting = None
            try:
                task = next(tasks, None)
            except Exception as error:  # what came before it is computed, and comes first
                failed, ended = error, True
                continue
            match task:
                case None:
                    ended = True
                case Waiting():
                    waiting = task.descriptor
                case _:
                    under_way.append((workers.put(task.number, task.values), task.left))
    if failed is not None:
        raise failed
