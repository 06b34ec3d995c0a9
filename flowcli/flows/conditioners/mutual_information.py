"""How much columns say about each other."""

from __future__ import annotations

import torch
from torch import Tensor

BINS, MOST_ROWS = 8, 20_000


@torch.no_grad()
def mutual_information(x: Tensor) -> Tensor:
    """The mutual information of pairs of columns in nats, from counts in equally filled bins.

    Of a column that is not observed, the rows count where both are. Too few rows to tell give zero.

    Args:
        x: Rows (N, D), of which the first are looked at; NaN for what is not observed.

    Returns:
        (D, D), symmetric, with what counts alone would give by chance subtracted, and nowhere below zero.
    """
    x = x[:MOST_ROWS]
    rows, columns = x.shape
    observed = ~x.isnan()
    ranks = x.nan_to_num(torch.inf).argsort(dim=0, stable=True).argsort(dim=0)
    bins = ranks * BINS // observed.sum(0).clamp_min(1)
    hot = torch.nn.functional.one_hot(bins.clamp_max(BINS - 1), BINS).float() * observed[:, :, None]
    hot = hot.view(rows, columns * BINS)
    counts = (hot.t() @ hot).view(columns, BINS, columns, BINS)
    total = counts.sum((1, 3)).clamp_min(1)
    joint = counts / total[:, None, :, None]
    expected = joint.sum(1, keepdim=True) * joint.sum(3, keepdim=True)
    nats = torch.where(joint > 0, joint * torch.log(joint / expected.clamp_min(1e-30)), 0.0).sum((1, 3))
    by_chance = (BINS - 1) ** 2 / (2 * total)  # of independent columns (Miller, 1955)
    found = (nats - by_chance).clamp_min(0).fill_diagonal_(0)
    return (found + found.t()) / 2  # sums in another order differ in their last digits
