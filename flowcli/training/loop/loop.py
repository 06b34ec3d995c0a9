"""The fit itself: maximum likelihood, one visible loop.

Every row goes forward through the flow to its latent, takes the base's log-density there and the log-det on the way;
the mean of the negative sum is what a step descends. The base is never sampled. What one step does is in ``steps``.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from flowcli.errors import NumericsError
from flowcli.flows import MixedDensity
from flowcli.training.loop.best_weights import BestWeights
from flowcli.training.loop.compiled import LogProb
from flowcli.training.loop.ema import EMA
from flowcli.training.loop.epochs import TrainingRows
from flowcli.training.loop.events import (
    Evaluation,
    Event,
    Outcome,
    Setback,
    Settings,
    State,
    Tick,
    mean_and_error,
)
from flowcli.training.loop.schedule import rate_factor
from flowcli.training.loop.steps import Steps

MAX_SETBACKS = 3
PLATEAU = 5  # evaluations without a better one, after which that schedule halves the rate


class Loop:
    """One fit, which can stop after any step and go on later as if it had not.

    Args:
        density: The density at its start, on the device; it is trained in place.
        rows: The training rows.
        held_out: The held-out rows as the density reads them (M, W), float32, on the device.
        held_out_log_det: Their log-dets (M,).
        settings: How the fit runs.
        seed: Seeds all random numbers.
        quicken: See ``Steps``.
        held_out_weights: Of the held-out rows, (M,), one on average; ``None`` where all count alike.

    Attributes:
        history: The evaluations so far.
        outcome: How the fit ended, or that it runs.
        step: Steps taken.
        seconds: Spent on steps and evaluations, resumed parts included.
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
        self.density, self.rows, self.settings = density, rows, settings
        self.steps = Steps(density, rows, held_out, settings, seed, quicken)
        self._held_out_log_det, self._held_out_weights = held_out_log_det.double().cpu(), held_out_weights
        self._best_weights = BestWeights(self.average.density, len(held_out), held_out_weights)
        self.history: list[Evaluation] = []
        self.outcome: Outcome = "running"
        self.step = 0
        self.seconds = 0.0
        self._learning_rate = settings.learning_rate  # of the last step
        self._halvings = self._setbacks = 0
        # Since the last evaluation: log-dets of the batches' epochs, steps, and seconds of these.
        self._log_det_sum, self._loss_count, self._interval_seconds = 0.0, 0, 0.0
        self._good: State | None = None  # at the last evaluation; where a setback goes back to

    @property
    def average(self) -> EMA:
        """The averaged weights."""
        return self.steps.average

    @property
    def best(self) -> MixedDensity:
        """The density with the weights that were best so far."""
        return self._best_weights.density

    @property
    def best_nats(self) -> float:
        """The highest mean log-density of the held-out rows so far, of those that were believed."""
        return max((e.held_out_nats for e in self.history if e.best), default=-math.inf)

    # --- the loop -----------------------------------------------------------------------------------------------------

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
        self.steps.load_epoch(self.step)
        with self.steps:
            yield from self._run(should_stop, time_limit, tick_every)

    def _run(
        self, should_stop: Callable[[], bool], time_limit: float | None, tick_every: float | None
    ) -> Iterator[Event]:
        """Train with the processes at work; see ``run``."""
        if not self.history:
            yield self._evaluate_start()
        if self._good is None:
            self._good = self._snapshot()
        devices = [self.steps.device] if self.steps.device.type == "cuda" else []
        while (outcome := self._outcome(time_limit)) == "running":
            began = time.monotonic()
            with torch.random.fork_rng(devices=devices):
                while not self._due(time_limit):
                    if tick_every is not None and time.monotonic() - began >= tick_every:
                        break
                    if should_stop():
                        self.outcome = "interrupted"
                        return
                    self._take_step(self._progress(time_limit))
            if not self._due(time_limit):
                yield Tick(self.step, self.settings.steps, self.seconds)
                continue
            evaluation = self._evaluate()
            if self._is_sound(evaluation):
                self._good = self._snapshot()
                yield evaluation
            else:
                yield self._set_back(self._good)
        self.outcome = outcome

    def _take_step(self, progress: float) -> None:
        """Take one step of descent, at the rate of the schedule."""
        started = time.monotonic()
        self._learning_rate = self.settings.learning_rate * rate_factor(
            self.settings.schedule,
            step=self.step,
            warmup=self.settings.warmup,
            progress=progress,
            halvings=self._halvings,
        )
        self.steps.take(self.step, self._learning_rate)
        self.step += 1
        self._log_det_sum += self.rows.log_det
        self._loss_count += 1
        elapsed = time.monotonic() - started
        self._interval_seconds += elapsed
        self.seconds += elapsed

    # --- when it stops, and when it is evaluated ----------------------------------------------------------------------

    def _outcome(self, time_limit: float | None) -> Outcome:
        """Return whether the fit goes on, or why it does not."""
        if self.step >= self.settings.steps:
            return "finished"
        if self.settings.patience and self._best_weights.since_best >= self.settings.patience:
            return "stopped early"
        if time_limit is not None and self.seconds >= time_limit:
            return "out of time"
        return "running"

    def _due(self, time_limit: float | None) -> bool:
        """Return whether an evaluation comes before the next step."""
        if self.step == self.history[-1].step:
            return False
        return self.step % self.settings.evaluate_every == 0 or self._progress(time_limit) >= 1

    def _progress(self, time_limit: float | None) -> float:
        """Return how much of the fit is done, by steps or by time."""
        progress = self.step / max(1, self.settings.steps)
        return progress if time_limit is None else max(progress, self.seconds / time_limit)

    def judge(self) -> None:
        """Evaluate out of turn, where steps were taken since the last time."""
        if self.history[-1].step == self.step:
            return
        with self.steps:
            if self._is_sound(self._evaluate()):
                self._good = self._snapshot()

    def _evaluate_start(self) -> Evaluation:
        """Evaluate before the first step.

        Raises:
            NumericsError: The density is no use there.
        """
        start = self._evaluate()
        if not self._is_sound(start):
            raise NumericsError(
                f"the held-out rows have {start.held_out_nats} nats at the start; look for columns with extreme"
                " values, or try --set flow.layers.0.marginal=quantile"
            )
        return start

    @torch.no_grad()
    def _evaluate(self) -> Evaluation:
        """Score the held-out rows with the averaged weights; keep these where they are the best so far."""
        started = time.monotonic()
        nats = self.steps.held_out_nats()  # of each part of the density
        held_out, held_out_error = mean_and_error(nats.sum(0) + self._held_out_log_det, self._held_out_weights)
        count = self._loss_count
        train = (self._log_det_sum - float(self.steps.losses.sum())) / count if count else math.nan
        self.seconds += time.monotonic() - started
        rows = count * self.settings.batch_size
        if self.step == 0:
            self._best_weights.begin(nats)
        evaluation = Evaluation(
            step=self.step,
            steps=self.settings.steps,
            epoch=self.step / self.steps.per_epoch,
            train_nats=train,
            held_out_nats=held_out,
            held_out_error=held_out_error,
            learning_rate=self._learning_rate,
            rows_per_second=rows / self._interval_seconds if self._interval_seconds else 0.0,
            seconds=self.seconds,
            best=self._best_weights.is_clear(nats) and held_out > self.best_nats,
        )
        if self._is_sound(evaluation):
            self._take_in(evaluation, nats)
        return evaluation

    def _take_in(self, evaluation: Evaluation, nats: Tensor) -> None:
        """Add a sound evaluation to the history."""
        self._best_weights.take_in(nats, self.average.density)
        since = self._best_weights.since_best
        if self.settings.schedule == "plateau" and since and since % PLATEAU == 0:
            self._halvings += 1
        self.history.append(evaluation)
        self.steps.losses.zero_()
        self._log_det_sum, self._loss_count, self._interval_seconds = 0.0, 0, 0.0

    def _is_sound(self, evaluation: Evaluation) -> bool:
        """Return whether the numbers of an evaluation are finite."""
        has_trained = self._loss_count > 0
        return math.isfinite(evaluation.held_out_nats) and (not has_trained or math.isfinite(evaluation.train_nats))

    # --- states, to go on from or back to -----------------------------------------------------------------------------

    def _set_back(self, good: State) -> Setback:
        """Return to a state with good numbers, and halve the learning rate.

        Raises:
            NumericsError: It happened too often.
        """
        step, seconds, setbacks, halvings = self.step, self.seconds, self._setbacks + 1, self._halvings + 1
        self._take_up(*good)
        if setbacks > MAX_SETBACKS:
            raise NumericsError(
                f"the fit diverged {setbacks} times (last at step {step}), although the learning rate was halved each"
                " time; look for columns with extreme values, or lower train.learning_rate"
            )
        self.seconds, self._setbacks, self._halvings = seconds, setbacks, halvings
        return Setback(step, self.step, self.settings.learning_rate * 0.5**self._halvings)

    def state(self) -> State:
        """Return all that an exact continuation needs: plain values, and copies of tensors by name."""
        document, tensors = self._snapshot()
        if self._good is not None and self._good[0]["step"] != self.step:
            # Since the last evaluation numbers may have gone wrong unseen, so the way back comes along. The best
            # weights are those of that evaluation anyway.
            document["good"] = self._good[0]
            good = {name: tensor for name, tensor in self._good[1].items() if not name.startswith("best.")}
            tensors |= {f"good.{name}": tensor for name, tensor in good.items()}
        return document, tensors

    def restore(self, document: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        """Take up a state that ``state`` gave."""
        self._good = None
        if "good" in document:
            best = {name: tensor for name, tensor in tensors.items() if name.startswith("best.")}
            good = {name.removeprefix("good."): t for name, t in tensors.items() if name.startswith("good.")}
            self._good = document["good"], best | good
        self._take_up(document, tensors)

    def _snapshot(self) -> State:
        """Return the state without a way back."""
        of_best, tensors = self._best_weights.state()
        document: dict[str, Any] = {
            "step": self.step,
            "seconds": self.seconds,
            "halvings": self._halvings,
            "setbacks": self._setbacks,
            "loss_count": self._loss_count,
            "log_det_sum": self._log_det_sum,
            "interval_seconds": self._interval_seconds,
            "learning_rate": self._learning_rate,
            "history": [evaluation.to_json() for evaluation in self.history],
            **of_best,
        }
        optimizer = self.steps.optimizer
        tensors |= {"loss_sum": self.steps.losses.clone()}
        tensors |= {"optimizer.mean": optimizer.mean.clone(), "optimizer.square": optimizer.square.clone()}
        for prefix, density in self._densities().items():
            tensors |= {f"{prefix}.{name}": tensor.clone() for name, tensor in density.state_dict().items()}
        return document, tensors

    def _take_up(self, document: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        """Take up a snapshot."""
        self.step, self.seconds = document["step"], document["seconds"]
        self._halvings, self._setbacks = document["halvings"], document["setbacks"]
        self._loss_count, self._log_det_sum = document["loss_count"], document["log_det_sum"]
        self._interval_seconds, self._learning_rate = document["interval_seconds"], document["learning_rate"]
        self.history = [Evaluation.from_json(entry) for entry in document["history"]]
        self._best_weights.restore(document, tensors)
        self.steps.restore_losses(tensors["loss_sum"])
        self.steps.optimizer.mean.copy_(tensors["optimizer.mean"])
        self.steps.optimizer.square.copy_(tensors["optimizer.square"])
        for prefix, density in self._densities().items():
            density.load_state_dict({name: tensors[f"{prefix}.{name}"] for name in density.state_dict()})

    def _densities(self) -> dict[str, MixedDensity]:
        """Return the densities whose weights a state has, by the prefixes of their names there."""
        return {"now": self.density, "average": self.average.density, "best": self.best}
