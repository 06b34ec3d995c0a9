"""Rows as ``sample`` writes them beside plain draws of the flow."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from scipy.stats import ks_2samp
from torch import Tensor

from flowcli.evaluation.check.finding import Finding, within
from flowcli.evaluation.check.subject import Points, Subject
from flowcli.table import as_written

FALSE_ALARMS = 1e-5


def written(subject: Subject, drawn: Points, values: Tensor) -> Iterator[Finding]:
    """Yield rows (B, N_c) as ``sample`` gives them, beside draws of the flow, column by column.

    Args:
        subject: The density.
        drawn: Draws of the flow.
        values: Rows as they are written.
    """
    schema = subject.encoder.schema
    residuals = subject.encoder.relations.residuals(values)
    laid = subject.laid(drawn)
    if not subject.layout.context_features:  # such rows are drawn anew
        u = subject.layout.split(laid.rows)[0]
        drawn = drawn.select(subject.encoder.coordinates.plausible(u).nonzero()[:, 0])
    possible = subject.encoder.relations.possible(drawn.residuals).all(1)
    drawn = drawn.select(possible.nonzero()[:, 0])
    plain = as_written(drawn.residuals.numpy(), schema)
    indices = [index for index in subject.part.indices if index not in subject.part.constant]
    if not (len(plain) and indices):
        return
    worst, whose = 0.0, ""
    for index in indices:
        ours, theirs = (x[~np.isnan(x)] for x in (plain[:, index], residuals[:, index].numpy()))
        if len(ours) < 20 or len(theirs) < 20:
            continue
        distance = float(ks_2samp(ours, theirs, method="asymp").statistic)
        size = distance * math.sqrt(len(ours) * len(theirs) / (len(ours) + len(theirs)))
        if size >= worst:
            worst, whose = size, schema.columns[index].name
    limit = math.sqrt(-0.5 * math.log(FALSE_ALARMS / 2 / len(indices)))
    meaning = "Rows that are written are distributed as the flow draws them, column by column."
    yield within("rows as written", worst, limit, "", meaning, whose if worst > limit else f"{len(values):,} rows")
