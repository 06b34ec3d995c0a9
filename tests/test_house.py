"""What holds for the repository as a whole."""

from __future__ import annotations

import csv
import re
import subprocess
import sys
import tokenize
import tomllib
from pathlib import Path

import pytest

import flowcli
from flowcli import config

ROOT = Path(__file__).resolve().parent.parent
GIVEN_UP = """
    bend taped Tape tape Joint Codes Angles look guard there spread minus places place unlike Wishes wishes
    Part rest on_line on_circle coded Coordinates Outcomes Others Guide guide Guess Tally tally Queries
    queries Wanted Team team sides Side way Way Ways ways settle settled Ready One Several Best Average
    shortening rounded_products Lonely lonely made far manner told screen Screen evaluated compared gallery
    Gallery sketch not_the_same remainders apart several
"""
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def python(script):
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=ROOT)


def our_files():
    """All files of the repository that a person wrote."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        capture_output=True,
        check=False,
        cwd=ROOT,
    )
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listed.stdout.decode().split("\0") if name and (ROOT / name).is_file()]


def test_no_file_mentions_the_machine_it_was_written_on():
    machine = re.compile(rb"(?<![\w.~])(/tm" + rb"p/w|/roo" + rb"t|/wor" + rb"k|/hom" + rb"e)/\w")
    assert [str(path.relative_to(ROOT)) for path in our_files() if machine.search(path.read_bytes())] == []


def test_the_version_is_the_same_everywhere():
    changelog = (ROOT / "CHANGELOG.md").read_text()
    released = re.findall(r"^## \[(\d[^\]]*)\]", changelog, flags=re.MULTILINE)
    assert PROJECT["version"] == flowcli.__version__ == released[0]


def test_every_dependency_is_pinned():
    pinned = {line.partition("==")[0].lower() for line in (ROOT / "constraints.txt").read_text().splitlines()}
    wanted = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["test"]]
    names = {re.split(r"[<>=\[; ]", each)[0].lower() for each in wanted}
    spelled = {name.replace("-", "_") for name in pinned} | pinned
    assert names - spelled - {name.replace("_", "-") for name in pinned} == set()


def test_constraints_name_versions_and_no_places():
    lines = (ROOT / "constraints.txt").read_text().splitlines()[1:]
    assert [line for line in lines if not re.fullmatch(r"[A-Za-z0-9_.-]+==[A-Za-z0-9.]+", line)] == []


@pytest.mark.parametrize("name", config.names())
def test_every_shipped_config_stands_in_the_changelog_or_a_folder_of_its_own(name):
    assert "/" in name or f"`{name}`" in (ROOT / "CHANGELOG.md").read_text()


def test_importing_flowcli_imports_nothing_heavy():
    script = (
        "import sys, flowcli\n"
        "assert not {'torch', 'pandas', 'pyarrow', 'numpy', 'pydantic', 'yaml', 'click', 'rich'} & set(sys.modules)\n"
        "assert {'fit', 'load'} <= set(dir(flowcli))\n"
    )
    done = python(script)
    assert (done.returncode, done.stderr) == (0, "")


def test_an_unknown_name_of_the_package_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'fti'"):
        flowcli.fti  # noqa: B018


def test_sample_data_are_whole():
    folder = ROOT / "sample_data"
    readme = (folder / "README.md").read_text()
    rows = {"magic.csv": 4000, "magic_new.csv": 500, "orders.csv": 800, "penguins.csv": 344, "rings.csv": 2000}
    assert {path.name for path in folder.glob("*.csv")} == set(rows)
    for name, count in rows.items():
        header, *lines = csv.reader((folder / name).read_text().splitlines())
        assert len(lines) == count, name
        assert {len(line) for line in lines} == {len(header)}, name
        assert f"| `{name}` | {count:,} | {len(header)} |" in readme
    fitted = set((folder / "magic.csv").read_text().splitlines()[1:])
    scored = set((folder / "magic_new.csv").read_text().splitlines()[1:])
    assert len(fitted) + len(scored) == 4500
    assert not fitted & scored


def test_no_name_of_the_code_is_a_word_that_was_given_up():
    """``docs/decisions/0017-the-fields-words.md`` says which words are used instead."""
    given_up = set(GIVEN_UP.split())
    found = set()
    for path in sorted((ROOT / "flowcli").rglob("*.py")):
        with path.open("rb") as file:
            names = {token.string for token in tokenize.tokenize(file.readline) if token.type == tokenize.NAME}
        # A word is given up within a longer name, too: in ``_settle_net`` and ``LEAST_APART`` as much as by itself.
        found |= {
            (str(path.relative_to(ROOT)), n) for n in names if {n, n.strip("_"), *n.lower().split("_")} & given_up
        }
    assert found == set()
