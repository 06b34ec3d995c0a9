"""``flowcli sample``: new rows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from flowcli.cli import options

if TYPE_CHECKING:
    from flowcli.conditional.rejection import Drawn


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
    from contextlib import ExitStack
    from pathlib import Path

    from flowcli.cli import compute

    compute.limit_threads(threads)
    from flowcli import model as models
    from flowcli.cli.given import given_rows, resampled
    from flowcli.cli.reading import refuse_overwrite
    from flowcli.cli.say import note
    from flowcli.cli.signals import until_asked_to_end
    from flowcli.conditional.rejection import Rejection, usual_budget
    from flowcli.errors import UsageError
    from flowcli.model.density import SampleRequest
    from flowcli.parallel.block_pool import BlockPool
    from flowcli.table import Condition, ReadOptions, open_writer, to_arrow, to_cells

    refuse_overwrite(model, output)
    if budget is not None and where is None:
        raise UsageError("--budget is for --where; without a condition every row that is drawn is kept")
    place = compute.set_up(device, threads)
    loaded = models.load(Path(model), place)
    if with_logprob and "logprob" in loaded.schema.names:
        raise UsageError("the model has a column 'logprob' already; draw without --with-logprob")
    known = given_rows(loaded.schema, rows, given, given_file, ReadOptions())
    if known is not None and where is not None:
        raise UsageError("--where and --given do not go together; of what is likely a condition will do")
    rows = rows if known is None else len(known)
    chosen = None if where is None else Rejection(Condition(where, loaded.schema.columns), rows)
    if seed is None:
        seed = secrets.randbelow(2**31)
        if not quiet:
            note(f"drawn with --seed {seed}")

    import numpy as np
    import pyarrow as pa

    schema = to_cells(np.empty((0, len(loaded.schema.columns))), loaded.schema).schema
    if with_logprob:
        schema = schema.append(pa.field("logprob", pa.float64()))
    drawn = rows if chosen is None else budget or usual_budget(rows)
    with ExitStack() as stack:
        team = stack.enter_context(BlockPool(loaded, compute.processes(place, threads)))
        line = None if known is None or not len(known) else resampled(loaded, known[:1].copy())
        wanted = SampleRequest(seed, known, None if line is None else known, complete)
        if line is not None and not quiet:
            note(line)
        writer = stack.enter_context(open_writer(output, schema=schema))
        blocks: Iterable[Drawn] = until_asked_to_end(
            team.scored_blocks(drawn, wanted)
            if with_logprob
            else ((values, None) for values in team.sample_blocks(drawn, wanted))
        )
        for values, log_prob in blocks if chosen is None else chosen.of(blocks):
            cells = to_cells(values, loaded.schema)
            writer.write(cells if log_prob is None else cells.append_column("logprob", to_arrow(log_prob)))
    if chosen is not None and chosen.drawn and not quiet:
        note(f"{chosen.kept:,} of {chosen.drawn:,} drawn rows meet the condition ({chosen.kept / chosen.drawn:.3g})")
