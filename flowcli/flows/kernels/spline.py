"""The arithmetic of rational-quadratic splines, whole planes at a time, with the gradient written out.

A spline has K bins on [-bound, bound]. Its parameters theta are planes: K sizes of the bins along the input, K along
the output, and log-slopes at the knots: K - 1 at the inner ones (the ends then have slope one), or K of a periodic
spline, whose two ends are one knot.

Nothing is normalised that need not be. With e_j = exp(clip(size_j)) and the left edges E_k = e_0 + .. + e_{k-1}, the
sum S of all stands for the whole width, and a value at the share r of it lies in the bin with E_k <= r S < E_{k+1}, at
the share t = (r S - E_k) / e_k of that bin. So K is met in a few operations on all planes at once (the exponential,
the running sums, the comparison); everything after the gather is a handful of numbers for each value.

How it is written follows from what was measured (docs/performance.md): one operation costs about a microsecond
whatever its size, a Python number twice that, and planes that lie one behind the other run at memory's speed.

Source: Neural spline flows (Durkan et al., 2019), after Gregory & Delbourgo (1982).
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from flowcli.flows.kernels.planes import constant, planes_like, write

# Bins may differ in width, and knots in slope, by at most this factor from the identity's (a log).
LARGEST_LOG_SLOPE = -math.log(1e-3)
LARGEST_LOG_SIZE = LARGEST_LOG_SLOPE / 2

INPUT, OUTPUT = 0, 1  # the two axes of a spline


class Located(NamedTuple):
    """What values know of their splines, all planes of the values' shape.

    Attributes:
        inside: 1 inside of the bound, 0 outside.
        ratio: Where the value lies on [-bound, bound], in [0, 1].
        share: Where it lies in its bin along the axis that was located, in [0, 1].
        edge: The sum of the bins before, along both axes (2, ...).
        size: Of the bin, (2, ...).
        total: Of all bins, (2, ...).
        slope: Height over width of the bin.
        ends: The derivatives at the bin's left and right knot, (2, ...).
        ends_squeeze: By how much the clip squeezed these two log-slopes, (2, ...); its derivative is the square.
        sizes: exp(clip(.)) of all sizes, (K, 2, ...).
        squeeze: By how much the clip squeezed each, (K, 2, ...).
        reached: 1 where the left edge of bin j is at or below the value, (K + 1, ...); the last plane is 0.
    """

    inside: Tensor
    ratio: Tensor
    share: Tensor
    edge: Tensor
    size: Tensor
    total: Tensor
    slope: Tensor
    ends: Tensor
    ends_squeeze: Tensor
    sizes: Tensor
    squeeze: Tensor
    reached: Tensor


class Curve(NamedTuple):
    """A bin's curve at the share t of its width: the share ``rise`` of its height, and what made it up.

    With m = t u, u = 1 - t and the curvature b = d0 + d1 - 2 s, the slope s and the ends' derivatives d0 and d1:
    denominator = s + b m, rise = (s t^2 + d0 m) / denominator, and the derivative of the curve is
    s^2 numerator / denominator^2 with numerator = d1 t^2 + 2 s m + d0 u^2.
    """

    t: Tensor
    u: Tensor
    t_squared: Tensor
    u_squared: Tensor
    mixed: Tensor
    curvature: Tensor
    denominator: Tensor
    numerator: Tensor
    relative: Tensor  # slope / denominator


class SavedSpline(NamedTuple):
    """What the gradient needs of the way forward."""

    located: Located
    curve: Curve
    rise: Tensor
    planes: int
    strides: tuple[int, ...]


def forward(
    x: Tensor, theta: Tensor, bins: int, bound: float, *, save: bool = True
) -> tuple[Tensor, Tensor, SavedSpline]:
    """Return y, log dy/dx, and what ``gradient`` needs; outside of [-bound, bound] the identity.

    Args:
        x: Values, of any shape; quickest if contiguous.
        theta: Parameters (3 K - 1, or 3 K if periodic; *x.shape).
        bins: K.
        bound: Where the spline ends.
        save: Whether the gradient will be asked for.
    """
    located = locate(x, theta, bins, bound, INPUT, save=save)
    curve = _curve(located.share, located.slope, located.ends)
    end = constant(-bound, x.dtype, x.device)
    start = located.ends[0]
    rise = torch.mul(curve.t_squared, located.slope).addcmul_(start, curve.mixed).div_(curve.denominator)
    y = torch.addcmul(located.edge[OUTPUT], located.size[OUTPUT], rise)
    y = torch.addcdiv(end, y, located.total[OUTPUT], value=2 * bound)
    log_derivative = _log_derivative(curve).mul_(located.inside)
    return (
        torch.lerp(x, y, located.inside),
        log_derivative,
        SavedSpline(located, curve, rise, len(theta), theta.stride()),
    )


def inverse(y: Tensor, theta: Tensor, bins: int, bound: float) -> tuple[Tensor, Tensor]:
    """Return x and log dx/dy, without gradients; see ``forward``."""
    located = locate(y, theta, bins, bound, OUTPUT, save=False)
    inside, rise, slope, (d0, d1) = located.inside, located.share.clamp_(0, 1), located.slope, located.ends
    # The share t of the bin's width at which the share ``rise`` of its height is reached: the root of a quadratic, in
    # the form that stays stable as its leading coefficient goes to zero.
    curvature = torch.add(d0, d1).sub_(slope, alpha=2).mul_(rise)
    a = torch.sub(slope, d0).add_(curvature)
    b = torch.sub(d0, curvature)
    c = torch.mul(slope, rise)
    root = torch.addcmul(b * b, a, c, value=4).clamp_min_(0).sqrt_().add_(b)
    t = c.add_(c).div_(root).clamp_(0, 1)
    curve = _curve(t, slope, located.ends)
    x = torch.addcmul(located.edge[INPUT], located.size[INPUT], t)
    x = torch.addcdiv(constant(-bound, y.dtype, y.device), x, located.total[INPUT], value=2 * bound)
    return torch.lerp(y, x, inside), _log_derivative(curve).neg_().mul_(inside)


def gradient(saved: SavedSpline, bound: float, grad_y: Tensor, grad_log: Tensor) -> tuple[Tensor, Tensor]:
    """Return the gradients of x and of theta, from those of y and of log dy/dx, which broadcast with x."""
    located, curve, rise, _, strides = saved
    inside, slope = located.inside, located.slope
    (d0, d1), (e_in, e_out), (total_in, total_out) = located.ends, located.size, located.total

    # y = 2 bound (E_out + e_out rise) / S_out - bound, and log dy/dx = log numerator + 2 log relative.
    through = torch.mul(grad_y, inside)
    grad_log = torch.mul(grad_log, inside)
    zero = constant(0.0, inside.dtype, inside.device)
    grad_height = torch.addcdiv(zero, through, total_out, value=2 * bound)  # of E_out; that of e_out is rise times it
    grad_rise = torch.mul(grad_height, e_out).div_(curve.denominator)
    log_over = torch.div(grad_log, curve.denominator)
    of_numerator = torch.div(grad_log, curve.numerator)
    of_denominator = torch.addcmul(log_over, grad_rise, rise, value=0.5)  # half of it, but for its sign

    # Of the share t and of the numbers of the bin.
    skew = torch.sub(curve.u, curve.t)
    grad_t = torch.mul(d1, curve.t).addcmul_(d0, curve.u, value=-1).addcmul_(slope, skew).mul_(of_numerator)
    grad_t.addcmul_(torch.mul(curve.curvature, skew), log_over, value=-1)
    grad_t.add_(grad_t).addcmul_(torch.mul(grad_rise, curve.relative), curve.numerator)
    common = torch.mul(curve.mixed, of_denominator)
    grad_d0 = torch.mul(grad_rise, curve.mixed).sub_(common, alpha=2).addcmul_(of_numerator, curve.u_squared)
    grad_d1 = torch.mul(of_numerator, curve.t_squared).sub_(common, alpha=2)
    grad_slope = torch.mul(curve.t_squared, grad_rise).addcmul_(curve.mixed, of_numerator, value=2)
    grad_slope.sub_(of_denominator, alpha=2).add_(common, alpha=4)
    grad_slope.mul_(slope).add_(grad_log, alpha=2)  # times the slope: that of its logarithm

    grad_edge = torch.div(grad_t, e_in)  # of E_in, but for its sign
    grad_x = torch.mul(grad_edge, total_in)
    grad_x = torch.sub(grad_y, through).add_(grad_x, alpha=0.5 / bound)

    # Of every size: S reaches all of them, E_k those before the bin, and e_k that of the bin itself.
    shape, bins = inside.shape, len(located.sizes)
    of_total, of_before, of_own = inside.new_empty(3, 2, *shape)
    torch.mul(grad_edge, located.ratio, out=of_total[INPUT]).addcdiv_(grad_slope, total_in)
    torch.neg(grad_edge, out=of_before[INPUT])
    torch.mul(grad_edge, curve.t, out=of_own[INPUT]).addcdiv_(grad_slope, e_in).neg_()
    height = torch.addcmul(located.edge[OUTPUT], e_out, rise)
    torch.addcmul(grad_slope, height, grad_height, out=of_total[OUTPUT]).div_(total_out).neg_()
    of_before[OUTPUT] = grad_height
    torch.mul(grad_height, rise, out=of_own[OUTPUT]).addcdiv_(grad_slope, e_out)
    reached = located.reached
    grad_sizes = torch.addcmul(of_total, reached[:-1, None], of_own)
    grad_sizes.addcmul_(reached[1:, None], of_before.sub_(of_own)).mul_(located.sizes).mul_(located.squeeze)

    periodic = saved.planes == 3 * bins
    grad_theta = planes_like(strides, saved.planes, inside)
    write(_sizes(grad_theta, bins), torch.mul, grad_sizes, located.squeeze)
    factor = torch.mul(located.ends, located.ends_squeeze).mul_(located.ends_squeeze)
    _write_knot_gradients(
        grad_theta[2 * bins :], reached, grad_d0.mul_(factor[0]), grad_d1.mul_(factor[1]), periodic=periodic
    )
    return grad_x, grad_theta


def locate(value: Tensor, theta: Tensor, bins: int, bound: float, axis: int, *, save: bool) -> Located:
    """Find each value's bin along an axis, and what belongs to it; ``squeeze`` is kept only if ``save``."""
    shape, count, dtype, device = value.shape, value.numel(), value.dtype, value.device
    one, half = constant(1.0, dtype, device), constant(0.5, dtype, device)

    edges, sizes = value.new_empty(2, bins, 2, *shape).unbind()
    raw = _sizes(theta, bins)
    squeeze = torch.abs(raw, out=torch.empty_like(sizes) if save else sizes)
    torch.add(one, squeeze, alpha=1 / LARGEST_LOG_SIZE, out=squeeze)
    if save:
        torch.mul(raw, squeeze.reciprocal_(), out=sizes).exp_()
    else:
        torch.div(raw, squeeze, out=sizes).exp_()
    every_edge, every_size = edges.unbind(), sizes.unbind()
    every_edge[0].zero_()
    for j in range(bins - 1):
        torch.add(every_edge[j], every_size[j], out=every_edge[j + 1])
    total = torch.add(every_edge[-1], every_size[-1])

    ratio = torch.add(half, value, alpha=0.5 / bound)
    clamped = ratio.clamp(0, 1)
    # A circle has no outside; rounding must not make one at its ends.
    inside = ratio.fill_(1) if len(theta) == 3 * bins else torch.eq(clamped, ratio, out=ratio)
    position = torch.mul(clamped, total[axis])
    reached = value.new_empty(bins + 1, *shape)
    torch.le(edges[:, axis], position, out=reached[:-1])
    reached[-1].zero_()
    bin = reached[1:].sum(0).view(-1).long()

    inner, zeros = theta[2 * bins :], edges[0, :1]
    around = [inner, inner[:1]] if len(inner) == bins else [zeros, inner, zeros]
    knots = torch.cat(around).view(-1)
    found = value.new_empty(6, count)
    edge_in, edge_out, size_in, size_out, left, right = found.unbind()
    # Planes lie one behind the other, so one index serves all that have the same number of planes to a bin.
    index = torch.add(_ordinals(count, device), bin, alpha=2 * count)
    flat_edges, flat_sizes = edges.view(-1), sizes.view(-1)
    torch.index_select(flat_edges, 0, index, out=edge_in)
    torch.index_select(flat_edges[count:], 0, index, out=edge_out)
    torch.index_select(flat_sizes, 0, index, out=size_in)
    torch.index_select(flat_sizes[count:], 0, index, out=size_out)
    torch.sub(index, bin, alpha=count, out=index)
    torch.index_select(knots, 0, index, out=left)
    torch.index_select(knots[count:], 0, index, out=right)
    edge, size, ends = found.view(3, 2, *shape).unbind()

    ends_squeeze = torch.abs(ends)
    torch.add(one, ends_squeeze, alpha=1 / LARGEST_LOG_SLOPE, out=ends_squeeze).reciprocal_()
    ends.mul_(ends_squeeze).exp_()
    share = position.sub_(edge[axis]).div_(size[axis])
    steep = torch.div(size, total)
    slope = torch.div(steep[OUTPUT], steep[INPUT])
    return Located(inside, clamped, share, edge, size, total, slope, ends, ends_squeeze, sizes, squeeze, reached)


