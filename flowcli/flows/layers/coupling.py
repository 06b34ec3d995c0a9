"""One part of the columns transformed given the other part."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from flowcli.flows.bijections import Bijection
from flowcli.flows.conditioners import DenseNetwork
from flowcli.flows.context import NO_CONTEXT, Context
from flowcli.flows.layers.conditioned import Parts, summed, transform_columns
from flowcli.flows.transform import Transform


class Coupling(Transform):
    """The ``active`` columns are transformed with parameters that a network reads off the others, and off the context.

    Papers: NICE and RealNVP (Dinh et al., 2015, 2017).

    Args:
        active: Which columns are transformed, one flag per column; at least one is.
        bijection: How an active column is transformed.
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
        columns_seen = Parts(seen=self.passive, transformed=self.active)
        z, log_det = transform_columns(
            x.t().contiguous(), self.network, self.bijection, columns_seen, context, self._observed_columns(context)
        )
        return z.t(), log_det

    @torch.no_grad()
    def inverse(self, z: Tensor, context: Context = NO_CONTEXT) -> tuple[Tensor, Tensor]:  # noqa: D102
        columns = z.t().contiguous()
        outputs = self.network.evaluate(columns.index_select(0, self.passive), context)
        theta = self.network.planes(outputs, self.bijection.parameters)
        transformed, log_det = summed(
            *self.bijection.inverse(columns.index_select(0, self.active), theta), self._observed_columns(context)
        )
        return columns.index_copy(0, self.active, transformed).t(), log_det

    def _observed_columns(self, context: Context) -> Tensor | None:
        """Return which of the active columns are observed, (A, B)."""
        return None if context.observed is None else context.observed.t().index_select(0, self.active)
