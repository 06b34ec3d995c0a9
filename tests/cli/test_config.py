"""``flowcli config``: data on stdout, and what it prints can be used again."""

from __future__ import annotations

import json

import pytest

from flowcli import config as configs
from tests.cli.terminal import flowcli


def run(*arguments):
    return flowcli("config", *arguments)


def test_it_lists_every_shipped_config_with_what_it_is():
    lines = run().text.splitlines()
    assert [line.split()[0] for line in lines] == configs.names()
    assert all(line.endswith(configs.summary(line.split()[0])) for line in lines)


@pytest.mark.parametrize("name", configs.names())
def test_a_printed_config_is_the_config(tmp_path, name):
    copy = tmp_path / "copy.yaml"
    copy.write_bytes(run(name).out)
    assert configs.load(copy) == configs.load(name)


def test_the_schema_is_json():
    assert json.loads(run("--schema").text) == configs.schema_json()


def test_mistakes_are_told():
    done = run("nfs")
    assert (done.code, done.out, "did you mean 'nsf'?" in done.complaint) == (2, b"", True)
    done = run("nsf", "--schema")
    assert (done.code, done.out, "takes no NAME" in done.complaint) == (2, b"", True)


def test_help_keeps_the_examples_on_lines_of_their_own():
    assert "  flowcli config nsf > my.yaml      a copy to edit" in run("--help").text
