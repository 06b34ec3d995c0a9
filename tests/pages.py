"""The pages of docs/guide, whose commands are run: ``python -m tests.pages`` writes what they print into them.

A block that begins with ``$`` is a session of a shell: each line with it is a command, and what follows, up to the next
one, what it printed, words and data together. All pages are run in their order in one folder that has ``sample_data``,
and ``flowcli`` runs with two threads. A picture that a command writes and a page shows is kept beside the page.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.cli.terminal import environment

ROOT = Path(__file__).parent.parent
GUIDE = ROOT / "docs" / "guide"
SESSION = re.compile(r"(?:^    \$ .*\n)(?:^    .*\n|^\n(?=    ))*", re.MULTILINE)
PICTURE = re.compile(r"!\[[^]]*\]\(([^)]+)\)")


@dataclass(frozen=True)
class Command:
    """A command of a page, and what the page says that it prints."""

    page: Path
    line: str
    printed: str


def pages() -> list[Path]:
    """The pages, in the order in which they are run: the one that the guide begins with first."""
    return sorted(GUIDE.glob("*.md"))


def commands(page: Path) -> Iterator[Command]:
    """The commands of a page."""
    for session in SESSION.findall(page.read_text(encoding="utf-8")):
        lines = [line.removeprefix("    ") for line in session.splitlines()]
        begins = [number for number, line in enumerate(lines) if line.startswith("$ ")]
        for begin, end in zip(begins, [*begins[1:], len(lines)], strict=True):
            printed = "\n".join(lines[begin + 1 : end]).rstrip("\n")
            yield Command(page, lines[begin].removeprefix("$ "), printed)


def run(line: str, folder: Path) -> str:
    """What a command prints, without the spaces at the ends of lines."""
    script = f'flowcli() {{ {sys.executable} -m flowcli "$@"; }}\n{line}'
    done = subprocess.run(
        ["bash", "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        cwd=folder,
        env=environment(OMP_NUM_THREADS="2"),
    )
    return "\n".join(line.rstrip() for line in done.stdout.decode().rstrip("\n").split("\n"))


def prepared(folder: Path) -> Path:
    """A folder with the sample data."""
    shutil.copytree(ROOT / "sample_data", folder / "sample_data")
    return folder


def written(page: Path, folder: Path) -> str:
    """The text of a page with what its commands print now."""

    def again(session: re.Match[str]) -> str:
        lines = []
        for command in re.findall(r"^    \$ (.*)$", session[0], re.MULTILINE):
            printed = run(command, folder)
            lines += [f"$ {command}", *(printed.split("\n") if printed else [])]
        return "".join(f"    {line}".rstrip() + "\n" for line in lines)

    return SESSION.sub(again, page.read_text(encoding="utf-8"))


def main() -> None:
    """Run all commands, and write what they print into their pages."""
    with tempfile.TemporaryDirectory() as name:
        folder = prepared(Path(name))
        for page in pages():
            page.write_text(written(page, folder), encoding="utf-8")
            for picture in PICTURE.findall(page.read_text(encoding="utf-8")):
                if (folder / picture).exists():
                    shutil.copy(folder / picture, page.parent / picture)
            print(page.relative_to(ROOT))


if __name__ == "__main__":
    main()
