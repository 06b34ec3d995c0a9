"""What a person sees while a fit runs, and when it ends; all of it on standard error."""

from __future__ import annotations

import shlex
import sys
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from flowcli.cli.say import say
from flowcli.text import literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    import numpy as np
    from numpy.typing import NDArray
    from rich.progress import Progress

    from flowcli.model import Density
    from flowcli.table import Table
    from flowcli.training import Begun, Ended, Evaluation, Event, Fitting, Series, Tick


MOST_SHOWN = 40  # columns of which is said what they are taken for
WIDEST = 40
WIDEST_NAME = 30  # of what was tried


class FitProgress:
    """A progress display on a terminal, a plain line an evaluation elsewhere, nothing at all when quiet.

    Args:
        table: The rows.
        quiet: Whether to show nothing.
        time_limit: Seconds after which all ends, steps left or not.
    """

    def __init__(self, table: Table, *, quiet: bool, time_limit: float | None = None) -> None:
        self._table, self._quiet, self._time_limit = table, quiet, time_limit
        self._progress: Progress | None = None
        self._last: Evaluation | None = None
        self._fit: Begun | None = None
        self._before = 0.0  # seconds of the fits that ended

    def __enter__(self) -> FitProgress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _begin(self, begun: Begun) -> None:
        """Say what is fitted; the first time, what the columns are taken for, too."""
        first, self._fit, self._last = self._fit is None, begun, None
        fitting = begun.fitting
        columns = len(fitting.encoder.modelled.indices)
        parameters = sum(p.numel() for p in fitting.loop.density.parameters())
        what = f"{describe(fitting)}, {parameters:,} parameters"
        if first:
            for line in shown_decisions(self._table):
                self._say(line)
            self._say(
                f"{len(fitting.train):,} rows to fit, {len(fitting.held_out):,} held out, {columns}"
                f" column{'s' * (columns != 1)}{f'; {what}' if begun.fits == 1 else ''}"
            )
        if begun.fits != 1:
            self._say(f"{begun.name}: {what}")
        if first and sys.stderr is not None and sys.stderr.isatty():
            progress = _progress()
            if progress.console.is_dumb_terminal:  # one that cannot rewrite a line
                return
            self._progress = progress
            self._task = progress.add_task("", total=1.0, words="starting")
            progress.start()

    def _end(self, ended: Ended) -> None:
        """Say how a fit of several ended."""
        finished = ended.finished
        self._before += finished.seconds
        if ended.fits == 1:
            return
        if finished.nats is None:
            self._say(f"{finished.name}: failed: {finished.outcome}")
            return
        star = "*" if ended.best else " "
        self._say(f"{finished.name}: held-out {finished.nats:.3f}{star} after {_clock(finished.seconds)}")

    def _say(self, text: str) -> None:
        """A line, above the display if there is one."""
        if self._progress is None:
            say(text)
            return
        with suppress(OSError, ValueError):
            self._progress.console.print(f"flowcli: {text}", markup=False, highlight=False)

    def show(self, event: Begun | Event | Ended) -> None:
        """Show where the fits stand."""
        from flowcli.training import Begun, Ended, Setback, Tick

        if self._quiet:
            return
        if isinstance(event, Begun):
            self._begin(event)
            return
        if isinstance(event, Ended):
            self._end(event)
            return
        if isinstance(event, Setback):
            self._say(
                f"the numbers went wrong at step {event.step:,}; back to {event.back_to:,} with half the learning rate"
            )
            return
        left = self._time_left(event)
        if isinstance(event, Tick):
            if self._progress is not None and self._last is not None:
                self._draw(event, _words(self._last) + left)
            return
        self._last = event
        if self._progress is None:
            say(f"step {event.step:,}/{event.steps:,}  {_words(event)}{left}")
            return
        self._draw(event, _words(event) + left)

    def _draw(self, event: Evaluation | Tick, words: str) -> None:
        assert self._fit is not None
        done = event.step / event.steps if event.steps else 1.0
        if self._fit.fits:
            done = (self._fit.number - 1 + done) / self._fit.fits
        if self._time_limit is not None:
            spent = min(1.0, (self._before + event.seconds) / self._time_limit)
            done = max(done, spent) if self._fit.fits else spent
        with suppress(OSError, ValueError):
            assert self._progress is not None
            self._progress.update(self._task, completed=done, words=words)

    def _time_left(self, event: Evaluation | Tick) -> str:
        """Return how long all of it will take at most, at the speed so far."""
        assert self._fit is not None
        limit = None if self._time_limit is None else max(0.0, self._time_limit - self._before - event.seconds)
        if not (event.step and self._fit.fits):
            return "" if limit is None or self._fit.fits else f" {_clock(limit)} left"
        whole = event.seconds / event.step * event.steps
        seconds = whole - event.seconds + whole * (self._fit.fits - self._fit.number)
        return f" {_clock(seconds if limit is None else min(seconds, limit))} left"

    def close(self) -> None:
        """Take the display away."""
        if self._progress is not None:
            # The terminal may have gone, which is no reason to lose a fit.
            with suppress(OSError, ValueError):
                self._progress.stop()
            self._progress = None

    def end(self, series: Series, density: Density, model: Path, *, all_rows: bool) -> None:
        """The summary: how good, how it compares, and what to do next.

        Args:
            series: The fits.
            density: What came of them, as the held-out rows judged it.
            model: Where it was written.
            all_rows: Whether what was written has seen the held-out rows since.
        """
        import numpy as np

        from flowcli.evaluation import simple_log_probs

        self.close()
        if self._quiet:
            return
        summary = density.summary
        train, held_out = series.fitting.train, series.fitting.held_out
        if "trials" in summary:
            for line in leaderboard(summary["trials"], summary["chosen"]):
                say(line)
        ours = density.log_prob(held_out.values)
        weights = np.ones(len(ours)) if held_out.weights is None else held_out.weights
        steps = summary["steps"]
        say(f"{summary['outcome']} after {steps:,} step{'s' * (steps != 1)}, {_clock(series.seconds)}")
        say(f"held-out log-density {_mean(ours, weights)} nats a row, on {len(ours):,} rows")
        for name, rival in simple_log_probs(train.values, held_out.values, density.schema, train.weights):
            gain = ours - rival
            if not np.isfinite(gain).all():  # values near the largest numbers are beyond a Gaussian
                continue
            better = np.average(gain, weights=weights) >= 0
            difference = f"{_mean(gain, weights)} less" if better else f"{_mean(-gain, weights)} more"
            say(f"{name} has {_mean(rival, weights)} there, {difference}")
            if not better:
                say(f"note: so {name} is the better model here; are there enough rows?")
        if all_rows:
            say("a mixture that no weights improved on was fitted to the held-out rows too, after they had judged it")
        path = shlex.quote(str(model))
        say(f"wrote {path}; next:")
        say(f"  flowcli logprob {path} NEW.csv --with-input")
        say(f"  flowcli sample {path} -n 1000")


