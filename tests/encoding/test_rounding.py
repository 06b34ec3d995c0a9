"""Points in the cells of rounded numbers: even along each dimension, the same for a row, and others for another."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from flowcli.encoding.column_encoder import Encoded
from flowcli.encoding.rounding import averaged, points

ROWS = 4000


def rows(count: int = ROWS) -> Encoded:
    random = torch.Generator().manual_seed(0)
    u = torch.randn(count, 3, generator=random, dtype=torch.float64)
    codes = torch.randint(0, 3, (count, 1), generator=random)
    return Encoded(codes, torch.zeros(count, 0, dtype=torch.float64), u, torch.zeros(count, 4, dtype=torch.float64))


def some(encoded: Encoded, chosen: slice) -> Encoded:
    return Encoded(*(part[chosen] for part in encoded))


@pytest.mark.parametrize("count", [1, 5, 8])
def test_each_dimension_has_a_point_in_each_part(count):
    found = torch.stack(list(points(count, [0, 2], 4, rows(), 1)))
    assert found.shape == (count, ROWS, 4)
    assert (found[..., [1, 3]] == 0.5).all()
    ordered = found[..., [0, 2]].sort(0).values
    assert torch.allclose(ordered, ordered[:1] + torch.arange(count).double()[:, None, None] / count)
    # Where they begin differs from row to row, evenly, and is another thing in another dimension.
    begins = ordered[0].numpy() * count
    assert abs(np.corrcoef(begins.T)[0, 1]) < 0.05
    assert abs(np.quantile(begins, [0.25, 0.5, 0.75], axis=0) - [[0.25], [0.5], [0.75]]).max() < 0.04


def test_a_row_has_its_points_whatever_its_block():
    whole = torch.stack(list(points(8, [0, 1], 2, rows(), 3)))
    parts = [torch.stack(list(points(8, [0, 1], 2, some(rows(), slice(k, k + 37)), 3))) for k in range(0, ROWS, 37)]
    assert torch.equal(whole, torch.cat(parts, 1))
    nudged = rows()._replace(coordinates=rows().coordinates * (1 + 1e-13))
    assert (torch.stack(list(points(8, [0, 1], 2, nudged, 3))) == whole).all(2).all(0).double().mean() > 0.999
    assert not torch.equal(whole, torch.stack(list(points(8, [0, 1], 2, rows(), 4))))


def test_a_mean_over_rows_is_far_more_exact_than_each_of_them():
    """The same steep density in every cell: what one row is too high another is too low."""
    log_means = []
    for seed in range(20):
        at_points = [torch.log(12 * (x[:, 0] ** 3 + x[:, 1] ** 2)) for x in points(8, [0, 1], 2, rows(), seed)]
        log_means.append(averaged(torch.stack(at_points)).log_mean)
    of_rows = torch.stack(log_means)
    assert of_rows.std(0).mean() > 0.03
    assert of_rows.mean(1).std() < 0.003
