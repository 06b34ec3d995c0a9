"""Latents of rows beside the base: are they what the flow was made to make of them?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import ndtri
from torch import Tensor

from flowcli.errors import UsageError
from flowcli.evaluation.metrics.ranks import ranks_among, ranks_among_own
from flowcli.flows.bases import AutoregressiveMixture, Mixture
from flowcli.model import FlowDensity
from flowcli.random import Stream, derived_seed, numpy_generator

Rows = NDArray[np.float64]

DRAWS = 20_000  # of the base, at least
OWN_DRAWS = 49  # for each row, where the base depends on it
BLOCK = 2048


@dataclass(frozen=True)
class LatentScores:
    """Latents as what they would be if the base were a standard normal, one by one.

    Each latent's rank among draws of the base is given as the normal's quantile; so whatever the base is (a normal, a
    Student t, a mixture), the scores of each latent are those of a standard normal where the flow is right. Where the
    base depends on what is given and on codes, each row has draws of its own. Together the scores need not be
    independent: what depends on each other in the base does in them.

    Attributes:
        rows: Of the latents of rows, NaN where a coordinate is missing, (N, D).
        base: Of other draws of the base, (M, D).
    """

    rows: Rows
    base: Rows


@torch.inference_mode()
def latent_scores(density: FlowDensity, values: Rows, seed: int) -> LatentScores:
    """The scores of the latents of rows (N, C).

    Rounded numbers are spread
    over their cells, as when the flow is fitted. Rows that the columns cannot hold are left out.

    Raises:
        UsageError: The model has no continuous columns, or there are no rows.
    """
    flow, joint = density.joint.flow, density.joint
    if flow is None:
        raise UsageError("the model has no latents: none of its columns is continuous")
    random = numpy_generator(seed, Stream.LATENTS)
    generator = torch.Generator().manual_seed(derived_seed(seed, Stream.BASE_DRAWS))
    like = next(joint.parameters())
    residuals = density.encoder.relations.residuals(torch.as_tensor(values, dtype=torch.float64))
    rows, log_det = density.encoder.forward(residuals, torch.as_tensor(random.random(values.shape)))
    rows = rows[log_det > -torch.inf].to(like)
    if not len(rows):
        raise UsageError("latents need rows that the model's columns can hold")
    own_draws = joint.layout.context_features + len(
        joint.layout.outcome_counts
    ) + joint.layout.angles > 0 and isinstance(flow.base, Mixture | AutoregressiveMixture)
    times = OWN_DRAWS + 1 if own_draws else -(-2 * DRAWS // len(rows))
    latents, draws = [], []
    for block in torch.split(rows, BLOCK):
        context = joint.context(block)
        z = flow(joint.layout.split(block)[0], context)[0]
        of_latents = flow.output_context(context)
        latents.append(_with_gaps(z, of_latents.observed))
        sampled = (flow.base.sample(len(block), generator, of_latents) for _ in range(times))
        draws.append(np.stack([_with_gaps(each, of_latents.observed) for each in sampled], axis=1))
    own, base = np.concatenate(latents), np.concatenate(draws)
    if own_draws:
        return LatentScores(*(_scores(each, base[:, 1:], random) for each in (own, base[:, 0])))
    base = base.reshape(-1, base.shape[2])
    order = random.permutation(len(base))
    others, reference = base[order[: len(base) // 2]], base[order[len(base) // 2 :]]
    return LatentScores(*(_scores(each, reference, random) for each in (own, others)))


def _with_gaps(z: Tensor, observed: Tensor | None) -> Rows:
    """Latents (B, D) with NaN for those that are not observed."""
    z = z if observed is None else z.where(observed > 0, torch.nan)
    return np.asarray(z.cpu().double().numpy())


def _scores(z: Rows, draws: Rows, random: np.random.Generator) -> Rows:
    """Return the normal scores of latents (N, D) among draws (M, D), or each row's own (N, K, D)."""
    among = ranks_among if draws.ndim == 2 else ranks_among_own
    ranks = [among(z[:, d], draws[..., d], random) for d in range(z.shape[1])]
    return np.asarray(ndtri(np.stack(ranks, axis=1)))
