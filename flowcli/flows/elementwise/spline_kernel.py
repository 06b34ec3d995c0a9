"""The arithmetic of rational-quadratic splines, whole planes at a time, with the gradient written out.

A spline has K bins on [-bound, bound]. Its parameters theta are planes: K sizes of the bins along the input, K along
the output, and log-slopes at the knots: K - 1 at the inner ones (the ends then have slope one), or K of a periodic
spline, whose two ends are one knot.

Nothing is normalised that need not be. With e_j = exp(clip(size_j)) and the left edges E_k = e_0 + .. + e_{k-1}, the
sum S of all stands for the whole width, and a value at the share r of it lies in the bin with E_k <= r S < E_{k+1}, at
the share t = (r S - E_k) / e_k of that bin. So K is met in a few operations on all planes at once (the exponential,
the running sums, the comparison); everything after the gather is a handful of numbers for each value.

Source: Neural spline flows (Durkan et al., 2019), after Gregory & Delbourgo (1982). The gradient is checked against
automatic differentiation in the tests.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from flowcli.flows.elementwise.bijection import planes_like

# Bins may differ in width, and knots in slope, by at most this factor from the identity's (a log).
LARGEST_LOG_SLOPE = -math.log(1e-3)
LARGEST_LOG_SIZE = LARGEST_LOG_SLOPE / 2

INPUT, OUTPUT = 0, 1  # the two axes of a spline


def forward(x: Tensor, theta: Tensor, bins: int, bound: float) -> tuple[Tensor, Tensor]:
    """Return y and log dy/dx; outside of [-bound, bound] the identity.

    Args:
        x: Values, of any shape; quickest if contiguous.
        theta: Parameters (3 K - 1, or 3 K if periodic; ...), of which each plane broadcasts with x.
        bins: K.
        bound: Where the spline ends.
    """
    theta = theta.expand(-1, *x.shape)
    if torch.is_grad_enabled() and (x.requires_grad or theta.requires_grad):
        y, log_derivative = _Spline.apply(x, theta, bins, bound)
        return y, log_derivative
    parts = _locate(x, theta, bins, bound, INPUT)
    return _evaluate(x, parts, bound)[:2]


@torch.no_grad()
def inverse(y: Tensor, theta: Tensor, bins: int, bound: float) -> tuple[Tensor, Tensor]:
    """Return x and log dx/dy, without gradients; see ``forward``."""
    parts = _locate(y, theta.expand(-1, *y.shape), bins, bound, OUTPUT)
    inside, slope, (d0, d1) = parts.inside, parts.slope, parts.d
    rise = parts.share
    # The share t of the bin's width at which the share ``rise`` of its height is reached, over the height: the root
    # of a quadratic in the form that stays stable as its leading coefficient goes to zero.
    bend = rise * (d0 + d1 - 2 * slope)
    a = slope - d0 + bend
    b = d0 - bend
    c = slope * rise
    root = torch.sqrt((b * b + 4 * a * c).clamp_min_(0)).add_(b)
    t = c.mul_(2).div_(root).clamp_(0, 1)
    curve = _curve(t, slope, d0, d1)
    x = torch.addcmul(parts.edge[INPUT], parts.size[INPUT], t).div_(parts.total[INPUT]).mul_(2 * bound).sub_(bound)
    log_derivative = _log_derivative(curve, slope).neg_().mul_(inside)
    return torch.lerp(y, x, inside), log_derivative


class _Parts(NamedTuple):
    """What a value has to know of its spline, all planes of the value's shape.

    Attributes:
        inside: 1 inside of the bound, 0 outside.
        ratio: Where the value lies on [-bound, bound], in [0, 1].
        share: Where it lies in its bin along the axis that was located, in [0, 1].
        edge: The sum of the bins before, along both axes (2, ...).
        size: Of the bin, (2, ...).
        total: Of all bins, (2, ...).
        slope: Height over width of the bin.
        d: The derivatives at the bin's left and right knot, (2, ...).
        knot_squeeze: By how much the clip squeezed these two log-slopes, (2, ...); its derivative is the square.
        sizes: exp(clip(.)) of all sizes, (K, 2, ...).
        squeeze: By how much the clip squeezed each, (K, 2, ...), or what is left of it where no gradient is wanted.
        reached: 1 where the left edge of bin j is at or below the value, (K + 1, ...); the last plane is 0.
    """

    inside: Tensor
    ratio: Tensor
    share: Tensor
    edge: Tensor
    size: Tensor
    total: Tensor
    slope: Tensor
    d: Tensor
    knot_squeeze: Tensor
    sizes: Tensor
    squeeze: Tensor
    reached: Tensor


def _locate(value: Tensor, theta: Tensor, bins: int, bound: float, axis: int, *, gradient: bool = False) -> _Parts:
    """Find each value's bin along an axis, and what belongs to it."""
    shape, count = value.shape, value.numel()
    raw = theta[: 2 * bins].unflatten(0, (2, bins)).transpose(0, 1)
    sizes = theta.new_empty(bins, 2, *shape)
    squeeze = torch.empty_like(sizes) if gradient else sizes
    torch.abs(raw, out=squeeze).add_(LARGEST_LOG_SIZE)
    if gradient:
        torch.mul(raw, squeeze.reciprocal_().mul_(LARGEST_LOG_SIZE), out=sizes)
    else:
        torch.addcdiv(theta.new_zeros(()), raw, squeeze, value=LARGEST_LOG_SIZE, out=sizes)
    sizes.exp_()
    edges = torch.empty_like(sizes)
    edge, size = edges[0].zero_(), sizes[0]
    for next_edge, next_size in zip(edges.unbind()[1:], sizes.unbind()[1:], strict=True):
        torch.add(edge, size, out=next_edge)
        edge, size = next_edge, next_size
    total = edge + size

    clamped = value.clamp(-bound, bound)
    inside = torch.eq(clamped, value, out=torch.empty_like(clamped))
    ratio = clamped.div_(2 * bound).add_(0.5)
    place = ratio * total[axis]
    reached = theta.new_empty(bins + 1, *shape)
    torch.le(edges[:, axis], place, out=reached[:-1])
    reached[0].fill_(1)  # whatever rounding says
    reached[-1].zero_()
    bin = reached[1:-1].sum(0).view(-1).long()

    # One index for every value into planes that lie one behind the other.
    own = torch.arange(count, device=theta.device)
    index = torch.add(own, bin, alpha=2 * count)
    found = theta.new_empty(6, count)
    flat_edges, flat_sizes = edges.view(-1), sizes.view(-1)
    for source, out in zip((flat_edges, flat_edges[count:], flat_sizes, flat_sizes[count:]), found, strict=False):
        torch.index_select(source, 0, index, out=out)
    knots = _padded(theta[2 * bins :], bins, shape).view(-1)
    index = torch.add(own, bin, alpha=count, out=index)
    torch.index_select(knots, 0, index, out=found[4])
    torch.index_select(knots[count:], 0, index, out=found[5])
    edge, size, d = found.view(3, 2, *shape)

    knot_squeeze = d.abs().add_(LARGEST_LOG_SLOPE).reciprocal_().mul_(LARGEST_LOG_SLOPE)
    d.mul_(knot_squeeze).exp_()
    share = place.sub_(edge[axis]).div_(size[axis]).clamp_(0, 1)
    steep = size / total
    slope = steep[OUTPUT] / steep[INPUT]
    return _Parts(inside, ratio, share, edge, size, total, slope, d, knot_squeeze, sizes, squeeze, reached)


