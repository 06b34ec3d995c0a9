"""Float32 against float64."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from torch import Tensor

from flowcli.errors import NumericsError
from flowcli.evaluation.check import limits
from flowcli.evaluation.check.finding import Finding, within
from flowcli.evaluation.check.subject import Subject


def precisions(subject: Subject, values: Tensor) -> Iterator[Finding]:
    """Yield how far log-densities of rows (B, N_c) in the two precisions are apart."""
    if not len(values) or subject.empty:
        return
    try:
        in_float32, double = (subject.density.scores(values.numpy(), double=d, draws=1).log_prob for d in (False, True))
    except NumericsError as error:
        in_float32, double = np.array([math.nan]), np.array([math.nan])
        where = str(error)
    else:
        where = f"{len(values):,} rows"
    with np.errstate(invalid="ignore"):
        difference = np.where(in_float32 == double, 0.0, np.abs(in_float32 - double))
    difference = np.where(np.isnan(difference), math.inf, difference)
    meaning = "Log-densities in float32 are those in float64, on average over rows."
    yield within("float32, mean", float(difference.mean()), limits.SINGLE_MEAN, "nats", meaning, where)
    meaning = "So they are for 99 of 100 rows."
    figure = float(np.quantile(difference, 0.99, method="higher"))
    yield within("float32, 99 of 100", figure, limits.SINGLE_MOST, "nats", meaning, where)
