"""``flowcli compare``: several models on the same rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from flowcli.cli import options

if TYPE_CHECKING:
    from flowcli.cli.views.compare_view import ScoredModel
    from flowcli.model import Density
    from flowcli.model.density import Rows
    from flowcli.table import ReadOptions

TIMED_ROWS, REPEATS = 4096, 3


@click.command(short_help="Compare several models on the same rows.")
@click.argument("models", nargs=-1, required=True, type=options.ModelPath(), metavar="MODELS")
@click.argument("data", type=click.Path())
@click.option("--json", "as_json", is_flag=True, help="Print all figures as JSON.")
@click.option(
    "--seed", type=options.Whole(0, 2**31 - 1), default=0, metavar="N", help="Seed of points in cells (default 0)."
)
@options.device
@options.threads
@options.reading
@options.quiet
def compare(
    models: tuple[str, ...],
    data: str,
    as_json: bool,
    seed: int,
    device: str,
    threads: int | None,
    sep: str,
    decimal: str,
    no_header: bool,
    max_bytes: int | None,
    missing: str | None,
    quiet: bool,
) -> None:
    """Compare several MODELS on the rows of DATA, which none should have seen.

    The best comes first, by its mean log-density. How far the others are behind is
    a mean over rows of the difference, with its standard error: surer than the two
    means by themselves, since most rows are hard or easy for all. Beside it stand
    the number of parameters, the size of the file, and the time to score 100,000
    rows on one core.

    Models are over the same columns, taken for kinds that count alike.

    \b
    Examples:
      flowcli compare auto.flow nsf.flow mixture.flow new.csv
      flowcli compare a.flow b.flow new.csv --json | jq '.models[0].model'
    """
    import json
    from pathlib import Path

    from flowcli.cli import compute

    compute.limit_threads(threads)
    from flowcli.cli.reading import need_input, read_options
    from flowcli.cli.say import note, silent
    from flowcli.errors import UsageError

    if len(models) < 2:
        raise UsageError(f"{models[0]}: one model has nothing to be compared with; give MODEL MODEL DATA")
    if twice := [model for index, model in enumerate(models) if model in models[:index]]:
        raise UsageError(f"{twice[0]}: this model stands here twice")
    reading = read_options(sep, decimal, no_header, max_bytes, missing)
    need_input(data)

    from flowcli.cli.status_line import StatusLine
    from flowcli.cli.views.compare_view import ScoredModel, document, lines
    from flowcli.evaluation.metrics.comparable import difference_of_measures
    from flowcli.model import load

    where = compute.set_up(device, threads)
    loaded = [load(Path(model), where) for model in models]
    for model, other in zip(models[1:], loaded[1:], strict=True):
        if (what := difference_of_measures(loaded[0].schema, other.schema)) is not None:
            raise UsageError(f"{models[0]} and {model} cannot be compared: {what}")
    tables = _read(data, loaded, reading, silent if quiet else note)
    found: list[ScoredModel] = []
    with StatusLine(quiet=quiet) as status:
        for model, each, rows in zip(models, loaded, tables, strict=True):
            status.show(f"scoring {len(rows):,} rows with {model}")
            with each.pool(compute.processes(where, threads)) as pool:
                log_prob = each.pooled_log_prob(rows, pool, seed=seed)
                seconds = _seconds(each, rows)
            found.append(ScoredModel(model, log_prob, each.parameters, Path(model).stat().st_size, seconds))
    if as_json:
        click.echo(json.dumps(document(found), indent=2, allow_nan=False))
    else:
        click.echo("\n".join(lines(found)))


def _read(data: str, models: list[Density], reading: ReadOptions, notice: Callable[[str], None]) -> list[Rows]:
    """Return the rows as each model reads them: texts have other places where the models know others."""
    from flowcli.cli.reading import whole_rows
    from flowcli.cli.say import silent
    from flowcli.errors import UsageError

    tables: list[Rows] = []
    for index, model in enumerate(models):
        alike = [earlier for earlier in range(index) if models[earlier].schema == model.schema]
        if alike:
            tables.append(tables[alike[0]])
            continue
        if index and data == "-":
            raise UsageError("these models read the rows in different ways: give them as a file, not as standard input")
        tables.append(whole_rows(data, model.schema, reading, silent if index else notice))
    return tables


def _seconds(model: Density, rows: Rows) -> float:
    """Return the time to score 100,000 rows on one core, from the median of a few trials with some of the rows."""
    import statistics
    import time

    import numpy as np

    some = np.resize(rows, (min(TIMED_ROWS, model.block_rows * max(1, TIMED_ROWS // model.block_rows)), rows.shape[1]))
    times = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        model.log_prob(some)
        times.append(time.perf_counter() - started)
    return statistics.median(times) / len(some) * 100_000
