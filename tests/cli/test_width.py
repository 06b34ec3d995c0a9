"""Texts in columns of a screen: shortened, padded and wrapped by how wide letters are."""

from __future__ import annotations

import os
import pty
import sys
from unittest import mock

import numpy as np
from rich.cells import cell_len

from flowcli.cli.status_line import StatusLine
from flowcli.cli.views.compare_view import ScoredModel, lines
from flowcli.cli.views.width import padded, shortened, shortened_before, wrapped

CJK = "温度計の目盛り"


def test_letters_that_take_two_columns():
    assert shortened(CJK, 14) == CJK
    for room in range(1, 14):
        for text in (shortened(CJK, room), shortened_before(CJK, room)):
            assert cell_len(text) <= room
            assert "…" in text
    assert [cell_len(padded(CJK, alignment, 20)) for alignment in "<>"] == [20, 20]
    assert wrapped("a " + CJK * 2 + " b", 10) == ["a", "温度計の目", "盛り温度計", "の目盛り b"]
    assert wrapped("", 10) == [""]
    assert wrapped("a " + "n" * 12 + " b", 10) == ["a", "n" * 12, "b"]


def test_a_step_is_cut_to_the_terminal():
    """A line that wraps could not be taken away again."""
    ours, theirs = pty.openpty()
    with open(theirs, "w", encoding="utf-8") as terminal:
        size = mock.patch("os.get_terminal_size", return_value=os.terminal_size((40, 24)))
        with size, mock.patch.object(sys, "stderr", terminal), mock.patch.dict(os.environ, TERM="xterm"):
            StatusLine(quiet=False).show("scoring 1,000 rows with " + "a/" * 60)
        shown = os.read(ours, 1000).decode()
    os.close(ours)
    assert shown.startswith("\r\x1b[Kflowcli: scoring 1,000 rows")
    assert cell_len(shown.removeprefix("\r\x1b[K")) == 39


def test_a_comparison_fits_a_screen_and_has_no_zero_below_zero():
    first = np.full(200_000, -1e-5)
    second = np.where(np.arange(200_000) < 199_000, -np.inf, -123456.789)
    models = [
        ScoredModel(f"{CJK * 5}{number}.flow", log_prob, 123_456_789, 10**9, 1234.5)
        for number, log_prob in enumerate((first, first - 1e-6, second))
    ]
    found = list(lines(models))
    assert max(map(cell_len, found)) <= 80
    assert "-0.000" not in "\n".join(found)
