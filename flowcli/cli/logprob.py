"""``flowcli logprob``: the log-density of each row."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from flowcli.cli import options

if TYPE_CHECKING:
    import pyarrow as pa

    from flowcli.density import Density, Terms
    from flowcli.density.density import Rows
    from flowcli.table import Block, Reader, Waiting


@click.command(short_help="Write the log-density of each row.")
@options.model
@options.data
@click.option("--with-input", is_flag=True, help="Put the input's columns before the result.")
@click.option("--terms", is_flag=True, help="Put the terms of the formula before it.")
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
    quiet: bool,
) -> None:
    """Write the log-density of each row of DATA, in nats, in DATA's units.

    One row out for each row in, in the same order. Columns are matched by
    name. DATA is a CSV or Parquet file, perhaps compressed; without it, rows
    come from standard input.

    --terms adds the latents z1, z2, ..., the base's log-density there, and the
    log-det of the map: base_logprob + log_det = logprob.

    \b
    Examples:
      flowcli logprob data.flow new.csv
      flowcli logprob data.flow new.csv | sort -g | head
      flowcli logprob data.flow new.csv --with-input --name nats > scored.csv
      zcat big.csv.gz | flowcli logprob data.flow -o scores.parquet
    """
    from pathlib import Path

    from flowcli.cli import compute

    compute.limit_threads(threads)
    from flowcli.cli.reading import need_input, not_the_same, read_options
    from flowcli.cli.say import note, silent
    from flowcli.cli.signals import until_asked_to_end
    from flowcli.errors import UsageError

    reading = read_options(sep, decimal, no_header, max_bytes)
    need_input(data)
    not_the_same(data, output)
    not_the_same(model, output)

    import pyarrow as pa

    from flowcli import density
    from flowcli.density.team import Team
    from flowcli.table import open_table, open_writer

    where = compute.set_up(device, threads)
    loaded = density.load(Path(model), where)
    # Whole blocks of the density's own size, so that the numbers do not depend on this option.
    rows = -(-batch_rows // loaded.block_rows) * loaded.block_rows
    say = silent if quiet else note
    with open_table(data, loaded.schema.names, rows, reading, notice=say, keep_cells=with_input) as table:
        added = _names(loaded, name, terms)
        # Not empty_table(), which loads pandas.
        nothing = pa.Table.from_batches([], schema=table.types)
        before = _typed(nothing, table.names, None, output) if with_input else None
        for each in added if with_input else []:
            if each in table.header:
                remedy = "choose another with --name" if each == name else "leave out --terms or --with-input"
                raise UsageError(f"the input has a column {each!r} already; {remedy}")
        schema = _beside(before, _result(None, added)).schema
        under_way: deque[Block] = deque()
        with open_writer(output, schema=schema) as writer, Team(loaded, compute.processes(where, threads)) as team:
            for found in until_asked_to_end(team.terms(_values(table, under_way), double=precision == "float64")):
                block = under_way.popleft()
                cells = None if block.cells is None else _typed(block.cells, table.names, block, output)
                writer.write(_beside(cells, _result(found, added)))


def _values(table: Reader, under_way: deque[Block]) -> Iterator[Rows | Waiting]:
    """The values of each block, which is kept until they are scored."""
    from flowcli.table import Block

    for block in table.arriving():
        if isinstance(block, Block):
            under_way.append(block)
            yield block.values
        else:
            yield block


def _names(density: Density, name: str, terms: bool) -> list[str]:
    """The names of the columns that are added."""
    if not terms:
        return [name]
    return [*(f"z{i + 1}" for i in range(density.coordinates.columns)), "base_logprob", "log_det", name]


def _result(found: Terms | None, names: list[str]) -> pa.Table:
    """The columns that are added to a block, or to none."""
    import pyarrow as pa

    from flowcli.table import to_arrow

    if found is None:
        return pa.Table.from_batches([], schema=pa.schema([(name, pa.float64()) for name in names]))
    parts = [*found.latents.T, found.base_log_prob, found.log_det] if len(names) > 1 else []
    return pa.table([to_arrow(part) for part in [*parts, found.log_prob]], names=names)


def _typed(cells: pa.Table, names: list[str], block: Block | None, output: str) -> pa.Table:
    """The input's cells as they are; but columns that the model reads are numbers in a Parquet file, not their text."""
    import numpy as np
    import pyarrow as pa

    from flowcli.table import is_parquet, to_arrow

    if not is_parquet(output):
        return cells
    for place, name in enumerate(names):
        position = cells.schema.names.index(name)
        if pa.types.is_string(cells.schema.field(position).type):
            numbers = to_arrow(np.empty(0) if block is None else block.values[:, place])
            cells = cells.set_column(position, pa.field(name, pa.float64()), numbers)
    return cells


def _beside(cells: pa.Table | None, result: pa.Table) -> pa.Table:
    """The input's cells, if they are wanted, with the result's columns after them."""
    if cells is None:
        return result
    for field, column in zip(result.schema, result.columns, strict=True):
        cells = cells.append_column(field, column)
    return cells
