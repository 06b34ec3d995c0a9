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

from flowcli.density import Density, Ensemble, FlowDensity
from flowcli.errors import NumericsError
from flowcli.flows import Flow
from flowcli.flows.bases import AutoregressiveMixture, Mixture
from flowcli.flows.networks import Network
from flowcli.training.latents import contexts, with_gaps
from flowcli.training.loop import SCORING_ROWS
from flowcli.training.mixture import FittedMixture, fit_mixture
from flowcli.training.rows import generator, spread_over_cells
from flowcli.training.sides import Side

MOST_ROWS = 200_000  # that EM sees; its memory grows with them


def with_held_out_rows(density: Density, train: Side, held_out: Side) -> Density:
    """The same density; where its mixture is as EM found it in the training rows, EM goes on with all rows.

    Args:
        density: As it was judged by the held-out rows, which is what its summary tells.
        train: The training rows.
        held_out: The held-out rows.
    """
    if isinstance(density, Ensemble):
        members = [_of_flow(member, train, held_out) for member in density.members]
        changed = any(after is not before for before, after in zip(density.members, members, strict=True))
        return replace(density, members=members) if changed else density
    assert isinstance(density, FlowDensity)
    return _of_flow(density, train, held_out)


@torch.no_grad()
def _of_flow(density: FlowDensity, train: Side, held_out: Side) -> FlowDensity:
    ridge, joint = density.summary.get("ridge"), copy.deepcopy(density.joint)
    flow = joint.flow
    if ridge is None or flow is None or _has_learned(flow):
        return density
    assert isinstance(flow.base, Mixture | AutoregressiveMixture)
    gaussians = flow.base.gaussians
    values = torch.cat([train.tensor, held_out.tensor])
    weights = None
    if train.weights is not None and held_out.weights is not None:
        weights = torch.from_numpy(np.concatenate([train.weights, held_out.weights]))
    spread = spread_over_cells(density.encoding, len(values), generator(density.summary["seed"], 14))
    rows = density.encoding.forward(values, spread)[0].float()
    z = []
    for block, context in zip(torch.split(rows, SCORING_ROWS), contexts(joint, rows, 0), strict=True):
        latents = flow(joint.layout.split(block)[0], context)[0]
        z.append(with_gaps(gaussians.centred(latents, flow.passed(context)), [flow.passed(context)]))
    start = FittedMixture(gaussians.log_weights.softmax(0), gaussians.means, gaussians.factors())
    try:
        mixture = _refitted(torch.cat(z), start, ridge, weights, density.summary["seed"])
    except NumericsError:  # a held-out row is too far from the others for EM: what was found without it stands
        return density
    gaussians.set(*mixture)
    return FlowDensity(density.encoding, joint, density.config, {**density.summary, "held_out_rows_fitted": True})


def _refitted(z: Tensor, start: FittedMixture, ridge: float, weights: Tensor | None, seed: int) -> FittedMixture:
    doubles = FittedMixture(*(part.double() for part in start))
    return fit_mixture(z, len(start.weights), seed=seed, ridge=ridge, weights=weights, most=MOST_ROWS, start=doubles)


def _has_learned(flow: Flow) -> bool:
    """Whether any network's last layer, zero at the start, is zero no more; also where there is none to tell."""
    lasts = [module.last for module in flow.modules() if isinstance(module, Network)]
    return not lasts or any(bool(last.weight.any() or last.bias.any()) for last in lasts)
