"""Processes that compute blocks of numbers side by side: forked from this one, fed through shared memory.

Threads that call many small operations of torch wait for each other; processes do not.
"""

from __future__ import annotations

import mmap
import os
import pickle
import select
import signal
import struct
import traceback
from collections.abc import Callable
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

from flowcli.errors import ResourceError
from flowcli.parallel.fork import end, exit_code, fork, packed, undisturbed

Numbers = NDArray[np.float64]
Compute = Callable[[int, Numbers], Numbers]

# A task: its number, slot and rows. A result: its slot, and the length of an error. A pipe never splits so few bytes,
# so that many may read from one end or write to the other.
_TASK, _RESULT = struct.Struct("=qqq"), struct.Struct("=qq")
_FEWEST_CELLS = 8192  # so that an error has its place too


class Workers:
    """Forked processes and the slots of memory that they share with this one.

    A task is put into a slot; the next free worker computes it, and leaves the result there. Everything else the
    workers have inherited. They end when this process ends, however it does: the pipe that tasks come through has then
    no other end.

    Args:
        processes: How many ``start`` starts. Fewer start where the system has no room for more.
        slots: How many tasks there are at a time, at most.
        rows: Rows of the largest task.
        inputs: Columns of what is computed from.
        outputs: Columns of what is computed.
        compute: From a task's number and rows (b, inputs) to (b, outputs).

    Attributes:
        free: The slots that are.
    """

    def __init__(self, processes: int, slots: int, rows: int, inputs: int, outputs: int, compute: Compute) -> None:
        cells = max(_FEWEST_CELLS, rows * (inputs + outputs))
        self._memory = np.frombuffer(mmap.mmap(-1, 8 * slots * cells)).reshape(slots, cells)
        self._inputs, self._outputs, self._compute = inputs, outputs, compute
        self.free = list(range(slots))
        self._rows = [0] * slots
        self._finished: dict[int, int] = {}
        self._processes: dict[int, int] = {}  # by the pipe that a worker's results come through
        self._poll = select.poll()
        self._tasks, self._ask = os.pipe()
        self._count = processes

    def __len__(self) -> int:
        return len(self._processes)

    def start(self) -> None:
        """Start the processes, as many as the system has room for; whatever happens meanwhile, ``close`` ends them."""
        with suppress(OSError):
            for _ in range(self._count):
                self._fork()

    def put(self, number: int, values: Numbers) -> int:
        """Give a task to the workers.

        Args:
            number: Which one it is, for ``compute``.
            values: What it is computed from, (b, inputs).

        Returns:
            The slot where the result will be; there must be a free one.
        """
        slot = self.free.pop()
        self._rows[slot] = len(values)
        self._areas(slot, len(values))[0][:] = values
        os.write(self._ask, _TASK.pack(number, slot, len(values)))
        return slot

    def is_finished(self, slot: int) -> bool:
        """Return whether the result is there, as far as was noted."""
        return slot in self._finished

    def note(self) -> None:
        """Take note of the results that are there.

        Raises:
            ResourceError: A worker has ended.
        """
        self._wait(0, None)

    def wait(self, descriptor: int | None = None) -> bool:
        """Wait for a result, or until a descriptor is readable.

        Returns:
            Whether it is.

        Raises:
            ResourceError: A worker has ended.
        """
        return self._wait(None, descriptor)

    def take(self, slot: int) -> Numbers:
        """Return the result (b, outputs) in a slot, which is free again.

        Raises:
            Exception: What went wrong while it was computed.
        """
        length = self._finished.pop(slot)
        self.free.append(slot)
        if length:
            raise pickle.loads(self._memory[slot].tobytes()[:length])
        return self._areas(slot, self._rows[slot])[1].copy()

    def close(self) -> None:
        """End the workers, whatever they are doing."""
        end(self._processes.values())
        for pipe in self._processes:
            os.close(pipe)
        self._processes.clear()
        for pipe in (self._tasks, self._ask):
            if pipe >= 0:
                os.close(pipe)
        self._tasks = self._ask = -1

    def _areas(self, slot: int, rows: int) -> tuple[Numbers, Numbers]:
        """Return the areas of a slot for a task's rows, (rows, inputs), and for its results, (rows, outputs)."""
        given, found = rows * self._inputs, rows * self._outputs
        memory = self._memory[slot]
        return (
            memory[:given].reshape(rows, self._inputs),
            memory[given : given + found].reshape(rows, self._outputs),
        )

    def _wait(self, timeout: int | None, descriptor: int | None) -> bool:
        if descriptor is not None:
            self._poll.register(descriptor, select.POLLIN)
        try:
            ready = [each for each, _ in self._poll.poll(timeout)]
        finally:
            if descriptor is not None:
                self._poll.unregister(descriptor)
        for pipe in ready:
            if pipe in self._processes:
                self._read(pipe)
        return descriptor in ready

    def _read(self, pipe: int) -> None:
        results = os.read(pipe, 256 * _RESULT.size)
        if results:
            self._finished.update(_RESULT.iter_unpack(results))
            return
        self._poll.unregister(pipe)
        os.close(pipe)
        code = exit_code(self._processes.pop(pipe))
        how = f" ({signal.strsignal(-code)})" if code is not None and code < 0 else ""
        raise ResourceError(f"a worker process ended{how}, perhaps for want of memory; try --threads 1")

    def _fork(self) -> None:
        results, result = os.pipe()
        try:
            with undisturbed():
                self._processes[results] = fork(lambda: self._serve(results, result))
            self._poll.register(results, select.POLLIN)
        except OSError:
            os.close(results)
            raise
        finally:
            os.close(result)

    def _serve(self, results: int, result: int) -> None:
        """The whole life of a worker."""
        # As long as one of the parent's ends is open here, nobody sees that the parent is no more.
        for pipe in (self._ask, results, *self._processes):
            os.close(pipe)
        nothing = os.open(os.devnull, os.O_RDWR)
        os.dup2(nothing, 0)
        os.dup2(nothing, 1)
        while task := os.read(self._tasks, _TASK.size):
            number, slot, rows = _TASK.unpack(task)
            os.write(result, _RESULT.pack(slot, self._try(number, slot, rows)))

    def _try(self, number: int, slot: int, rows: int) -> int:
        """Compute a task; the length of the error that is in its slot instead, or zero."""
        try:
            given, found = self._areas(slot, rows)
            found[:] = self._compute(number, given)
        except BaseException as error:
            error.add_note("".join(traceback.format_exception(error)))
            area = self._memory[slot].view(np.uint8)
            words = np.frombuffer(packed(error, len(area)), np.uint8)
            area[: len(words)] = words
            return len(words)
        return 0
