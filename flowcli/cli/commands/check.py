"""``flowcli check``: whether a model is a correct density."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import click

from flowcli.cli import options
from flowcli.text import literal

if TYPE_CHECKING:
    from pathlib import Path

    from flowcli.evaluation.check import Finding

WIDTH = 80
MOST_ROWS = 10_000  # of DATA


@click.command(short_help="Check that a model is a correct density.")
@options.model
@click.argument("data", type=click.Path(), required=False)
@click.option("--seed", type=options.Whole(0, 2**31 - 1), default=0, metavar="N", help="Seed of points (default 0).")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@options.device
@options.threads
@options.reading
@options.quiet
def check(
    model: str,
    data: str | None,
    seed: int,
    as_json: bool,
    device: str,
    threads: int | None,
    sep: str,
    decimal: str,
    no_header: bool,
    max_bytes: int | None,
    missing: str | None,
    quiet: bool,
) -> None:
    """Check that MODEL is a correct density: a table of figures and limits.

    Rows become latents and the same rows again, in both precisions; each
    log-det is that of automatic differentiation; probabilities add up to one
    and the density's integral is one, by quadrature or by importance sampling;
    draws follow the density; far away it is finite; the file is as written.

    Points are draws of the model and points around and far from them; rows
    of DATA too where it is given. A model that is conditioned on columns takes
    their values from DATA, or else plausible ones are made up.

    "?" marks what cannot be told, for want of a precise estimate: no failure.
    Exit code 5 when a figure misses its limit.

    \b
    Examples:
      flowcli check data.flow
      flowcli check data.flow new.csv
      flowcli check data.flow -q && cp data.flow models/
      flowcli check data.flow --json | jq '.findings[] | select(.passed | not)'
    """
    from pathlib import Path

    from flowcli.cli import compute

    compute.limit_threads(threads)
    from flowcli.cli.reading import need_input, read_options
    from flowcli.cli.say import note, silent
    from flowcli.errors import NumericsError

    reading = read_options(sep, decimal, no_header, max_bytes, missing)
    if data is not None:
        need_input(data)
    where = compute.set_up(device, threads)

    from flowcli import model as models
    from flowcli.evaluation import check as checks
    from flowcli.table.io.reservoir import read_subset

    path = Path(model)
    loaded = models.load(path, where)
    say = silent if quiet else note
    values = None
    if data is not None:
        subset = read_subset(data, loaded.schema.columns, MOST_ROWS, seed, reading, notice=say)
        values = subset.values
        if subset.total > len(values):
            say(f"{len(values):,} of the {subset.total:,} rows of {data} are looked at, of which most lines take fewer")
    given = [column.name for column in loaded.schema.columns if column.given]
    if given and values is None:
        say(f"the density is conditioned on {', '.join(given)}: plausible values are made up; DATA has real ones")
    found = _findings(path, checks.check(loaded, values, seed=seed))
    findings = list(found) if as_json or quiet else list(_shown(found))
    if as_json:
        _print_json(model, findings)
    failed = [finding for finding in findings if finding.passed is False]
    if failed:
        names = ", ".join(finding.name + (f" ({finding.where})" if finding.where else "") for finding in failed)
        raise NumericsError(f"{model}: not a correct density; failed: {names}")


def _findings(path: Path, found: Iterable[Finding]) -> Iterator[Finding]:
    """Yield what is found of the file, which has been read by now, and then of its density."""
    from flowcli.evaluation.check import Finding
    from flowcli.model.files.container import stated_digest

    meaning = "The file is as it was written, and its numbers are finite."
    yield Finding("file", 0, 0, "", True, meaning, f"SHA-256 {stated_digest(path)[:16]}")
    yield from found


def _shown(findings: Iterable[Finding]) -> Iterator[Finding]:
    """Yield the findings, each printed as soon as it is there."""
    click.echo(_line("", "check", "figure", "limit", ""))
    for finding in findings:
        click.echo(_line(_mark(finding), finding.name, *_numbers(finding), finding.where))
        yield finding


def _mark(finding: Finding) -> str:
    return {True: "ok", False: "FAIL", None: "?"}[finding.passed]


def _numbers(finding: Finding) -> tuple[str, str]:
    figure = "" if finding.figure is None else f"{finding.figure:.2g}"
    return figure, f"{finding.limit:.2g}"


def _line(mark: str, name: str, figure: str, limit: str, where: str) -> str:

    head = f"{mark:<4} {literal(name):<32} {figure:<7} {limit:<7} "
    detail, room = literal(where), WIDTH - len(head)
    return (head + (detail if len(detail) <= room else f"{detail[: room - 3]}...")).rstrip()


def _print_json(model: str, findings: list[Finding]) -> None:
    import json
    import math
    from dataclasses import asdict

    def plain(value: object) -> object:
        """JSON has no infinity."""
        return None if isinstance(value, float) and not math.isfinite(value) else value

    passed = not any(finding.passed is False for finding in findings)
    rows = [{key: plain(value) for key, value in asdict(finding).items()} for finding in findings]
    click.echo(json.dumps({"model": model, "passed": passed, "findings": rows}, indent=2, allow_nan=False))
