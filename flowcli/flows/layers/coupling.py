"""One part of the columns transformed given the other part."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from flowcli.flows.context import NO_CONTEXT, Context
from flowcli.flows.elementwise import Bijection
from flowcli.flows.networks import DenseNetwork
from flowcli.flows.transform import Transform


class Coupling(Transform):
    """The ``active`` columns are bent with parameters that a network reads off the others, and off the context.

    Papers: NICE and RealNVP (Dinh et al., 2015, 2017).

    Args:
        active: Which columns are transformed, one flag per column; at least one is.
        bijection: How an active column is bent.
        network: From the passive columns and the context to P planes of the active columns, plane by plane.
    """

    active: Tensor
    passive: Tensor

    def __init__(self, active: Sequence[bool], bijection: Bijection, network: DenseNetwork) -> None:
        super().__init__()
        for name, wanted in (("active", True), ("passive", False)):
            index = [i for i, is_active in enumerate(active) if is_active == wanted]
            self.register_buffer(name, torch.tensor(index, dtype=torch.long), persistent=False)
        self.bijection = bijection
        self.network = network

    def forward(self, x: Tensor, context: Context = NO_CONTEXT) -> tuple[Tensor, Tensor]:  # noqa: D102
        columns = x.t()
        bent, log_derivative = self.bijection.forward(columns[self.active], self._theta(columns, context))
        return columns.index_copy(0, self.active, bent).t(), log_derivative.sum(0)

    def inverse(self, z: Tensor, context: Context = NO_CONTEXT) -> tuple[Tensor, Tensor]:  # noqa: D102
        columns = z.t()
        bent, log_derivative = self.bijection.inverse(columns[self.active], self._theta(columns, context))
        return columns.index_copy(0, self.active, bent).t(), log_derivative.sum(0)

    def _theta(self, columns: Tensor, context: Context) -> Tensor:
        """The parameters (P, A, B) of the active columns, A of them."""
        seen = columns[self.passive]
        if context.given is not None:
            seen = torch.cat([seen, context.given.t()])
        return self.network(seen.t()).t().view(self.bijection.parameters, -1, columns.shape[1])
