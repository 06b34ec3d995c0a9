"""Columns transformed by a bijection whose parameters a network reads off columns: autoregressive and coupling layers.

Where the bijection has a kernel, forward and backward go through network and bijection as one operation, which is what
makes a step of many small operations quick.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from flowcli.flows.bijections import Bijection, KernelBijection
from flowcli.flows.conditioners import Network, tracks
from flowcli.flows.context import Context


class Parts(NamedTuple):
    """Which of the columns the network sees, and which are transformed; ``None`` stands for all."""

    seen: Tensor | None = None
    transformed: Tensor | None = None


ALL = Parts()


def transform_columns(
    columns: Tensor,
    network: Network,
    bijection: Bijection,
    parts: Parts,
    context: Context,
    observed: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Transform columns.

    Args:
        columns: D columns by rows, contiguous, (D, B).
        network: From the S columns seen, (S, B), to P planes of the A columns transformed.
        bijection: How a column is transformed.
        parts: Which columns are which.
        context: What the density depends on besides the row.
        observed: One for each transformed column that is observed and zero for the others, (A, B); ``None`` where
            all are.

    Returns:
        The columns (D, B), and the sums of the log-derivatives (B,).
    """
    inputs = (columns, context.features, *network.weights)
    if isinstance(bijection, KernelBijection) and torch.is_grad_enabled() and tracks(*inputs):
        z, log_det = _TransformColumns.apply(network, bijection, parts, observed, *inputs)  # type: ignore[no-untyped-call]
        return z, log_det
    outputs = network.evaluate(_pick(columns, parts.seen), context)
    transformed, log_derivative = bijection.evaluate(
        _pick(columns, parts.transformed), network.planes(outputs, bijection.parameters)
    )
    transformed, log_det = summed(transformed, log_derivative, observed)
    return _put(columns, parts.transformed, transformed), log_det


def summed(transformed: Tensor, log_derivative: Tensor, observed: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return transformed columns (A, B), zero where not observed, and the sum of the others' log-derivatives (B,)."""
    if observed is not None:
        transformed, log_derivative = torch.mul(transformed, observed), torch.mul(log_derivative, observed)
    return transformed, log_derivative.sum(0)


class _TransformColumns(torch.autograd.Function):
    """``transform_columns`` with its gradient."""

    @staticmethod
    def forward(
        ctx: Any,
        network: Network,
        bijection: KernelBijection[Any],
        parts: Parts,
        observed: Tensor | None,
        columns: Tensor,
        features: Tensor | None,
        *weights: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        outputs, network_saved = network.forward_saving(_pick(columns, parts.seen), features)
        theta = network.planes(outputs, bijection.parameters)
        transformed, log_derivative, saved = bijection.forward_saving(_pick(columns, parts.transformed), theta)
        ctx.network, ctx.bijection, ctx.parts, ctx.observed = network, bijection, parts, observed
        ctx.saved = network_saved, saved
        transformed, log_det = summed(transformed, log_derivative, observed)
        return _put(columns, parts.transformed, transformed), log_det

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_z: Tensor, grad_log_det: Tensor) -> tuple[Tensor | None, ...]:
        network, parts, (network_saved, saved) = ctx.network, ctx.parts, ctx.saved
        of_x, of_given = ctx.needs_input_grad[4:6]
        of_transformed = _pick(grad_z, parts.transformed)
        if ctx.observed is not None:
            of_transformed = torch.mul(of_transformed, ctx.observed)
            grad_log_det = torch.mul(grad_log_det, ctx.observed)
        grad_transformed, grad_theta = ctx.bijection.gradient(saved, of_transformed, grad_log_det)
        grad_seen, grad_features, of_weights = network.gradient(
            network_saved, network.units(grad_theta), of_x=of_x, of_given=of_given
        )
        grad_x = None
        if of_x:
            grad_x = _put(grad_z, parts.transformed, grad_transformed)
            if parts.seen is None:
                grad_x.add_(grad_seen)
            else:
                grad_x.index_add_(0, parts.seen, grad_seen)
        return None, None, None, None, grad_x, grad_features, *of_weights


def _pick(columns: Tensor, positions: Tensor | None) -> Tensor:
    """Return the columns (D, B) at some positions."""
    return columns if positions is None else columns.index_select(0, positions)


def _put(columns: Tensor, positions: Tensor | None, values: Tensor) -> Tensor:
    """Return the columns (D, B) with others at some positions."""
    return values if positions is None else columns.index_copy(0, positions, values)
