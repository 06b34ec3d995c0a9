"""Pictures depend on nobody's settings, and change none."""

from __future__ import annotations

import io
from pathlib import Path

import matplotlib
import numpy as np
import pytest

import flowcli
from flowcli.evaluation.plots import corner, write_picture
from flowcli.table import Column, Schema

SCHEMA = Schema((Column("a"), Column("b")))


def written(form):
    values = np.random.default_rng(0).normal(size=(100, 2))
    file = io.BytesIO()
    write_picture(corner(values, values, SCHEMA), file, form)
    return file.getvalue()


@pytest.mark.parametrize("form", ["png", "svg", "pdf"])
def test_a_users_settings_change_nothing_and_are_left_as_they_are(form):
    plain = written(form)
    theirs = {"font.size": 30, "axes.facecolor": "black", "savefig.dpi": 40, "xtick.color": "red", "lines.linewidth": 9}
    with matplotlib.rc_context(theirs):
        assert written(form) == plain
        assert {key: matplotlib.rcParams[key] for key in theirs} == theirs


def test_pyplot_stays_out():
    """It keeps every figure that it makes, and asks for a display."""
    for path in Path(flowcli.__file__).parent.rglob("*.py"):
        assert "import matplotlib.pyplot" not in path.read_text(encoding="utf-8"), path
        assert "import pyplot" not in path.read_text(encoding="utf-8"), path
