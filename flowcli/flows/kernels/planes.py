"""Tensor operations that kernels share: constants, outputs with gaps, memory laid out plane by plane."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

LOG_SQRT_2PI = 0.5 * math.log(2 * math.pi)


def constant(value: float, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return a number as a tensor without dimensions; operations take it in half the time of a Python number."""
    if torch.compiler.is_compiling():
        return torch.full((), value, dtype=dtype, device=device)
    return _constant(value, dtype, device)


@lru_cache(maxsize=256)
def _constant(value: float, dtype: torch.dtype, device: torch.device) -> Tensor:
    with torch.inference_mode(False):
        return torch.tensor(value, dtype=dtype, device=device)


def write(out: Tensor, operation: Callable[..., Tensor], *args: Any, **options: Any) -> Tensor:
    """Have an operation write to ``out``, which may have gaps; a compiler does not take such an ``out`` as it is."""
    if torch.compiler.is_compiling():
        return out.copy_(operation(*args, **options))
    return operation(*args, out=out, **options)


def planes_like(strides: tuple[int, ...], planes: int, x: Tensor) -> Tensor:
    """Return an empty tensor (P, *x.shape) whose dimensions lie in memory in the order of some strides."""
    shape = (planes, *x.shape)
    dense, step = [0] * len(shape), 1
    for dim in sorted(range(len(shape)), key=lambda d: (strides[d], -d)):
        dense[dim] = step
        step *= shape[dim]
    return torch.empty_strided(shape, dense, dtype=x.dtype, device=x.device)


def soft_clip(value: Tensor, bound: float) -> Tensor:
    """Squash the line smoothly into (-bound, bound), with slope one at zero."""
    return value / (1 + torch.abs(value / bound))
