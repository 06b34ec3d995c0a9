"""Latents against the base: are they really normal?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.special import betaincinv, kolmogi, ndtr, ndtri

from flowcli.errors import UsageError
from flowcli.evaluation.metrics.latents import DRAWS, LatentScores, latent_scores
from flowcli.evaluation.plots import notes, words
from flowcli.evaluation.plots.labels import below, beside
from flowcli.evaluation.plots.panels import heights
from flowcli.evaluation.plots.scale import Scale
from flowcli.evaluation.plots.sheet import (
    DATA,
    LABEL_HEIGHT,
    OTHERS,
    PALE,
    QUIET,
    Heading,
    Key,
    Room,
    Sheet,
    head,
    label_x,
    label_y,
    name_below,
    name_left,
    tick_room,
)
from flowcli.evaluation.plots.theme import unaffected
from flowcli.model import Density, Ensemble, FlowDensity
from flowcli.model.flow_density import require_flow
from flowcli.table import Column

Rows = NDArray[np.float64]

WIDTHS, HEIGHT = (3.6, 2.5), 2.7
BAND, LINES = "#EFEFEF", "#AAAAAA"
COLOURS = OTHERS[:4]
CERTAIN = 0.95
OUTERMOST_QUANTILE = 3.3  # of a normal's quantiles that are drawn: one row in a thousand lies beyond
BINS = 36
MOST_FLOWS = 4


@dataclass(frozen=True)
class _Line:
    """A latent: how far its quantiles are from the normal's.

    Attributes:
        name: z1, z2, and so on.
        at: The normal's quantiles, (Q,).
        gap: The latent's quantiles less these, (Q,).
        worst: The largest difference of the shares below a value, in units of that which chance makes in one of twenty
            perfect flows.
    """

    name: str
    at: Rows
    gap: Rows
    worst: float


@unaffected
def latents(density: Density, rows: Rows, *, model: str = "", total: int | None = None, seed: int = 0) -> Figure:
    """Draw how far latents are from the base that they should follow, one by one and all together.

    Left a detrended quantile plot (a worm plot; van Buuren & Fredriks, 2001): the quantiles of each latent, less those
    of a normal. A base that is no standard normal is made one first: each latent's rank among draws of the base stands
    for the normal's quantile. Right the distance of whole rows from the middle, of rows and of draws of the base:
    dependence that the flow has left, and outliers, show there. Each flow of an ensemble has latents of its own.

    Args:
        density: The model.
        rows: Data (N, C).
        model: Its name, for the heading.
        total: How many rows there are, if ``rows`` are some of them.
        seed: Of the draws of the base, and of the places of rounded numbers within their cells.

    Returns:
        The picture.

    Raises:
        UsageError: The model has no continuous columns, or there are no rows.
    """
    if isinstance(density, Ensemble):
        heaviest = np.argsort(-density.weights, kind="stable")[:MOST_FLOWS]
        flows = [density.members[int(index)] for index in heaviest]
        names = [f"flow {index + 1}, weight {density.weights[index]:.2g}" for index in heaviest]
    else:
        flows, names = [require_flow(density)], [""]
    found = [latent_scores(flow, rows, seed) for flow in flows]
    lines = [_lines(scores.rows) for scores in found]
    if not any(lines):
        raise UsageError("latents need rows with numbers in the continuous columns")
    across = Scale(Column("normal"), low=-OUTERMOST_QUANTILE, high=OUTERMOST_QUANTILE)
    shown = max((float(np.abs(line.gap).max()) for own in lines for line in own), default=0.0)
    reach = float(np.clip(1.1 * shown, 0.3, 2.0))
    up = Scale(Column("gap"), low=-reach, high=reach)
    left, under = beside(up, HEIGHT), below(across, WIDTHS[0])
    ticks, top = tick_room(text for _, text in left), LABEL_HEIGHT + 0.05
    bottom = under.height + LABEL_HEIGHT
    named = [line.name for line in lines[0] if line.worst > 1] if len(flows) == 1 else []
    keys = (
        *(Key(colour, name, "line") for colour, name in zip(COLOURS, named, strict=False)),
        Key(LINES, "other latents" if named else "each latent", "line"),
        Key("#EFEFEF", "where 95% of a perfect latent's quantiles lie"),
        Key(PALE, "draws of the base"),
        Key(DATA, f"the data, {notes.counted(len(rows), total)}", "line"),
    )
    sheet = Sheet(
        len(flows),
        2,
        (WIDTHS, HEIGHT),
        Room(
            left=ticks + LABEL_HEIGHT + 0.05,
            right=0.15,
            bottom=bottom,
            top=top,
            across=0.35,
            down=bottom + top + 0.05,
        ),
        Heading(notes.titled(model, "latents against the base"), keys, _said(density, flows, lines)),
    )
    for number, (name, scores, own) in enumerate(zip(names, found, lines, strict=True)):
        axes = sheet.panel(number, 0)
        _draw_worms(axes, own, across, up, len(scores.rows), COLOURS[: len(named)])
        label_x(axes, under.ticks)
        label_y(axes, left)
        head(axes, f"{name}: one by one" if name else "one by one", HEIGHT)
        name_below(axes, "normal quantile", under.height, HEIGHT, colour=QUIET)
        name_left(axes, "latent's quantile, less it", ticks, WIDTHS[0], colour=QUIET)
        axes = sheet.panel(number, 1)
        _draw_distances(axes, scores)
        head(axes, "all together", HEIGHT)
        name_below(axes, "root mean square", under.height, HEIGHT, colour=QUIET)
    return sheet.figure


def _lines(scores: Rows) -> list[_Line]:
    found = []
    for index, own in enumerate(scores.T):
        z = np.sort(own[~np.isnan(own)])
        if not len(z):
            continue
        ranks = (np.arange(len(z)) + 0.5) / len(z)
        at = ndtri(ranks)
        chance = float(kolmogi((1 - CERTAIN) / scores.shape[1])) * math.sqrt(1 / len(z) + 1 / DRAWS)
        inside = np.abs(at) <= OUTERMOST_QUANTILE
        worst = float(np.abs(ndtr(z) - ranks).max()) / chance
        found.append(_Line(f"z{index + 1}", at[inside], (z - at)[inside], worst))
    return sorted(found, key=lambda line: -line.worst)


def _band(rows: int, ranks: Rows) -> tuple[Rows, Rows]:
    """Between what the quantiles of so many rows of a normal lie in 95 of 100 cases: order statistics are beta."""
    index = ranks * rows + 0.5
    ends = (betaincinv(index, rows - index + 1, p) for p in ((1 - CERTAIN) / 2, (1 + CERTAIN) / 2))
    low, high = (np.asarray(ndtri(end)) for end in ends)
    return low, high


def _draw_worms(axes: Axes, lines: list[_Line], across: Scale, up: Scale, rows: int, colours: Sequence[str]) -> None:
    """The lines of a flow's latents upon the band of a single one."""
    ranks = (np.arange(rows) + 0.5) / rows
    ranks = ranks[:: max(1, rows // 2000)]
    at = ndtri(ranks)
    low, high = _band(rows, ranks)
    x = across.positions(at)
    axes.fill_between(x, up.positions(low - at), up.positions(high - at), color=BAND, linewidth=0, zorder=0)
    axes.axhline(0.5, color="#999999", linewidth=0.6, zorder=1)
    for number, line in reversed(list(enumerate(lines))):
        named = number < len(colours) and line.worst > 1
        colour, width = (colours[number], 1.5) if named else (LINES, 0.9)
        axes.plot(
            across.positions(line.at), np.clip(up.positions(line.gap), -9, 9), color=colour, linewidth=width, zorder=2
        )
    axes.set(xlim=(0, 1), ylim=(0, 1))


def _draw_distances(axes: Axes, scores: LatentScores) -> None:
    """Histograms of the distances of rows and of draws from the middle, per latent that is observed."""
    both = [_distances(each) for each in (scores.base, scores.rows)]
    high = max(float(np.quantile(each, 0.998)) for each in both if len(each)) * 1.1
    scale = Scale(Column("distance"), low=0.0, high=high)
    edges = np.linspace(0, 1, BINS + 1)
    tops = [heights(scale.positions(each), BINS) for each in both]
    axes.stairs(tops[0], edges, fill=True, color=PALE, linewidth=0)
    axes.stairs(tops[1], edges, color=DATA, linewidth=1.2)
    axes.set_ylim(0, 1.08 * max(float(top.max()) for top in tops))
    axes.spines["left"].set_visible(False)
    label_x(axes, below(scale, WIDTHS[1]).ticks)


def _distances(scores: Rows) -> Rows:
    """Return the root of the mean square of the scores that are observed, of each row that has any, (n,)."""
    present = ~np.isnan(scores).all(axis=1)
    return np.asarray(np.sqrt(np.nanmean(np.square(scores[present]), axis=1)))


def _said(density: Density, flows: Sequence[FlowDensity], lines: list[list[_Line]]) -> tuple[str, ...]:
    said = []
    flow = flows[0].joint.flow
    assert flow is not None
    said.append(
        "Each latent's rank among draws of the base, as a normal's quantile; so the base"
        f" ({_spaced(type(flow.base).__name__)}) need not be normal itself."
    )
    off = [[line.name for line in own if line.worst > 1] for own in lines]
    if len(flows) == 1:
        count = len(lines[0])
        if off[0]:
            said.append(
                f"Farther from the base than chance makes it: {words.listed(off[0], len(COLOURS))}, of {count}."
            )
        else:
            said.append(f"{'All' if count > 1 else 'The'} {count} latent{'s' * (count != 1)}: no farther than chance.")
    elif isinstance(density, Ensemble) and len(flows) < len(density.members):
        said.append(f"The {len(flows)} heaviest of {len(density.members)} flows.")
    return tuple(said)


def _spaced(name: str) -> str:
    """Return a class's name as words."""
    return "".join(f" {c.lower()}" if c.isupper() else c for c in name).strip()
