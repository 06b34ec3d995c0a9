"""Pictures depend on nobody's settings, and change none."""

from __future__ import annotations

import io
import subprocess
import sys

import matplotlib
import numpy as np
import pytest

from flowcli.evaluation.pictures import corner, write_picture
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
    script = "import sys, flowcli.evaluation.pictures; assert 'matplotlib.pyplot' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
