"""The held-out rows' last use: where nothing was learned beyond the mixture at the start, EM sees them too.

Whatever a network learned was chosen by these rows, so they cannot teach it. A mixture that nothing improved on has no
more use for them as judges, and a tenth more rows is what other tools have, which hold none out.
"""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from flowcli.errors import NumericsError
from flowcli.flows import Flow
from flowcli.flows.bases import AutoregressiveMixture, Mixture
from flowcli.flows.bases.gaussian_components import Gaussians
from flowcli.flows.conditioners import Network
from flowcli.flows.gaussian_mixture import GaussianMixture, covariances_of
from flowcli.model import Density, Ensemble, FlowDensity
from flowcli.model.possible_sums import with_possible_sums
from flowcli.random import Stream, numpy_generator
from flowcli.training.loop.epochs import dequantization_shares, generator
from flowcli.training.loop.steps import SCORING_ROWS
from flowcli.training.prepare.latents import contexts, with_gaps
from flowcli.training.prepare.mixture import fit_mixture
from flowcli.training.prepare.row_sets import RowSet, out_of_reach

MOST_ROWS, MOST_NUMBERS = 200_000, 2**25  # that EM sees, and of all components together: what it needs memory for
FITTED = "held_out_rows_fitted"  # in a summary


def refit_with_held_out(density: Density, train: RowSet, held_out: RowSet) -> Density:
    """Return the density with its mixture refitted by EM to all rows, where training left the mixture as EM found it.

    A density whose parameters were trained since, or which has no mixture, is returned as it is.

    Args:
        density: On the CPU, and as the held-out rows judged it: its summary goes on telling that.
        train: The training rows.
        held_out: The held-out rows.
    """
    if isinstance(density, Ensemble):
        members = [_of_flow(member, train, held_out) for member in density.members]
        if all(after is before for before, after in zip(density.members, members, strict=True)):
            return density
        return replace(density, members=members, summary={**density.summary, FITTED: True})
    assert isinstance(density, FlowDensity)
    return _of_flow(density, train, held_out)


@torch.no_grad()
def _of_flow(density: FlowDensity, train: RowSet, held_out: RowSet) -> FlowDensity:
    ridge, flow = density.summary.get("ridge"), density.joint.flow
    if ridge is None or flow is None or _has_learned(flow):
        return density
    gaussians, seed = _gaussians(flow), density.summary["seed"]
    both = train.and_those_of(held_out, density.encoder)
    usable = ~out_of_reach(density.encoder, both)  # of several fits, each may have left out others
    most = min(MOST_ROWS, MOST_NUMBERS // gaussians.means.numel())
    usable[numpy_generator(seed, Stream.REFIT_ROWS).permutation(np.flatnonzero(usable))[most:]] = False
    both = both.keep(usable)
    z, weights = _latents(density, flow, both), both.weight_tensor
    log_weights, means, factors = gaussians.log_weights, gaussians.means, gaussians.factors().double()
    start = GaussianMixture(log_weights.softmax(0).double(), means.double(), covariances_of(factors))
    try:
        mixture = fit_mixture(z, len(start.weights), seed=seed, ridge=ridge, weights=weights, most=most, start=start)
    except NumericsError:  # with these rows there is no such mixture: what was found without them stands
        return density
    joint = copy.deepcopy(density.joint)
    assert joint.flow is not None
    _gaussians(joint.flow).set(mixture.weights, mixture.means, mixture.factors)
    return with_possible_sums(replace(density, joint=joint, summary={**density.summary, FITTED: True}))


def _gaussians(flow: Flow) -> Gaussians:
    """Return the Gaussians of a base that EM started."""
    assert isinstance(flow.base, Mixture | AutoregressiveMixture)
    return flow.base.gaussians


def _latents(density: FlowDensity, flow: Flow, row_set: RowSet) -> Tensor:
    """Return latents (N, D) of rows, less what conditioning variables move them by: the mixture is fitted to them."""
    shares = dequantization_shares(
        density.encoder, len(row_set), generator(density.summary["seed"], Stream.REFIT_DEQUANTIZATION)
    )
    rows = density.encoder.forward(row_set.prepared, shares)[0].float()
    z = []
    for block, context in zip(torch.split(rows, SCORING_ROWS), contexts(density.joint, rows, 0), strict=True):
        latents, latent_context = flow(density.joint.layout.split(block)[0], context)[0], flow.output_context(context)
        z.append(with_gaps(_gaussians(flow).centred(latents, latent_context), [latent_context]))
    return torch.cat(z)


def _has_learned(flow: Flow) -> bool:
    """Return whether any network's last layer, zero at the start, is zero no more; also where there is none to tell."""
    lasts = [module.last for module in flow.modules() if isinstance(module, Network)]
    return not lasts or any(bool(last.weight.any() or last.bias.any()) for last in lasts)
