"""The same work on several processors at once, step by step: processes that share memory and wait for each other.

Small operations are what a step of a fit consists of. Threads of one Python process would take turns with them, and
torch's own threads have nothing to divide in them; processes do them side by side. They are forked, as torch's
DataLoader forks its workers: what they need is there already, and what changes lies in shared memory.
"""

from __future__ import annotations

import math
import mmap
import multiprocessing
import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import Any

import torch
from torch import Tensor

from flowcli.errors import ResourceError

Work = Callable[[int, Sequence[float]], None]

NUMBERS = 8  # of a message to the others
TRIES = 3_000  # looks at a semaphore before waiting for it in the kernel, about a millisecond
PATIENCE = 1.0  # seconds between two looks at whether the others are still there


def shared(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Zeros in memory that forked processes will share."""
    size = max(1, math.prod(shape)) * dtype.itemsize
    return torch.frombuffer(mmap.mmap(-1, size), dtype=dtype)[: math.prod(shape)].view(shape)


def processes_for(device: torch.device, batch_size: int, least: int) -> int:
    """How many processes a fit should have: those that torch may use, each with at least so many rows of a batch."""
    if device.type != "cpu" or sys.platform != "linux":
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
        self._others: list[BaseProcess] = []
        self._threads = torch.get_num_threads()

    def __enter__(self) -> Lockstep:
        """Start the other processes."""
        if self._count == 1:
            return self
        context = multiprocessing.get_context("fork")
        self._go = [context.Semaphore(0) for _ in range(self._count - 1)]
        self._done = context.Semaphore(0)
        self._complaints, complaint = context.Pipe(duplex=False)
        self._threads = torch.get_num_threads()
        torch.set_num_threads(1)
        for number in range(1, self._count):
            process = context.Process(target=self._serve, args=(number, os.getpid(), complaint), daemon=True)
            process.start()
            self._others.append(process)
        complaint.close()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the other processes."""
        if self._count == 1:
            return
        for process in self._others:
            process.kill()
        for process in self._others:
            process.join()
            process.close()
        self._others.clear()
        self._complaints.close()
        torch.set_num_threads(self._threads)

    def run(self, *message: float) -> None:
        """Have every process do its part, and wait for all.

        Raises:
            ResourceError: A process has ended.
        """
        if self._count > 1:
            self._message[: len(message)] = torch.tensor(message, dtype=torch.float64)
            for go in self._go:
                go.release()
        self._work(0, message)
        for _ in self._others:
            while not _passed(self._done):
                self._look_after()
        if self._others and self._complaints.poll():
            raise self._complaints.recv()

    def _look_after(self) -> None:
        """Raise what went wrong in a process that is there no more."""
        for process in self._others:
            if not process.is_alive():
                raise ResourceError(
                    "a process of the fit was ended from outside, perhaps for lack of memory; --threads 1 needs none"
                )

    def _serve(self, number: int, parent: int, complaint: Any) -> None:
        """What another process does until its parent is gone."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        # What the parent holds, a lock on its model above all, must not outlive it here.
        os.closerange(3, complaint.fileno())
        os.closerange(complaint.fileno() + 1, os.sysconf("SC_OPEN_MAX"))
        torch.set_num_threads(1)
        while True:
            while not _passed(self._go[number - 1]):
                if os.getppid() != parent:
                    os._exit(0)
            try:
                self._work(number, self._message.tolist())
            except BaseException as error:
                error.add_note("".join(traceback.format_exception(error)))
                complaint.send(error)
            self._done.release()


def _passed(semaphore: Any) -> bool:
    """Whether the semaphore lets us through soon; the others have equal parts, so it is worth looking for a while."""
    for _ in range(TRIES):
        if semaphore.acquire(False):
            return True
    return bool(semaphore.acquire(True, PATIENCE))
