"""Options and arguments that several commands share, each named once, and what their values may be."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

Command = TypeVar("Command", bound=Callable[..., Any])


class Whole(click.ParamType[int]):
    """A whole number.

    Args:
        least: The smallest that makes sense.
        most: The largest.
    """

    name = "N"

    def __init__(self, least: int, most: int | None = None) -> None:
        self._least = least
        self._most = most

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number."""
        bounds = f"at least {self._least}" if self._most is None else f"from {self._least} to {self._most}"
        try:
            number = int(value)
        except ValueError:
            self.fail(f"{value!r} is not a whole number, {bounds}", param, ctx)
        if number < self._least or (self._most is not None and number > self._most):
            self.fail(f"{value} is not {bounds}", param, ctx)
        return number


class Share(click.ParamType[float]):
    """A share: ``0.1%`` or ``0.001``."""

    name = "P"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the share, between zero and one."""
        text = str(value).strip()
        try:
            share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
        except ValueError:
            share = 0.0
        if not 0 < share < 1:
            self.fail(f"{value!r} is no share; write 0.1% or 0.001", param, ctx)
        return share


class ConfigName(click.ParamType[str]):
    """A shipped config, or the path of a file; the shell completes both.

    Args:
        files: Whether a file will do.
    """

    name = "CONFIG"

    def __init__(self, *, files: bool) -> None:
        self._files = files

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the name as it was typed."""
        return str(value)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return the shipped configs that start like this, or else any file."""
        from click.shell_completion import CompletionItem

        from flowcli import config as configs

        items = [CompletionItem(name) for name in configs.names() if name.startswith(incomplete)]
        return items or ([CompletionItem(incomplete, type="file")] if self._files else [])


class ModelPath(click.ParamType[str]):
    """The path of a model file; the shell completes those that are there."""

    name = "MODEL"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the path as it was typed."""
        return str(value)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return the model files that start like this, or else any file."""
        from click.shell_completion import CompletionItem

        folder, start = os.path.split(incomplete)
        try:
            names = sorted(os.listdir(folder or "."))
        except OSError:
            names = []
        models = [n for n in names if n.startswith(start) and n.endswith(".flow") and not n.startswith(".")]
        items = [CompletionItem(os.path.join(folder, name)) for name in models]
        return items or [CompletionItem(incomplete, type="file")]


model = click.argument("model", type=ModelPath())
data = click.argument("data", type=click.Path(), default="-")

output = click.option(
    "-o", "--output", type=click.Path(), default="-", metavar="FILE", help="Write to FILE: .csv, .csv.gz, .parquet."
)
quiet = click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors.")
threads = click.option("--threads", type=Whole(1), metavar="N", help="Processor cores to use (default all).")
device = click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda", "mps"]),
    default="auto",
    metavar="NAME",
    help="auto (cuda if there is one, else cpu), cpu, cuda, mps.",
)
precision = click.option(
    "--precision",
    type=click.Choice(["float32", "float64"]),
    default="float32",
    metavar="TYPE",
    help="Compute the flow in float32 (default) or float64.",
)

given = click.option("--given", metavar="COL=VALUE,..", help="What the density is conditioned on.")
bad_rows = click.option(
    "--bad-rows",
    type=click.Choice(["refuse", "nan"]),
    default="refuse",
    metavar="HOW",
    help="Unreadable rows: refuse (default), or nan: no result.",
)


def reading(command: Command) -> Command:
    """Return how a CSV file is written."""
    for option in (
        click.option("--missing", metavar="WORDS", help="Missing too: '?,-999'; none: no word; 'none,?': ? only."),
        click.option("--max-bytes", type=Whole(1), metavar="N", help="The most a compressed file may unpack to."),
        click.option("--no-header", is_flag=True, help="The first line is a row; the columns are c1, c2, ..."),
        click.option("--decimal", default=".", metavar="MARK", help="Decimal mark of CSV, '.' (default) or ','."),
        click.option("--sep", default=",", metavar="CHAR", help="Separator of CSV; \\t is a tab."),
    ):
        command = option(command)
    return command
