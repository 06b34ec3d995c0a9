"""The guide shows what its commands print: all of them are run again."""

from __future__ import annotations

import difflib
import re
from pathlib import Path

import pytest

from flowcli.cli.main import COMMANDS
from tests.pages import GUIDE, PICTURE, commands, pages, prepared, run

# Numbers have other last digits on other processors, and then draws are others, too.
NUMBER = re.compile(r"[-+]?\b[\d][\d,.e+-]*%?|\b[0-9a-f]{16}\b")
DRAWN = re.compile("[\u2500-\u259f·|]+")
ALIKE = 0.85


def skeleton(text: str) -> list[str]:
    """The lines without numbers and drawings; of rows of a table how many cells they have."""
    lines = []
    for line in text.split("\n"):
        cells = line.split(",")
        if len(cells) > 2 and " " not in line:
            lines.append(f"{len(cells)} cells")
        else:
            lines.append(" ".join(DRAWN.sub("", NUMBER.sub("#", line)).split()))
    return [line for line in lines if line]


@pytest.mark.slow
def test_the_commands_print_what_the_guide_shows(tmp_path):
    folder, different = prepared(tmp_path), []
    for page in pages():
        for command in commands(page):
            found, shown = skeleton(run(command.line, folder)), skeleton(command.printed)
            if difflib.SequenceMatcher(None, found, shown, autojunk=False).ratio() < ALIKE:
                different.append((page.name, command.line, found, shown))
        for picture in PICTURE.findall(page.read_text(encoding="utf-8")):
            assert (folder / picture).read_bytes().startswith(b"\x89PNG")
    assert different == []


def test_every_command_has_a_place_in_the_guide():
    text = "".join(page.read_text(encoding="utf-8") for page in pages())
    assert [name for name in COMMANDS if f"$ flowcli {name} " not in text and f"| flowcli {name} " not in text] == []


def test_the_guide_leads_to_its_pages_and_pictures():
    index = (GUIDE / "README.md").read_text(encoding="utf-8")
    assert [page.name for page in pages() if page.name != "README.md" and f"({page.name})" not in index] == []
    pictures = {Path(name).name for page in pages() for name in PICTURE.findall(page.read_text(encoding="utf-8"))}
    assert pictures == {path.name for path in GUIDE.glob("*.png")}
