"""The command ``flowcli``: its subcommands, and what every way of ending means for the shell."""

from __future__ import annotations

import errno
import importlib
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any, NoReturn

import click

from flowcli import __version__
from flowcli.cli.say import one_line, say
from flowcli.errors import FlowcliError

COMMANDS = ("fit", "logprob", "sample", "info", "config")

BUG, MEMORY, CLOSED_PIPE = 70, 6, 141


class Commands(click.Group):
    """The subcommands, each in a module of its name, which is imported when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order of use."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(importlib.import_module(f"flowcli.cli.{cmd_name}"), cmd_name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Like click's, with the nearest command where there is none of that name."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            import difflib

            near = difflib.get_close_matches(args[0], COMMANDS, 1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; the commands are {', '.join(COMMANDS)}"
            raise click.UsageError(f"no such command {args[0]!r}{hint}")
        return super().resolve_command(ctx, args)


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="flowcli")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def cli(debug: bool) -> None:
    """Fit the density of a table with a normalizing flow; score rows, draw new ones.

    \b
    Examples:
      flowcli fit data.csv                       fit a model, data.flow
      flowcli logprob data.flow new.csv          the log-density of each row, in nats
      flowcli sample data.flow -n 1000           a thousand new rows
      cat new.csv | flowcli logprob data.flow --with-input | sort -t, -g -k5

    Data goes to standard output, words to standard error; - is standard input or output.
    """


def main() -> NoReturn:
    """Run ``flowcli`` and end the process with the exit code of what happened."""
    for number in (signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)):
        signal.signal(number, _end_by_signal)
    code = _run(lambda: cli.main(prog_name="flowcli", standalone_mode=False))
    with suppress(OSError, ValueError):
        sys.stderr.flush()
    _leave(code)


def _run(command: Callable[[], Any]) -> int:
    """Run a command; every exception becomes one line and an exit code."""
    debug = "--debug" in sys.argv[1:]
    try:
        result = command()
        if sys.stdout is not None:
            sys.stdout.flush()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    except (KeyboardInterrupt, click.Abort):
        say("interrupted")
        return 128 + signal.SIGINT
    except BrokenPipeError:
        return CLOSED_PIPE
    except (FlowcliError, click.ClickException) as error:
        if debug:
            raise
        say(_click_message(error) if isinstance(error, click.ClickException) else str(error))
        return error.exit_code
    except MemoryError:
        say("not enough memory; try fewer rows, a smaller batch, or --exclude some columns")
        return MEMORY
    except OSError as error:
        if debug:
            raise
        say(f"{error.filename or 'standard output'}: {error.strerror or error}")
        return CLOSED_PIPE if error.errno == errno.EPIPE else MEMORY
    except Exception as error:
        if debug:
            raise
        if "out of memory" in str(error) or "can't allocate memory" in str(error):
            say("not enough memory; try --set train.batch_size=64 or --device cpu")
            return MEMORY
        say(f"a bug in flowcli, sorry: {type(error).__name__}: {error} (flowcli --debug ... shows where)")
        return BUG
    return result if isinstance(result, int) else 0


def _click_message(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    hint = f" (see {context.command_path} --help)" if context is not None else ""
    return one_line(error.format_message()).rstrip(".") + hint


def _end_by_signal(number: int, frame: FrameType | None) -> NoReturn:
    """End with the exit code that shells expect; open files are closed and unfinished ones removed on the way."""
    raise SystemExit(128 + number)


def _leave(code: int) -> NoReturn:
    """End the process, even if what is left in the buffer of standard output cannot be written any more."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except (OSError, ValueError):
        # Python would complain once more when it closes the stream.
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.exit(code)
