"""Fewer points than users get, so that tests take no time; limits follow from the number of points."""

from __future__ import annotations

import pytest
import torch

from flowcli.evaluation.correctness import base, cells, mass, proposal, quadrature, suite


@pytest.fixture(autouse=True)
def _few_points(monkeypatch):
    monkeypatch.setattr(suite, "DRAWN", 8_000)
    monkeypatch.setattr(suite, "WRITTEN", 2_000)
    monkeypatch.setattr(suite, "TRIED", 200)
    monkeypatch.setattr(proposal, "FIT_ROWS", 2_000)
    monkeypatch.setattr(proposal, "COMPONENTS", (8, 8, 4))
    monkeypatch.setattr(mass, "ROUNDS", 2)
    monkeypatch.setattr(base, "ROUNDS", 2)
    monkeypatch.setattr(mass, "ROUND_ROWS", 4_000)
    monkeypatch.setattr(base, "ROUND_ROWS", 4_000)
    monkeypatch.setattr(quadrature, "MOST_POINTS", 40_000)
    monkeypatch.setattr(cells, "ROWS", 40)
    monkeypatch.setattr(cells, "POINTS", 64)


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
