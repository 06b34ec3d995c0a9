"""``flowcli evaluate``: how good a model is, on rows that it has not seen."""

from __future__ import annotations

import click

from flowcli.cli import options


@click.command(short_help="Tell how good a model is, on rows it has not seen.")
@options.model
@options.data
@click.option("--train", metavar="FILE", help="The rows it was fitted to: for copies and overfitting.")
@click.option("--report", metavar="FILE", help="Write a page of HTML with pictures to FILE.")
@click.option("--json", "as_json", is_flag=True, help="Print all figures as JSON.")
@click.option(
    "-n",
    "--draws",
    type=options.Whole(100, 1_000_000),
    metavar="N",
    help="Rows to draw (default 10000; conditional: 9 a row or more).",
)
@click.option(
    "--seed", type=options.Whole(0, 2**31 - 1), default=0, metavar="N", help="Seed of all random numbers (default 0)."
)
@options.device
@options.threads
@options.reading
@options.quiet
def evaluate(
    model: str,
    data: str,
    train: str | None,
    report: str | None,
    as_json: bool,
    draws: int | None,
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
    """Tell how good MODEL is on the rows of DATA, which it should not have seen.

    What is wrong comes first, each fault with what it costs at least, in nats a
    row; a model in which nothing is found is good. Below are the figures: mean
    log-density beside simple models on the same rows; how many rows lie in the
    regions that hold 50, 90 and 99% of the model; each column; how well a
    classifier tells the model's draws from rows; and whether draws are copies.

    \b
    Examples:
      flowcli evaluate data.flow new.csv
      flowcli evaluate data.flow new.csv --report data.html
      flowcli evaluate data.flow new.csv --train data.csv
      flowcli evaluate data.flow new.csv --json | jq .findings
    """
    import json
    from pathlib import Path

    from flowcli.cli import compute

    compute.limit_threads(threads)
    from flowcli.atomic import replacing, replacing_is_possible
    from flowcli.cli.reading import need_input, read_options, refuse_overwrite, whole_rows
    from flowcli.cli.say import note, silent
    from flowcli.errors import UsageError

    reading = read_options(sep, decimal, no_header, max_bytes, missing)
    need_input(data)
    if train is not None:
        need_input(train)
        if train == data == "-":
            raise UsageError("--train -: standard input has the rows of DATA already; give a file")
    if report is not None:
        if report == "-" or not report or "\0" in report:
            raise UsageError(f"--report {report!r} is not the name of a file")
        for source in (model, data, train):
            refuse_overwrite(source, report)
        if Path(report).is_dir():
            raise UsageError(f"--report: {report} is a folder; give the name of a file")
        replacing_is_possible(Path(report))

    from flowcli import model as models
    from flowcli.cli.status_line import StatusLine
    from flowcli.cli.views.evaluate_view import document, lines
    from flowcli.evaluation.evaluate import DRAWS
    from flowcli.evaluation.evaluate import evaluate as evaluate_density

    where = compute.set_up(device, threads)
    loaded = models.load(Path(model), where)
    say = silent if quiet else note
    rows = whole_rows(data, loaded.schema, reading, say)
    known = None if train is None else whole_rows(train, loaded.schema, reading, say)
    with StatusLine(quiet=quiet) as status:
        found = evaluate_density(
            loaded,
            rows,
            train=known,
            draws=draws or DRAWS,
            seed=seed,
            processes=compute.processes(where, threads),
            progress=status.show,
        )
        if report is not None:
            from flowcli.evaluation.report import page

            status.show("drawing pictures")
            text = page(found, Path(model).name, "standard input" if data == "-" else Path(data).name)
            with replacing(Path(report)) as file:
                file.write(text.encode())
    for line in found.notes:
        say(line)
    if as_json:
        click.echo(json.dumps(document(found), indent=2, allow_nan=False))
    else:
        click.echo("\n".join(lines(found, train=train is not None)))
