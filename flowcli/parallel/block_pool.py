"""Blocks of rows, computed in several processes at once where there is enough to do."""

from __future__ import annotations

import math
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from itertools import chain
from types import TracebackType
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from flowcli.parallel.waiting import Waiting
from flowcli.parallel.workers import Workers

Rows = NDArray[np.float64]
Payload = TypeVar("Payload")

# Processes are started once the work at hand takes so many seconds, since a start costs some hundredths; or, where
# blocks arrive one by one and nobody knows how many there will be, so large a share of what was computed before.
WORTHWHILE = 0.05
SHARE = 0.25
# The first block takes longer than those after it, and says little about them.
FIRST_BLOCKS = 2
# Blocks in flight, at least: enough to keep the workers busy while this process reads and writes.
SLOTS = 64


@dataclass(frozen=True)
class Work:
    """What is computed of each block of rows.

    Attributes:
        compute: From a block's number and its rows (b, inputs) to results (b, outputs).
        rows: The most rows of a block.
        inputs: Columns of the rows.
        outputs: Columns of the results.
    """

    compute: Callable[[int, Rows], Rows]
    rows: int
    inputs: int
    outputs: int


@dataclass(frozen=True)
class _Task:
    """One block to compute; ``left`` blocks are at hand, this one included."""

    number: int
    values: Rows
    left: int


class BlockPool:
    """Computes blocks of rows in order, in several processes when there is enough to do.

    While they compute, the caller of an iterator is free to write earlier results, and the iterator reads ahead. Every
    process computes in one thread, a lone one too, so results are the same to the bit however many there are. On other
    systems than Linux, and where a GPU computes, this process does everything.

    A context manager; no process is left when it ends.

    Args:
        processes: How many processes compute.
        on_cpu: Whether the work runs on the processor, and not on a GPU.
    """

    def __init__(self, processes: int, *, on_cpu: bool = True) -> None:
        self._on_cpu = on_cpu
        self._processes = processes if on_cpu and sys.platform == "linux" else 1
        self._stack = ExitStack()

    def __enter__(self) -> BlockPool:
        if self._on_cpu:
            self._stack.callback(torch.set_num_threads, torch.get_num_threads())
            torch.set_num_threads(1)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def map(self, chunks: Iterable[tuple[Payload, Rows] | Waiting], work: Work) -> Iterator[tuple[Payload, Rows]]:
        """Compute something of each row of some chunks, reading ahead of the one that is asked for.

        Args:
            chunks: Rows (n, inputs), each with whatever should come back with its results. Where a ``Waiting`` stands
                among them, finished results are given out until there are more rows.
            work: What is computed.

        Yields:
            Each chunk's companion and results (n, outputs), in order.

        Raises:
            ResourceError: A process was killed.
            Exception: What ``work.compute`` raises; and what the chunks raise, after the results of those before.
        """
        payloads: deque[Payload] = deque()

        def tasks() -> Iterator[_Task | Waiting]:
            number = 0
            for chunk in chunks:
                if isinstance(chunk, Waiting):
                    yield chunk
                    continue
                payload, values = chunk
                payloads.append(payload)
                blocks = max(1, -(-len(values) // work.rows))
                for block in range(blocks):
                    yield _Task(number, values[block * work.rows : (block + 1) * work.rows], blocks - block)
                    number += 1

        results: list[Rows] = []
        for left, result in self._computed(tasks(), work):
            results.append(result)
            if left == 1:
                whole = np.concatenate(results)
                results.clear()
                yield payloads.popleft(), whole

    def numbered(self, rows: int, work: Work) -> Iterator[Rows]:
        """Compute as many rows as wanted, block by block, of nothing but the blocks' numbers.

        Yields:
            Results (b, outputs); ``work.rows`` of them but for the last block.
        """
        blocks = -(-rows // work.rows)
        nothing = np.empty((work.rows, 0))
        tasks = (_Task(block, nothing, blocks - block) for block in range(blocks))
        for left, result in self._computed(tasks, work):
            yield result if left > 1 else result[: rows - (blocks - 1) * work.rows]

    def _computed(self, tasks: Iterator[_Task | Waiting], work: Work) -> Iterator[tuple[int, Rows]]:
        """Yield the results of tasks in order, each with its ``left``; in this process until more are worthwhile."""
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
            result = work.compute(task.number, task.values)
            quickest = min(quickest, time.perf_counter() - started)
            computed += 1
            yield task.left, result

    def _started(self, limit: int, work: Work) -> Workers | None:
        """Start at most ``limit`` workers; ``None`` where the system lets none start."""
        processes = min(self._processes, limit)
        with suppress(OSError):
            workers = Workers(processes, max(SLOTS, 4 * processes), work.rows, work.inputs, work.outputs, work.compute)
            self._stack.callback(workers.close)  # before there is a process that a signal could leave behind
            workers.start()
            if len(workers):
                return workers
        self._processes = 1
        return None


def _shared(tasks: Iterator[_Task | Waiting], workers: Workers) -> Iterator[tuple[int, Rows]]:
    """Yield the results of tasks that workers compute, in the order of the tasks, each with its ``left``."""
    in_flight: deque[tuple[int, int]] = deque()
    waiting: int | None = None
    failure: Exception | None = None
    ended = False
    while True:
        workers.note()
        if in_flight and workers.is_finished(in_flight[0][0]):
            slot, left = in_flight.popleft()
            yield left, workers.take(slot)
        elif in_flight and (ended or not workers.free):
            workers.wait()
        elif in_flight and waiting is not None:
            waiting = None if workers.wait(waiting) else waiting
        elif ended:
            break
        else:
            waiting = None
            try:
                task = next(tasks, None)
            except Exception as error:  # the results of what came before it are given out first
                failure, ended = error, True
                continue
            match task:
                case None:
                    ended = True
                case Waiting():
                    waiting = task.descriptor
                case _:
                    in_flight.append((workers.put(task.number, task.values), task.left))
    if failure is not None:
        raise failure
