"""``flowcli impute``: missing cells filled."""

from __future__ import annotations

import click

from flowcli.cli import options

BLOCKS = 64  # of rows read at once


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
    missing: str | None,
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
    from contextlib import closing
    from pathlib import Path

    from flowcli.cli import compute

    compute.limit_threads(threads)
    from flowcli.cli.reading import need_input, read_options, refuse_overwrite
    from flowcli.cli.say import note, silent
    from flowcli.cli.signals import until_asked_to_end

    reading = read_options(sep, decimal, no_header, max_bytes, missing)
    need_input(data)
    refuse_overwrite(data, output)
    refuse_overwrite(model, output)

    from flowcli import api
    from flowcli.conditional.importance import ROWS
    from flowcli.table import open_table, open_writer

    used = compute.set_up(device, threads)
    loaded = api.load(Path(model), device=used)
    imputer = loaded.imputer(times=times, seed=seed)
    say = silent if quiet else note
    rows = failed = 0
    with open_table(data, imputer.columns, BLOCKS * ROWS, reading, notice=say, keep_cells=True) as table:
        processes = compute.processes(used, threads)
        blocks = loaded.impute_blocks(table.arriving(), imputer, processes=processes)
        with closing(blocks), open_writer(output, schema=imputer.schema(table.types)) as writer:
            for filled in until_asked_to_end(blocks):
                writer.write(filled.cells)
                rows, failed = rows + filled.rows, failed + filled.failed
    if failed:
        say(f"{failed:,} of {rows:,} rows are as they were: what is there is hardly possible, or leaves too much open")
