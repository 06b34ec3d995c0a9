"""Options that several commands share, each named once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])

model = click.argument("model", type=click.Path())
data = click.argument("data", default="-")

output = click.option(
    "-o", "--output", default="-", metavar="FILE", help="Write there instead of to standard output (.parquet, .gz too)."
)
quiet = click.option("-q", "--quiet", is_flag=True, help="No notes and no progress; errors alone.")
threads = click.option("--threads", type=click.IntRange(min=1), metavar="N", help="Processor threads; all by default.")
device = click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda", "mps"]),
    default="auto",
    help="Where to compute; auto takes a GPU when there is one.",
)
precision = click.option(
    "--precision",
    type=click.Choice(["float32", "float64"]),
    default="float32",
    help="Of the flow; the map from columns to coordinates is always float64.",
)


def reading(command: Command) -> Command:
    """How a CSV file is written."""
    for option in (
        click.option(
            "--max-bytes", type=click.IntRange(min=1), metavar="N", help="Cap on what a compressed file holds."
        ),
        click.option("--no-header", is_flag=True, help="The first line is a row; columns are called c1, c2, ..."),
        click.option("--decimal", default=".", metavar="MARK", help="Decimal mark, a point or a comma."),
        click.option("--sep", default=",", metavar="CHAR", help="What stands between two cells; \\t is a tab."),
    ):
        command = option(command)
    return command
