"""``flowcli config``: data on stdout, and what it prints can be used again."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from flowcli import config as configs
from flowcli.cli.config import config
from flowcli.errors import ConfigError, UsageError


def run(*arguments):
    return CliRunner().invoke(config, arguments, catch_exceptions=False)


def test_it_lists_every_shipped_config_with_what_it_is():
    lines = run().stdout.splitlines()
    assert [line.split()[0] for line in lines] == configs.names()
    assert all(line.endswith(configs.summary(line.split()[0])) for line in lines)


@pytest.mark.parametrize("name", configs.names())
def test_a_printed_config_is_the_config(tmp_path, name):
    copy = tmp_path / "copy.yaml"
    copy.write_bytes(run(name).stdout_bytes)
    assert configs.load(copy) == configs.load(name)


def test_the_schema_is_json():
    assert json.loads(run("--schema").stdout) == configs.schema_json()


def test_mistakes_are_told():
    with pytest.raises(ConfigError, match=r"did you mean 'nsf'\?"):
        run("nfs")
    with pytest.raises(UsageError, match="takes no NAME"):
        run("nsf", "--schema")


def test_help_keeps_the_examples_on_lines_of_their_own():
    assert "  flowcli config nsf > my.yaml       a copy to edit" in run("--help").stdout
