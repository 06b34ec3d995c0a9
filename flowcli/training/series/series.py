"""Fits of one table, one after the other, and the one density that comes of them.

Most series are of one fit. What comes next, which densities are kept, and what is made of them is a ``Plan``'s.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

from flowcli.config import schema as config
from flowcli.errors import ConfigError, FlowcliError, ModelFileError, NumericsError, UsageError
from flowcli.model import Density, FlowDensity
from flowcli.model.files.model_file import describe, pack, restore_flow
from flowcli.table import Table
from flowcli.training.loop.events import Event
from flowcli.training.prepare.checks import Notice
from flowcli.training.prepare.fitting import Fitting
from flowcli.training.prepare.resume import resume
from flowcli.training.prepare.row_sets import RowSet
from flowcli.training.prepare.setup import prepare_fit
from flowcli.training.series.refit_with_held_out import refit_with_held_out

State = tuple[dict[str, Any], dict[str, Tensor]]


@dataclass(frozen=True)
class Trial:
    """A fit that is to come.

    Attributes:
        name: For people.
        request: The config.
        seed: Of its random numbers; the held-out rows are the same for all.
        seconds: That it may take, if there is a limit.
        round: Among trials of about one length, which one.
    """

    name: str
    request: config.Config
    seed: int
    seconds: float | None = None
    round: int = 0


@dataclass(frozen=True)
class Finished:
    """A fit that came to its end.

    Attributes:
        name: As of the trial.
        round: As of the trial.
        nats: Held-out, a row; none where the fit failed.
        error: Their standard error.
        seconds: It took, with everything.
        parameters: Of its flow.
        outcome: How it ended, or why it failed.
    """

    name: str
    round: int
    nats: float | None
    error: float | None
    seconds: float
    parameters: int
    outcome: str


class Plan(Protocol):
    """What a series consists of; it remembers nothing."""

    def next(self, finished: Sequence[Finished]) -> Trial | None:
        """Return the fit after those, if there is one."""

    def kept(self, finished: Sequence[Finished]) -> list[int]:
        """Return the numbers of those fits whose densities are still wanted."""

    def whole(
        self, finished: Sequence[Finished], densities: Mapping[int, FlowDensity], train: RowSet, held_out: RowSet
    ) -> Density:
        """Return what is made of the densities that were kept, by the places of their fits."""

    @property
    def fits(self) -> int:
        """How many fits there will be; zero where nobody knows."""

    @property
    def may_fail(self) -> bool:
        """Whether a fit other than the first may come to nothing."""

    def to_json(self) -> dict[str, Any]:
        """Return the plan, to know it again."""


@dataclass(frozen=True)
class Begun:
    """A fit of the series is at its start."""

    number: int
    fits: int
    name: str
    fitting: Fitting


@dataclass(frozen=True)
class Ended:
    """A fit of the series came to its end."""

    number: int
    fits: int
    finished: Finished
    best: bool


@dataclass(frozen=True)
class Task:
    """What all fits of a series share; see ``prepare_fit``."""

    table: Table
    device: torch.device | str = "cpu"
    valid: Table | None = None
    compile: bool = False
    seed: int = 0
    notice: Notice = field(default=lambda _: None)

    def prepare(self, trial: Trial, *, quiet: bool) -> Fitting:
        """Return a fit at its start; what is said of the rows is said once."""
        return prepare_fit(
            self.table,
            trial.request,
            seed=trial.seed,
            held_out_seed=self.seed,
            device=self.device,
            valid=self.valid,
            compile=self.compile,
            time_limit=trial.seconds,
            notice=_silent if quiet else self.notice,
        )


class Series:
    """The fits of a plan.

    Attributes:
        task: What they share.
        plan: What comes when.
        trial: The one that runs.
        fitting: Its fit.
        finished: The fits before it.
    """

    def __init__(self, task: Task, plan: Plan, state: State | None = None, encoder: Any = None) -> None:
        """Make the first fit ready, or go on where a state was saved.

        Args:
            task: What the fits share.
            plan: What comes when.
            state: Of ``state``, of an earlier series with the same task and plan.
            encoder: Of the fit that ran when the state was saved.

        Raises:
            UsageError: The task or the plan were others.
            ModelFileError: The state contradicts itself.
            FlowcliError: What ``prepare_fit`` raises.
        """
        self.task, self.plan = task, plan
        self.finished: list[Finished] = []
        self._kept: dict[int, FlowDensity] = {}
        self._spent = 0.0  # seconds on making the fit ready
        if state is not None:
            self._restore(*state)
        trial = plan.next(self.finished)
        assert trial is not None, "a state is of a fit that runs"
        self.trial = trial
        if state is None:
            self.fitting = self._ready()
            return
        self.fitting = resume(
            *state,
            encoder,
            task.table,
            trial.request,
            seed=trial.seed,
            held_out_seed=task.seed,
            device=task.device,
            valid=task.valid,
            compile=task.compile,
            notice=task.notice,
        )

    def _ready(self) -> Fitting:
        began = time.monotonic()
        spent = 0.0
        try:
            fitting = self.task.prepare(self.trial, quiet=bool(self.finished))
            spent = fitting.loop.seconds  # on trials, which the loop counts already
        finally:
            self._spent = time.monotonic() - began - spent
        return fitting

    @property
    def running(self) -> bool:
        """Whether a state would lead back to here: not between the end of a fit and the start of the next."""
        return self.fitting.loop.outcome == "running"

    @property
    def outcome(self) -> str:
        """How the fit that ran last ended, or that it runs."""
        return self.fitting.loop.outcome

    @property
    def seconds(self) -> float:
        """What all fits took together."""
        return sum(each.seconds for each in self.finished) + self.fitting.loop.seconds

    def run(
        self, should_stop: Callable[[], bool], *, tick_every: float | None = None
    ) -> Iterator[Begun | Event | Ended]:
        """Run one fit after the other, and say where they stand; see ``Loop.run``.

        When it ends, the last fit's ``outcome`` says whether because somebody wished it.
        """
        while True:
            number = len(self.finished) + 1
            yield Begun(number, self.plan.fits, self.trial.name, self.fitting)
            limit = self.trial.seconds
            try:
                yield from self.fitting.loop.run(
                    should_stop, None if limit is None else max(limit - self._spent, 0.0), tick_every=tick_every
                )
            except NumericsError as error:
                if not self._may_fail:
                    raise
                yield self._failed(error)
            else:
                if self.fitting.loop.outcome == "interrupted":
                    return
                before = max((each.nats for each in self.finished if each.nats is not None), default=-math.inf)
                finished = self._take_in()
                yield Ended(number, self.plan.fits, finished, finished.nats is not None and finished.nats > before)
            while (trial := self.plan.next(self.finished)) is not None:
                self.trial = trial
                try:
                    self.fitting = self._ready()
                except (ConfigError, NumericsError) as error:
                    if not self._may_fail:
                        raise
                    yield self._failed(error)
                else:
                    break
            else:
                return

    @property
    def _may_fail(self) -> bool:
        """Whether there is a density without the fit that runs, and the plan can do without it."""
        return self.plan.may_fail and bool(self.finished)

    def _failed(self, error: FlowcliError) -> Ended:
        """Take note of a fit that came to nothing."""
        finished = Finished(self.trial.name, self.trial.round, None, None, round(self._spent, 3), 0, str(error))
        self.finished.append(finished)
        return Ended(len(self.finished), self.plan.fits, finished, False)

    def _take_in(self) -> Finished:
        """Add the fit that ended to those before, and let go of densities that are no longer wanted."""
        density = self.fitting.density()
        summary = density.summary
        finished = Finished(
            self.trial.name,
            self.trial.round,
            summary["held_out_nats"],
            summary["held_out_error"],
            round(self._spent + self.fitting.loop.seconds, 3),
            density.parameters,
            self.fitting.loop.outcome,
        )
        self._kept[len(self.finished)] = density
        self.finished.append(finished)
        self._kept = {index: self._kept[index] for index in self.plan.kept(self.finished)}
        return finished

    def density(self) -> Density:
        """Return what came of the series, until now: also where the running fit could not go on."""
        if self.running and self.fitting.loop.history:
            self._take_in()
        return self.plan.whole(self.finished, self._kept, self.fitting.train, self.fitting.held_out)

    def completed(self, density: Density) -> Density:
        """Return a density refitted with held-out rows, once these judge nothing more; see ``refit_with_held_out``."""
        if self.task.valid is not None:  # rows that somebody chose to keep apart
            return density
        return refit_with_held_out(density, self.fitting.train, self.fitting.held_out)

    def state(self) -> State:
        """Return a document and tensors from which a series goes on; the running fit to the bit."""
        document, tensors = self.fitting.state()
        series = {
            "plan": self.plan.to_json(),
            "finished": [asdict(each) for each in self.finished],
            "kept": {str(index): describe(density) for index, density in self._kept.items()},
            "spent": self._spent,
        }
        kept = {
            f"kept.{index}.{name}": tensor
            for index, density in self._kept.items()
            for name, tensor in pack(density).items()
        }
        return {**document, "series": series}, tensors | kept

    def _restore(self, document: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        series = document["series"]
        if series["plan"] != self.plan.to_json():
            raise UsageError(
                f"--resume: not the fit that was interrupted; it was {_words(series['plan'])}, now it is"
                f" {_words(self.plan.to_json())}"
            )
        try:
            self.finished = [Finished(**each) for each in series["finished"]]
            self._spent = float(series["spent"])
            for index, description in series["kept"].items():
                prefix = f"kept.{index}."
                own = {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}
                self._kept[int(index)] = restore_flow(description, own)
        except (FlowcliError, AttributeError, KeyError, TypeError, ValueError) as error:
            raise ModelFileError(
                f"--resume: the state of the fits cannot be understood ({error!r}); --force starts again"
            ) from error


def _words(plan: Mapping[str, Any]) -> str:
    """Return a plan in a few words."""
    return ", ".join(f"{key} {value}" for key, value in plan.items())


def _silent(_: str) -> None:
    """Say nothing."""
