"""Each column transformed given those before it."""

from __future__ import annotations

import torch
from torch import Tensor

from flowcli.flows.bijections import Bijection
from flowcli.flows.conditioners import AutoregressiveNetwork
from flowcli.flows.context import NO_CONTEXT, Context
from flowcli.flows.layers.conditioned import ALL, summed, transform_columns
from flowcli.flows.transform import Transform


class Autoregressive(Transform):
    """Column i is transformed with parameters that a network reads off the columns before i, and off the context.

    The inverse goes column by column, yet costs about one forward pass, because each step computes only what the last
    column unlocked; it carries no gradient. Papers: MAF (Papamakarios et al., 2017), with the masks
    of MADE (Germain et al., 2015).

    Args:
        bijection: How a column is transformed.
        network: A network with P parameters per column.
        reverse: Whether the last column comes first.
    """

    def __init__(self, bijection: Bijection, network: AutoregressiveNetwork, *, reverse: bool = False) -> None:
        super().__init__()
        self.bijection = bijection
        self.network = network
        self.reverse = reverse

    def initialize(self, x: Tensor) -> None:  # noqa: D102
        self.network.select_parents(x.flip(1) if self.reverse else x)

    def forward(self, x: Tensor, context: Context = NO_CONTEXT) -> tuple[Tensor, Tensor]:  # noqa: D102
        present = None if context.observed is None else self._by_column(context.observed)
        z, log_det = transform_columns(self._by_column(x), self.network, self.bijection, ALL, context, present)
        return self._by_row(z), log_det

    @torch.no_grad()
    def inverse(self, z: Tensor, context: Context = NO_CONTEXT) -> tuple[Tensor, Tensor]:  # noqa: D102
        columns = self._by_column(z)
        x = torch.empty_like(columns)
        log_det = z.new_zeros(len(z))
        stepper = self.network.column_by_column(len(z), context)
        present = [None] * len(columns) if context.observed is None else self._by_column(context.observed)
        for i in range(len(columns)):
            transformed = self.bijection.inverse(columns[i : i + 1], stepper.parameters(i, x)[:, None])
            x[i : i + 1], log_derivative = summed(*transformed, present[i])
            log_det += log_derivative
        return self._by_row(x), log_det

    def _by_column(self, rows: Tensor) -> Tensor:
        """Return the columns in their order, each a run of memory, (D, B)."""
        return rows.t().flip(0) if self.reverse else rows.t().contiguous()

    def _by_row(self, columns: Tensor) -> Tensor:
        """Return the inverse: rows (B, D), which lie in memory column by column still."""
        return columns.flip(0).t() if self.reverse else columns.t()
