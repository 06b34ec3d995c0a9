"""The pictures of a model: the rows and draws that they need, each got once, and the files that they go to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from flowcli.atomic import file_errors, replacing
from flowcli.cli.signals import until_asked_to_end
from flowcli.errors import UsageError
from flowcli.evaluation import plots
from flowcli.model import Density, Ensemble
from flowcli.random import Stream, numpy_generator
from flowcli.table import ReadOptions
from flowcli.table.column_selection import selected
from flowcli.table.io.reservoir import Subset, read_subset
from flowcli.text import literal

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Rows = NDArray[np.float64]

MOST_ROWS = 20_000  # of the data that are looked at
MOST_IN_CORNER = 16  # columns that somebody may name
# Where the model is conditioned on columns, each row is compared with draws of its own.
ROWS_WITH_OWN_DRAWS, OWN_DRAWS = 1000, 49
LATENT_ROWS = 4000


class PlotInputs:
    """What pictures are drawn from.

    Args:
        density: The model.
        name: What it is called.
        samples: How many rows to draw.
        seed: Of all random numbers.
        processes: How many may draw.
        say: Called with what is worth saying.

    Attributes:
        columns: The names of the columns that were asked for, or ``None``.
        data: The rows to compare with, if there are any.
    """

    def __init__(
        self, density: Density, name: str, samples: int, seed: int, processes: int, say: Callable[[str], None]
    ) -> None:
        self.density, self._name, self._seed, self._say = density, name, seed, say
        self._count, self._processes = samples, processes
        self.columns: list[str] | None = None
        self.data: Subset | None = None

    def choose(self, columns: Sequence[str] | None, *, corner: bool) -> None:
        """Show these columns alone.

        Raises:
            UsageError: There is no such column, or there are too many for a corner.
        """
        if columns is None:
            return
        selected(self.density.schema.names, columns, ())
        self.columns = list(dict.fromkeys(columns))
        if corner and len(self.columns) > MOST_IN_CORNER:
            raise UsageError(f"--columns: a corner has room for {MOST_IN_CORNER} columns, not {len(self.columns)}")

    def read(self, source: str, options: ReadOptions, bad_rows: Literal["refuse", "nan"]) -> None:
        """Read the rows to compare with: of many, some at random.

        Raises:
            DataError: Rows that cannot be used.
        """
        columns = self.density.schema.columns
        self.data = read_subset(source, columns, MOST_ROWS, self._seed, options, notice=self._say, bad_rows=bad_rows)
        if self.data.bad:
            self._say(f"left out {self.data.bad:,} row{'s' * (self.data.bad != 1)} that cannot be used")

    @property
    def rows(self) -> Rows | None:
        """The rows (N, C) to compare with, if there are any."""
        return None if self.data is None else self.data.values

    @cached_property
    def samples(self) -> Rows:
        """Draws of the model (M, C), where it is conditioned on columns given those of the rows, in turn."""
        given = self._given()
        return self._drawn(self._count, None if given is None else given[np.arange(self._count) % len(given)])

    def write(self, files: Mapping[str, Path], wanted: Sequence[str]) -> None:
        """Draw the pictures and write them, each file whole or not at all.

        Args:
            files: For each picture its file; or for nothing the one that has them all.
            wanted: The pictures.

        Raises:
            UsageError: The only picture cannot be drawn of this model.
        """
        figures: dict[str, Figure] = {}
        for name in until_asked_to_end(wanted):
            try:
                figures[name] = self._figure(name)
            except UsageError as error:
                if len(wanted) == 1:
                    raise
                self._say(f"left out {name}: {error}")
        if not figures:
            raise UsageError("there is no picture that can be drawn of this model without more; give DATA")
        for name, path in files.items():
            own = list(figures.values()) if not name else [figures[name]] if name in figures else []
            if not own:
                continue
            with replacing(path) as file, file_errors(str(path)):
                if len(wanted) > 1 and not name:
                    plots.write_pages(own, file)
                else:
                    plots.write_picture(own[0], file, _format(path))
            if name:
                self._say(f"wrote {literal(str(path))}")

    def _figure(self, name: str) -> Figure:
        """One picture."""
        density, schema, rows, seed = self.density, self.density.schema, self.rows, self._seed
        model, total = self._name, None if self.data is None else self.data.total
        match name:
            case "corner":
                return plots.corner(
                    self.samples, rows, schema, columns=self.columns, model=model, total=total, seed=seed
                )
            case "marginals":
                return plots.marginals(
                    self.samples, rows, schema, columns=self.columns, model=model, total=total, seed=seed
                )
            case "training":
                flows = density.members if isinstance(density, Ensemble) else [density]
                return plots.training_curve(*(flow.summary for flow in flows), model=model)
            case "density":
                samples = self.samples if self._given() is None else None
                return plots.density_map(density, rows, samples=samples, model=model, total=total, seed=seed)
        if rows is None:
            raise UsageError("it compares the model with rows: give DATA")
        if name == "latents":
            return plots.latents(density, self._some(LATENT_ROWS), model=model, total=total, seed=seed)
        if self._given() is None:
            own, samples = rows, self.samples
        else:
            own = self._some(ROWS_WITH_OWN_DRAWS)
            drawn = self._drawn(len(own) * OWN_DRAWS, np.repeat(own, OWN_DRAWS, axis=0))
            samples = drawn.reshape(len(own), OWN_DRAWS, -1)
        return plots.calibration(own, samples, schema, columns=self.columns, model=model, total=total, seed=seed)

    def _some(self, most: int) -> Rows:
        """At most so many of the rows, at random."""
        assert self.rows is not None
        order = numpy_generator(self._seed, Stream.PLOT_ROWS).permutation(len(self.rows))[:most]
        return self.rows[np.sort(order)]

    def _given(self) -> Rows | None:
        """Return the rows with what the model is conditioned on, if it is.

        Raises:
            UsageError: It is, and there are no rows.
        """
        names = [column.name for column in self.density.schema.columns if column.given]
        if not names:
            return None
        if self.rows is None:
            raise UsageError(f"the model is conditioned on {', '.join(names)}: give DATA, whose rows have values of it")
        return self.rows

    def _drawn(self, rows: int, given: Rows | None) -> Rows:
        with self.density.pool(self._processes) as pool:
            blocks = list(until_asked_to_end(self.density.pooled_sample(rows, pool, seed=self._seed, given=given)))
        return np.concatenate(blocks)


def _format(path: Path) -> Literal["png", "svg", "pdf"]:
    match path.suffix.lower():
        case ".png":
            return "png"
        case ".svg":
            return "svg"
        case _:
            return "pdf"
