"""The conditionals of an autoregressive mixture, whole planes at a time, with the gradient.

With K components, the residual e_ki of column i, and the network's a (added to log-weights), s (a shift) and r (a
log-scale, before it is clipped),

    W_ik = log w_k + sum_{j<i} (log P_kjj - e_kj^2 / 2) + a_ik,
    V_ik = W_ik + log P_kii - l_ik - c_ik^2 / 2,    l = clip(r),    c = (e + s) exp(-l),
    log p(z) = sum_i (logsumexp_k V_ik - logsumexp_k W_ik - log(2 pi) / 2).

W and V are in bits, as components far behind the best underflow. The sum over the columns before is a product with a
triangle of ones, which is much quicker than a running sum. Columns are taken block by block, so that what one
operation wrote is still in the cache when the next one reads it.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from flowcli.flows.kernels.bits import BITS, exp2_
from flowcli.flows.kernels.planes import LOG_SQRT_2PI, constant, soft_clip, write

LARGEST_LOG_SCALE = 7.0

# Numbers in each of a block's planes: a dozen such planes are what the cache of a core holds.
BLOCK = 2**17


class Planes(NamedTuple):
    """What there is of each column, component and row.

    Attributes:
        weights: exp of W and of V, each less its maximum over k, (2, D, K, B).
        corrected: c, (D, K, B).
        inverse_scale: exp(-l), (D, K, B).
        squeeze: By how much the clip squeezed r, but for the sign, (D, K, B); its derivative is the square.
    """

    weights: Tensor
    corrected: Tensor
    inverse_scale: Tensor
    squeeze: Tensor

    def narrow(self, begin: int, end: int) -> Planes:
        """Return the planes of a run of columns."""
        if end - begin == len(self.corrected):
            return self
        return Planes(self.weights[:, begin:end], *(plane[begin:end] for plane in self[1:]))


class SavedConditionals(NamedTuple):
    """What the gradient needs of the way forward: residuals, planes, sums of weights (2, D, 1, B), whose weights."""

    e: Tensor
    planes: Planes
    sums: Tensor
    by_row: bool


class Gradients(NamedTuple):
    """The gradients of what ``forward`` takes."""

    e: Tensor
    log_weights: Tensor
    log_diagonal: Tensor
    theta: Tensor


def forward(
    e: Tensor, log_weights: Tensor, log_diagonal: Tensor, theta: Tensor, *, save: bool = True
) -> tuple[Tensor, SavedConditionals]:
    """Return the sum of the conditional log-densities of the columns (B,), and what ``gradient`` needs.

    Args:
        e: Residuals, (K, D, B).
        log_weights: log w, up to a constant, (K,), or those of each row (K, B).
        log_diagonal: log P_kii, (K, D).
        theta: The network's parameters (3 K, D, B): a, s and r; quickest if they lie in memory column by column.
        save: Whether the gradient will be asked for.
    """
    components, columns, rows = e.shape
    most = _block_columns(e)
    shape = (columns if save else most, components, rows)
    planes = Planes(e.new_empty(2, *shape), e.new_empty(shape), e.new_empty(shape), e.new_empty(shape))
    residuals, by_column = e.transpose(0, 1), theta.transpose(0, 1)
    diagonal = torch.mul(log_diagonal, BITS).t().unsqueeze(2)
    # The first plane is the sum of all columns before the block, and column i of the block sees i + 1 planes.
    log_normals = e.new_empty(most + 1, components, rows)
    log_normals[0] = torch.mul(log_weights, BITS).view(components, -1)
    seen = _triangle(most, 0, e.dtype, e.device)
    sums, peaks = e.new_empty(2, columns, 1, rows), e.new_empty(columns, 1, rows)
    # Squares that overflow must not meet the zeros of the triangle.
    least = torch.finfo(e.dtype).min / (4 * columns)
    negative_one = constant(-1.0, e.dtype, e.device)
    for begin in range(0, columns, most):
        end = min(begin + most, columns)
        size = end - begin
        own, own_diagonal = residuals[begin:end], diagonal[begin:end]
        extra, shift, log_scale = by_column[begin:end].chunk(3, 1)
        weights, corrected, inverse_scale, squeeze = planes.narrow(begin, end) if save else planes.narrow(0, size)
        prior, posterior = weights[0], weights[1]

        torch.addcmul(own_diagonal, own, own, value=-0.5 * BITS, out=log_normals[1 : size + 1]).clamp_min_(least)
        before = log_normals[:size].view(size, -1)
        torch.addmm(extra.flatten(1), seen[:size, :size], before, beta=BITS, out=prior.view(size, -1))
        if end < columns:
            carried = log_normals[: size + 1].sum(0)
            torch.sub(carried, carried.amax(0), out=log_normals[0])  # what all components share rounds the rest away
        # V is made of W once that is small, so that what the columns before say rounds nothing of it away.
        prior.sub_(prior.amax(1, keepdim=True))

        torch.abs(log_scale, out=squeeze)
        torch.add(negative_one, squeeze, alpha=-1 / LARGEST_LOG_SCALE, out=squeeze).reciprocal_()
        torch.mul(log_scale, squeeze, out=inverse_scale)  # -l, until the exponential
        torch.add(prior, inverse_scale, alpha=BITS, out=posterior)
        inverse_scale.exp_()
        torch.add(own, shift, out=corrected).mul_(inverse_scale)
        posterior.addcmul_(corrected, corrected, value=-0.5 * BITS).add_(own_diagonal)
        posterior.sub_(torch.amax(posterior, 1, keepdim=True, out=peaks[begin:end]))
        write(sums[:, begin:end], torch.sum, exp2_(weights), 2, keepdim=True)
    conditionals = torch.div(sums[1], sums[0]).log_().add_(peaks, alpha=1 / BITS)
    return conditionals.sum((0, 1)).sub_(columns * LOG_SQRT_2PI), SavedConditionals(
        e, planes, sums, log_weights.ndim == 2
    )


def gradient(saved: SavedConditionals, grad: Tensor) -> Gradients:
    """Return the gradients, from that of the log-density (B,)."""
    e, planes, sums, by_row = saved
    components, columns, rows = e.shape
    most = _block_columns(e)
    of_e, of_theta = torch.empty_like(e), e.new_empty(columns, 3 * components, rows)
    residuals, of_residuals = e.transpose(0, 1), of_e.transpose(0, 1)
    # Sums over the rows of the gradients of V, and of a, which is that of W in all.
    of_posterior, of_prior = e.new_empty(2, columns, components).unbind()
    later = e.new_zeros(1, components * rows)  # what the columns after the block want of those before
    after = _triangle(most, -1, e.dtype, e.device).t()
    factors = torch.div(grad, sums)
    zero = constant(0.0, e.dtype, e.device)
    through_room, scratch_room = e.new_empty(2, most, components, rows).unbind()
    for begin in reversed(range(0, columns, most)):
        end = min(begin + most, columns)
        size = end - begin
        weights, corrected, inverse_scale, squeeze = planes.narrow(begin, end)
        extra, shift, log_scale = of_theta[begin:end].chunk(3, 1)
        through, scratch = through_room[:size], scratch_room[:size]
        torch.mul(weights[1], factors[1, begin:end], out=through)
        write(extra, torch.addcmul, through, weights[0], factors[0, begin:end], value=-1)
        # A probability that is zero stays zero, however large c is.
        torch.mul(through, corrected, out=scratch)
        write(shift, torch.addcmul, zero, scratch, inverse_scale, value=-1)
        torch.addcmul(through, scratch, corrected, value=-1, out=scratch).mul_(squeeze)
        write(log_scale, torch.addcmul, zero, scratch, squeeze, value=-1)
        torch.sum(through, 2, out=of_posterior[begin:end])
        torch.sum(extra, 2, out=of_prior[begin:end])
        # What the later columns want of the log-density of this one.
        flat = extra.flatten(1)
        torch.addmm(later, after[:size, :size], flat, out=scratch.view(size, -1))
        if begin:
            later = torch.add(scratch[:1].view(1, -1), flat[:1])
        write(of_residuals[begin:end], torch.addcmul, shift, residuals[begin:end], scratch, value=-1)
    of_diagonal = torch.addmm(of_posterior, _triangle(columns, -1, e.dtype, e.device).t(), of_prior)
    of_weights = of_theta[:, :components].sum(0) if by_row else of_prior.sum(0)
    return Gradients(of_e, of_weights, of_diagonal.t(), of_theta.transpose(0, 1))


def where_observed(e: Tensor, log_weights: Tensor, log_diagonal: Tensor, theta: Tensor, observed: Tensor) -> Tensor:
    """Return the log-density (B,) of the observed columns alone, as a plain formula that autograd differentiates.

    Args:
        e: Residuals, zero where a column is not observed, (K, D, B).
        log_weights: (K,) or (K, B).
        log_diagonal: Logarithms of the factors' diagonals for each row, zero where a column is not observed, (K, D, B).
        theta: The network's parameters (3 K, D, B).
        observed: One for each column that is observed, zero for the others, (D, B).
    """
    extra, shift, raw = theta.chunk(3)
    log_normals = log_diagonal - 0.5 * e.square()
    # Of the columns before alone: a sum with the own one taken off again would round away what they say.
    before = torch.cat([torch.zeros_like(log_normals[:, :1]), torch.cumsum(log_normals[:, :-1], 1)], 1)
    prior = log_weights.view(len(e), 1, -1) + before + extra
    prior = prior - prior.amax(0)  # what all components share rounds the rest away
    log_scale = soft_clip(raw, LARGEST_LOG_SCALE)
    corrected = (e + shift) * torch.exp(-log_scale)
    posterior = prior + log_diagonal - log_scale - 0.5 * corrected.square()
    columns = torch.logsumexp(posterior, 0) - torch.logsumexp(prior, 0) - LOG_SQRT_2PI
    return (columns * observed).sum(0)


def _block_columns(e: Tensor) -> int:
    """How many columns are taken at once: all of them by a GPU, and by a compiler, which makes its own blocks."""
    columns = e.shape[1]
    if e.device.type != "cpu" or torch.compiler.is_compiling():
        return columns
    blocks = math.ceil(e.numel() / BLOCK)
    return math.ceil(columns / max(1, min(blocks, columns)))


def _triangle(size: int, diagonal: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Ones up to some diagonal, (size, size)."""
    if torch.compiler.is_compiling():
        return torch.ones(size, size, dtype=dtype, device=device).tril_(diagonal)
    return _kept_triangle(size, diagonal, dtype, device)


@lru_cache(maxsize=64)
def _kept_triangle(size: int, diagonal: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    with torch.inference_mode(False):
        return torch.ones(size, size, dtype=dtype, device=device).tril_(diagonal)
