"""The density itself, of a model of one or two continuous columns: as a curve or a map, with the data upon it."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from numpy.typing import NDArray

from flowcli.errors import UsageError
from flowcli.evaluation.plots import notes, words
from flowcli.evaluation.plots.labels import below, beside
from flowcli.evaluation.plots.panels import bins_for, draw_points, heights, points_for
from flowcli.evaluation.plots.scale import Scale
from flowcli.evaluation.plots.sheet import (
    DATA,
    INK,
    LABEL,
    LABEL_HEIGHT,
    POINT,
    SAMPLES,
    SMALL,
    Heading,
    Key,
    Room,
    Sheet,
    label_x,
    label_y,
    name_below,
    name_left,
    tick_room,
    write,
)
from flowcli.evaluation.plots.theme import unaffected
from flowcli.model import Density
from flowcli.random import Stream, numpy_generator
from flowcli.table import Schema

Rows = NDArray[np.float64]

SIDE = 4.4  # inches of a map
GRID, CURVE = 160, 600  # points in each direction of a map, and of a curve
DEEPEST = 10.0  # nats below the densest point: e^-10 of it is a 20,000th
COLOURS = LinearSegmentedColormap.from_list(
    "blues", ["#FFFFFF", "#EAF2F8", "#B3D1E6", "#6AA7CE", "#2C7FB8", "#10497C", "#041F3A"]
)
_BAR = 0.14  # inches


@unaffected
def density_map(
    density: Density,
    rows: Rows | None,
    *,
    samples: Rows | None = None,
    model: str = "",
    total: int | None = None,
    seed: int = 0,
) -> Figure:
    """Draw the density of a model of one or two continuous columns, with the data upon it.

    Colours are log-densities, so that what the model does between and beyond the data can be seen, too. Of a column on
    a logarithmic axis it is the density of the logarithm that is drawn, so that areas are what they look like. Where
    cells may be missing, or a number has a probability of its own, it is the density of the other rows.

    Args:
        density: The model.
        rows: Data (N, C), or ``None``.
        samples: Draws of the model (M, C), for the axes where there are no data.
        model: Its name, for the heading.
        total: How many rows there are, if ``rows`` are some of them.
        seed: Of the points in the cells of rounded numbers.

    Returns:
        The picture.

    Raises:
        UsageError: The model is one of other columns.
    """
    schema = density.schema
    positions = _continuous(schema)
    groups = [group for group in (samples, rows) if group is not None and len(group)]
    if not groups:
        groups = [density.sample(1000, seed=seed)]
    scales = [Scale.of(schema.columns[p], *(group[:, p] for group in groups)) for p in positions]
    if len(positions) == 1:
        return _curve(density, rows, positions[0], scales[0], model, total, seed)
    return _map(density, rows, positions, scales, model, total, seed)


def _continuous(schema: Schema) -> list[int]:
    """Return the one or two columns of a model that have a density."""
    varying = [p for p, c in enumerate(schema.columns) if c.kind != "constant" or c.subtracted_columns]
    plain = [
        p
        for p in varying
        if schema.columns[p].continuous and not (schema.columns[p].given or schema.columns[p].subtracted_columns)
    ]
    if len(plain) != len(varying) or len(plain) not in (1, 2):
        raise UsageError(
            "the density itself can be drawn for models of one or two continuous columns, and this is one of"
            f" {len(varying)} column{'s' * (len(varying) != 1)}"
            f"{'' if len(plain) == len(varying) else f', {len(plain)} of them continuous and not given'}"
        )
    return plain


def _log_density(density: Density, positions: list[int], scales: list[Scale], at: Rows, seed: int) -> Rows:
    """Return the log-density (B,) per unit of the axes, at points (B, len(places)) between 0 and 1."""
    values = np.empty((len(at), len(density.schema.columns)))
    for index, column in enumerate(density.schema.columns):
        values[:, index] = np.nan if column.value is None else column.value
    log_slope = np.zeros(len(at))
    for index, scale, own in zip(positions, scales, at.T, strict=True):
        column, shown = density.schema.columns[index], scale.values(own)
        values[:, index] = shown if column.step is None else np.clip(column.nearest(shown), *column.support)
        log_slope += np.log(scale.high - scale.low)
        if scale.log:
            log_slope += np.log(np.log(10) * shown)
    return density.log_prob(values, seed=seed) + log_slope


def _curve(
    density: Density, rows: Rows | None, index: int, scale: Scale, model: str, total: int | None, seed: int
) -> Figure:
    width, height = 5.4, 2.8
    at = (np.arange(CURVE) + 0.5) / CURVE
    curve = np.exp(_log_density(density, [index], [scale], at[:, None], seed))
    under = below(scale, width)
    keys = [Key(SAMPLES, "density of the model", "line")]
    if rows is not None:
        keys.append(Key("#F1C9AD", f"the data, {notes.counted(len(rows), total)}"))
    sheet = Sheet(
        1,
        1,
        (width, height),
        Room(left=0.1, right=0.1, bottom=under.height + LABEL_HEIGHT),
        Heading(notes.titled(model, "density"), tuple(keys), (_measure(density, [scale], rows, [index]),)),
    )
    axes = sheet.panel(0, 0)
    axes.spines["left"].set_visible(False)
    top = float(curve[np.isfinite(curve)].max(initial=0.0))
    if rows is not None:
        own = scale.positions(rows[:, index], numpy_generator(seed, Stream.JITTER))
        # As the density is one of all rows, so is the histogram.
        bars = heights(own, bins_for(max(1, len(rows)))) * float((~np.isnan(own)).mean())
        axes.stairs(bars, np.linspace(0, 1, len(bars) + 1), fill=True, color="#F1C9AD", linewidth=0)
        top = max(top, float(bars.max()))
    axes.plot(at, curve, color=SAMPLES, linewidth=1.5)
    axes.set_ylim(0, 1.06 * (top or 1.0))
    label_x(axes, under.ticks)
    name_below(axes, words.fitted(scale.column.name, LABEL, width / POINT), under.height, height)
    return sheet.figure


def _map(
    density: Density,
    rows: Rows | None,
    positions: list[int],
    scales: list[Scale],
    model: str,
    total: int | None,
    seed: int,
) -> Figure:
    middles = (np.arange(GRID) + 0.5) / GRID
    at = np.stack(np.meshgrid(middles, middles, indexing="xy"), axis=-1).reshape(-1, 2)
    found = _log_density(density, positions, scales, at, seed).reshape(GRID, GRID)
    peak = float(found[np.isfinite(found)].max(initial=-1e300))
    below_peak = np.clip(np.nan_to_num(found - peak, nan=-DEEPEST, neginf=-DEEPEST), -DEEPEST, 0.0)
    under, left = below(scales[0], SIDE), beside(scales[1], SIDE)
    ticks = tick_room(text for _, text in left)
    points = points_for(SIDE, SIDE)
    said = [
        f"Colours are log-densities, down to {DEEPEST:g} nats below the peak."
        f" {_measure(density, scales, rows, positions)}"
    ]
    keys: tuple[Key, ...] = (Key("#2C7FB8", "density of the model"),)
    if rows is not None:
        keys += (Key(DATA, f"the data, {notes.counted(len(rows), total)}", "dot"),)
        if len(rows) > points:
            said.append(f"Points are {points:,} of the rows, at random.")
    sheet = Sheet(
        1,
        2,
        ([SIDE, _BAR], SIDE),
        Room(
            left=ticks + LABEL_HEIGHT + 0.05,
            right=0.35,
            bottom=under.height + LABEL_HEIGHT,
            across=0.15,
        ),
        Heading(notes.titled(model, "density"), keys, tuple(said)),
    )
    axes = sheet.panel(0, 0)
    axes.imshow(
        below_peak,
        extent=(0, 1, 0, 1),
        origin="lower",
        aspect="auto",
        cmap=COLOURS,
        vmin=-DEEPEST,
        vmax=0.0,
        interpolation="bilinear",
        zorder=0,
    )
    if rows is not None:
        order = numpy_generator(seed, Stream.POINTS_ORDER).permutation(len(rows))[:points]
        random = numpy_generator(seed, Stream.JITTER)
        draw_points(
            axes, *(scale.positions(rows[order, p], random) for p, scale in zip(positions, scales, strict=True))
        )
    label_x(axes, under.ticks)
    label_y(axes, left)
    across, up = (words.fitted(scale.column.name, LABEL, SIDE / POINT) for scale in scales)
    name_below(axes, across, under.height, SIDE)
    name_left(axes, up, ticks, SIDE)
    _draw_bar(sheet.panel(0, 1))
    return sheet.figure


def _draw_bar(axes: Axes) -> None:
    """What colours stand for, beside a map."""
    ramp = np.linspace(0, 1, 128)[:, None]
    axes.imshow(ramp, extent=(0, 1, 0, 1), origin="lower", aspect="auto", cmap=COLOURS, zorder=0)
    for part in np.linspace(0, 1, 6):
        text = words.number(DEEPEST * (part - 1), 2)
        write(axes, 1.35, float(part), text, SMALL, color=INK, ha="left", va="center")


def _measure(density: Density, scales: list[Scale], rows: Rows | None, positions: list[int]) -> str:
    """Return what the density is one of, beside the numbers themselves."""
    parts = []
    if any(scale.log for scale in scales):
        parts.append("per decade on a logarithmic axis")
    columns = [density.schema.columns[index] for index in positions]
    if any(column.atoms or column.has_gaps for column in columns):
        parts.append("of the rows whose cells are numbers with a density")
    lines = (
        [] if rows is None else [notes.beside_name(s, rows[:, p], None) for s, p in zip(scales, positions, strict=True)]
    )
    for scale, own in zip(scales, lines, strict=False):
        parts += [f"{words.drawable(scale.column.name)}: {line}" for line in own]
    return "Areas are probabilities" + "".join(f", {part}" for part in parts) + "."
