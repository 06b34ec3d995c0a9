"""Every check here takes few points and one thread."""

from __future__ import annotations

import pytest
import torch

from tests.evaluation.check.models import few_points


@pytest.fixture(autouse=True)
def _few_points(monkeypatch):
    few_points(monkeypatch)


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
