"""One case after another: all libraries' models of it, each direction in turn."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from benchmarks.speed.cases import BATCH, Case, data
from benchmarks.speed.libraries import PRODUCTS, Library, Model
from benchmarks.speed.results import Cell, Figure
from benchmarks.speed.timing import Call, Work, alternate, fastest

BATCHES = 32  # that training goes through in turn
FIRST_STEPS = 10  # of training, before anything is timed, so that no flow is the identity any more


@dataclass(frozen=True)
class Effort:
    """How much is measured.

    Attributes:
        rounds: Rounds of each figure.
        seconds: What one library has in one round, at least.
        blocks: Rows at once that are tried, rising.
        rows: Rows to score, all of them also being tried at once; the most to draw in one call.
    """

    rounds: int
    seconds: float
    blocks: tuple[int, ...]
    rows: int


class Bench:
    """The models of one case, at work.

    Args:
        case: The case.
        libraries: The libraries by name; those that lack the family are passed over.
        effort: How much to measure.
        seed: Of weights and rows.
    """

    def __init__(self, case: Case, libraries: dict[str, Library], effort: Effort, seed: int) -> None:
        self.case, self.effort = case, effort
        self.models: dict[str, Model] = {}
        self._batches = data(BATCHES * BATCH, case.columns, seed).view(BATCHES, BATCH, case.columns)
        self._rows = data(effort.rows, case.columns, seed + 1)
        self._steppers: dict[str, Call] = {}
        self._failures: dict[str, str] = {}
        for name, library in libraries.items():
            torch.manual_seed(seed)
            try:
                self._begin(name, library)
            except Exception as error:  # one library's failure is no reason to lose the others' figures
                self._failures[name] = _said(error)
                self.models.pop(name, None)

    @property
    def parameters(self) -> dict[str, int]:
        """How many numbers each library trains."""
        return {name: model.parameters for name, model in self.models.items()}

    def run(self, direction: str) -> Cell:
        """Measure one direction."""
        works: dict[str, Work] = {}
        failures = dict(self._failures)
        for name, model in self.models.items():
            try:
                works[name] = self._work(name, model, direction)
            except Exception as error:  # the same
                failures[name] = _said(error)
        rates, errors = alternate(works, self.effort.rounds, self.effort.seconds)
        failures |= {name: _said(error) for name, error in errors.items()}
        figures = {
            name: Figure(found, works[name].block, works[name].rows, works[name].tried) for name, found in rates.items()
        }
        return Cell(self.case, direction, figures, failures)

    def _begin(self, name: str, library: Library) -> None:
        model = library.build(self.case)
        if model is None:
            return
        self.models[name] = model
        step = self._steppers[name] = model.stepper(self._batches)
        losses = [float(step()) for _ in range(FIRST_STEPS)]
        _demand(math.isfinite(losses[-1]), f"a loss of {losses[-1]}")

    def _work(self, name: str, model: Model, direction: str) -> Work:
        if direction == "training":
            return Work(self._steppers[name], BATCH, BATCH)
        effort, scoring = self.effort, direction == "scoring"

        def make(rows: int, block: int) -> Call:
            return model.scorer(self._rows[:rows], block) if scoring else model.sampler(rows, block)

        def check(parts: list[Any], rows: int) -> None:
            if name != PRODUCTS:
                _sound(parts, (rows,) if scoring else (rows, self.case.columns))

        blocks = sorted({*effort.blocks, effort.rows}) if scoring else sorted(effort.blocks)
        return fastest(make, blocks, effort.rows, effort.seconds, check)


def measure(
    cases: list[Case], directions: list[str], libraries: dict[str, Library], effort: Effort, seed: int
) -> Iterator[tuple[Cell, dict[str, int]]]:
    """Measure all cases; yield each figure with the models' sizes."""
    for case in cases:
        bench = Bench(case, libraries, effort, seed)
        for direction in directions:
            yield bench.run(direction), bench.parameters


def _sound(parts: list[Any], shape: tuple[int, ...]) -> None:
    """See that what came out has the right shape and is finite."""
    found = np.concatenate([np.asarray(part) for part in parts])
    _demand(found.shape == shape, f"the shape is {found.shape}, not {shape}")
    _demand(bool(np.isfinite(found).all()), "numbers that are not finite")


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _demand(condition: bool, otherwise: str) -> None:
    if not condition:
        raise ArithmeticError(otherwise)
