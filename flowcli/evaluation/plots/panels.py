"""What stands in a panel: one column's samples and data, or two columns'. All axes go from 0 to 1."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PatchCollection
from matplotlib.patches import Rectangle
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, gaussian_filter1d

from flowcli.evaluation.plots.scale import Scale
from flowcli.evaluation.plots.sheet import DATA, DPI, PALE, SAMPLES
from flowcli.random import Stream, numpy_generator

Rows = NDArray[np.float64]

POINTS = 600  # in a square inch: more of them would be a blot
GRID = 72  # cells of a density's grid in each direction
SHARES = (0.95, 0.8, 0.5, 0.2)  # of the samples that lie within the lines of a density
SHADES = ("#DCEAF4", "#B3D1E6", "#7FB2D5", "#3F8FC0")
FEWEST = 60  # samples that make a density


def points_for(width: float, height: float) -> int:
    """Return how many points a panel of that size, in inches, has room for."""
    return int(np.clip(100 * round(POINTS * width * height / 100), 400, 3000))


@dataclass(frozen=True)
class AxisPositions:
    """The positions of a column's values along its axis, from 0 to 1.

    Attributes:
        scale: The axis.
        samples: Of the samples (M,).
        rows: Of the data (N,), if there are any.
        points: How many of the data are drawn as points.
    """

    scale: Scale
    samples: Rows
    rows: Rows | None
    points: int

    @classmethod
    def of(cls, scale: Scale, samples: Rows, rows: Rows | None, seed: int, points: int = 0) -> AxisPositions:
        """Return the places of samples (M,) and data (N,), with rounded numbers spread over their cells."""
        random = numpy_generator(seed, Stream.JITTER)
        return cls(
            scale, scale.positions(samples, random), None if rows is None else scale.positions(rows, random), points
        )


def shares(scale: Scale, positions: Rows) -> Rows:
    """Return the share of all cells, missing ones too, that has each level, (levels,)."""
    levels = positions[~np.isnan(positions)] * scale.count - 0.5
    counts = np.bincount(np.rint(levels).astype(np.int64), minlength=scale.count)
    return np.asarray(counts / max(1, len(positions)))


def heights(positions: Rows, bins: int) -> Rows:
    """Return the density of the cells that are observed, along the axis, in so many bins, (bins,)."""
    counts = np.histogram(positions, bins=bins, range=(0.0, 1.0))[0]
    return np.asarray(counts * bins / max(1, np.count_nonzero(~np.isnan(positions))))


def bins_for(count: int) -> int:
    """Return how many bins so many values fill well."""
    return int(np.clip(2 * count ** (1 / 3), 8, 40))


def draw_one(axes: Axes, column: AxisPositions) -> None:
    """The samples of a column as an area, the data as a line around it; of levels, bars side by side."""
    (_draw_levels if column.scale.count else _draw_numbers)(axes, column)


def _draw_levels(axes: Axes, column: AxisPositions) -> None:
    groups = [(SAMPLES, column.samples)] + ([] if column.rows is None else [(DATA, column.rows)])
    tops = [shares(column.scale, positions) for _, positions in groups]
    slot = 1 / column.scale.count
    width = 0.76 * slot / len(groups)
    for number, ((colour, _), top) in enumerate(zip(groups, tops, strict=True)):
        left = (np.arange(column.scale.count) + 0.12) * slot + number * width
        axes.bar(left, top, width, align="edge", color=PALE if colour == SAMPLES else colour, linewidth=0)
    axes.set_ylim(0, 1.08 * max(max(float(top.max()) for top in tops), 1e-9))


def _draw_numbers(axes: Axes, column: AxisPositions) -> None:
    groups = [column.samples] if column.rows is None else [column.samples, column.rows]
    sizes = [int(np.count_nonzero(~np.isnan(positions))) for positions in groups]
    bins = bins_for(min([size for size in sizes if size], default=1))  # the same for both
    tops = [0.0]
    for number, (positions, size) in enumerate(zip(groups, sizes, strict=True)):
        if size:
            top = heights(positions, bins)
            edges = np.linspace(0, 1, bins + 1)
            axes.stairs(top, edges, fill=number == 0, color=PALE if number == 0 else DATA, linewidth=1.1)
            tops.append(float(top.max()))
    axes.set_ylim(0, 1.08 * (max(tops) or 1.0))


def draw_two(axes: Axes, across: AxisPositions, up: AxisPositions, seed: int) -> None:
    """The samples of two columns as a density, the data as points upon it; of levels, what there is instead."""
    if across.scale.count and up.scale.count:
        _draw_table(axes, across, up)
    elif across.scale.count:
        _draw_strips(axes, across, up, seed, upright=True)
    elif up.scale.count:
        _draw_strips(axes, up, across, seed, upright=False)
    else:
        _draw_density(axes, across, up)
        if across.rows is not None and up.rows is not None:
            draw_points(axes, across.rows[: up.points], up.rows[: up.points])


def draw_points(axes: Axes, x: Rows, y: Rows, *, colour: str = DATA) -> None:
    """Draw those of some points (N,) that lie within the panel, the fainter the more there are."""
    inside = (x >= 0) & (x <= 1) & (y >= 0) & (y <= 1)
    x, y = x[inside], y[inside]
    box = axes.get_window_extent()
    thin = np.sqrt(box.width * box.height / DPI**2 / max(1, len(x)))
    faint = float(np.clip(11 * thin, 0.3, 0.85))
    size = float(np.clip(60 * thin, 1.0, 8.0))
    axes.scatter(x, y, s=size, c=colour, alpha=faint, linewidths=0, rasterized=True, zorder=3)


def _draw_density(axes: Axes, across: AxisPositions, up: AxisPositions) -> None:
    x, y = across.samples, up.samples
    inside = (x >= 0) & (x <= 1) & (y >= 0) & (y <= 1)
    x, y = x[inside], y[inside]
    if len(x) < FEWEST:
        draw_points(axes, x, y, colour=SAMPLES)
        return
    counts = np.histogram2d(x, y, bins=GRID, range=((0, 1), (0, 1)))[0]
    deviation = float(np.clip(0.1 * GRID * len(x) ** (-1 / 6), 1.0, 3.0))
    edges = ["wrap" if each.scale.cyclic else "nearest" for each in (across, up)]
    smooth = gaussian_filter(counts, deviation, mode=edges)
    ordered = np.sort(smooth, axis=None)[::-1]
    mass = np.cumsum(ordered) / ordered.sum()
    levels = [float(ordered[min(int(np.searchsorted(mass, share)), len(ordered) - 1)]) for share in SHARES]
    levels = list(np.maximum.accumulate(np.array(levels) * (1 + 1e-9 * np.arange(len(levels)))))
    middles = (np.arange(GRID) + 0.5) / GRID
    middles[0], middles[-1] = 0.0, 1.0
    axes.contourf(middles, middles, smooth.T, [*levels, float("inf")], colors=SHADES, zorder=1)
    axes.contour(middles, middles, smooth.T, levels[:1], colors=[SAMPLES], linewidths=0.6, zorder=2)


def _draw_strips(axes: Axes, levels: AxisPositions, numbers: AxisPositions, seed: int, *, upright: bool) -> None:
    """For each level the numbers' samples as an area that is the wider the more there are, data as points in it."""
    count = levels.scale.count
    random = numpy_generator(seed, Stream.STRIP)
    bins = 48
    middles = (np.arange(bins) + 0.5) / bins
    for level in range(count):
        own = _own(numbers.samples, levels.samples, level, count)
        middle = (level + 0.5) / count
        if len(own) >= 2:
            edges = "wrap" if numbers.scale.cyclic else "nearest"
            area = gaussian_filter1d(heights(own, bins), float(np.clip(8 * len(own) ** -0.2, 1.0, 6.0)), mode=edges)
            half = 0.42 / count * area / max(float(area.max()), 1e-12)
            fill = axes.fill_betweenx if upright else axes.fill_between
            fill(middles, middle - half, middle + half, color=PALE, linewidth=0, zorder=1)
    if levels.rows is None or numbers.rows is None:
        return
    across, up = levels.rows[: levels.points], numbers.rows[: levels.points]
    across = across + (random.random(len(across)) - 0.5) * 0.5 / count
    draw_points(axes, *((across, up) if upright else (up, across)))


