"""A small table and a model of it, made once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.terminal import TINY, fitted, rows


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    """Commands write where they are called."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def _threads(monkeypatch):
    """``--threads`` sets the threads of the whole process; other tests have theirs."""
    import torch

    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def data(tmp_path_factory) -> Path:
    """A table of 300 rows and three columns: a, b, c."""
    path = tmp_path_factory.mktemp("data") / "data.csv"
    path.write_text(rows())
    return path


@pytest.fixture(scope="session")
def model(data) -> Path:
    """A model of it."""
    return fitted(data, data.with_name("data.flow"))


@pytest.fixture
def tiny(tmp_path) -> Path:
    """A config that fits in a moment."""
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY)
    return path
