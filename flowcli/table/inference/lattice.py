"""Lattices that numbers lie on when they were rounded, counted or scaled."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from flowcli.table.inference.any_step import COARSE, EVIDENCE, MOST_STEPS, Lattice, find_any_step

MAX_DECIMALS = 12
# A column counts as rounded when at least this share of its rows repeat the value of another row.
REPEATED = 0.01
# Rows for each value: where there are as many, the values are all that there are.
FEW_VALUES = 4
# Nats: by chance, fewer than one in a hundred columns would have only such last digits.
EVIDENCE_OF_DIGITS = 5.0
# The share of the rows that may be too large for the grid to show in a float64: outliers.
_OUTLIERS = 0.01
# In sizes of the others: what lies farther out shows no digit of them.
_FARTHEST = 1e6


@dataclass(frozen=True)
class Written:
    """How the cells of one column are written.

    Attributes:
        integer: Whether all are integers, written without a point.
        decimals: The most digits after the point; ``None`` when over 12, with exponents, or not known.
        kind: The floating-point type whose rounding the values carry.
        levels: The texts of a column of text, sorted; its values are places among them.
        format: How numbers are written, where that is more than their digits; see ``Column``.
        words: The texts that stand instead of a number in some cells.
    """

    integer: bool = False
    decimals: int | None = None
    kind: type[np.floating] = np.float64
    levels: tuple[str, ...] = ()
    format: str | None = None
    words: tuple[str, ...] = ()

    @property
    def finest(self) -> float | None:
        """The grid that the digits allow."""
        return 1.0 if self.integer else None if self.decimals is None else float(f"1e-{self.decimals}")


def repeated(values: NDArray[np.float64]) -> float:
    """Return the share of values (N,) that repeat another one."""
    ordered = np.sort(values)
    return float(np.count_nonzero(ordered[1:] == ordered[:-1]) / len(values))


def find_lattice(values: NDArray[np.float64], written: Written) -> Lattice | None:
    """Return the coarsest lattice that all values (N,) lie on up to rounding, or ``None``.

    It is a decimal one through zero where there is one, unless the digits that were written show a much coarser one.
    """
    step = _decimal_step(values, written)
    distinct = np.unique(values)
    size = np.abs(distinct)
    distinct = distinct[size <= _FARTHEST * np.quantile(size, 1 - _OUTLIERS, method="higher")]
    tolerance = 4 * float(np.finfo(written.kind).eps) * float(np.abs(distinct).max())
    if written.integer or written.decimals is not None:
        tolerance += 0.5 * float(f"1e-{0 if written.integer else written.decimals}")
    if step is None or (written.decimals and step == written.finest):
        coarser = find_any_step(distinct, tolerance)
        if coarser is not None:
            return coarser
    if step is None:
        return None
    if written.finest is None and step < COARSE * tolerance:
        return None  # every float64 lies on that one
    if step < 1 and np.ptp(distinct) / step > MOST_STEPS:
        return None  # no density can tell them apart
    return _from_origin(distinct, step)


def _from_origin(distinct: NDArray[np.float64], step: float) -> Lattice:
    """Return the lattice with a whole multiple of a step that distinct multiples of it, (n,), lie on."""
    steps = np.rint(distinct / step)
    if np.abs(steps).max() >= 2.0**53:
        return Lattice(step)
    whole = steps.astype(np.int64)
    multiple = _shown_multiple(whole, _common_divisor(np.diff(whole)), EVIDENCE)
    if multiple == 1:
        return Lattice(step)
    scaled = Decimal(repr(step))
    return Lattice(float(multiple * scaled), float(int(whole[0] % multiple) * scaled))


def _shown_multiple(whole: NDArray[np.int64], divisor: int, evidence: float) -> int:
    """Return the divisor of all differences of whole numbers (n,), or the power of ten in it, that they give proof of.

    Numbers that were printed with fewer digits are multiples of two and of five anyway. So others have to tell, too.

    Args:
        whole: Distinct ones.
        divisor: The greatest.
        evidence: Nats by which chance has to be a worse explanation of all of them.
    """
    digits = 1
    while divisor % (10 * digits) == 0:
        digits *= 10
    telling = np.count_nonzero(whole % (10 * digits) != 0)
    cofactor = divisor // digits
    chance = (1 / cofactor - 1 / math.lcm(cofactor, 10)) / 0.9  # of a number whose last digit is not zero
    if cofactor > 1 and telling * -math.log(chance) < EVIDENCE_OF_DIGITS:
        divisor = digits
    for multiple in (divisor, digits):
        if multiple > 1 and (len(whole) - 2) * math.log(multiple) >= evidence:
            return multiple
    return 1


def _decimal_step(values: NDArray[np.float64], written: Written) -> float | None:
    """Return the step of the coarsest decimal lattice through zero that all values lie on, or ``None``."""
    size = np.abs(values)
    scale = float(np.quantile(size, 1 - _OUTLIERS, method="higher")) or float(size.max())
    if written.integer:
        candidates = [0]
    elif written.decimals is not None:
        candidates = [written.decimals]
    else:
        # From where the largest value is one step of the grid, to where float64 has no digit left for the grid.
        lowest = -math.floor(math.log10(scale))
        candidates = list(range(lowest, min(lowest + 17, 300)))
    sample = values[:: max(1, len(values) // 64)]
    for digits in candidates:
        if _on_grid(sample, digits, written.kind) is None:
            continue
        steps = _on_grid(values, digits, written.kind)
        if steps is not None:
            divisor = _common_divisor(steps)
            if divisor > 1 and FEW_VALUES * len(distinct := np.unique(steps)) > len(steps):
                divisor = _shown_multiple(distinct, divisor, EVIDENCE_OF_DIGITS)
            return float(Decimal(divisor).scaleb(-digits)) if divisor else None
    return None


def _on_grid(values: NDArray[np.float64], digits: int, kind: type[np.floating]) -> NDArray[np.int64] | None:
    """Return how many steps of 10^-digits each value is; ``None`` when one lies between two steps."""
    precision = np.finfo(kind)
    scaled = _times_power_of_ten(values, digits)
    whole = np.rint(scaled)
    exact = np.abs(whole) < 2.0**precision.nmant
    if np.count_nonzero(~exact) > _OUTLIERS * len(values):
        # Whole numbers need no room after the point, so all that an int64 holds will do.
        if digits != 0 or kind is not np.float64 or np.any(scaled != whole) or np.abs(whole).max() >= 2.0**62:
            return None
        exact = np.ones(len(values), dtype=bool)
    whole, scaled, values = whole[exact], scaled[exact], values[exact]
    near = np.abs(scaled - whole) <= np.minimum(4 * precision.eps * np.abs(whole), 0.01)
    # Past about 1e13 steps the tolerance says nothing any more: there only the very number that the text gives counts.
    vague = 4 * precision.eps * np.abs(whole) > 0.01
    if vague.any():
        near[vague] = _times_power_of_ten(whole[vague], -digits).astype(kind) == values[vague].astype(kind)
    return whole.astype(np.int64) if near.all() else None


def _times_power_of_ten(values: NDArray[np.float64], digits: int) -> NDArray[np.float64]:
    with np.errstate(over="ignore", under="ignore"):
        # 10^22 is the last power of ten that a float64 holds, and dividing by it rounds once.
        scaled: NDArray[np.float64] = values * 10.0**digits if digits >= 0 else values / 10.0**-digits
    return scaled


def _common_divisor(steps: NDArray[np.int64]) -> int:
    divisor = int(np.gcd.reduce(steps[:1000]))
    return divisor if divisor == 1 else int(np.gcd.reduce(steps))