def _ordinals(count: int, device: torch.device) -> Tensor:
    """0, 1, .. N - 1."""
    return torch.arange(count, device=device) if torch.compiler.is_compiling() else _kept_ordinals(count, device)


@lru_cache(maxsize=16)
def _kept_ordinals(count: int, device: torch.device) -> Tensor:
    with torch.inference_mode(False):
        return torch.arange(count, device=device)


def _sizes(theta: Tensor, bins: int) -> Tensor:
    """Return the planes of the sizes, (K, 2, ...)."""
    return torch.unflatten(theta[: 2 * bins], 0, (2, bins)).transpose(0, 1)


def _curve(t: Tensor, slope: Tensor, ends: Tensor) -> Curve:
    d0, d1 = ends.unbind()
    u = torch.sub(constant(1.0, t.dtype, t.device), t)
    mixed = torch.mul(t, u)
    t_squared, u_squared = torch.mul(t, t), torch.mul(u, u)
    curvature = torch.add(d0, d1).sub_(slope, alpha=2)
    denominator = torch.addcmul(slope, curvature, mixed)
    numerator = torch.mul(t_squared, d1).addcmul_(slope, mixed, value=2).addcmul_(d0, u_squared)
    return Curve(t, u, t_squared, u_squared, mixed, curvature, denominator, numerator, torch.div(slope, denominator))


def _log_derivative(curve: Curve) -> Tensor:
    """log( slope^2 numerator / denominator^2 ), by one logarithm."""
    return torch.mul(curve.relative, curve.relative).mul_(curve.numerator).log_()


def _write_knot_gradients(out: Tensor, reached: Tensor, left: Tensor, right: Tensor, *, periodic: bool) -> None:
    """Give the gradients at the bin's left and right knots to the planes of these knots."""
    bins = len(reached) - 1
    inner = out[1:] if periodic else out
    write(inner, torch.mul, reached[: bins - 1], right)
    inner.addcmul_(reached[1:bins], torch.sub(left, right)).addcmul_(reached[2:], left, value=-1)
    if periodic:  # the first knot is the last one too
        out[0].copy_(left).addcmul_(reached[1], left, value=-1).addcmul_(reached[bins - 1], right)
