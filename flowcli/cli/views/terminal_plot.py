"""A quick look over ssh: each column's samples beside the data as a table of bars, drawn by rich."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from itertools import pairwise

import click
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from flowcli.cli.plot_inputs import PlotInputs
from flowcli.evaluation.plots import words
from flowcli.evaluation.plots.column_selection import telling_pair
from flowcli.evaluation.plots.scale import Scale
from flowcli.text import literal

Rows = NDArray[np.float64]

WIDEST, NARROWEST = 120, 60  # columns of a terminal that are made use of
LABEL, SHARE = 20, 6
BINS, BINS_OF_PAIR = 8, 5
COLOURS = {"data": "yellow", "samples": "cyan"}


def print_terminal_plot(inputs: PlotInputs) -> None:
    """Print bars for each column, and the shares of the two columns that say the most of each other."""
    width = shutil.get_terminal_size((80, 24)).columns
    console = Console(width=min(max(width, NARROWEST), WIDEST))
    click.echo(terminal_plot(inputs, console), nl=False, color=console.is_terminal)


def terminal_plot(inputs: PlotInputs, console: Console) -> str:
    """Return what is printed on a console: of its width, in its encoding and with its colours, if it has any."""
    schema, names = inputs.density.schema, inputs.columns or inputs.density.schema.names
    positions = [schema.names.index(name) for name in names]
    samples = inputs.samples
    groups = {"samples": samples} if inputs.rows is None else {"data": inputs.rows, "samples": samples}
    scales = {p: Scale.of(schema.columns[p], *(group[:, p] for group in groups.values())) for p in positions}
    table = _table("column")
    for name in groups:
        table.add_column(name, ratio=1)
        table.add_column(width=SHARE, justify="right")
    for p in positions:
        _add_column(table, scales[p], {name: group[:, p] for name, group in groups.items()}, console.encoding)
    numbers = [p for p in positions if not scales[p].count]
    with console.capture() as printed:
        console.print(table)
        if len(numbers) >= 2:
            across, up = telling_pair(next(iter(groups.values())), schema, numbers)
            both = {name: group[:, [across, up]] for name, group in groups.items()}
            console.print(_pair(scales[across], scales[up], both, console.encoding))
    return "".join(f"{line.rstrip()}\n" for line in printed.get().splitlines())


def _table(corner: str | Text) -> Table:
    """Return a table without lines, whose first column has labels."""
    table = Table(box=None, expand=True, pad_edge=False, header_style="")
    table.add_column(corner, width=LABEL, overflow="fold")
    return table


def _add_column(table: Table, scale: Scale, groups: Mapping[str, Rows], encoding: str) -> None:
    """Add the rows of a column: its name, its extremes, and for each bin or level a bar and the share of all cells."""
    shares = {name: _counts(scale, values) / max(1, len(values)) for name, values in groups.items()}
    most = max(float(share.max()) for share in shares.values()) or 1.0
    table.add_row(_text(scale.column.name, encoding))
    if not scale.count:
        table.add_row("least, median, most", *(cell for v in groups.values() for cell in (_extremes(v), "")))
    for number, label in enumerate(_labels(scale, BINS)):
        cells: list[ProgressBar | str] = []
        for name, share in shares.items():
            colour, value = COLOURS[name], float(share[number])
            cells += [ProgressBar(most, value, complete_style=colour, finished_style=colour), words.share(value)]
        table.add_row(_text(label, encoding), *cells)
    missing = [float(np.isnan(values).mean()) if len(values) else 0.0 for values in groups.values()]
    if any(missing):
        table.add_row("missing", *(cell for share in missing for cell in ("", words.share(share))))
    table.add_row()


def _extremes(values: Rows) -> str:
    """Return the least, the middle and the largest value."""
    present = values[~np.isnan(values)]
    return ", ".join(words.number(float(f(present))) for f in (np.min, np.median, np.max)) if len(present) else ""


def _pair(across: Scale, up: Scale, groups: Mapping[str, Rows], encoding: str) -> Table:
    """Return the shares of rows (N, 2) in the cells of a grid over two columns, each group's below the other's."""
    table = _table(_text(f"{up.column.name} by {across.column.name}", encoding))
    table.add_column("")
    for label in _labels(across, BINS_OF_PAIR):
        table.add_column(label, ratio=1, justify="right", overflow="fold")
    grids = {name: _grid(across, up, rows) for name, rows in groups.items()}
    for number, label in reversed(list(enumerate(_labels(up, BINS_OF_PAIR)))):
        for index, (name, grid) in enumerate(grids.items()):
            cells = (Text(words.share(float(share)), COLOURS[name]) for share in grid[number])
            table.add_row("" if index else label, name, *cells)
    return table


def _grid(across: Scale, up: Scale, rows: Rows) -> Rows:
    """Return the shares of rows (N, 2) by the second column's bin and the first one's."""
    present = rows[~np.isnan(rows).any(axis=1)]
    bins = BINS_OF_PAIR * _bins(up, present[:, 1], BINS_OF_PAIR) + _bins(across, present[:, 0], BINS_OF_PAIR)
    counts = np.bincount(bins, minlength=BINS_OF_PAIR**2) / max(1, len(rows))
    return counts.reshape(BINS_OF_PAIR, BINS_OF_PAIR)


def _counts(scale: Scale, values: Rows) -> NDArray[np.int64]:
    """Return how many values there are in each bin, or of each level."""
    bins = scale.count or BINS
    return np.bincount(_bins(scale, values[~np.isnan(values)], bins), minlength=bins)


def _bins(scale: Scale, values: Rows, bins: int) -> NDArray[np.int64]:
    """Return the bin of each value; the first and the last one have what lies beyond the scale's ends, too."""
    return np.clip(np.floor(scale.positions(values) * bins), 0, bins - 1).astype(np.int64)


def _labels(scale: Scale, bins: int) -> Iterator[str]:
    """Yield what the bins, or the levels, are called."""
    if scale.count:
        yield from scale.labels
        return
    edges = [float(edge) for edge in scale.values(np.arange(1, bins) / bins)]
    texts = [words.number(edge) for edge in edges] if scale.log else words.numbers(edges)
    yield f"below {texts[0]}"
    yield from (f"{low} to {high}" for low, high in pairwise(texts))
    yield f"from {texts[-1]}"


def _text(text: str, encoding: str) -> Text:
    """Return a text, no markup, with what a terminal might obey or the encoding has not written out."""
    return Text(literal(text).encode(encoding, "backslashreplace").decode(encoding))
