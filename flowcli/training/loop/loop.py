"""The fit itself: maximum likelihood, one visible loop.

Every row goes forward through the flow to its latent, takes the base's log-density there and the log-det on the way;
the mean of the negative sum is what a step descends. The base is never sampled.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor

from flowcli.errors import NumericsError
from flowcli.flows import MixedDensity
from flowcli.flows.conditioners import Network
from flowcli.parallel.lockstep import Lockstep, processes_for, shared
from flowcli.random import Stream, derived_seed
from flowcli.training.loop.adamw import AdamW, add_up, clip_coefficient
from flowcli.training.loop.compiled import LogProb, allow_tf32
from flowcli.training.loop.ema import EMA
from flowcli.training.loop.epochs import TrainingRows
from flowcli.training.loop.flat_parameters import Flat
from flowcli.training.loop.schedule import rate_factor

MOST_SETBACKS = 3
PLATEAU = 5  # evaluations without a better one, after which that schedule halves the rate
SCORING_ROWS = 1024
# With so few held-out rows, weights have to be better than those at the start by so many standard errors: of many
# evaluations some are by chance. Six of 60 penguins held out, that and folds at the start bring -16.22 to about -15.63.
FEW_HELD_OUT, CLEAR = 50, 2.0
LEAST_ROWS = 64  # of a batch, for a process to be worth waiting for

DESCEND, ADD_UP, UPDATE, EVALUATE = range(4)  # what processes are told to do


@dataclass(frozen=True)
class Settings:
    """How a fit runs, with nothing left to decide."""

    batch_size: int
    steps: int
    evaluate_every: int
    learning_rate: float
    schedule: Literal["cosine", "plateau", "constant"]
    warmup: int
    patience: int
    clip: float
    weight_decay: float
    average: float
    noise: float


@dataclass(frozen=True)
class Evaluation:
    """Where a fit stands. Nats are means per row, in the units of the table.

    Attributes:
        step: Steps taken, of ``steps``.
        steps: Steps of the whole fit, if nothing stops it early.
        epoch: Passes over the training rows so far.
        train_nats: Mean over the batches since the last evaluation, with dropout and noise, if any.
        held_out_nats: Mean over the held-out rows, of the averaged weights.
        held_out_error: Standard error of that mean.
        learning_rate: Of the last step.
        rows_per_second: Training speed since the last evaluation.
        seconds: Spent so far, resumed parts included.
        best: Whether no earlier evaluation was better.
    """

    step: int
    steps: int
    epoch: float
    train_nats: float
    held_out_nats: float
    held_out_error: float
    learning_rate: float
    rows_per_second: float
    seconds: float
    best: bool


@dataclass(frozen=True)
class Setback:
    """The numbers went wrong; the fit goes on from the last good evaluation with half the learning rate."""

    step: int
    back_to: int
    learning_rate: float


@dataclass(frozen=True)
class Tick:
    """Nothing but time has passed: an occasion to show it, or to save the state."""

    step: int
    steps: int
    seconds: float


Event = Evaluation | Setback | Tick
State = tuple[dict[str, Any], dict[str, Tensor]]
Outcome = Literal["running", "finished", "stopped early", "out of time", "interrupted"]


class Loop:
    """One fit, which can stop after any step and go on later as if it had not.

    Args:
        density: The density at its start, on the device; it is trained in place.
        rows: The training rows.
        held_out: The held-out rows as the density takes them (M, W), float32, on the device.
        held_out_log_det: Their log-dets (M,).
        settings: How the fit runs.
        seed: Of all random numbers; those of a step are a function of the seed and the step.
        quicken: Makes the density's ``log_prob`` for batches like the one it is given into a quicker one that has
            threads of its own; without it, steps are divided among processes.
        held_out_weights: Of the held-out rows, (M,), one on average; ``None`` where all count alike.
    """

    def __init__(
        self,
        density: MixedDensity,
        rows: TrainingRows,
        held_out: Tensor,
        held_out_log_det: Tensor,
        settings: Settings,
        seed: int,
        quicken: Callable[[MixedDensity, Tensor], LogProb] | None = None,
        held_out_weights: Tensor | None = None,
    ) -> None:
        self.density, self.rows, self.settings, self.seed = density, rows, settings, seed
        self._held_out, self._held_out_log_det = held_out, held_out_log_det.double().cpu()
        self._processes = 1 if quicken else processes_for(held_out.device, settings.batch_size, LEAST_ROWS)
        side_by_side = self._processes > 1
        self._flat = Flat(density, share=side_by_side)
        self._gradients = [self._flat.room(share=side_by_side) for _ in range(self._processes)]
        self._held_out_weights = held_out_weights
        self._losses = self._room(self._processes)
        self._nats = self._room(len(density.parts) * len(held_out)).view(len(density.parts), -1)
        self._first = torch.zeros_like(self._nats, dtype=torch.float64, device="cpu")
        self._best_parts = [-math.inf] * len(density.parts)
        self._kept_parts = [-math.inf] * len(density.parts)  # the same of the weights that are kept
        self._batches, self._loaded = torch.empty(0), -1  # the rows of an epoch in their order
        self.average = EMA(density, settings.average, self._flat, share=side_by_side)
        room = partial(self._flat.room, share=side_by_side)
        self.optimizer = AdamW(self._flat.vector, room, self._flat.decaying, settings.weight_decay)
        self._squares = self._room(self._processes)  # of the lengths of each process's part of the gradient
        self._learning_rate = settings.learning_rate  # of the last step
        self.best = copy.deepcopy(self.average.density)
        self.history: list[Evaluation] = []
        self.outcome: Outcome = "running"
        self.step = 0
        self.seconds = 0.0
        self._halvings = self._setbacks = self._since_best = 0
        self._log_det_sum = 0.0
        self._loss_count = 0
        self._interval_seconds = 0.0
        self._good: State | None = None  # at the last evaluation; where a setback goes back to
        noisy = bool(settings.noise) or any(isinstance(m, Network) and m.dropout > 0 for m in density.modules())
        self._random = noisy  # whether a step draws random numbers
        self._lockstep = Lockstep(self._work, self._processes)
        self._log_prob: LogProb = density.log_prob
        if quicken:
            self._log_prob = quicken(density.train(), self._rows_and_weights(rows.epoch(0)[: settings.batch_size])[0])

    @property
    def best_nats(self) -> float:
        """The highest mean log-density of the held-out rows so far, of those that were believed."""
        return max((e.held_out_nats for e in self.history if e.best), default=-math.inf)

    @property
    def steps_per_epoch(self) -> int:
        """Steps in one pass over the rows."""
        return max(1, len(self.rows) // self.settings.batch_size)

    def run(
        self, should_stop: Callable[[], bool], time_limit: float | None = None, tick_every: float | None = None
    ) -> Generator[Event, None, None]:
        """Train to the end, yielding where the fit stands; who closes it early may run it again from there.

        Args:
            should_stop: Asked after every step; when it says yes, the fit can be continued from ``state``.
            time_limit: Seconds after which the fit ends; the cosine then falls with time where that is faster.
            tick_every: Seconds after which a tick is yielded where evaluations are farther apart; ``None`` for never.

        Raises:
            NumericsError: The numbers went wrong once too often; ``best`` is kept.
        """
        self.density.train()
        self._load_epoch()
        with self._lockstep:
            yield from self._run(should_stop, time_limit, tick_every)

    def judge(self) -> None:
        """Evaluate out of turn, where steps were taken since the last time."""
        if self.history[-1].step == self.step:
            return
        with self._lockstep:
            if self._sound(self._evaluate()):
                self._good = self._snapshot()

    def _run(
        self, should_stop: Callable[[], bool], time_limit: float | None, tick_every: float | None
    ) -> Iterator[Event]:
        """The same, with the other processes at work."""
        if not self.history:
            start = self._evaluate()
            if not self._sound(start):
                raise NumericsError(
                    f"the held-out rows have {start.held_out_nats} nats at the start; look for columns with extreme"
                    " values, or try --set flow.layers.0.marginal=quantile"
                )
            yield start
        if self._good is None:
            self._good = self._snapshot()
        devices = [self._held_out.device] if self._held_out.device.type == "cuda" else []
        while (outcome := self._outcome(time_limit)) == "running":
            began = time.monotonic()
            with torch.random.fork_rng(devices=devices):
                while not self._due(time_limit):
                    if tick_every is not None and time.monotonic() - began >= tick_every:
                        break
                    if should_stop():
                        self.outcome = "interrupted"
                        return
                    started = time.monotonic()
                    self._take_step(self._progress(time_limit))
                    elapsed = time.monotonic() - started
                    self._interval_seconds += elapsed
                    self.seconds += elapsed
            if not self._due(time_limit):
                yield Tick(self.step, self.settings.steps, self.seconds)
                continue
            evaluation = self._evaluate()
            if self._sound(evaluation):
                self._good = self._snapshot()
                yield evaluation
            else:
                yield self._set_back(self._good)
        self.outcome = outcome

    def _outcome(self, time_limit: float | None) -> Outcome:
        if self.step >= self.settings.steps:
            return "finished"
        if self.settings.patience and self._since_best >= self.settings.patience:
            return "stopped early"
        if time_limit is not None and self.seconds >= time_limit:
            return "out of time"
        return "running"

    def _due(self, time_limit: float | None) -> bool:
        """Whether an evaluation comes before the next step."""
        if self.step == self.history[-1].step:
            return False
        return self.step % self.settings.evaluate_every == 0 or self._progress(time_limit) >= 1

    def _progress(self, time_limit: float | None) -> float:
        """How much of the fit is done, by steps or by time."""
        progress = self.step / max(1, self.settings.steps)
        return progress if time_limit is None else max(progress, self.seconds / time_limit)

    def _take_step(self, progress: float) -> None:
        """One step of descent: every process has its share of the batch."""
        self._load_epoch()
        self._learning_rate = self.settings.learning_rate * self._rate_factor(progress)
        self._lockstep.run(DESCEND, self.step)
        self._lockstep.run(ADD_UP)
        self._lockstep.run(UPDATE, self.step + 1, self._learning_rate)
        self.step += 1
        self._log_det_sum += self.rows.log_det
        self._loss_count += 1

    def _work(self, process: int, message: Sequence[float]) -> None:
        """One process's part of a step, or of an evaluation."""
        kind, *numbers = message
        if kind == DESCEND:
            with allow_tf32(self._held_out.device):
                self._descend(process, int(numbers[0]))
        elif kind == ADD_UP:
            self._squares[process] = add_up(self._gradients, self._part(process, len(self._flat.vector)))
        elif kind == UPDATE:
            self._update(process, int(numbers[0]), numbers[1])
        else:
            self._score(process)

    def _descend(self, process: int, step: int) -> None:
        """Forward and backward for a process's share of a batch."""
        size = min(self.settings.batch_size, len(self.rows))
        first = step % self.steps_per_epoch * size
        batch = self._batches[first : first + size][self._part(process, size)]
        if self._random:
            _seed(batch.device, derived_seed(self.seed, Stream.TRAINING_STEP, step, process))
        batch, weights = self._rows_and_weights(batch)
        if self.settings.noise:
            batch = self._with_noise(batch)
        log_prob = self._log_prob(batch)
        loss = -(log_prob if weights is None else log_prob * weights).sum() / size
        gradients = torch.autograd.grad(loss, self._flat.parameters)
        self._flat.gather(gradients, self._gradients[process])
        self._losses[process] += loss.detach()

    def _rows_and_weights(self, batch: Tensor) -> tuple[Tensor, Tensor | None]:
        """The rows of a batch as the density takes them, and their weights if they have any."""
        return (batch[:, :-1], batch[:, -1]) if self.rows.weighted else (batch, None)

    def _with_noise(self, batch: Tensor) -> Tensor:
        """Rows whose coordinates have noise, those of them that are there."""
        count = self.density.layout.coordinates
        coordinates = batch[:, :count]
        noisy = coordinates + self.settings.noise * torch.randn_like(coordinates)
        return torch.cat([noisy.where(coordinates != 0, 0.0), batch[:, count:]], 1)

    def _update(self, process: int, step: int, learning_rate: float) -> None:
        """A process's part of the parameters takes the step, and the average follows."""
        gradient, part = self._gradients[0], self._part(process, len(self._flat.vector))
        gradient[part] *= clip_coefficient(self._squares.sum(), self.settings.clip)
        self.optimizer.step(gradient, learning_rate, step, part)
        self.average.update(step, part)

    def _part(self, process: int, count: int) -> slice:
        """A process's share of so many things."""
        return slice(count * process // self._processes, count * (process + 1) // self._processes)

    @torch.no_grad()
    def _score(self, process: int) -> None:
        """The log-densities of a process's share of the held-out rows, under the averaged weights."""
        part = self._part(process, len(self._held_out))
        if part.start == part.stop:  # fewer rows than processes
            return
        rows, nats = self._held_out[part], self._nats[:, part]
        for block, out in zip(torch.split(rows, SCORING_ROWS), torch.split(nats, SCORING_ROWS, dim=1), strict=True):
            out.copy_(self.average.density.log_probs(block))

    def _load_epoch(self) -> None:
        """Lay out the rows of the epoch that the next step belongs to, where all processes see them."""
        epoch = self.step // self.steps_per_epoch
        if epoch != self._loaded:
            rows = self.rows.epoch(epoch)
            if self._processes == 1:
                self._batches = rows
            else:
                self._batches = self._batches if self._loaded >= 0 else shared(*rows.shape)
                self._batches.copy_(rows)
            self._loaded = epoch

    def _room(self, count: int) -> Tensor:
        """Zeros (count,) that all processes see."""
        return shared(count) if self._processes > 1 else torch.zeros(count, device=self._held_out.device)

    def _rate_factor(self, progress: float) -> float:
        settings = self.settings
        return rate_factor(
            settings.schedule, step=self.step, warmup=settings.warmup, progress=progress, halvings=self._halvings
        )

    @torch.no_grad()
    def _evaluate(self) -> Evaluation:
        """Score the held-out rows with the averaged weights; keep a copy of these where they are the best so far."""
        started = time.monotonic()
        self._lockstep.run(EVALUATE)
        of_parts = self._nats.cpu().double()
        nats = of_parts.sum(0) + self._held_out_log_det
        held_out, held_out_error = mean_and_error(nats, self._held_out_weights)
        count = self._loss_count
        train = (self._log_det_sum - float(self._losses.sum())) / count if count else math.nan
        self.seconds += time.monotonic() - started
        rows = count * self.settings.batch_size
        if self.step == 0:
            self._first = of_parts
        evaluation = Evaluation(
            step=self.step,
            steps=self.settings.steps,
            epoch=self.step / self.steps_per_epoch,
            train_nats=train,
            held_out_nats=held_out,
            held_out_error=held_out_error,
            learning_rate=self._learning_rate,
            rows_per_second=rows / self._interval_seconds if self._interval_seconds else 0.0,
            seconds=self.seconds,
            best=self._is_clear((of_parts - self._first).sum(0)) and held_out > self.best_nats,
        )
        if self._sound(evaluation):
            self._take_in(evaluation, of_parts)
        return evaluation

    def _is_clear(self, gains: Tensor) -> bool:
        """Whether what held-out rows have gained since the start, (N,), is more than chance, where they are few."""
        if self.step == 0 or len(gains) >= FEW_HELD_OUT:
            return True
        gain, error = mean_and_error(gains, self._held_out_weights)
        return gain > CLEAR * error  # which one row alone, whose error nobody knows, is never

    def _take_in(self, evaluation: Evaluation, of_parts: Tensor) -> None:
        """Keep the weights of each part where they are the best so far, and count how long all of them have been.

        Parts share no weights and their log-densities add up, so that each has a best moment of its own.
        """
        improved = False
        for index, part in enumerate(of_parts):
            nats, _ = mean_and_error(part, self._held_out_weights)
            if nats > self._best_parts[index]:
                self._best_parts[index] = nats
                improved = True
            if nats > self._kept_parts[index] and self._is_clear(part - self._first[index]):
                self._kept_parts[index] = nats
                self.best.parts[index].load_state_dict(self.average.density.parts[index].state_dict())
        if improved:
            self._since_best = 0
        else:
            self._since_best += 1
            if self.settings.schedule == "plateau" and self._since_best % PLATEAU == 0:
                self._halvings += 1
        self.history.append(evaluation)
        self._losses.zero_()
        self._log_det_sum, self._loss_count, self._interval_seconds = 0.0, 0, 0.0

    def _sound(self, evaluation: Evaluation) -> bool:
        return math.isfinite(evaluation.held_out_nats) and (
            self._loss_count == 0 or math.isfinite(evaluation.train_nats)
        )

    def _set_back(self, good: State) -> Setback:
        """Return to a state with good numbers, and halve the learning rate."""
        step, seconds, setbacks, halvings = self.step, self.seconds, self._setbacks + 1, self._halvings + 1
        self._take_up(*good)
        if setbacks > MOST_SETBACKS:
            raise NumericsError(
                f"the fit diverged {setbacks} times (last at step {step}), although the learning rate was halved each"
                " time; look for columns with extreme values, or lower train.learning_rate"
            )
        self.seconds, self._setbacks, self._halvings = seconds, setbacks, halvings
        return Setback(step, self.step, self.settings.learning_rate * 0.5**self._halvings)

    def state(self) -> State:
        """All that an exact continuation needs: plain values, and copies of tensors by name."""
        document, tensors = self._snapshot()
        if self._good is not None and self._good[0]["step"] != self.step:
            # Since the last evaluation numbers may have gone wrong unseen, so the way back comes along. The best
            # weights are those of that evaluation anyway.
            document["good"] = self._good[0]
            good = {name: tensor for name, tensor in self._good[1].items() if not name.startswith("best.")}
            tensors |= {f"good.{name}": tensor for name, tensor in good.items()}
        return document, tensors

    def _snapshot(self) -> State:
        """The state without a way back."""
        document: dict[str, Any] = {
            "step": self.step,
            "seconds": self.seconds,
            "halvings": self._halvings,
            "setbacks": self._setbacks,
            "since_best": self._since_best,
            "loss_count": self._loss_count,
            "log_det_sum": self._log_det_sum,
            "interval_seconds": self._interval_seconds,
            "learning_rate": self._learning_rate,
            "best_parts": [nats if math.isfinite(nats) else None for nats in self._best_parts],
            "kept_parts": [nats if math.isfinite(nats) else None for nats in self._kept_parts],
            "history": [_storable(asdict(evaluation)) for evaluation in self.history],
        }
        tensors = {"loss_sum": self._losses.clone(), "first": self._first.clone()}
        for prefix, density in (("now", self.density), ("average", self.average.density), ("best", self.best)):
            tensors |= {f"{prefix}.{name}": tensor.clone() for name, tensor in density.state_dict().items()}
        tensors |= {"optimizer.mean": self.optimizer.mean.clone(), "optimizer.square": self.optimizer.square.clone()}
        return document, tensors

    def restore(self, document: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        """Take up a state that ``state`` gave."""
        self._good = None
        if "good" in document:
            best = {name: tensor for name, tensor in tensors.items() if name.startswith("best.")}
            good = {name.removeprefix("good."): t for name, t in tensors.items() if name.startswith("good.")}
            self._good = document["good"], best | good
        self._take_up(document, tensors)

    def _take_up(self, document: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        """Take up a snapshot."""
        self.step, self.seconds = document["step"], document["seconds"]
        self._halvings, self._setbacks = document["halvings"], document["setbacks"]
        self._since_best, self._loss_count = document["since_best"], document["loss_count"]
        self._log_det_sum, self._interval_seconds = document["log_det_sum"], document["interval_seconds"]
        self._best_parts, self._kept_parts = (
            [-math.inf if nats is None else nats for nats in document[parts]] for parts in ("best_parts", "kept_parts")
        )
        self.history = [_restored(entry) for entry in document["history"]]
        self._first = tensors["first"].clone()
        losses = tensors["loss_sum"]
        if len(losses) == len(self._losses):
            self._losses.copy_(losses)
        else:  # with another number of processes, the sum is still the sum
            self._losses.zero_()[0] = losses.sum()
        for prefix, density in (("now", self.density), ("average", self.average.density), ("best", self.best)):
            density.load_state_dict({name: tensors[f"{prefix}.{name}"] for name in density.state_dict()})
        self.optimizer.mean.copy_(tensors["optimizer.mean"])
        self.optimizer.square.copy_(tensors["optimizer.square"])
        self._learning_rate = document["learning_rate"]


def mean_and_error(nats: Tensor, weights: Tensor | None) -> tuple[float, float]:
    """The mean of log-densities (N,), each with its weight if there are any, and its standard error."""
    if weights is None:
        return float(nats.mean()), float(nats.std()) / math.sqrt(len(nats)) if len(nats) > 1 else math.nan
    shares = weights / weights.sum()
    average = float((shares * nats).sum())
    return average, float((shares * (nats - average)).square().sum().sqrt())


def _seed(device: torch.device, seed: int) -> None:
    """Seed torch's global generator of a device."""
    if device.type == "cpu":
        torch.default_generator.manual_seed(seed)  # a hundredth of the time that torch.manual_seed takes
    else:
        torch.manual_seed(seed)


def _storable(entry: dict[str, Any]) -> dict[str, Any]:
    """The same without NaN, which JSON does not know."""
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in entry.items()}


def _restored(entry: dict[str, Any]) -> Evaluation:
    """The inverse of ``_storable``."""
    values: dict[str, Any] = {k: math.nan if v is None else v for k, v in entry.items()}
    return Evaluation(**values)
