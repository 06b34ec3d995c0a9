"""What a person sees while a fit runs, and when it ends; all of it on standard error."""

from __future__ import annotations

import shlex
import sys
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from flowcli.cli.say import literal, say

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from rich.progress import Progress

    from flowcli.density import Density
    from flowcli.table import Table
    from flowcli.training import Evaluation, Event, Fitting, Tick


MOST_SHOWN = 40  # columns of which is said what they are taken for
WIDEST = 40


class Screen:
    """A progress display on a terminal, a plain line an evaluation elsewhere, nothing at all when quiet.

    Args:
        quiet: Whether to show nothing.
        time_limit: Seconds after which the fit ends, steps left or not.
    """

    def __init__(self, *, quiet: bool, time_limit: float | None = None) -> None:
        self._quiet, self._time_limit = quiet, time_limit
        self._progress: Progress | None = None
        self._last: Evaluation | None = None

    def __enter__(self) -> Screen:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def begin(self, fitting: Fitting, table: Table) -> None:
        """Say what the columns are and what is fitted, and start the display."""
        if self._quiet:
            return
        for line in shown_decisions(table):
            say(line)
        columns = len(fitting.encoding.modelled.places)
        parameters = sum(p.numel() for p in fitting.loop.density.parameters())
        say(
            f"{len(fitting.train):,} rows to fit, {len(fitting.held_out):,} held out, {columns}"
            f" column{'s' * (columns != 1)}; {describe(fitting)}, {parameters:,} parameters"
        )
        if sys.stderr is not None and sys.stderr.isatty():
            progress = _progress()
            if progress.console.is_dumb_terminal:  # one that cannot rewrite a line
                return
            self._progress = progress
            self._task = progress.add_task("", total=1.0, words="starting")
            progress.start()

    def show(self, event: Event) -> None:
        """Show where the fit stands."""
        from flowcli.training import Setback, Tick

        if self._quiet:
            return
        if isinstance(event, Setback):
            text = (
                f"the numbers went wrong at step {event.step:,}; back to {event.back_to:,} with half the learning rate"
            )
            if self._progress is not None:
                with suppress(OSError, ValueError):
                    self._progress.console.print(f"flowcli: {text}", markup=False, highlight=False)
            else:
                say(text)
            return
        left = _time_left(event, self._time_limit)
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
        done = event.step / event.steps if event.steps else 1.0
        if self._time_limit is not None:
            done = max(done, min(1.0, event.seconds / self._time_limit))
        with suppress(OSError, ValueError):
            assert self._progress is not None
            self._progress.update(self._task, completed=done, words=words)

    def close(self) -> None:
        """Take the display away."""
        if self._progress is not None:
            # The terminal may have gone, which is no reason to lose a fit.
            with suppress(OSError, ValueError):
                self._progress.stop()
            self._progress = None

    def end(self, fitting: Fitting, density: Density, model: Path) -> None:
        """The summary: how good, how it compares, and what to do next."""
        import numpy as np

        from flowcli.evaluation import simple_log_prob

        self.close()
        if self._quiet:
            return
        summary = density.summary
        train, held_out = fitting.train, fitting.held_out
        ours = density.log_prob(held_out.values)
        rival, name = simple_log_prob(train.values, held_out.values, density.schema, train.weights)
        gain = ours - rival
        weights = np.ones(len(ours)) if held_out.weights is None else held_out.weights
        steps = summary["steps"]
        say(f"{summary['outcome']} after {steps:,} step{'s' * (steps != 1)}, {_clock(summary['seconds'])}")
        say(f"held-out log-density {_mean(ours, weights)} nats a row, on {len(ours):,} rows")
        if np.isfinite(gain).all():  # values near the largest numbers are beyond a Gaussian
            better = np.average(gain, weights=weights) >= 0
            difference = f"{_mean(gain, weights)} less" if better else f"{_mean(-gain, weights)} more"
            say(f"{name} has {_mean(rival, weights)} there, {difference}")
            if not better:
                say(f"note: so {name} is the better model here; are there enough rows?")
        path = shlex.quote(str(model))
        say(f"wrote {path}; next:")
        say(f"  flowcli logprob {path} NEW.csv --with-input")
        say(f"  flowcli sample {path} -n 1000")


def describe(fitting: Fitting) -> str:
    """The architecture in a few words."""
    from collections import Counter

    joint = fitting.loop.density
    parts = ["softmax"] if joint.codes is not None else []
    parts += ["circular splines"] if joint.angles is not None else []
    flow = joint.flow
    if flow is None:
        return " + ".join(parts)
    parts += ["heavy tails"] if fitting.encoding.coordinates.tails is not None else []
    parts += ["quantile map"] if fitting.encoding.coordinates.marginal is not None else []
    layers = Counter(_spaced(type(layer).__name__) for layer in flow.layers)
    parts += [f"{count} {name}" if count > 1 else name for name, count in layers.items()]
    base = _spaced(type(flow.base).__name__)
    components = getattr(getattr(flow.base, "gaussians", None), "log_weights", None)
    if components is not None:
        base += f" of {len(components)}"
    return " + ".join([*parts, base])


def _spaced(name: str) -> str:
    """A class's name as words: AutoregressiveMixture, autoregressive mixture."""
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


def _time_left(event: Evaluation | Tick, limit: float | None) -> str:
    """How long the fit will take at most, at the speed so far."""
    if not event.step:
        return ""
    seconds = event.seconds / event.step * (event.steps - event.step)
    if limit is not None:
        seconds = min(seconds, max(0.0, limit - event.seconds))
    return f" {_clock(seconds)} left"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _mean(nats: NDArray[np.float64], weights: NDArray[np.float64]) -> str:
    """A mean with its standard error."""
    import numpy as np

    shares = weights / weights.sum()
    mean = float((shares * nats).sum())
    return f"{mean:.3f} ± {float(np.sqrt(np.square(shares * (nats - mean)).sum())):.3f}"


def shown_decisions(table: Table) -> list[str]:
    """What each column was taken for, as lines of a table; a column of many is left out where they are many alike."""
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
