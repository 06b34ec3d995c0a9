"""``flowcli sample``: new rows."""

from __future__ import annotations

import click

from flowcli.cli import options


@click.command(short_help="Draw new rows.")
@options.model
@click.option("-n", "--rows", type=options.Whole(0), required=True, metavar="N", help="How many rows to draw.")
@click.option("--seed", type=options.Whole(0, 2**63 - 1), metavar="N", help="Draw the same rows again.")
@click.option("--with-logprob", is_flag=True, help="Add each row's log-density.")
@options.output
@options.device
@options.threads
@options.quiet
def sample(
    model: str,
    rows: int,
    seed: int | None,
    with_logprob: bool,
    output: str,
    device: str,
    threads: int | None,
    quiet: bool,
) -> None:
    """Draw rows from MODEL and write them as CSV.

    The columns and number formats are those of the data that MODEL was fitted
    to. With the same seed, fewer rows are a beginning of more.

    \b
    Examples:
      flowcli sample data.flow -n 1000 > new.csv
      flowcli sample data.flow -n 1000000 --seed 1 -o new.parquet
      flowcli sample data.flow -n 100 | flowcli logprob data.flow -
    """
    import secrets
    from pathlib import Path

    from flowcli.cli import compute

    compute.limit_threads(threads)
    from flowcli import density
    from flowcli.cli.reading import not_the_same
    from flowcli.cli.say import note
    from flowcli.cli.signals import until_asked_to_end
    from flowcli.density.team import Team
    from flowcli.errors import UsageError
    from flowcli.table import open_writer, to_arrow, to_cells

    not_the_same(model, output)
    where = compute.set_up(device, threads)
    loaded = density.load(Path(model), where)
    if with_logprob and "logprob" in loaded.schema.names:
        raise UsageError("the model has a column 'logprob' already; draw without --with-logprob")
    if seed is None:
        seed = secrets.randbelow(2**31)
        if not quiet:
            note(f"drawn with --seed {seed}")

    import numpy as np
    import pyarrow as pa

    schema = to_cells(np.empty((0, len(loaded.schema.columns))), loaded.schema).schema
    if with_logprob:
        schema = schema.append(pa.field("logprob", pa.float64()))
    with open_writer(output, schema=schema) as writer, Team(loaded, compute.processes(where, threads)) as team:
        if not with_logprob:
            for values in until_asked_to_end(team.sample_blocks(rows, seed=seed)):
                writer.write(to_cells(values, loaded.schema))
            return
        for values, log_prob in until_asked_to_end(team.scored_blocks(rows, seed=seed)):
            writer.write(to_cells(values, loaded.schema).append_column("logprob", to_arrow(log_prob)))
