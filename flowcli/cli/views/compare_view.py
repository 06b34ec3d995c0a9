"""A comparison of models as lines of a screen, and as a JSON document."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.cells import cell_len

from flowcli.cli.views.width import WIDTH, padded, shortened_before, wrapped
from flowcli.evaluation.metrics.comparison import Difference, Nats, difference, mean_nats
from flowcli.text import counted, literal

WIDEST_NAME = 18
SIZES = ("B", "kB", "MB", "GB")


@dataclass(frozen=True)
class ScoredModel:
    """One model.

    Attributes:
        model: Its file.
        log_prob: Its log-density of each row, (N,).
        parameters: How many numbers were fitted.
        size: Bytes of the file.
        seconds: To score 100,000 rows.
    """

    model: str
    log_prob: NDArray[np.float64]
    parameters: int
    size: int
    seconds: float


def ordered(models: Sequence[ScoredModel]) -> list[tuple[ScoredModel, Nats, Difference]]:
    """Return the models, the best first, each with its mean and its difference to the best, which is negative.

    A model for which fewer rows are impossible is better; among those alike in this, one with a higher mean of the
    rows that are possible for all.
    """
    shared = np.isfinite([each.log_prob for each in models]).all(axis=0)

    def key(each: ScoredModel) -> tuple[int, float]:
        possible = each.log_prob[shared]
        return int((~np.isfinite(each.log_prob)).sum()), -float(possible.mean()) if len(possible) else math.inf

    order = sorted(models, key=key)
    return [(each, mean_nats(each.log_prob), difference(each.log_prob, order[0].log_prob)) for each in order]


def lines(models: Sequence[ScoredModel]) -> Iterator[str]:
    """Yield what a person reads, in lines of 80 columns."""
    found = ordered(models)
    head = ("model", "nats a row", "behind", "params", "size", "s/100k")
    rows = [head, *(_row(each, nats, behind, first=not index) for index, (each, nats, behind) in enumerate(found))]
    widths = [max(cell_len(row[index]) for row in rows) for index in range(len(head))]
    widths[0] = min(widths[0], WIDTH - sum(width + 2 for width in widths[1:]))
    for row in rows:
        cells = [padded(cell, ">", width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        yield "  ".join([padded(shortened_before(row[0], widths[0]), "<", widths[0]), *cells]).rstrip()
    yield f"on {counted(found[0][1].rows, 'row')}; behind: the mean difference from the best, row by row"
    yield "s/100k: seconds to score 100,000 rows on one core"
    for each, nats, _ in found:
        if nats.impossible:
            verb = "has" if nats.impossible == 1 else "have"
            others = f"; {nats.mean:z.3f} over the others" if math.isfinite(nats.mean) else ""
            text = f"{counted(nats.impossible, 'row')} {verb} density zero, so its mean is -inf{others}"
            yield from wrapped(f"{_short(each.model)}: {text}", WIDTH)


def document(models: Sequence[ScoredModel]) -> dict[str, Any]:
    """Return the comparison as plain JSON values, the best model first; a number that is not finite becomes null."""
    found = ordered(models)
    return {
        "rows": found[0][1].rows,
        "models": [
            {
                "model": each.model,
                "nats": _number(nats.mean),
                "error": _number(nats.error),
                "impossible_rows": nats.impossible,
                "behind": _number(0.0 - behind.mean),
                "behind_error": _number(behind.error),
                "compared_rows": nats.rows - behind.left_out,
                "parameters": each.parameters,
                "bytes": each.size,
                "seconds_per_100000_rows": each.seconds,
            }
            for each, nats, behind in found
        ],
    }


def _row(each: ScoredModel, nats: Nats, behind: Difference, *, first: bool) -> tuple[str, ...]:
    mean = "-inf" if nats.impossible else f"{nats.mean:z.3f}{_error(nats.error)}"
    gap = "" if first or not math.isfinite(behind.mean) else f"{-behind.mean:z.3f}{_error(behind.error)}"
    return _short(each.model), mean, gap, f"{each.parameters:,}", _size(each.size), f"{each.seconds:.3g}"


def _error(error: float) -> str:
    """Behind a mean; nothing of a single row."""
    return f" ± {error:.3f}" if math.isfinite(error) else ""


def _size(count: float) -> str:
    index = 0
    while count >= 999.5 and index < len(SIZES) - 1:
        count, index = count / 1000, index + 1
    return f"{count:.3g} {SIZES[index]}"


def _short(name: str) -> str:
    """Return the end of a long name, which a path has its file in."""
    return shortened_before(literal(name), WIDEST_NAME)


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
