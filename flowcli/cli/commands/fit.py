"""``flowcli fit``: fit a density to a table and save it."""

from __future__ import annotations

import json
import math
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from flowcli.cli import options
from flowcli.cli.say import note, say, silent
from flowcli.cli.signals import asking_to_end, came
from flowcli.errors import NumericsError, UsageError

if TYPE_CHECKING:
    from flowcli.cli.views.progress import FitProgress
    from flowcli.training import Plan, Series, Task

MOST_HELD_OUT = 0.5
SUFFIXES = (".gz", ".zst", ".bz2", ".csv", ".tsv", ".txt", ".parquet")


class Duration(click.ParamType[float]):
    """Seconds, or a number with s, m or h."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return seconds."""
        if isinstance(value, float):
            return value
        unit = {"s": 1, "m": 60, "h": 3600}.get(value[-1:], 0)
        try:
            seconds = float(value[:-1]) * unit if unit else float(value)
        except ValueError:
            self.fail(f"{value!r} is not a time; write 90, 90s, 10m or 2h", param, ctx)
        if not 0 < seconds < 1e9:
            self.fail(f"{value!r} is not a positive time", param, ctx)
        return seconds


@click.command(short_help="Fit a density to a table and save it.")
@click.argument("data", type=click.Path())
@click.option(
    "-c",
    "--config",
    "config_names",
    type=options.ConfigName(files=True),
    multiple=True,
    metavar="CONFIG",
    help="A shipped config, or a file (default auto, from DATA).",
)
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change a value of the config.")
@click.option(
    "-o",
    "--output",
    type=click.Path(),
    metavar="MODEL",
    help="The model file (default DATA's name, .flow).",
)
@click.option("--columns", metavar="A,B", help="Fit these columns alone.")
@click.option("--exclude", metavar="A,B", help="Leave these columns out.")
@click.option("--kind", "kinds", multiple=True, metavar="COL=KIND", help="What a column is; see above.")
@click.option("--given", metavar="A,B", help="Fit the density of the other columns given these.")
@click.option("--date-format", metavar="FMT", help="How dates are written, such as '%d/%m/%Y'.")
@click.option("--thousands", metavar="MARK", help="What separates thousands, where 1,234 is unclear.")
@click.option("--weights", metavar="COL", help="A column with the weight of each row.")
@click.option("--valid", metavar="ROWS", help="Rows to hold out, as a share (default 0.1) or a file.")
@click.option("--epochs", type=options.Whole(0), metavar="N", help="Passes over the rows, at most.")
@click.option("--time-limit", type=Duration(), metavar="TIME", help="Stop after 90s, 10m or 2h at most.")
@click.option("--ensemble", type=options.Whole(1, 100), metavar="K", help="Fit K flows; the density is their mixture.")
@click.option("--tune", type=Duration(), metavar="TIME", help="Choose among several -c, or auto's variants, for 10m.")
@click.option(
    "--seed", type=options.Whole(0, 2**31 - 1), default=0, metavar="N", help="Seed of all random numbers (default 0)."
)
@click.option("--resume", is_flag=True, help="Go on with a fit that was interrupted.")
@click.option("--force", is_flag=True, help="Replace a model file, or drop an interrupted fit.")
@click.option("--allow-singular", is_flag=True, hidden=True, expose_value=False, help="What is always done now.")
@click.option("--compile", "compiling", is_flag=True, help="Use torch's compiler: for long fits, and for GPUs.")
@click.option(
    "--save-every", type=Duration(), default=10.0, metavar="TIME", help="Save the state this often (default 10s)."
)
@click.option("--json", "as_json", is_flag=True, help="Print a summary as JSON to standard output.")
@options.device
@options.threads
@options.reading
@options.quiet
def fit(
    data: str,
    config_names: tuple[str, ...],
    overrides: tuple[str, ...],
    output: str | None,
    columns: str | None,
    exclude: str | None,
    kinds: tuple[str, ...],
    given: str | None,
    date_format: str | None,
    thousands: str | None,
    weights: str | None,
    valid: str | None,
    epochs: int | None,
    time_limit: float | None,
    ensemble: int | None,
    tune: float | None,
    seed: int,
    resume: bool,
    force: bool,
    compiling: bool,
    save_every: float,
    as_json: bool,
    device: str,
    threads: int | None,
    sep: str,
    decimal: str,
    no_header: bool,
    max_bytes: int | None,
    missing: str | None,
    quiet: bool,
) -> int:
    """Fit a density to the rows of DATA by maximum likelihood and save it.

    DATA is CSV or Parquet, perhaps compressed, or - for standard input. An
    interrupted fit goes on with --resume, to the same weights if not timed.

    What each column is is found from its cells, and shown. A --kind of your own is
    real, positive, bounded:LOW,HIGH, circular:PERIOD (or circular:LOW,HIGH),
    rounded:STEP, discrete (each number by itself) or category (as text).

    \b
    Examples:
      flowcli fit data.csv                        data.flow, all chosen for you
      flowcli fit wind.csv -c nsf --set train.epochs=50 --kind angle=circular:360
      flowcli fit - -o price.flow --given carat,cut < diamonds.csv
      flowcli fit data.csv --tune 10m --ensemble 3
    """
    from flowcli.cli import compute

    compute.limit_threads(threads)
    from flowcli import config as configs
    from flowcli.cli.lock import locked
    from flowcli.cli.reading import need_input, read_options, refuse_overwrite, split_names
    from flowcli.cli.views.progress import FitProgress

    need_input(data)
    model = _model_path(data, output)
    share, valid_file = _valid(valid, data)
    for source in (data, valid_file):
        refuse_overwrite(source, str(model))
    changes = [*overrides]
    if epochs is not None:
        changes.append(f"train.epochs={epochs}")
    if share is not None:
        changes.append(f"train.valid={share!r}")
    names = config_names or ("auto",)
    if len(names) > 1 and tune is None:
        raise UsageError("several -c are for --tune TIME, which chooses among them")
    if tune is not None and time_limit is not None:
        raise UsageError("--tune has a time of its own; leave --time-limit out")
    request = configs.load(names[0], changes)
    reading = read_options(sep, decimal, no_header, max_bytes, missing)
    kinds_by_name = _kinds(kinds)
    _check_writable(model)
    state = model.with_name(f"{model.name}.state")
    with locked(model):
        _check_earlier(model, state, resume=resume, force=force)
        from flowcli.table import ColumnRequest, read_like, read_table

        notice = silent if quiet else note
        wanted = ColumnRequest(
            split_names(columns, "--columns"),
            split_names(exclude, "--exclude") or (),
            {**request.columns, **kinds_by_name},
            split_names(given, "--given") or (),
            weights,
            date_format,
            thousands,
        )
        table = read_table(data, wanted, reading, notice=notice)
        held = None if valid_file is None else read_like(valid_file, table.schema, weights=weights, options=reading)
        where = compute.set_up(device, threads)
        from flowcli import api
        from flowcli.training import Task

        task = Task(table, where, held, compiling, seed, notice)
        plan = api.plan(names, request, changes, ensemble=ensemble or 1, tune=tune, time_limit=time_limit, seed=seed)
        with FitProgress(table, quiet=quiet, time_limit=tune or time_limit) as fit_progress:
            series = _series(task, plan, state if resume else None)
            return _run(series, model, state, save_every, fit_progress, as_json=as_json, data=data)


