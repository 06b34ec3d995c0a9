"""The command ``flowcli``: its subcommands, and what every way of ending means for the shell."""

from __future__ import annotations

import errno
import importlib
import os
import signal
import sys
import warnings
from collections.abc import Sequence
from contextlib import suppress
from typing import NoReturn

import click

from flowcli.cli.say import say
from flowcli.cli.signals import obey
from flowcli.errors import FlowcliError
from flowcli.text import did_you_mean, one_line
from flowcli.version import __version__

COMMANDS = ("fit", "logprob", "sample", "impute", "evaluate", "check", "plot", "compare", "info", "config")
COMPLETION = "_FLOWCLI_COMPLETE"

BUG, RESOURCE, CLOSED_PIPE = 70, 6, 141


class Commands(click.Group):
    """The subcommands, each in a module of its name, which is imported when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names, in the order of use."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command of that name."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(importlib.import_module(f"flowcli.cli.commands.{cmd_name}"), cmd_name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Like click's, with the nearest command where there is none of that name."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            hint = did_you_mean(args[0], COMMANDS) or f"; the commands are {', '.join(COMMANDS)}"
            raise click.UsageError(f"no such command {args[0]!r}{hint}")
        return super().resolve_command(ctx, args)


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]}, subcommand_metavar="COMMAND ...")
@click.version_option(__version__, prog_name="flowcli", help="Show the version and exit.")
@click.option("--debug", is_flag=True, help="Show the traceback of an error, with every command.")
def cli(debug: bool) -> None:
    """Learn the density of a table; score rows and draw new ones.

    \b
    Examples:
      flowcli fit data.csv                  fit a model, data.flow
      flowcli logprob data.flow new.csv     the log-density of each row, in nats
      flowcli sample data.flow -n 1000      a thousand new rows
      cat new.csv | flowcli logprob data.flow --with-input > scored.csv

    Data goes to standard output, words go to standard error, and - stands for
    standard input or output. flowcli COMMAND --help has the rest.
    """


def main() -> NoReturn:
    """Run ``flowcli`` and end the process with the exit code of what happened."""
    _take_up_closed_streams()
    if not sys.warnoptions:  # Python's warnings are for those who write programs; -W of python brings them back
        warnings.simplefilter("ignore")
    obey()
    _leave(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run a command; every exception becomes one line and an exit code.

    Args:
        arguments: What follows ``flowcli`` on the command line.

    Returns:
        The exit code.
    """
    arguments, debug = _without_debug(arguments)
    try:
        result = _run(arguments)
        if sys.stdout is not None:
            sys.stdout.flush()
        return result
    except Exception as error:
        if debug and not isinstance(error, BrokenPipeError):
            import traceback

            traceback.print_exc()
        return _report_error(error)
    except KeyboardInterrupt:
        say("interrupted")
        return 128 + signal.SIGINT
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1


def _run(arguments: list[str]) -> int:
    """Run a command as it is, exceptions and all."""
    if instruction := os.environ.get(COMPLETION):
        from click.shell_completion import shell_complete

        return shell_complete(cli, {}, "flowcli", COMPLETION, instruction)
    if not arguments:
        click.echo(cli.get_help(click.Context(cli, info_name="flowcli", **cli.context_settings)), err=True)
        return click.UsageError.exit_code
    # Not cli.main(), which turns a closed pipe into exit code 1.
    try:
        with cli.make_context("flowcli", arguments) as context:
            result = cli.invoke(context)
    except click.exceptions.Exit as end:
        return end.exit_code
    return result if isinstance(result, int) else 0


def _report_error(error: Exception) -> int:
    """Say what went wrong, in one line; return its exit code."""
    match error:
        case FlowcliError():
            say(str(error))
            return error.exit_code
        case click.ClickException():
            say(_click_message(error))
            return error.exit_code
        case click.Abort():
            say("interrupted")
            return 128 + signal.SIGINT
        case MemoryError():
            say("not enough memory; try fewer rows, a smaller batch, or --exclude some columns")
            return RESOURCE
        case OSError():
            if error.errno == errno.EPIPE:
                return CLOSED_PIPE
            name = error.filename or "standard output: cannot be written"
            say(f"{name}: {error.strerror or error}")
            return RESOURCE
        case _ if "out of memory" in str(error) or "can't allocate memory" in str(error):
            say("not enough memory; try --set train.batch_size=64 or --device cpu")
            return RESOURCE
    say(f"a bug in flowcli, sorry: {type(error).__name__}: {error} (flowcli --debug ... shows where)")
    return BUG


def _without_debug(arguments: Sequence[str]) -> tuple[list[str], bool]:
    """Return the arguments without ``--debug``, which may be anywhere before ``--``, and whether it was there."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    kept = [each for each in arguments[:end] if each != "--debug"]
    return [*kept, *arguments[end:]], len(kept) < end


def _click_message(error: click.ClickException) -> str:
    """Return what click has to say, in our words."""
    context = getattr(error, "ctx", None)
    position = f" (see {context.command_path} --help)" if context is not None else ""
    if isinstance(error, click.NoSuchOption):
        hint = did_you_mean(error.option_name, error.possibilities or ())
        return f"no such option {error.option_name!r}{hint}{position}"
    if isinstance(error, click.BadParameter) and not isinstance(error, click.MissingParameter) and error.param:
        name = error.param.opts[-1] if error.param.param_type_name == "option" else error.param.human_readable_name
        return f"{name}: {one_line(error.message).rstrip('.')}{position}"
    text = one_line(error.format_message()).rstrip(".")
    return text[:1].lower() + text[1:] + position


def _take_up_closed_streams() -> None:
    """Put something in the place of closed standard streams.

    The next file to be opened would get their number otherwise, and what a library prints would end up in it.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            # The wrong way round, so that reading or writing fails.
            os.open(os.devnull, os.O_RDONLY if descriptor else os.O_WRONLY)
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - it lives as long as the process


def _leave(code: int) -> NoReturn:
    """End the process, even if what is left in the buffers of standard streams cannot be written any more."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()
    # The memory goes with the process. Python would first take down its modules: a fifth of a short run, and threads of
    # pyarrow that let go of a buffer meanwhile abort it.
    os._exit(code)
