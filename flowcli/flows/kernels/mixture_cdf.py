"""The arithmetic of the logit of a mixture's distribution function, whole planes at a time, with the gradient.

With log-weights g_k (up to a constant), t_k = (x - m_k) / s_k and logistic components,

    A = log sum_k e^(g_k) sigmoid(t_k),    C = log sum_k e^(g_k) sigmoid(-t_k),
    E = log sum_k e^(g_k) sigmoid(t_k) sigmoid(-t_k) / s_k,
    z = A - C,    log dz/dx = E - A - C + log(e^A + e^C).

Each sum is taken relative to its largest term, so neither tail, nor a gap between components, ever rounds to zero.
Since sigmoid(t) = e^min(t, 0) sigmoid(|t|), and the last factor is no less than a half, the terms are exponentials of
g + min(t, 0), g - max(t, 0) and g - |t| - log s, times that factor or its square.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import softplus

from flowcli.flows.kernels.bits import BITS, exp2_
from flowcli.flows.kernels.planes import constant, planes_like, write

# Numbers in the planes of one kind, of which there are a dozen, that are computed at once: they fit a core's cache.
BLOCK = 2**17

MOST_STEPS = 100
FLATTEST = 80.0  # largest log of a Newton step's length over the error that causes it


class Components(NamedTuple):
    """A mixture's components, (K, ...), of which each plane broadcasts with x.

    Attributes:
        bits: Log-weights to base two, up to a constant.
        locations: m.
        negative_log_scales: -log s.
        inverse_scales: 1 / s.
        squeeze: By how much the clip squeezed the log-scales, but for the sign; its derivative is the square.
    """

    bits: Tensor
    locations: Tensor
    negative_log_scales: Tensor
    inverse_scales: Tensor
    squeeze: Tensor


class Sums(NamedTuple):
    """What becomes of x and the components.

    Attributes:
        distance: x - m, (K, ...).
        factor: sigmoid(|t|), (K, ...).
        terms: Of the three sums, each relative to its largest, (3, K, ...).
        sums: Of these terms, (3, ...).
        logs: A, C and E, (3, ...).
    """

    distance: Tensor
    factor: Tensor
    terms: Tensor
    sums: Tensor
    logs: Tensor


class SavedMixtureCdf(NamedTuple):
    """What the gradient needs of the way forward, block by block."""

    z: Tensor
    gains: Tensor
    blocks: list[tuple[Components, Sums]]
    strides: tuple[int, ...]


def forward(
    x: Tensor, theta: Tensor, gains: Tensor, bound: float, *, save: bool = True
) -> tuple[Tensor, Tensor, SavedMixtureCdf]:
    """Return z, log dz/dx, and what ``gradient`` needs.

    Args:
        x: Values, of any shape; quickest if contiguous.
        theta: Log-weights, locations and log-scales before the clip, all over their gain, (3 K, *x.shape).
        gains: How strongly each component's parameters act, (K,).
        bound: Largest absolute log-scale.
        save: Whether the gradient will be asked for.
    """
    gains = gains.view(-1, *[1] * x.ndim)
    values, log_derivatives, blocks = [], [], []
    for block in _blocks(x, len(gains)):
        components = components_at(_once(theta[:, block]), gains, bound)
        sums = evaluate(x[block], components)
        z, log_derivative = _logit(sums.logs)
        values.append(z)
        log_derivatives.append(log_derivative)
        if save:
            blocks.append((components, sums))
    z = _joined(values)
    # Detached: the gradient's function of z must not hold z itself, or only Python's collector would free it.
    return z, _joined(log_derivatives), SavedMixtureCdf(z.detach(), gains, blocks, theta.stride())


def gradient(saved: SavedMixtureCdf, grad_z: Tensor, grad_log: Tensor) -> tuple[Tensor, Tensor]:
    """Return the gradients of x and of theta, from those of z and of log dz/dx, which broadcast with x."""
    z, gains, columns_seen, strides = saved
    negative_gains = torch.neg(gains)
    grad_theta = planes_like(strides, 3 * len(gains), z)
    # Of A, C and E.
    of_logs = z.new_empty(3, *z.shape)
    torch.addcmul(torch.neg(grad_z), grad_log, torch.sigmoid(z), value=-1, out=of_logs[1])
    torch.add(of_logs[1], grad_log, out=of_logs[0]).neg_()
    of_logs[2] = grad_log
    of_x = []
    for block, (components, sums) in zip(_blocks(z, len(gains)), columns_seen, strict=True):
        of_weights, of_locations, of_scales = grad_theta[:, block].chunk(3)
        of_bits, of_distance, of_width = _of_planes(of_logs[:, block], components.inverse_scales, sums)
        of_x.append(of_distance.sum(0))
        write(of_weights, torch.mul, of_bits, gains)
        write(of_locations, torch.mul, of_distance, negative_gains)
        write(of_scales, torch.mul, of_width.mul_(components.squeeze).mul_(components.squeeze), negative_gains)
    return _joined(of_x), grad_theta


def inverse(z: Tensor, theta: Tensor, gains: Tensor, bound: float) -> tuple[Tensor, Tensor]:
    """Return x and log dx/dz, without gradients; see ``forward``."""
    gains = gains.view(-1, *[1] * z.ndim)
    values, log_derivatives = [], []
    for block in _blocks(z, len(gains)):
        components = components_at(_once(theta[:, block]), gains, bound)
        x = _solve(z[block], components)
        values.append(x)
        log_derivatives.append(_logit(evaluate(x, components).logs)[1].neg_())
    return _joined(values), _joined(log_derivatives)


def components_at(theta: Tensor, gains: Tensor, bound: float) -> Components:
    """Return the components that parameters (3 K, ...) stand for, for gains (K, ...)."""
    # Whatever theta's order in memory is, planes lie one behind the other from here on.
    bits, locations, scaled, squeeze = theta.new_empty(4, len(gains), *theta.shape[1:]).unbind()
    weights, raw_locations, raw_log_scales = theta.chunk(3)
    torch.mul(weights, torch.mul(gains, BITS), out=bits)
    torch.sub(bits, bits.amax(0), out=bits)  # so that A and C are small where z is
    torch.mul(raw_locations, gains, out=locations)
    torch.mul(raw_log_scales, gains, out=scaled)
    negative_one = constant(-1.0, theta.dtype, theta.device)
    torch.add(negative_one, torch.abs(scaled, out=squeeze), alpha=-1 / bound, out=squeeze).reciprocal_()
    scaled.mul_(squeeze)
    return Components(bits, locations, scaled, torch.exp(scaled), squeeze)


def evaluate(x: Tensor, components: Components) -> Sums:
    """A, C and E, and what they are made of."""
    bits, locations, negative_log_scales, inverse_scales, _ = components
    distance = torch.sub(x, locations)
    t = torch.mul(distance, inverse_scales)
    terms = x.new_empty(3, *t.shape)
    below, above, density = terms.unbind()
    torch.clamp_max(t, 0, out=below)
    torch.clamp_min(t, 0, out=above)
    torch.add(bits, below, alpha=BITS, out=below)
    torch.add(bits, above, alpha=-BITS, out=above)
    torch.add(bits, t.abs_(), alpha=-BITS, out=density).add_(negative_log_scales, alpha=BITS)
    peaks = terms.amax(1, keepdim=True)
    exp2_(terms.sub_(peaks))
    factor = t.sigmoid_()
    density.mul_(factor)
    sums = terms.mul_(factor).sum(1)
    return Sums(distance, factor, terms, sums, torch.log(sums).add_(peaks.squeeze(1), alpha=1 / BITS))


def _logit(logs: Tensor) -> tuple[Tensor, Tensor]:
    """Return the value z and log dz/dx, from A, C and E."""
    below, above, density = logs.unbind()
    z = torch.sub(below, above)
    return z, softplus(torch.abs(z).neg_()).add_(density).sub_(torch.minimum(below, above))


def _solve(z: Tensor, components: Components) -> Tensor:
    """Return the x at which the map takes a value."""
    # At a quantile of the mixture no component is both above and below its own quantile: this brackets it.
    own = torch.addcdiv(components.locations, z, components.inverse_scales)
    low, high = own.amin(0), own.amax(0)
    return _newton(z, torch.lerp(low, high, 0.5), low, high, components, MOST_STEPS)


def _newton(z: Tensor, x: Tensor, low: Tensor, high: Tensor, components: Components, steps: int) -> Tensor:
    """Newton's method within a bracket, halved where a step leaves it; goes on with those values that need it alone."""
    precision = torch.finfo(x.dtype).eps
    least_error = torch.abs(z).add_(1).mul_(2 * precision)
    narrowest = components.inverse_scales.amax(0).reciprocal_().mul_(precision**0.5)
    for step in range(1, steps + 1):
        value, log_slope = _logit(evaluate(x, components).logs)
        error = torch.sub(value, z)
        # Where the slope is next to nothing, what rounding makes must not lead away.
        error.mul_(torch.gt(error.abs(), least_error, out=value))
        below = torch.le(error, 0, out=value)
        low, high = torch.lerp(low, x, below), torch.lerp(x, high, below)
        move = log_slope.neg_().clamp_max_(FLATTEST).exp_().mul_(error)
        newton = torch.sub(x, move)
        within = torch.minimum(torch.maximum(newton, low), high)
        # Errors square at every step, so a small one is the last; no step corrects what rounding does.
        enough = torch.add(narrowest, torch.abs(x), alpha=4 * precision)
        done = torch.le(move.abs_(), enough, out=move)
        taken = torch.maximum(done, torch.eq(within, newton, out=newton))
        x = torch.lerp(torch.lerp(low, high, 0.5), within, taken)
        left = torch.eq(done, 0).flatten().nonzero().squeeze(1)
        if not len(left):
            break
        if 4 * len(left) < x.numel():
            few = Components(*(_at(left, plane, x.shape) for plane in components))
            starts = (_at(left, values[None], x.shape).squeeze(0) for values in (z, x, low, high))
            z_left, x_left, low_left, high_left = starts
            found = _newton(z_left, x_left, low_left, high_left, few, steps - step)
            return x.flatten().index_copy_(0, left, found).view(x.shape)
    return x


