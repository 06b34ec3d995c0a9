"""Lockstep: processes that share memory do a part each of every step, and wait for each other.

Small operations are what a step of a fit consists of. Threads of one Python process would take turns with them, and
torch's own threads have nothing to divide in them; processes do them side by side. They are forked, as torch's
DataLoader forks its workers: what they need is there already, and what changes lies in shared memory.
"""

from __future__ import annotations

import math
import mmap
import multiprocessing
import os
import pickle
import select
import sys
from collections.abc import Callable, Sequence
from functools import partial
from types import TracebackType
from typing import Any

import torch
from torch import Tensor

from flowcli.errors import ResourceError
from flowcli.parallel.fork import end, fork, packed, undisturbed

Work = Callable[[int, Sequence[float]], None]

NUMBERS = 8  # of a message to the others
TRIES = 3_000  # looks at a semaphore before waiting for it in the kernel, about a millisecond
PATIENCE = 1.0  # seconds between two looks at whether the others are still there
LONGEST_COMPLAINT = 2_000  # bytes, of which a pipe has room for those of many


def shared(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return zeros in memory that forked processes will share."""
    size = max(1, math.prod(shape)) * dtype.itemsize
    return torch.frombuffer(mmap.mmap(-1, size), dtype=dtype)[: math.prod(shape)].view(shape)


def processes_for(device: torch.device, batch_size: int, least: int) -> int:
    """Return how many processes a fit should have, each with at least so many rows of a batch.

    One where nothing can be forked safely: elsewhere than on Linux, and where there is a GPU, whose threads torch's
    automatic differentiation does not let a forked process go without.
    """
    if device.type != "cpu" or sys.platform != "linux" or torch.cuda.is_available():
        return 1
    return max(1, min(torch.get_num_threads(), batch_size // least))


class Lockstep:
    """Processes that do one piece of work each when told to, this one among them.

    Args:
        work: Called with the number of the process and the numbers of the message; all it may change is shared memory.
        processes: How many there are, with this one.
    """

    def __init__(self, work: Work, processes: int) -> None:
        self._work, self._count = work, processes
        self._message = shared(NUMBERS, dtype=torch.float64)
        self._others: list[int] = []
        self._threads = torch.get_num_threads()

    def __enter__(self) -> Lockstep:
        """Start the other processes."""
        if self._count == 1:
            return self
        context = multiprocessing.get_context("fork")
        self._go = [context.Semaphore(0) for _ in range(self._count - 1)]
        self._done = context.Semaphore(0)
        self._complaints, self._complain = os.pipe()
        self._threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            parent = os.getpid()
            for number in range(1, self._count):
                with undisturbed():
                    self._others.append(fork(partial(self._serve, number, parent)))
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the other processes."""
        if self._count == 1:
            return
        end(self._others)
        self._others.clear()
        os.close(self._complaints)
        os.close(self._complain)
        torch.set_num_threads(self._threads)

    def run(self, *message: float) -> None:
        """Have every process do its part, and wait for all.

        Raises:
            ResourceError: A process has ended.
            Exception: What went wrong in one of them.
        """
        if self._others:
            self._message[: len(message)] = torch.tensor(message, dtype=torch.float64)
            for go in self._go:
                go.release()
        self._work(0, message)
        for _ in self._others:
            while not _acquire(self._done):
                self._check_alive()
        if self._others and select.select([self._complaints], [], [], 0)[0]:
            raise pickle.loads(os.read(self._complaints, 2**16))  # the first of them, if there are several

    def _check_alive(self) -> None:
        """Say so if a process is there no more."""
        for process in [*self._others]:
            if os.waitpid(process, os.WNOHANG)[0]:
                self._others.remove(process)
                raise ResourceError(
                    "a process of the fit was ended from outside, perhaps for lack of memory; --threads 1 needs none"
                )

    def _serve(self, number: int, parent: int) -> None:
        """What another process does until its parent is gone."""
        # What the parent holds, a lock on its model above all, must not outlive it here.
        os.closerange(3, self._complain)
        os.closerange(self._complain + 1, os.sysconf("SC_OPEN_MAX"))
        torch.set_num_threads(1)
        while True:
            while not _acquire(self._go[number - 1]):
                if os.getppid() != parent:
                    return
            try:
                self._work(number, self._message.tolist())
            except BaseException as error:
                os.write(self._complain, packed(error, LONGEST_COMPLAINT))
            self._done.release()


def _acquire(semaphore: Any) -> bool:
    """Return whether the semaphore was acquired; the parts are equal, so it is worth trying for a while."""
    for _ in range(TRIES):
        if semaphore.acquire(False):
            return True
    return bool(semaphore.acquire(True, PATIENCE))