def _run(
    series: Series, model: Path, state: Path, save_every: float, fit_progress: FitProgress, *, as_json: bool, data: str
) -> int:
    """Run the fits to their end, to a signal, or until their numbers fail; save what there is."""
    from flowcli.model import save
    from flowcli.model.files.state_file import save_state

    saved = -math.inf
    failure: NumericsError | None = None
    with _stoppable() as received:
        try:
            for event in series.run(lambda: bool(received), tick_every=min(save_every, 1.0)):
                fit_progress.show(event)
                if time.monotonic() - saved >= save_every and series.running:
                    save_state(series.state(), series.fitting.encoder, state)
                    saved = time.monotonic()
        except NumericsError as error:
            failure = error
            if not (series.finished or series.fitting.loop.history):  # not even a start, so there is nothing to keep
                state.unlink(missing_ok=True)
                raise
        if series.outcome == "interrupted":
            save_state(series.state(), series.fitting.encoder, state)
            fit_progress.close()
            again = "the same command" if data != "-" else "the same command and rows"
            where = f"step {series.fitting.loop.step:,}" + (f" of {name}" if (name := series.trial.name) else "")
            say(f"interrupted at {where}; to go on: {again} with --resume")
            return 128 + received[0]
        density = series.density()
        save(density, model)
        completed = series.completed(density)
        if completed is not density:
            save(completed, model)
        state.unlink(missing_ok=True)
    if failure is not None:
        raise NumericsError(f"{failure}; {model} holds the best density before that")
    fit_progress.end(series, density, model, all_rows=completed is not density)
    if as_json:
        summary = {"model": str(model), **{k: v for k, v in completed.summary.items() if k != "history"}}
        click.echo(json.dumps(summary))
    return 0