def _at(positions: Tensor, planes: Tensor, shape: torch.Size) -> Tensor:
    """Return some positions of planes that broadcast to a shape, (..., P)."""
    return planes.expand(-1, *shape).flatten(1).index_select(1, positions)


def _of_planes(of_logs: Tensor, inverse_scales: Tensor, sums: Sums) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of g, of x - m and, but for the sign, of log s, (K, ...), from those of A, C and E."""
    below, above, density = sums.terms.unbind()
    of_below, of_above, of_density = torch.div(of_logs, sums.sums).unbind()
    # The derivatives of the terms of A and C by t are those of E, times s.
    slopes = torch.sub(sums.logs[2], sums.logs[:2]).exp_().mul_(of_logs[:2])
    through = torch.mul(density, of_density)
    of_bits = torch.addcmul(through, below, of_below).addcmul_(above, of_above)
    of_distance = torch.mul(density, torch.sub(slopes[0], slopes[1]).div_(sums.sums[2]))
    # That of E by t has a factor of -tanh(t / 2).
    negative_one = constant(-1.0, density.dtype, density.device)
    tanh = torch.add(negative_one, sums.factor, alpha=2).copysign_(sums.distance)
    of_distance.addcmul_(tanh.mul_(through), inverse_scales, value=-1)
    return of_bits, of_distance, through.addcmul_(of_distance, sums.distance)


def _joined(blocks: list[Tensor]) -> Tensor:
    """Blocks one after the other."""
    return blocks[0] if len(blocks) == 1 else torch.cat(blocks)


def _blocks(x: Tensor, components: int) -> Iterator[slice]:
    """Runs of x along its first dimension, one at least; a GPU, or a compiler, takes all at once."""
    length = len(x)
    whole = x.device.type != "cpu" or torch.compiler.is_compiling()
    count = 1 if whole else math.ceil(components * x.numel() / BLOCK)
    size = max(1, math.ceil(length / max(1, count)))
    for begin in range(0, max(1, length), size):
        yield slice(begin, min(begin + size, length))


def _once(theta: Tensor) -> Tensor:
    """Parameters (P, ...) without the copies of one set for many values, to be broadcast instead."""
    for dim in range(1, theta.ndim):
        if theta.stride(dim) == 0 and theta.shape[dim]:
            theta = theta.narrow(dim, 0, 1)
    return theta
