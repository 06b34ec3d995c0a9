"""How flowcli itself is called, and the only place that knows: a step of training, scoring and sampling.

flowcli divides its work among processes of one thread each (``training.lockstep``); so it does here, with as many as
the other libraries have threads. In this process torch has one thread while flowcli has its turn.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.speed.cases import BATCH, LEARNING_RATE
from flowcli.encoding import Encoder
from flowcli.flows import Flow, Layout, MixedDensity
from flowcli.model import FlowDensity
from flowcli.model.density import DRAWN_ROWS
from flowcli.parallel.lockstep import Lockstep, shared
from flowcli.table import Column, Schema
from flowcli.training.loop.epochs import TrainingRows
from flowcli.training.loop.events import Settings
from flowcli.training.loop.steps import Steps

PIECE = 65_536  # rows whose coordinates are computed at once


def _training_rows(rows: Tensor) -> TrainingRows:
    """Return rows (N, D) as the product's own loop takes them."""
    schema = Schema(tuple(Column(f"x{number}") for number in range(rows.shape[1])))
    encoder = Encoder.fit(schema, rows.double())
    return TrainingRows(encoder, encoder.prepare(rows.double()), seed=0)


class _SideBySide:
    """A lockstep for as long as somebody holds it, which leaves torch's threads as they are between its runs."""

    def __init__(self, lockstep: Lockstep | Steps) -> None:
        self._lockstep, self._threads = lockstep, torch.get_num_threads()
        self._lockstep.__enter__()
        torch.set_num_threads(self._threads)

    def turn(self, work: Callable[[], Tensor]) -> Tensor:
        torch.set_num_threads(1)
        try:
            return work()
        finally:
            torch.set_num_threads(self._threads)

    def __del__(self) -> None:
        self._lockstep.__exit__(None, None, None)
        torch.set_num_threads(self._threads)


def stepper(flow: Flow, batches: Tensor) -> Callable[[], Tensor]:
    """What takes one step of the product's own loop, clipping and averaging included, with the batches in turn."""
    rows = batches.reshape(-1, batches.shape[-1])
    settings = Settings(
        batch_size=BATCH,
        steps=2**62,
        evaluate_every=2**62,
        learning_rate=LEARNING_RATE,
        schedule="constant",
        warmup=0,
        patience=0,
        clip=5.0,
        weight_decay=0.0,
        average=0.99,
        noise=0.0,
    )
    density = MixedDensity(Layout(coordinates=rows.shape[1]), flow).train()
    steps = Steps(density, _training_rows(rows), rows[:BATCH], settings, seed=0)
    steps.load_epoch(0)
    side_by_side, number = _SideBySide(steps), itertools.count()

    def step() -> Tensor:
        steps.losses.zero_()
        steps.take(next(number), LEARNING_RATE)
        return steps.losses.sum()

    return lambda: side_by_side.turn(step)


def frozen(flow: Flow) -> Flow:
    """The flow as it is now, ready for use: what may be prepared once for many rows is prepared here."""
    return copy.deepcopy(flow).freeze()


def scorer(flow: Flow, rows: Tensor, block: int) -> Callable[[], Tensor]:
    """What gives the log-densities (N,) of rows (N, D), so many at once at most, by a frozen flow."""
    out, processes = shared(len(rows)), torch.get_num_threads()

    @torch.inference_mode()
    def work(process: int, message: Sequence[float]) -> None:
        for part, found in zip(*(_share(whole, process, processes).split(block) for whole in (rows, out)), strict=True):
            found.copy_(flow.log_prob(part))

    return _turns(work, processes, out)


def sampler(flow: Flow, rows: int, block: int) -> Callable[[], Tensor]:
    """What gives rows (N, D) drawn from a frozen flow, so many at once at most."""
    columns = flow.sample(1, torch.Generator()).shape[1]
    out, processes = shared(rows, columns), torch.get_num_threads()
    generators = [torch.Generator().manual_seed(process) for process in range(processes)]

    @torch.inference_mode()
    def work(process: int, message: Sequence[float]) -> None:
        for part in _share(out, process, processes).split(block):
            part.copy_(flow.sample(len(part), generators[process]))

    return _turns(work, processes, out)


def coordinates(density: FlowDensity, values: NDArray[np.float64]) -> Tensor:
    """What a model's flow sees of the rows (N, N_c) of a table, (N, D)."""
    pieces = torch.from_numpy(values).split(PIECE)
    return torch.cat([density.coordinates.forward(piece)[0].float() for piece in pieces])


def table_scorer(density: FlowDensity, values: NDArray[np.float64]) -> Callable[[], Tensor]:
    """What gives the log-densities (N,) of the rows (N, N_c) of a table, by a whole model."""
    out, processes = shared(len(values), dtype=torch.float64), torch.get_num_threads()

    def work(process: int, message: Sequence[float]) -> None:
        mine = _share(torch.from_numpy(values), process, processes).numpy()
        _share(out, process, processes).copy_(torch.from_numpy(density.log_prob(mine)))

    return _turns(work, processes, out)


def table_sampler(density: FlowDensity, rows: int) -> Callable[[], Tensor]:
    """What draws rows (N, N_c) from a whole model, checked and rounded as the table wrote them."""
    out, processes = shared(rows, len(density.schema.columns), dtype=torch.float64), torch.get_num_threads()

    def work(process: int, message: Sequence[float]) -> None:
        for number, part in enumerate(out.split(DRAWN_ROWS)):
            if number % processes == process:
                part.copy_(torch.from_numpy(density.sample_block(number, 0)[: len(part)]))

    return _turns(work, processes, out)


def _turns(work: Callable[[int, Sequence[float]], None], processes: int, out: Tensor) -> Callable[[], Tensor]:
    lockstep = Lockstep(work, processes)
    side_by_side = _SideBySide(lockstep)

    def run() -> Tensor:
        lockstep.run(0)
        return out

    return lambda: side_by_side.turn(run)


def _share(whole: Tensor, process: int, processes: int) -> Tensor:
    """What of the rows belongs to a process."""
    begin, end = (len(whole) * part // processes for part in (process, process + 1))
    return whole[begin:end]
