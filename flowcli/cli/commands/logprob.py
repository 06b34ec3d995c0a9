"""``flowcli logprob``: the log-density of each row."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Literal

import click

from flowcli.cli import options

if TYPE_CHECKING:
    import pyarrow as pa

    from flowcli.table import Block, Column


@click.command(short_help="Write the log-density of each row.")
@options.model
@options.data
@click.option("--with-input", is_flag=True, help="Put the input's columns before the result.")
@click.option("--terms", is_flag=True, help="Put the terms of the formula before it.")
@click.option("--per-column", is_flag=True, help="Put each column's share before it, the oddest after.")
@click.option("--percentile", is_flag=True, help="Add the share of held-out rows that are less likely.")
@click.option("--threshold", type=options.Share(), metavar="P", help="Flag rows below that percentile: 0.1%.")
@click.option("--columns", metavar="COL,..", help="The marginal density of these columns alone.")
@click.option("--error", is_flag=True, help="Put its standard error after it.")
@click.option(
    "--draws", type=options.Whole(1, 100_000), metavar="N", help="Points in a rounded number's cell (default 8)."
)
@click.option("--candidates", type=options.Whole(64), metavar="N", help="Draws with --columns, a row (default 4096).")
@click.option("--seed", type=options.Whole(0, 2**31 - 1), default=0, metavar="N", help="Seed of all this (default 0).")
@options.given
@options.bad_rows
@click.option("--name", default="logprob", metavar="COLUMN", help="Name of the result's column (default logprob).")
@options.output
@options.precision
@click.option(
    "--batch-rows", type=options.Whole(1), default=65_536, metavar="N", help="Rows in memory at once (default 65536)."
)
@options.device
@options.threads
@options.reading
@options.quiet
def logprob(
    model: str,
    data: str,
    with_input: bool,
    terms: bool,
    per_column: bool,
    percentile: bool,
    threshold: float | None,
    columns: str | None,
    error: bool,
    draws: int | None,
    candidates: int | None,
    seed: int,
    given: str | None,
    bad_rows: Literal["refuse", "nan"],
    name: str,
    output: str,
    precision: str,
    batch_rows: int,
    device: str,
    threads: int | None,
    sep: str,
    decimal: str,
    no_header: bool,
    max_bytes: int | None,
    missing: str | None,
    quiet: bool,
) -> None:
    """Write the log-density of each row of DATA, in nats, in DATA's units.

    One row out for each row in, in the same order. Columns are matched by name.
    A rounded number counts with the mass of its cell per unit, a mean over
    --draws points in it. A category that the model does not know has density
    zero: -inf.

    --terms adds the terms of the formula; --per-column each column's density
    given others, and the column that a mistake would explain best. Both add up.
    The latter, and --columns, take draws: up to a second a row, or more where
    columns are many.

    \b
    Examples:
      flowcli logprob data.flow new.csv | sort -g | head
      flowcli logprob data.flow new.csv --with-input --threshold 0.1% > scored.csv
      flowcli logprob data.flow odd.csv --per-column
      zcat big.csv.gz | flowcli logprob data.flow --columns x,y -o scores.parquet
    """
    from pathlib import Path

    from flowcli.cli import compute

    compute.limit_threads(threads)
    from flowcli.cli.reading import need_input, read_options, refuse_overwrite, split_names
    from flowcli.cli.say import note, silent
    from flowcli.cli.signals import until_asked_to_end
    from flowcli.errors import UsageError

    asked = split_names(columns, "--columns")
    if columns is not None and not asked:
        raise UsageError("--columns: name at least one")
    if columns is not None and (terms or per_column or percentile or threshold is not None):
        raise UsageError("--columns: a marginal density has no terms and no percentiles; leave those options out")
    if columns is not None and (draws is not None or precision == "float64"):
        raise UsageError("--columns: a marginal density is estimated in float32, with --candidates instead of --draws")
    if columns is None and candidates is not None:
        raise UsageError("--candidates is for --columns")
    reading = read_options(sep, decimal, no_header, max_bytes, missing)
    need_input(data)
    refuse_overwrite(data, output)
    refuse_overwrite(model, output)

    import pyarrow as pa

    from flowcli import api
    from flowcli.api.scoring import ScoreRequest
    from flowcli.cli.given import among_all, fixed_values
    from flowcli.conditional.conditionals import MOST_CANDIDATES
    from flowcli.encoding.rounding import DRAWS
    from flowcli.table import open_table, open_writer

    where = compute.set_up(device, threads)
    loaded = api.load(Path(model), device=where)
    schema = loaded.density.schema
    fixed = fixed_values(given, schema)
    say = silent if quiet else note
    scorer = loaded.scorer(
        ScoreRequest(
            name=name,
            terms=terms,
            per_column=per_column,
            columns=asked,
            error=error,
            percentile=percentile,
            threshold=threshold,
            draws=draws or DRAWS,
            candidates=candidates or MOST_CANDIDATES,
            seed=seed,
            double=precision == "float64",
        )
    )
    read = [column for column in scorer.columns if column.name not in fixed]
    for line in scorer.warnings:
        say(line)
    # Whole blocks, so that the numbers do not depend on this option.
    rows = -(-batch_rows // scorer.block_rows) * scorer.block_rows
    with open_table(data, read, rows, reading, notice=say, keep_cells=with_input, bad_rows=bad_rows) as table:
        # Not empty_table(), which loads pandas.
        nothing = pa.Table.from_batches([], schema=table.types)
        before = _typed(nothing, read, None, output) if with_input else None
        for each in scorer.names if with_input else []:
            if each in table.header:
                remedy = "choose another with --name" if each == name else "leave out what asks for it, or --with-input"
                raise UsageError(f"the input has a column {each!r} already; {remedy}")
        scores = loaded.score_blocks(
            table.arriving(),
            scorer,
            whole=lambda values: among_all(values, read, schema, fixed),
            processes=compute.processes(where, threads),
        )
        with open_writer(output, schema=_beside(before, scorer.table()).schema) as writer, closing(scores):
            for block, result in until_asked_to_end(scores):
                cells = None if block.cells is None else _typed(block.cells, read, block, output)
                writer.write(_beside(cells, result))
            for line in scorer.remarks:
                say(line)


def _typed(cells: pa.Table, columns: Sequence[Column], block: Block | None, output: str) -> pa.Table:
    """Return the input's cells as they are, but as numbers in a Parquet file where the model reads numbers."""
    import numpy as np
    import pyarrow as pa

    from flowcli.table import is_parquet, to_arrow

    if not is_parquet(output):
        return cells
    for number, column in enumerate(columns):
        position = cells.schema.names.index(column.name)
        if pa.types.is_string(cells.schema.field(position).type) and not column.text:
            numbers = to_arrow(np.empty(0) if block is None else block.values[:, number])
            cells = cells.set_column(position, pa.field(column.name, pa.float64()), numbers)
    return cells


def _beside(cells: pa.Table | None, result: pa.Table) -> pa.Table:
    """Return the input's cells, if they are wanted, with the result's columns after them."""
    if cells is None:
        return result
    for field, column in zip(result.schema, result.columns, strict=True):
        cells = cells.append_column(field, column)
    return cells