def _own(numbers: Rows, levels: Rows, level: int, count: int) -> Rows:
    """Return the places of numbers beside one level."""
    with np.errstate(invalid="ignore"):
        return numbers[(np.abs(levels - (level + 0.5) / count) < 0.25 / count) & ~np.isnan(numbers)]


def _draw_table(axes: Axes, across: AxisPositions, up: AxisPositions) -> None:
    """For each pair of levels an area as large as its share: of the samples, and around it of the data."""
    found = [_joint(across.samples, up.samples, across.scale.count, up.scale.count)]
    if across.rows is not None and up.rows is not None:
        found.append(_joint(across.rows, up.rows, across.scale.count, up.scale.count))
    largest = max(float(each.max()) for each in found) or 1.0
    slots = 1 / across.scale.count, 1 / up.scale.count
    for number, table in enumerate(found):
        boxes = []
        for (i, j), share in np.ndenumerate(table):
            if share > 0:
                edge = 0.9 * np.sqrt(share / largest)
                corner = ((i + 0.5 - edge / 2) * slots[0], (j + 0.5 - edge / 2) * slots[1])
                boxes.append(Rectangle(corner, edge * slots[0], edge * slots[1]))
        inside, around = (PALE, "none") if number == 0 else ("none", DATA)
        axes.add_collection(
            PatchCollection(boxes, linewidths=1.0, zorder=1 + number, facecolor=inside, edgecolor=around)
        )


def _joint(x: Rows, y: Rows, across: int, up: int) -> Rows:
    """Return the shares of pairs of levels, (across, up)."""
    present = ~np.isnan(x) & ~np.isnan(y)
    found = np.zeros((across, up))
    pairs = (np.rint(v[present] * n - 0.5).astype(np.int64) for v, n in ((x, across), (y, up)))
    np.add.at(found, tuple(pairs), 1.0)
    return found / max(1, len(x))
