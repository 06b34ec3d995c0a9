"""What comes out: figures, and the ratios between them."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from typing import Any

from benchmarks.speed.cases import Case
from benchmarks.speed.libraries import OURS, PEERS, PRODUCTS


@dataclass
class Figure:
    """One library's speed.

    Attributes:
        rounds: Rows per second in each round.
        block: How many rows were computed at once.
        rows: How many rows one call went through.
        tried: Rows per second with each block that was tried.
    """

    rounds: list[float]
    block: int
    rows: int
    tried: dict[int, float] = field(default_factory=dict)

    @property
    def median(self) -> float:
        """Rows per second."""
        return statistics.median(self.rounds)


@dataclass
class Cell:
    """One case in one direction.

    Attributes:
        case: The flow.
        direction: Training, scoring or sampling.
        figures: By library.
        failures: What went wrong, by library.
    """

    case: Case
    direction: str
    figures: dict[str, Figure]
    failures: dict[str, str]

    @property
    def best_peer(self) -> str | None:
        """The fastest of the other libraries."""
        return max((name for name in PEERS if name in self.figures), key=lambda n: self.figures[n].median, default=None)

    def ratio(self, other: str | None) -> float | None:
        """How many times as fast flowcli is."""
        if other is None or not {OURS, other} <= self.figures.keys():
            return None
        return self.figures[OURS].median / self.figures[other].median

    def to_json(self) -> dict[str, Any]:
        """All of it in plain values."""
        return {
            "family": self.case.family,
            "columns": self.case.columns,
            "direction": self.direction,
            "best_peer": self.best_peer,
            "flowcli_over_best_peer": self.ratio(self.best_peer),
            "flowcli_over_zuko": self.ratio("zuko"),
            "flowcli_over_products": self.ratio(PRODUCTS),
            "rows_per_second": {name: figure.median for name, figure in self.figures.items()},
            "rounds": {name: figure.rounds for name, figure in self.figures.items()},
            "block": {name: figure.block for name, figure in self.figures.items()},
            "rows_per_call": {name: figure.rows for name, figure in self.figures.items()},
            "blocks_tried": {name: figure.tried for name, figure in self.figures.items()},
            "failures": self.failures,
        }


@dataclass
class Results:
    """A whole run.

    Attributes:
        machine: The machine, in words, by what it is about.
        versions: By package.
        settings: The run's own.
        networks: What each library builds, in words.
        parameters: How many numbers each library trains, by case.
        cells: The measurements.
    """

    machine: dict[str, Any]
    versions: dict[str, str]
    settings: dict[str, Any]
    networks: dict[str, str]
    parameters: dict[Case, dict[str, int]] = field(default_factory=dict)
    cells: list[Cell] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """All of it in plain values."""
        parameters = [
            {"family": case.family, "columns": case.columns, **counts} for case, counts in self.parameters.items()
        ]
        return {
            "machine": self.machine,
            "versions": self.versions,
            "settings": self.settings,
            "networks": self.networks,
            "parameters": parameters,
            "cells": [cell.to_json() for cell in self.cells],
        }
