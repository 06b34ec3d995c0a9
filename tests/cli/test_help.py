"""Help that helps: short, whole, with examples; and what the shell completes."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from flowcli import config as configs
from flowcli.cli.main import COMMANDS, cli
from tests.cli.terminal import flowcli, process

PAGES = [[], *([name] for name in COMMANDS)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: " ".join(page) or "flowcli")
def test_a_help_page_fits_a_screen(page):
    done = flowcli(*page, "--help")
    assert (done.code, done.err) == (0, "")
    assert flowcli(*page, "-h").out == done.out
    assert max(len(line) for line in done.lines) <= 80
    assert len(done.lines) <= 48
    assert "..." not in done.text.replace("COMMAND ...", "").replace("c1, c2, ...", "").replace("z1, z2, ...", "")
    examples = done.text.partition("Examples:\n")[2].partition("\n\n")[0].splitlines()
    assert len(examples) >= 2
    assert all("flowcli " in line for line in examples)
    for line in examples:
        assert line.startswith("    ")
        assert line[4] != " "


@pytest.mark.parametrize("name", COMMANDS)
def test_everything_has_a_word_of_help(name):
    command = cli.get_command(click.Context(cli), name)
    assert command.short_help.endswith(".")
    assert f"  {name:<9} {command.short_help}\n" in flowcli("--help").text
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name
            assert parameter.help.endswith(".")
            assert parameter.is_flag or parameter.metavar, parameter.name
            # One line, or little more.
            assert len(parameter.help) < 62, parameter.name


@pytest.mark.parametrize("name", COMMANDS)
def test_the_examples_hold_options_that_exist(name):
    text = flowcli(name, "--help").text.partition("Examples:\n")[2].partition("\n\n")[0]
    for line in text.splitlines():
        words = line.split("flowcli ", 1)[1].split("|")[0].split("   ")[0].split()
        command = cli.get_command(click.Context(cli), words[0])
        known = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in words if word.startswith("-") and word != "-"} <= known


def test_the_version_is_told():
    import flowcli as package

    assert flowcli("--version").text == f"flowcli, version {package.__version__}\n"


def complete(words, cwd):
    line = ["flowcli", *words]
    done = process(cwd=cwd, _FLOWCLI_COMPLETE="bash_complete", COMP_WORDS=" ".join(line), COMP_CWORD=str(len(line) - 1))
    return [tuple(item.split(",")) for item in done.lines]


def test_the_shell_completes_what_can_be_known(tmp_path):
    (tmp_path / "some.flow").touch()
    (tmp_path / "some.csv").touch()
    assert [value for _, value in complete(["fit", "-c", "n"], tmp_path)] == [n for n in configs.names() if n[0] == "n"]
    assert complete(["fit", "-c", "my"], tmp_path) == [("file", "my")]
    assert complete(["info", "so"], tmp_path) == [("plain", "some.flow")]
    assert complete(["info", "x"], tmp_path) == [("file", "x")]
    assert complete(["logprob", "some.flow", "so"], tmp_path) == [("file", "so")]
    assert complete(["conf"], tmp_path) == [("plain", "config")]
    assert ("plain", "--epochs") in complete(["fit", "--ep"], tmp_path)
    assert complete(["config", "gl"], tmp_path) == [("plain", "glow")]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_can_be_installed(tmp_path, shell):
    done = process(cwd=tmp_path, _FLOWCLI_COMPLETE=f"{shell}_source")
    assert done.code == 0
    assert "_FLOWCLI_COMPLETE" in done.text


@pytest.mark.parametrize("name", COMMANDS)
def test_the_readme_shows_every_command(name):
    readme = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")
    assert f"flowcli {name}" in readme