def _series(task: Task, plan: Plan, state: Path | None) -> Series:
    """Return the fits at their start, or where interrupted ones stopped."""
    from flowcli.model.files.state_file import load_state
    from flowcli.training import Series

    if state is not None and state.exists():
        document, tensors, encoder = load_state(state)
        return Series(task, plan, (document, tensors), encoder)
    if state is not None:
        task.notice("there is no interrupted fit to go on with; starting from the beginning")
    return Series(task, plan)


@contextmanager
def _stoppable() -> Iterator[list[int]]:
    """Collect signals that ask for an end, so that the state can be saved first; a second one ends at once."""
    received = came()

    def receive(number: int, frame: FrameType | None) -> None:
        if received:
            raise SystemExit(128 + number)
        received.append(number)

    before = {number: signal.signal(number, receive) for number in asking_to_end()}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _model_path(data: str, output: str | None) -> Path:
    """Return where the model goes."""
    if output is not None:
        if output == "-":
            raise UsageError("-o -: a model is a file; give it a name")
        if not output or "\0" in output:
            raise UsageError(f"-o {output!r} is not the name of a file")
        return Path(output)
    if data == "-":
        raise UsageError("rows from standard input have no name; say where the model goes with -o MODEL")
    name = Path(data).name
    while (path := Path(name)).suffix.lower() in SUFFIXES and path.stem:
        name = path.stem
    return Path(f"{name}.flow")


def _check_writable(model: Path) -> None:
    """Refuse at once where no model can be written, and not after a long fit."""
    from flowcli.atomic import replacing_is_possible

    if model.is_dir():
        raise UsageError(f"{model}: is a folder, not a file")
    if model.exists() and not model.is_file():
        raise UsageError(f"{model}: is a device, not a file")
    replacing_is_possible(model)


def _check_earlier(model: Path, state: Path, *, resume: bool, force: bool) -> None:
    """Refuse to write over what earlier fits have left; remove what is nobody's."""
    from flowcli.atomic import sweep

    sweep(model)
    sweep(state)
    if not (resume or force) and state.exists():
        raise UsageError(f"{state}: an interrupted fit is waiting; --resume goes on with it, --force starts again")
    if not force and model.exists() and not state.exists():
        problem = "is there already" + (", and no interrupted fit to go on with" if resume else "")
        raise UsageError(f"{model}: {problem}; --force replaces it, -o NAME writes another")


def _valid(text: str | None, data: str) -> tuple[float | None, str | None]:
    """Return a share of the rows, or a file of rows."""
    from flowcli.cli.reading import need_input

    if text is None:
        return None, None
    try:
        share = float(text)
    except ValueError:
        if text == data == "-":
            raise UsageError("--valid -: standard input has the rows to fit already; give a file") from None
        need_input(text)
        return None, text
    if not 0 < share <= MOST_HELD_OUT:
        raise UsageError(
            f"--valid {text}: a share lies above 0 and is at most {MOST_HELD_OUT}; a file of that name is ./{text}"
        )
    return share, None


def _kinds(pairs: tuple[str, ...]) -> dict[str, str]:
    """Return the columns whose kind is given."""
    from flowcli.table import parse_kind

    kinds = {}
    for pair in pairs:
        name, equals, kind = pair.rpartition("=")
        if not equals or not name:
            raise UsageError(f"--kind {pair}: write COLUMN=KIND, for example --kind price=positive")
        try:
            parse_kind(kind)
        except UsageError as error:
            raise UsageError(f"--kind {pair}: {error}") from error
        kinds[name] = kind
    return kinds
