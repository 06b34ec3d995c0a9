"""Columns that never change."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from flowcli.evaluation.check.finding import Finding, within
from flowcli.evaluation.check.subject import Subject


def of_constants(subject: Subject) -> Iterator[Finding]:
    """Yield where there is nothing but constants: their row has all the mass, and another one none."""
    if not subject.empty:
        return
    columns = subject.encoder.schema.columns
    row = np.array([[math.nan if column.value is None else column.value for column in columns]])
    other = row + np.array([[0.0 if column.value is None else 1 + abs(column.value) for column in columns]])
    units = sum(column.log_mass_unit for column in columns if not column.given)
    mass = float(np.exp(subject.density.log_prob(row)[0] + units) + np.exp(subject.density.log_prob(other)[0]))
    meaning = "The row of constants has the probability one, and any other row none."
    yield within("total mass", abs(mass - 1), 1e-9, "", meaning, "constants alone")
