"""``flowcli impute``: missing cells filled."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import click

from flowcli.cli import options

if TYPE_CHECKING:
    import pyarrow as pa

    from flowcli.model.density import Rows
    from flowcli.table import Block, Schema


@click.command(short_help="Fill missing cells by draws given the rest of their row.")
@options.model
@options.data
@click.option("-n", "--times", type=options.Whole(1, 1000), default=1, metavar="N", help="Fill each row N times.")
@click.option("--seed", type=options.Whole(0, 2**31 - 1), default=0, metavar="N", help="Seed of the draws (default 0).")
@options.output
@options.device
@options.threads
@options.reading
@options.quiet
def impute(
    model: str,
    data: str,
    times: int,
    seed: int,
    output: str,
    device: str,
    threads: int | None,
    sep: str,
    decimal: str,
    no_header: bool,
    max_bytes: int | None,
    quiet: bool,
) -> None:
    """Fill the missing cells of DATA by draws given the rest of their row.

    What is there stays as it is, other columns too; what was missing is drawn from
    the density of rows in which nothing is missing, which is right for cells that
    are missing at random. Draws, not best guesses: they are spread as the values
    are. With -n each row comes N times, one after the other (multiple imputation).

    A row that cannot be filled, because what is there is hardly possible, keeps its
    empty cells, and a note says how many do.

    \b
    Examples:
      flowcli impute data.flow gaps.csv > whole.csv
      flowcli impute data.flow gaps.csv -n 20 --seed 1 -o filled.parquet
      zcat gaps.csv.gz | flowcli impute data.flow | flowcli logprob data.flow
    """
    from dataclasses import replace
    from pathlib import Path

    from flowcli.cli import compute

    compute.limit_threads(threads)
    from flowcli.cli.reading import need_input, read_options, refuse_overwrite, values_of
    from flowcli.cli.say import note, silent
    from flowcli.cli.signals import until_asked_to_end

    reading = read_options(sep, decimal, no_header, max_bytes)
    need_input(data)
    refuse_overwrite(data, output)
    refuse_overwrite(model, output)

    import numpy as np

    from flowcli import model as models
    from flowcli.conditional.importance import ROWS, Randomness
    from flowcli.parallel.block_pool import BlockPool
    from flowcli.table import open_table, open_writer

    where = compute.set_up(device, threads)
    loaded = models.load(Path(model), where)
    schema = loaded.schema
    queries = loaded.queries  # ready before there are several processes
    open_ = [replace(column, missing=column.missing or not column.given) for column in schema.columns]
    width = len(schema.columns)

    def fill(number: int, values: Rows) -> Rows:
        known = ~np.isnan(values)
        each = [Randomness((seed, 3, time), number) for time in range(times)]
        found = [queries.draw(values, known, random, complete=True) for random in each]
        failed = np.any([drawn.failed for drawn in found], axis=0)[:, None]
        return np.concatenate([*(np.where(failed, values, drawn.values) for drawn in found), failed], axis=1)

    say = silent if quiet else note
    failed, rows, nothing = 0, 0, np.empty((0, width))
    with open_table(data, open_, 64 * ROWS, reading, notice=say, keep_cells=True) as table:
        under_way: deque[Block] = deque()
        with (
            open_writer(output, schema=_filled(schema, nothing, nothing, table.types.empty_table()).schema) as writer,
            BlockPool(loaded, compute.processes(where, threads)) as team,
        ):
            for found in until_asked_to_end(
                team.each(values_of(table, under_way, lambda found: found), fill, times * width + 1, ROWS)
            ):
                block = under_way.popleft()
                assert block.cells is not None
                each = np.repeat(np.arange(len(found)), times)
                values = found[:, :-1].reshape(-1, width)
                writer.write(_filled(schema, block.values[each], values, block.cells.take(each)))
                failed, rows = failed + int(found[:, -1].sum()), rows + len(found)
    if failed:
        say(f"{failed:,} of {rows:,} rows are as they were: what is there is hardly possible, or leaves too much open")


def _filled(schema: Schema, before: Rows, values: Rows, cells: pa.Table) -> pa.Table:
    """The input's cells (n, all columns), with values (n, N_c) in the places of those that were missing."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    from flowcli.table import cell_texts, to_cells

    unknown = np.zeros(values.shape, dtype=np.bool_)  # texts that the model does not know: they stay as they are
    for place, column in enumerate(schema.columns):
        if column.text:
            unknown[:, place] = values[:, place] < 0
    drawn = to_cells(np.where(unknown, np.nan, values), schema)
    for place, column in enumerate(schema.columns):
        position = cells.schema.names.index(column.name)
        field = cells.schema.field(position)
        gaps = pa.array(np.isnan(before[:, place]) & ~np.isnan(values[:, place]))
        new = drawn.column(place)
        if pa.types.is_string(field.type) or pa.types.is_large_string(field.type):
            new = cell_texts(pa.chunked_array([new]) if isinstance(new, pa.Array) else new, drawn.schema.field(place))
        cells = cells.set_column(position, field, pc.if_else(gaps, new.cast(field.type), cells.column(position)))
    return cells
