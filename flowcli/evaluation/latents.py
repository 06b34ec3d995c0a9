"""Latents of rows beside the base: are they what the flow was made to make of them?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import ndtri
from torch import Tensor

from flowcli.density import FlowDensity
from flowcli.errors import UsageError
from flowcli.evaluation.calibration import ranks_among

Rows = NDArray[np.float64]

DRAWS = 20_000  # of the base, at least
BLOCK = 2048


@dataclass(frozen=True)
class LatentScores:
    """Latents as what they would be if the base were a standard normal, one by one.

    Each latent's rank among draws of the base is given as the normal's quantile; so whatever the base is (a normal, a
    Student t, a mixture that depends on what is given), the scores of each latent are those of a standard normal where
    the flow is right. Together they need not be independent: what depends on each other in the base does in them.

    Attributes:
        rows: Of the latents of rows, NaN where a coordinate is missing, (N, D).
        base: Of other draws of the base, (M, D).
    """

    rows: Rows
    base: Rows


@torch.inference_mode()
def latent_scores(density: FlowDensity, values: Rows, seed: int) -> LatentScores:
    """The scores of the latents of rows (N, C).

    The base is drawn from given what it depends on in these very rows, as often as it takes. Rounded numbers are spread
    over their cells, as when the flow is fitted. Rows that the columns cannot hold are left out.

    Raises:
        UsageError: The model has no continuous columns, or there are no rows.
    """
    flow, joint = density.joint.flow, density.joint
    if flow is None:
        raise UsageError("the model has no latents: none of its columns is continuous")
    random, generator = np.random.default_rng([seed, 51]), torch.Generator().manual_seed(seed)
    like = next(joint.parameters())
    rows, log_det = density.encoding.forward(
        torch.as_tensor(values, dtype=torch.float64), torch.as_tensor(random.random(values.shape))
    )
    rows = rows[log_det > -torch.inf].to(like)
    if not len(rows):
        raise UsageError("latents need rows that the model's columns can hold")
    latents, draws = [], []
    for block in torch.split(rows, BLOCK):
        coordinates = joint.layout.split(block)[0]
        context = joint.context(block)
        z = flow(coordinates, context)[0]
        of_latents = flow.passed(context)
        latents.append(_with_gaps(z, of_latents.observed))
        for _ in range(-(-2 * DRAWS // len(rows))):
            draws.append(_with_gaps(flow.base.sample(len(block), generator, of_latents), of_latents.observed))
    own, base = np.concatenate(latents), np.concatenate(draws)
    order = random.permutation(len(base))
    reference, others = base[order[: len(base) // 2]], base[order[len(base) // 2 :]]
    return LatentScores(*(_scores(each, reference, random) for each in (own, others)))


def _with_gaps(z: Tensor, observed: Tensor | None) -> Rows:
    """Latents (B, D) with NaN for those that are not there."""
    z = z if observed is None else z.where(observed > 0, torch.nan)
    return np.asarray(z.cpu().double().numpy())


def _scores(z: Rows, reference: Rows, random: np.random.Generator) -> Rows:
    """The normal scores of latents (N, D) among draws (M, D)."""
    ranks = [ranks_among(own, draws, random.random(len(own))) for own, draws in zip(z.T, reference.T, strict=True)]
    return np.asarray(ndtri(np.stack(ranks, axis=1)))
