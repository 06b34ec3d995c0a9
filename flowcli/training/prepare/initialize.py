"""Where the parameters of a density start."""

from __future__ import annotations

import torch
from torch import Tensor

from flowcli.flows import MixedDensity, Transform, bases
from flowcli.training.loop.steps import SCORING_ROWS
from flowcli.training.prepare.latents import contexts, with_gaps
from flowcli.training.prepare.mixture import fit_mixture
from flowcli.training.prepare.starts import Start


@torch.no_grad()
def initialize(joint: MixedDensity, rows: Tensor, weights: Tensor | None, start: Start | None, seed: int) -> None:
    """Set a density to where its training begins, in place.

    Codes start at their frequencies, layers at what their data-dependent start says, one after the other, and a mixture
    base at the mixture that EM found in what comes out of the layers.

    Args:
        joint: The density, on the CPU.
        rows: Training rows as it reads them, (N, W), float32.
        weights: Of the rows, (N,), one on average; ``None`` where all count alike.
        start: The mixture that was found, if one was looked for.
        seed: Seeds EM where the layers do not start at the identity.
    """
    joint.eval()
    codes = joint.layout.split(rows)[2]
    if joint.codes is not None:
        joint.codes.initialize(codes, torch.ones(len(codes)) if weights is None else weights)
    flow = joint.flow
    if flow is None:
        return
    before = z = joint.layout.split(rows)[0]
    for position, layer in enumerate(flow.layers):
        assert isinstance(layer, Transform)
        layer.initialize(with_gaps(z, contexts(joint, rows, position)))
        parts = zip(torch.split(z, SCORING_ROWS), contexts(joint, rows, position), strict=True)
        z = torch.cat([layer(part, context)[0] for part, context in parts])
    if not isinstance(flow.base, bases.Mixture | bases.AutoregressiveMixture):
        return
    observed = with_gaps(z, contexts(joint, rows, len(flow.layers)))
    if isinstance(flow.base, bases.AutoregressiveMixture):
        flow.base.network.select_parents(observed)
    if start is None:
        return
    mixture, shift, gate = start.mixture, start.shift, start.gate
    if not torch.allclose(z, before, rtol=1e-4, atol=1e-4):  # the layers do not start at the identity
        mixture = fit_mixture(observed, len(mixture.weights), seed=seed, ridge=start.ridge, weights=weights)
        shift = gate = None  # which belonged to the mixture before
    flow.base.gaussians.set(mixture.weights, mixture.means, mixture.factors, gate, shift)