def _padded(inner: Tensor, bins: int, shape: torch.Size) -> Tensor:
    """The log-slopes at all K + 1 knots."""
    knots = inner.new_empty(bins + 1, *shape)
    if len(inner) < bins:
        knots[0].zero_()
        knots[-1].zero_()
        knots[1:-1].copy_(inner)
    else:
        knots[:-1].copy_(inner)
        knots[-1].copy_(inner[0])
    return knots


class _Curve(NamedTuple):
    """The pieces of a bin's curve at the share t: y = height * (rise / denominator), and the derivative's numerator."""

    t: Tensor
    u: Tensor
    mixed: Tensor
    bend: Tensor
    denominator: Tensor
    numerator: Tensor


def _curve(t: Tensor, slope: Tensor, d0: Tensor, d1: Tensor) -> _Curve:
    u = 1 - t
    mixed = t * u
    bend = torch.add(d0, d1).sub_(slope, alpha=2)
    denominator = torch.addcmul(slope, bend, mixed)
    numerator = torch.mul(t, t).mul_(d1).addcmul_(slope, mixed, value=2).addcmul_(d0, u * u)
    return _Curve(t, u, mixed, bend, denominator, numerator)


def _log_derivative(curve: _Curve, slope: Tensor) -> Tensor:
    """log( slope^2 numerator / denominator^2 ), by one logarithm."""
    relative = slope / curve.denominator
    return torch.mul(relative, relative).mul_(curve.numerator).log_()


def _evaluate(x: Tensor, parts: _Parts, bound: float) -> tuple[Tensor, Tensor, _Curve, Tensor]:
    """y, log dy/dx, and the curve and the share of the bin's height for the gradient."""
    curve = _curve(parts.share, parts.slope, *parts.d)
    rise = torch.mul(curve.t, curve.t).mul_(parts.slope).addcmul_(parts.d[0], curve.mixed).div_(curve.denominator)
    y = torch.addcmul(parts.edge[OUTPUT], parts.size[OUTPUT], rise).div_(parts.total[OUTPUT])
    y.mul_(2 * bound).sub_(bound)
    log_derivative = _log_derivative(curve, parts.slope).mul_(parts.inside)
    return torch.lerp(x, y, parts.inside), log_derivative, curve, rise


