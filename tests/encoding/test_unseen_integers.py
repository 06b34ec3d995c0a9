"""Numbers of a grid that nobody has seen: a distribution, drawn from as it is scored."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from flowcli.encoding.unseen_integers import UPPER_QUARTILE, UnseenIntegers


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize(("step", "width"), [(1.0, 3.0), (0.5, 40.0), (1.0, 1.0)])
def test_the_rest_of_the_grid_sums_to_one(step: float, width: float, signed: bool) -> None:
    values = np.array([0.0, 1.0, 2.0, 7.0]) * step
    others = UnseenIntegers(values.tolist(), step, 0.0, width, signed=signed)
    grid = torch.arange(-200_000, 200_000, dtype=torch.float64) * step
    log_prob = others.log_prob(grid)
    assert float(log_prob.exp().sum()) == pytest.approx(1.0, abs=1e-6)
    assert (log_prob[torch.isin(grid, torch.from_numpy(values))] == -torch.inf).all()
    assert bool((log_prob[grid < 0] == -torch.inf).all()) == (not signed)


def test_masses_are_those_of_a_student_t() -> None:
    others = UnseenIntegers([0.0], 1.0, 0.0, 30.0, signed=True)
    indices = torch.tensor([1.0, -5.0, 40.0, 3000.0, -1e6])
    scale = 30.0 / UPPER_QUARTILE
    # A cell is so narrow beside the scale that its mass is that of its middle.
    expected = stats.t(4).pdf(indices.numpy() / scale) / scale
    ratio = others.log_prob(indices.double()).exp().numpy() / expected
    np.testing.assert_allclose(ratio, ratio[0], rtol=2e-4)


def test_draws_follow_the_masses() -> None:
    others = UnseenIntegers([0.0, 1.0, 2.0], 1.0, 0.0, 4.0, signed=True)
    drawn = others.sample(100_000, torch.Generator().manual_seed(0))
    numbers, counts = torch.unique(drawn, return_counts=True)
    expected = others.log_prob(numbers).exp()
    often = expected > 1e-3
    off = (counts[often] / 1e5 - expected[often]) / torch.sqrt(expected[often] / 1e5)
    assert float(off.abs().max()) < 4.5
    assert float((drawn.abs() > 60).double().mean()) < 1e-3
