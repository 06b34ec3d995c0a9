"""``flowcli sample``: new rows."""

from __future__ import annotations

import click

from flowcli.cli import options


@click.command(short_help="Draw new rows.")
@options.model
@click.option("-n", "--rows", type=options.Whole(0), required=True, metavar="N", help="How many rows to draw.")
@click.option("--seed", type=options.Whole(0, 2**63 - 1), metavar="N", help="Draw the same rows again.")
@click.option("--with-logprob", is_flag=True, help="Add each row's log-density.")
@options.given
@click.option("--given-file", metavar="FILE", help="Draw N rows for each row of FILE.")
@click.option("--where", metavar="CONDITION", help="Keep only rows like 'x > 0 and y < 3'.")
@click.option("--budget", type=options.Whole(1), metavar="N", help="With --where: draw N rows at most (1,000 each).")
@click.option("--complete", is_flag=True, help="Fill the cells that would be missing.")
@options.output
@options.device
@options.threads
@options.quiet
def sample(
    model: str,
    rows: int,
    seed: int | None,
    with_logprob: bool,
    given: str | None,
    given_file: str | None,
    where: str | None,
    budget: int | None,
    complete: bool,
    output: str,
    device: str,
    threads: int | None,
    quiet: bool,
) -> None:
    """Draw rows from MODEL and write them as CSV.

    The columns and number formats are those of the data that MODEL was fitted
    to. With the same seed, fewer rows are a beginning of more.

    A model that was fitted with --given draws the other columns given these: as
    many rows as asked for, of each row of FILE where there is one. A model of whole
    rows draws the others given any of them, by importance resampling.

    Cells are missing as often and together as they were in the data; --complete
    fills them with draws given the rest of their row, as in rows where nothing is
    missing.

    With --where, rows are drawn until N of them meet the condition, made of
    columns, numbers, texts in quotes, + - * / %, comparisons, in, and, or, not. A
    name that is no word stands in backquotes. Log-densities stay those of the whole model: take
    the logarithm of the accepted share off them for the part alone.

    \b
    Examples:
      flowcli sample data.flow -n 1000 > new.csv
      flowcli sample data.flow -n 1000000 --seed 1 -o new.parquet
      flowcli sample data.flow -n 100 | flowcli logprob data.flow -
      flowcli sample data.flow -n 100 --where '0 < x <= 1 and y in [2, 3]'
      flowcli sample prices.flow -n 100 --given 'cut=Ideal,carat=1'
    """
    import secrets
    from contextlib import closing
    from pathlib import Path

    from flowcli.cli import compute

    compute.limit_threads(threads)
    from flowcli import api
    from flowcli.cli.given import given_rows
    from flowcli.cli.reading import refuse_overwrite
    from flowcli.cli.say import note
    from flowcli.cli.signals import until_asked_to_end
    from flowcli.errors import UsageError
    from flowcli.table import ReadOptions, open_writer, to_arrow, to_cells

    refuse_overwrite(model, output)
    if budget is not None and where is None:
        raise UsageError("--budget is for --where; without a condition every row that is drawn is kept")
    used = compute.set_up(device, threads)
    loaded = api.load(Path(model), device=used)
    schema = loaded.density.schema
    if with_logprob and "logprob" in schema.names:
        raise UsageError("the model has a column 'logprob' already; draw without --with-logprob")
    known = given_rows(schema, rows, given, given_file, ReadOptions())
    rows = rows if known is None else len(known)
    unseeded = seed is None
    seed = secrets.randbelow(2**31) if seed is None else seed
    plan = loaded.plan_sample(rows, seed=seed, known=known, complete=complete, where=where, budget=budget)
    if unseeded and not quiet:
        note(f"drawn with --seed {seed}")
    for said in [] if quiet else loaded.given_notes(plan):
        note(said)

    import numpy as np
    import pyarrow as pa

    columns = to_cells(np.empty((0, len(schema.columns))), schema).schema
    if with_logprob:
        columns = columns.append(pa.field("logprob", pa.float64()))
    if (line := loaded.resampling_note(plan)) is not None and not quiet:
        note(line)
    processes = compute.processes(used, threads)
    blocks = loaded.sample_blocks(plan, with_log_prob=with_logprob, processes=processes)
    with closing(blocks), open_writer(output, schema=columns) as writer:
        for values, log_prob in until_asked_to_end(blocks):
            cells = to_cells(values, schema)
            writer.write(cells if log_prob is None else cells.append_column("logprob", to_arrow(log_prob)))
    if (accepted := plan.rejection) is not None and accepted.drawn and not quiet:
        share = accepted.kept / accepted.drawn
        note(f"{accepted.kept:,} of {accepted.drawn:,} drawn rows meet the condition ({share:.3g})")
