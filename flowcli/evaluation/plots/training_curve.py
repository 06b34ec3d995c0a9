"""How a fit went: train and held-out nats over the epochs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from flowcli.errors import UsageError
from flowcli.evaluation.plots import notes, words
from flowcli.evaluation.plots.labels import below, beside
from flowcli.evaluation.plots.scale import Scale
from flowcli.evaluation.plots.sheet import (
    FAINT,
    LABEL_HEIGHT,
    QUIET,
    SAMPLES,
    Heading,
    Key,
    Room,
    Sheet,
    label_x,
    label_y,
    name_below,
    name_left,
    tick_room,
)
from flowcli.evaluation.plots.theme import unaffected
from flowcli.table import Column

Numbers = NDArray[np.float64]

WIDTH, HEIGHT = 5.6, 3.0
TRAIN = "#999999"
MOST_NAMED = 4  # flows of which the best is said
# Of a bad beginning no more is shown than so many times what the second half of the fit gained or lost.
WORTH = 3.0


@dataclass(frozen=True)
class _Curve:
    """One fit.

    Attributes:
        epochs: Of each evaluation, (E,).
        train: Nats a row on training rows since the one before, NaN where there are none, (E,).
        held_out: Nats a row on held-out rows, (E,).
        best: The evaluation that was kept.
    """

    epochs: Numbers
    train: Numbers
    held_out: Numbers
    best: int

    @classmethod
    def of(cls, summary: Mapping[str, Any]) -> _Curve | None:
        """Return the curve of a summary, if that holds one."""
        history = summary.get("history") or []
        columns = (
            np.array([np.nan if entry.get(key) is None else float(entry[key]) for entry in history])
            for key in ("epoch", "train_nats", "held_out_nats", "step")
        )
        epochs, train, held_out, steps = columns
        if not np.isfinite(held_out).any():
            return None
        kept = summary.get("best_step")
        best = int(np.nanargmax(held_out)) if kept is None else int(np.abs(steps - float(kept)).argmin())
        return cls(epochs, train, held_out, best)


@unaffected
def training_curve(*summaries: Mapping[str, Any], model: str = "") -> Figure:
    """Draw the nats a row of a fit, on training and on held-out rows, with the step that was kept.

    Args:
        summaries: What is known of the training (``FlowDensity.summary``); those of all flows of an ensemble.
        model: Its name, for the heading.

    Returns:
        The picture.

    Raises:
        UsageError: There is no history.
    """
    curves = [curve for curve in map(_Curve.of, summaries) if curve is not None]
    if not curves:
        raise UsageError("the model holds no training history, so there is no curve to draw")
    across = _span(np.concatenate([curve.epochs for curve in curves]), "epochs")
    up, lowest = _worth_showing(curves)
    said = [_best(curve, number, len(curves)) for number, curve in enumerate(curves[:MOST_NAMED], 1)]
    if len(curves) > MOST_NAMED:
        said.append(f"and {len(curves) - MOST_NAMED} more flows.")
    if lowest < up.low:
        said.append(f"The beginning lies below, down to {words.number(lowest, 4)}.")
    left = beside(up, HEIGHT)
    under, ticks = below(across, WIDTH), tick_room(text for _, text in left)
    keys = [Key(SAMPLES, "held-out rows", "line")]
    if any(np.isfinite(curve.train).any() for curve in curves):
        keys.append(Key(TRAIN, "training rows, a mean over the steps before", "line"))
    sheet = Sheet(
        1,
        1,
        (WIDTH, HEIGHT),
        Room(left=ticks + LABEL_HEIGHT + 0.05, right=0.15, bottom=under.height + LABEL_HEIGHT),
        Heading(notes.titled(model, "training"), (*keys, Key(SAMPLES, "kept", "dot")), (" ".join(said),)),
    )
    axes = sheet.panel(0, 0)
    axes.hlines([at for at, _ in left], 0, 1, color=FAINT, linewidth=0.5, zorder=0)
    for curve in curves:
        _draw(axes, curve, across, up)
    label_x(axes, under.ticks)
    label_y(axes, left)
    name_below(axes, "epochs", under.height, HEIGHT, colour=QUIET)
    name_left(axes, "nats a row", ticks, WIDTH, colour=QUIET)
    return sheet.figure


def _draw(axes: Axes, curve: _Curve, across: Scale, up: Scale) -> None:
    x = across.positions(curve.epochs)
    present = np.isfinite(curve.train)
    # What lies far below would make the numbers of the renderer overflow.
    train, held_out = (np.clip(up.positions(nats), -9, 9) for nats in (curve.train, curve.held_out))
    axes.plot(x[present], train[present], color=TRAIN, linewidth=1.1, zorder=2)
    axes.plot(x, held_out, color=SAMPLES, linewidth=1.4, zorder=3)
    best = (x[curve.best : curve.best + 1], held_out[curve.best : curve.best + 1])
    axes.plot(*best, color=SAMPLES, marker="o", markersize=5.5, markeredgecolor="white", zorder=4, clip_on=False)


def _best(curve: _Curve, number: int, count: int) -> str:
    """Return the best of a fit in words."""
    epoch = words.number(float(curve.epochs[curve.best]), 3)
    who = "Held-out best" if count == 1 else f"Flow {number}"
    return f"{who} {words.number(float(curve.held_out[curve.best]), 5)} nats a row, at epoch {epoch}" + (
        "." if number >= min(count, MOST_NAMED) else ";"
    )


def _worth_showing(curves: list[_Curve]) -> tuple[Scale, float]:
    """Return the axis of nats, and the lowest of them all."""
    every = np.concatenate([np.concatenate([curve.train, curve.held_out]) for curve in curves])
    every = every[np.isfinite(every)]
    late = np.concatenate([c.held_out[len(c.held_out) // 2 :] for c in curves])
    late = late[np.isfinite(late)]
    top, best = float(every.max()), max(float(curve.held_out[curve.best]) for curve in curves)
    gained = max(top - best, best - float(late.min()), 0.05)
    low = max(float(every.min()), best - WORTH * gained)
    margin = 0.06 * (top - low or 1.0)
    return Scale(Column("nats"), low=low - margin, high=top + margin), float(every.min())


def _span(values: Numbers, name: str) -> Scale:
    """Return an axis from the least to the largest value."""
    low, high = float(values.min()), float(values.max())
    return Scale(Column(name), low=low, high=high if high > low else low + 1)