class _Spline(torch.autograd.Function):
    """The forward spline with its gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, theta: Tensor, bins: int, bound: float) -> tuple[Tensor, Tensor]:  # noqa: D102
        parts = _locate(x, theta, bins, bound, INPUT, gradient=True)
        y, log_derivative, curve, rise = _evaluate(x, parts, bound)
        ctx.bins, ctx.bound, ctx.strides = bins, bound, theta.stride()
        ctx.periodic = len(theta) == 3 * bins
        ctx.save_for_backward(*parts, *curve, rise)
        return y, log_derivative

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, grad_y: Tensor, grad_log: Tensor) -> tuple[Tensor, Tensor, None, None]:  # noqa: D102
        saved = ctx.saved_tensors
        parts, curve, rise = _Parts(*saved[:12]), _Curve(*saved[12:18]), saved[18]
        inside, (e_in, e_out), (total_in, total_out) = parts.inside, parts.size, parts.total
        slope, (d0, d1) = parts.slope, parts.d
        t, u, mixed, bend, denominator, numerator = curve

        # y = 2 bound (E_out + e_out rise) / S_out - bound and log dy/dx = log numerator + 2 log slope
        # - 2 log denominator, where they are not the identity's.
        through = torch.mul(grad_y, inside)
        grad_height = torch.div(through, total_out).mul_(2 * ctx.bound)  # of E_out; e_out's is ``rise`` times it
        grad_rise = grad_height * e_out
        grad_log = torch.mul(grad_log, inside)
        over_numerator = grad_log / numerator
        over_denominator = torch.addcmul(grad_log * 2, grad_rise, rise).div_(denominator)
        grad_rise.div_(denominator)

        # Of the share t and of the numbers of the bin.
        skew = u - t
        relative = slope / denominator
        grad_t = torch.mul(d1, t).sub_(d0 * u).addcmul_(slope, skew).mul_(2).mul_(over_numerator)
        grad_t.addcmul_(torch.mul(grad_rise, relative), numerator)
        # grad_t so far has the whole of d rise / dt, which contains the denominator's change; the log's own is left.
        grad_t.addcmul_(torch.mul(bend, skew), grad_log / denominator, value=-2)
        common = torch.mul(mixed, over_denominator)
        grad_d0 = torch.mul(grad_rise, mixed).sub_(common).addcmul_(over_numerator, u * u)
        grad_d1 = torch.mul(over_numerator, t * t).sub_(common)
        grad_slope = torch.mul(t * t, grad_rise).addcmul_(mixed, over_numerator, value=2).sub_(over_denominator)
        grad_slope.add_(common, alpha=2).mul_(slope).add_(grad_log, alpha=2)  # times the slope: of its logarithm

        grad_edge_in = torch.div(grad_t, e_in)  # but for its sign
        grad_x = torch.mul(grad_edge_in, total_in).div_(2 * ctx.bound).add_(grad_y).sub_(through)

        # Of every size: S reaches all of them, E_k those before the bin, and e_k that of the bin itself.
        shape = t.shape
        of_total, of_before, of_own = t.new_empty(3, 1, 2, *shape)
        torch.mul(grad_edge_in, parts.ratio, out=of_total[0, 0]).addcdiv_(grad_slope, total_in)
        torch.neg(grad_edge_in, out=of_before[0, 0])
        torch.mul(grad_edge_in, t, out=of_own[0, 0]).addcdiv_(grad_slope, e_in).neg_()
        of_total[0, 1] = torch.addcmul(parts.edge[OUTPUT], e_out, rise).mul_(grad_height).add_(grad_slope)
        of_total[0, 1].div_(total_out).neg_()
        of_before[0, 1] = grad_height
        torch.mul(grad_height, rise, out=of_own[0, 1]).addcdiv_(grad_slope, e_out)
        grad_sizes = torch.addcmul(of_total, parts.reached[:-1, None], of_own)
        grad_sizes.addcmul_(parts.reached[1:, None], of_before.sub_(of_own)).mul_(parts.sizes)

        bins = ctx.bins
        planes = 3 * bins if ctx.periodic else 3 * bins - 1
        grad_theta = planes_like(ctx.strides, planes, t)
        squeeze = parts.squeeze
        torch.mul(grad_sizes.mul_(squeeze), squeeze, out=grad_theta[: 2 * bins].unflatten(0, (2, bins)).transpose(0, 1))
        squeeze_0, squeeze_1 = parts.knot_squeeze
        left = grad_d0.mul_(d0).mul_(squeeze_0).mul_(squeeze_0)
        right = grad_d1.mul_(d1).mul_(squeeze_1).mul_(squeeze_1)
        _scatter_slopes(grad_theta[2 * bins :], parts.reached, left, right, periodic=ctx.periodic)
        return grad_x, grad_theta, None, None


def _scatter_slopes(out: Tensor, reached: Tensor, left: Tensor, right: Tensor, *, periodic: bool) -> None:
    """Give the gradients at the bin's left and right knots to the planes of these knots."""
    bins = len(reached) - 1
    inner = out[1:] if periodic else out
    torch.mul(reached[: bins - 1], right, out=inner)
    inner.addcmul_(reached[1:bins], left - right).addcmul_(reached[2:], left, value=-1)
    if periodic:  # the first knot is the last one too
        torch.sub(1, reached[1], out=out[0]).mul_(left).addcmul_(reached[bins - 1], right)