def leaderboard(trials: Sequence[Mapping[str, Any]], chosen: str) -> list[str]:
    """Return what was tried, the best first, each config with its last and longest fit."""
    last = {trial["name"]: trial for trial in trials}
    order = sorted(last.values(), key=lambda each: (each["nats"] is None, -(each["nats"] or 0.0)))
    rows = [
        (
            _shortened(literal(each["name"])),
            "failed" if each["nats"] is None else f"{each['nats']:.3f}",
            "" if each["error"] is None else f"± {each['error']:.3f}",
            _clock(each["seconds"]),
            "" if each["nats"] is None else f"{each['parameters']:,}",
        )
        for each in order
    ]
    head = ("tried", "held-out", "", "time", "parameters")
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(5)]
    lines = [
        "  ".join(f"{cell:{alignment}{width}}" for cell, alignment, width in zip(row, "<><>>", widths, strict=True))
        for row in [head, *rows]
    ]
    return [*lines, f"chosen: {chosen}"]


def _shortened(name: str) -> str:
    """Return the end of a long name, which a path has its file in."""
    return name if len(name) <= WIDEST_NAME else f"…{name[1 - WIDEST_NAME :]}"


def describe(fitting: Fitting) -> str:
    """Return the architecture in a few words."""
    from collections import Counter

    joint = fitting.loop.density
    pieces = ["softmax"] if joint.codes is not None else []
    pieces += ["circular splines"] if joint.angles is not None else []
    flow = joint.flow
    if flow is None:
        return " + ".join(pieces)
    pieces += ["heavy tails"] if fitting.encoder.coordinates.tails is not None else []
    pieces += ["quantile map"] if fitting.encoder.coordinates.marginal is not None else []
    layers = Counter(_spaced(type(layer).__name__) for layer in flow.layers)
    pieces += [f"{count} {name}" if count > 1 else name for name, count in layers.items()]
    base = _spaced(type(flow.base).__name__)
    components = getattr(getattr(flow.base, "gaussians", None), "log_weights", None)
    if components is not None:
        base += f" of {len(components)}"
    return " + ".join([*pieces, base])


def _spaced(name: str) -> str:
    """Return a class's name as words: AutoregressiveMixture, autoregressive mixture."""
    if name.isupper():
        return name
    return "".join(f" {c.lower()}" if c.isupper() else c for c in name).strip()


def _progress() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

    return Progress(
        BarColumn(bar_width=16),
        TaskProgressColumn(),
        TextColumn("{task.fields[words]}", markup=False),
        console=Console(stderr=True),
    )


def _words(event: Evaluation) -> str:
    star = "*" if event.best else " "
    epoch = f"{event.epoch:.1f}" if event.epoch < 10 else f"{event.epoch:,.0f}"
    train = "" if event.train_nats != event.train_nats else f"train {event.train_nats:.2f} "
    speed = f" {event.rows_per_second:,.0f} rows/s" if event.rows_per_second else ""
    return f"epoch {epoch} {train}held-out {event.held_out_nats:.2f}{star} rate {event.learning_rate:.0e}{speed}"


def _clock(seconds: float) -> str:
    minutes, others = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{others:02}" if hours else f"{minutes}:{others:02}"


def _mean(nats: NDArray[np.float64], weights: NDArray[np.float64]) -> str:
    """Return a mean with its standard error."""
    import numpy as np

    shares = weights / weights.sum()
    mean = float((shares * nats).sum())
    return f"{mean:.3f} ± {float(np.sqrt(np.square(shares * (nats - mean)).sum())):.3f}"


def shown_decisions(table: Table) -> list[str]:
    """Return what each column was taken for as lines of a table, with the last ones of many left out."""
    from flowcli.table import decisions

    rows = [("column", "taken for", "range", "missing"), *decisions(table.schema, table.values)]
    if len(rows) > MOST_SHOWN + 1:
        rows = [*rows[: MOST_SHOWN + 1], (f"and {len(rows) - MOST_SHOWN - 1} more", "", "", "")]
    cut = [[literal(cell) for cell in row] for row in rows]
    widths = [min(WIDEST, max(len(row[i]) for row in cut)) for i in range(3)]
    return [
        "  ".join([*(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=False)), row[3]]).rstrip()
        for row in cut
    ]
