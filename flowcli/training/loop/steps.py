"""Steps of maximum likelihood, divided among processes that share memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from flowcli.flows import MixedDensity
from flowcli.flows.conditioners import Network
from flowcli.parallel.lockstep import Lockstep, processes_for, shared
from flowcli.random import Stream, derived_seed
from flowcli.training.loop.adamw import AdamW, add_up, clip_coefficient
from flowcli.training.loop.compiled import LogProb, allow_tf32
from flowcli.training.loop.ema import EMA
from flowcli.training.loop.epochs import TrainingRows
from flowcli.training.loop.events import Settings
from flowcli.training.loop.flat_parameters import Flat

SCORING_ROWS = 1024
MIN_ROWS = 64  # of a batch, for a process to be worth waiting for

DESCEND, ADD_UP, UPDATE, EVALUATE = range(4)  # what processes do when told to


class Steps:
    """Takes steps of gradient descent, and scores held-out rows with the averaged weights.

    In a step every process takes its share of a batch forward to the latents, adds the base's log-density there and the
    log-det on the way, averages, and goes backward; the gradients are added up, and every process moves its share of
    the parameters. A context manager, in which the processes run.

    Args:
        density: The density, on the device; it is trained in place.
        rows: The training rows.
        held_out: The held-out rows as the density reads them, (M, W), float32, on the device.
        settings: How the fit runs.
        seed: Seeds all random numbers; those of a step are a function of the seed and the step.
        quicken: Makes the density's ``log_prob`` for batches like the one it is given into a quicker function that has
            threads of its own; without it, steps are divided among processes.

    Attributes:
        average: The averaged weights.
        optimizer: The optimizer.
        losses: The sum of each process's losses since they were last set to zero, (processes,).
    """

    def __init__(
        self,
        density: MixedDensity,
        rows: TrainingRows,
        held_out: Tensor,
        settings: Settings,
        seed: int,
        quicken: Callable[[MixedDensity, Tensor], LogProb] | None = None,
    ) -> None:
        self.density, self.rows, self.settings, self._seed = density, rows, settings, seed
        self._held_out = held_out
        self._processes = 1 if quicken else processes_for(held_out.device, settings.batch_size, MIN_ROWS)
        side_by_side = self._processes > 1
        self._flat = Flat(density, share=side_by_side)
        self._gradients = [self._flat.room(share=side_by_side) for _ in range(self._processes)]
        self._squares = self._zeros(self._processes)  # of the lengths of each process's part of the gradient
        self.losses = self._zeros(self._processes)
        self._nats = self._zeros(len(density.parts) * len(held_out)).view(len(density.parts), -1)
        self._batches, self._epoch = torch.empty(0), -1  # the rows of an epoch in their order
        self.average = EMA(density, settings.average, self._flat, share=side_by_side)
        room = partial(self._flat.room, share=side_by_side)
        self.optimizer = AdamW(self._flat.vector, room, self._flat.decaying, settings.weight_decay)
        has_dropout = any(isinstance(m, Network) and m.dropout > 0 for m in density.modules())
        self._is_random = bool(settings.noise) or has_dropout  # whether a step draws random numbers
        self._lockstep = Lockstep(self._work, self._processes)
        self._log_prob: LogProb = density.log_prob
        if quicken:
            batch = self._rows_and_weights(rows.epoch(0)[: settings.batch_size])[0]
            self._log_prob = quicken(density.train(), batch)

    def __enter__(self) -> Steps:
        self._lockstep.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._lockstep.__exit__(None, None, None)

    @property
    def per_epoch(self) -> int:
        """Steps in one pass over the rows."""
        return max(1, len(self.rows) // self.settings.batch_size)

    @property
    def device(self) -> torch.device:
        """Where the steps are computed."""
        return self._held_out.device

    def take(self, step: int, learning_rate: float) -> None:
        """Take one step of descent, the one with this number, from 0."""
        self.load_epoch(step)
        self._lockstep.run(DESCEND, step)
        self._lockstep.run(ADD_UP)
        self._lockstep.run(UPDATE, step + 1, learning_rate)

    def held_out_nats(self) -> Tensor:
        """Return held-out nats of each part of the density under the averaged weights, (parts, M), float64.

        They are in encoded units: the caller adds the encoding's log-Jacobian.
        """
        self._lockstep.run(EVALUATE)
        return self._nats.cpu().double()

    def load_epoch(self, step: int) -> None:
        """Lay out the rows of the epoch that a step belongs to, where all processes see them."""
        epoch = step // self.per_epoch
        if epoch == self._epoch:
            return
        rows = self.rows.epoch(epoch)
        if self._processes == 1:
            self._batches = rows
        else:
            self._batches = self._batches if self._epoch >= 0 else shared(*rows.shape)
            self._batches.copy_(rows)
        self._epoch = epoch

    def restore_losses(self, losses: Tensor) -> None:
        """Take up losses of a state; with another number of processes, the sum is still the sum."""
        if len(losses) == len(self.losses):
            self.losses.copy_(losses)
        else:
            self.losses.zero_()[0] = losses.sum()

    def _work(self, process: int, message: Sequence[float]) -> None:
        """Do one process's part of a step, or of an evaluation."""
        kind, *numbers = message
        if kind == DESCEND:
            with allow_tf32(self.device):
                self._descend(process, int(numbers[0]))
        elif kind == ADD_UP:
            self._squares[process] = add_up(self._gradients, self._share(process, len(self._flat.vector)))
        elif kind == UPDATE:
            self._update(process, int(numbers[0]), numbers[1])
        else:
            self._score(process)

    def _descend(self, process: int, step: int) -> None:
        """Go forward and backward for a process's share of a batch."""
        size = min(self.settings.batch_size, len(self.rows))
        first = step % self.per_epoch * size
        batch = self._batches[first : first + size][self._share(process, size)]
        if self._is_random:
            _seed_torch(batch.device, derived_seed(self._seed, Stream.TRAINING_STEP, step, process))
        batch, weights = self._rows_and_weights(batch)
        if self.settings.noise:
            batch = self._with_noise(batch)
        log_prob = self._log_prob(batch)
        loss = -(log_prob if weights is None else log_prob * weights).sum() / size
        gradients = torch.autograd.grad(loss, self._flat.parameters)
        self._flat.gather(gradients, self._gradients[process])
        self.losses[process] += loss.detach()

    def _update(self, process: int, step: int, learning_rate: float) -> None:
        """Let a process's share of the parameters take the step, and the average follow."""
        gradient, part = self._gradients[0], self._share(process, len(self._flat.vector))
        gradient[part] *= clip_coefficient(self._squares.sum(), self.settings.clip)
        self.optimizer.step(gradient, learning_rate, step, part)
        self.average.update(step, part)

    @torch.no_grad()
    def _score(self, process: int) -> None:
        """Score a process's share of the held-out rows under the averaged weights."""
        part = self._share(process, len(self._held_out))
        if part.start == part.stop:  # fewer rows than processes
            return
        rows, nats = self._held_out[part], self._nats[:, part]
        for block, out in zip(torch.split(rows, SCORING_ROWS), torch.split(nats, SCORING_ROWS, dim=1), strict=True):
            out.copy_(self.average.density.log_probs(block))

    def _rows_and_weights(self, batch: Tensor) -> tuple[Tensor, Tensor | None]:
        """Part a batch into the rows as the density reads them, and their weights if they have any."""
        return (batch[:, :-1], batch[:, -1]) if self.rows.weighted else (batch, None)

    def _with_noise(self, batch: Tensor) -> Tensor:
        """Add noise to the observed coordinates of rows."""
        count = self.density.layout.coordinates
        coordinates = batch[:, :count]
        noisy = coordinates + self.settings.noise * torch.randn_like(coordinates)
        return torch.cat([noisy.where(coordinates != 0, 0.0), batch[:, count:]], 1)

    def _share(self, process: int, count: int) -> slice:
        """Return a process's share of so many things."""
        return slice(count * process // self._processes, count * (process + 1) // self._processes)

    def _zeros(self, count: int) -> Tensor:
        """Return zeros (count,) that all processes see."""
        return shared(count) if self._processes > 1 else torch.zeros(count, device=self.device)


def _seed_torch(device: torch.device, seed: int) -> None:
    """Seed torch's global generator of a device."""
    if device.type == "cpu":
        torch.default_generator.manual_seed(seed)  # a hundredth of the time that torch.manual_seed takes
    else:
        torch.manual_seed(seed)
