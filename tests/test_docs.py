"""The documentation says what is so."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def test_the_terms_in_how_it_works_add_up() -> None:
    text = (ROOT / "docs" / "how-it-works.md").read_text()
    table = re.search(r"z1,z2,base_logprob,log_det,logprob\n((?: {4}[-\d.,]+\n)+)", text)
    assert table is not None
    rows = [[float(cell) for cell in line.split(",")] for line in table[1].split()]
    scaled = re.search(r"mm\.flow --precision float64\n\n {4}logprob\n((?: {4}[-\d.]+\n)+)", text)
    assert scaled is not None
    for (z1, z2, base, log_det, total), in_millimetres in zip(rows, map(float, scaled[1].split()), strict=True):
        assert base == pytest.approx(-(z1 * z1 + z2 * z2) / 2 - math.log(2 * math.pi), abs=1e-9)
        assert total == pytest.approx(base + log_det, abs=1e-12)
        assert in_millimetres == pytest.approx(total - math.log(1000), abs=1e-6)


def test_the_lines_of_code_in_how_it_works_are_in_the_code() -> None:
    text = (ROOT / "docs" / "how-it-works.md").read_text()
    code = "".join((ROOT / "flowcli" / name).read_text() for name in ("training/loop/steps.py", "flows/flow.py"))
    lines = re.findall(r"^ {4}((?:self|loss|gradients|z,|log_prob|torch)[.: ].*)$", text, re.MULTILINE)
    assert len(lines) == 8
    for line in lines:
        assert line in code


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text()):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_nothing_was_left_to_fill_in(page: Path) -> None:
    assert not re.search(r"@@|TODO|FIXME|XXX", page.read_text())
