"""The parameters of a density as one vector, so that what is done to all of them is done in one operation."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from flowcli.flows import MixedDensity
from flowcli.parallel.lockstep import shared


class Flat:
    """The trained parameters of a density as views of one vector: those that decay, then the others.

    Args:
        density: The density, whose parameters become such views.
        share: Whether the vector lies in memory that forked processes share.
    """

    def __init__(self, density: MixedDensity, *, share: bool) -> None:
        trained = [(name, p) for name, p in density.named_parameters() if p.requires_grad]
        decays = [".network." in f".{name}" and p.ndim == 2 for name, p in trained]
        self.parameters: list[nn.Parameter] = [
            p for wanted in (True, False) for (_, p), decay in zip(trained, decays, strict=True) if decay == wanted
        ]
        self.decaying = sum(p.numel() for (_, p), decay in zip(trained, decays, strict=True) if decay)
        self.vector = self.room(share=share)
        self.adopt(self.vector)

    def room(self, *, share: bool) -> Tensor:
        """Return zeros for a vector like this one."""
        first, size = self.parameters[0], sum(p.numel() for p in self.parameters)
        if share:
            return shared(size, dtype=first.dtype)
        return torch.zeros(size, dtype=first.dtype, device=first.device)

    @torch.no_grad()
    def adopt(self, vector: Tensor) -> None:
        """Make the parameters views of a vector, with the values that they have."""
        for parameter, part in zip(self.parameters, self.parts(vector), strict=True):
            part.copy_(parameter)
            parameter.data = part

    def parts(self, vector: Tensor) -> list[Tensor]:
        """Return what of a vector belongs to each parameter, in its shape."""
        sizes = [p.numel() for p in self.parameters]
        return [part.view_as(p) for part, p in zip(torch.split(vector, sizes), self.parameters, strict=True)]

    def gather(self, gradients: Sequence[Tensor], out: Tensor) -> None:
        """Write gradients of the parameters into a vector."""
        torch.cat([gradient.reshape(-1) for gradient in gradients], out=out)
