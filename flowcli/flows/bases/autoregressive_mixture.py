"""A mixture of Gaussians whose exact conditionals a network corrects."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from flowcli.flows.bases.base import Base, by_completeness, normal, uniform
from flowcli.flows.bases.gaussian_components import Gaussians
from flowcli.flows.conditioners import AutoregressiveNetwork, tracks
from flowcli.flows.context import NO_CONTEXT, Context
from flowcli.flows.kernels import autoregressive_mixture
from flowcli.flows.kernels.autoregressive_mixture import LARGEST_LOG_SCALE
from flowcli.flows.kernels.bits import BITS, exp2_
from flowcli.flows.kernels.planes import soft_clip


class AutoregressiveMixture(Base):
    """p(z) = prod_i p(z_i | z_<i), each conditional a mixture of K Gaussians.

    The conditionals of a full-covariance mixture are mixtures themselves, known exactly: with the residuals e_k of
    ``Gaussians``,

        p(z_i | z_<i) = sum_k softmax_k( log w_k + sum_{j<i} log N_kj ) N_ki,
        log N_ki = log P_k,ii - e_ki^2 / 2 - log(2 pi) / 2.

    The network adds to each column's log-weights, shifts its components (in units of their scales) and changes their
    log-scales. It is zero at the start, so a fit begins at the likelihood of the mixture that EM found, and can only
    improve on it. Papers: MADE and MAF (Germain et al., 2015; Papamakarios et al., 2017) have autoregressive mixtures
    that start from nothing.

    Where columns are not there, what the network corrects are the conditionals of the mixture's exact marginal.
    Weights and means may depend on what is given, as those of ``Mixture``.

    Args:
        columns: D.
        components: K.
        network: An autoregressive network with 3 K parameters per column.
        context: C, the number of conditioning variables.
    """

    def __init__(self, columns: int, components: int, network: AutoregressiveNetwork, context: int = 0) -> None:
        super().__init__()
        self.gaussians = Gaussians(columns, components, context)
        self.network = network

    def log_prob(self, z: Tensor, context: Context = NO_CONTEXT) -> Tensor:  # noqa: D102
        return by_completeness(self._whole, self._partial, self.gaussians.centred(z, context), context)

    @torch.no_grad()
    def sample(self, rows: int, generator: torch.Generator, context: Context = NO_CONTEXT) -> Tensor:
        """Draw column after column: a component by its conditional weight, then its corrected normal."""
        columns = self.gaussians.means.shape[1]
        numbers = [draw(rows, columns, generator, self.gaussians.means) for draw in (uniform, normal)]
        both = torch.cat(numbers, 1)
        z = by_completeness(self._draw_whole, self._draw_partial, both, context)
        return self.gaussians.centred(z, context, -1.0)

    def _whole(self, z: Tensor, context: Context) -> Tensor:
        """Return the log-density of rows in which all columns are observed."""
        columns, features = z.t().contiguous(), context.features
        g = self.gaussians
        log_weights = g.weights(context)
        parameters = (log_weights, g.means, g.log_diagonal, g.below_diagonal, *self.network.weights)
        if tracks(columns, features, *parameters):
            return cast("Tensor", _LogProb.apply(self, columns, features, *parameters))  # type: ignore[no-untyped-call]
        with torch.no_grad():
            theta = self.network.theta(columns, context)
            return autoregressive_mixture.forward(
                g.forward_saving(columns)[0], log_weights, g.log_diagonal, theta, save=False
            )[0]

    def _partial(self, z: Tensor, context: Context) -> Tensor:
        """Return the log-density of rows in which some coordinates are missing, (B,)."""
        assert context.observed is not None
        columns, gaussians = z.t().contiguous(), self.gaussians
        marginals = gaussians.marginals(context.observed)
        return autoregressive_mixture.where_observed(
            marginals.residuals(gaussians.means, columns),
            gaussians.weights(context),
            marginals.log_diagonal,
            self.network.theta(columns, context),
            context.observed.t(),
        )

    def _draw_whole(self, numbers: Tensor, context: Context) -> Tensor:
        """Return rows in which all columns are observed, from uniform and normal numbers (B, 2 D)."""
        gaussians = self.gaussians
        components, columns = gaussians.means.shape
        factors, rows = gaussians.factors(), len(numbers)
        stepper = self.network.column_by_column(rows, context)
        draws, noise = (part.contiguous() for part in numbers.t().chunk(2))
        z = torch.empty_like(noise)
        # A column, component by component, in one piece of memory each.
        offsets = torch.matmul(factors, gaussians.means.unsqueeze(2)).transpose(0, 1).neg()
        by_column = factors.transpose(0, 1).contiguous()
        diagonal = gaussians.log_diagonal.t().exp().contiguous()
        log_diagonal = (gaussians.log_diagonal * BITS).t().unsqueeze(2)
        log_weights = (gaussians.weights(context) * BITS).view(components, -1).expand(-1, rows).clone()
        weights, edges, known = (torch.empty_like(log_weights) for _ in range(3))
        triangle = factors.new_ones(components, components).tril_()
        own = torch.arange(rows, device=factors.device)
        for i in range(columns):
            extra, shift, log_scale = stepper.parameters(i, z).chunk(3)
            torch.add(log_weights, extra, alpha=BITS, out=weights)
            torch.mm(triangle, exp2_(weights.sub_(weights.amax(0))), out=edges)
            component = torch.lt(edges, draws[i] * edges[-1], out=weights).sum(0).long()
            index = torch.add(own, component, alpha=rows)
            # The part of every residual that the columns before i fix: -e_ki = P_k,ii z_i + known_k.
            torch.addmm(offsets[i], by_column[i, :, :i], z[:i], out=known)
            chosen_scale, chosen_shift, chosen_known = (
                plane.reshape(-1).index_select(0, index) for plane in (log_scale, shift, known)
            )
            scale = soft_clip(chosen_scale, LARGEST_LOG_SCALE).exp_()
            residual = torch.addcmul(chosen_shift, noise[i], scale).sub_(chosen_known)
            torch.div(residual, diagonal[i].index_select(0, component), out=z[i])
            known.addcmul_(diagonal[i].unsqueeze(1), z[i])
            log_weights.addcmul_(known, known, value=-0.5 * BITS).add_(log_diagonal[i])
        return z.t().contiguous()

    def _draw_partial(self, numbers: Tensor, context: Context) -> Tensor:
        """Return rows in which some are not observed."""
        assert context.observed is not None
        gaussians, rows = self.gaussians, len(numbers)
        marginals = gaussians.marginals(context.observed)
        log_diagonal = marginals.log_diagonal
        stepper = self.network.column_by_column(rows, context)
        draws, noise = numbers.t().chunk(2)
        components = len(gaussians.means)
        z = torch.zeros_like(noise)
        differences = gaussians.means.new_zeros(components, len(z), rows)  # m - z of the columns so far
        log_weights = gaussians.weights(context).view(components, -1).expand(-1, rows)
        for i, present in enumerate(context.observed.t()):
            extra, shift, raw = stepper.parameters(i, z).chunk(3)
            # The part of every residual that the columns before i fix, for z_i at the component's mean.
            known = torch.einsum("bkj,kjb->kb", marginals.factors[marginals.patterns.own, :, i, :i], differences[:, :i])
            edges = torch.softmax(log_weights + extra, 0).cumsum(0)
            component = torch.lt(edges, draws[i] * edges[-1]).sum(0, keepdim=True)
            scale = soft_clip(raw, LARGEST_LOG_SCALE).exp()
            away = (noise[i] * scale + shift + known) * torch.exp(-log_diagonal[:, i])
            z[i] = (gaussians.means[:, i : i + 1] + away).gather(0, component)[0] * present
            differences[:, i] = (gaussians.means[:, i : i + 1] - z[i]) * present
            e = known + torch.exp(log_diagonal[:, i]) * differences[:, i]
            log_weights = log_weights + (log_diagonal[:, i] - 0.5 * e.square()) * present
        return z.t().contiguous()


class _LogProb(torch.autograd.Function):
    """The log-density with its gradient, through network and mixture as one operation."""

    @staticmethod
    def forward(
        ctx: Any,
        base: AutoregressiveMixture,
        columns: Tensor,
        features: Tensor | None,
        log_weights: Tensor,
        *_: Tensor | None,
    ) -> Tensor:
        gaussians, network = base.gaussians, base.network
        outputs, network_saved = network.forward_saving(columns, features)
        e, residuals_saved = gaussians.forward_saving(columns)
        theta = network.planes(outputs, 3 * len(e))
        out, saved = autoregressive_mixture.forward(e, log_weights, gaussians.log_diagonal, theta)
        ctx.base, ctx.saved = base, (network_saved, residuals_saved, saved)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        gaussians, network, (network_saved, residuals_saved, saved) = ctx.base.gaussians, ctx.base.network, ctx.saved
        of_x, of_given = ctx.needs_input_grad[1:3]
        of_e, of_log_weights, of_log_diagonal, of_theta = autoregressive_mixture.gradient(saved, grad)
        grad_x, of_means, of_diagonal, of_below = gaussians.gradient(residuals_saved, of_e, of_x=of_x)
        grad_seen, grad_features, of_weights = network.gradient(
            network_saved, network.units(of_theta), of_x=of_x, of_given=of_given
        )
        of_gaussians = (of_log_weights, of_means, of_diagonal.add_(of_log_diagonal), of_below)
        return None, grad_x if grad_x is None else grad_x.add_(grad_seen), grad_features, *of_gaussians, *of_weights
