"""Words in pictures: how wide they are, what to do with long and strange ones, and numbers beside an axis."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, lru_cache
from itertools import pairwise

import numpy as np
from matplotlib import font_manager
from matplotlib.font_manager import FontProperties
from matplotlib.ft2font import FT2Font
from matplotlib.textpath import text_to_path

# The font that comes with matplotlib, and of those that have what it lacks the ones that are here.
OWN = "DejaVu Sans"
OTHERS = (
    "Noto Sans CJK JP",
    "Noto Sans CJK SC",
    "Hiragino Sans",
    "PingFang SC",
    "Yu Gothic",
    "Microsoft YaHei",
    "Malgun Gothic",
    "Noto Sans Devanagari",
    "Noto Sans Arabic",
)
ELLIPSIS = "…"
MOST_DIGITS = 15
PLAIN = (1e-3, 1e5)  # numbers of that size are written without an exponent


@cache
def families() -> list[str]:
    """Return the fonts that words are set in, the first that has a letter first."""
    here = {entry.name for entry in font_manager.fontManager.ttflist}
    return [OWN, *(name for name in OTHERS if name in here)]


@cache
def _letters() -> frozenset[int]:
    """Return all letters that these fonts have."""
    paths = [font_manager.findfont(FontProperties(family=[name])) for name in families()]
    return frozenset().union(*(FT2Font(path).get_charmap() for path in paths))


def drawable(text: str) -> str:
    """Return the text with what no font has, or what is no letter at all, written out; no part of it is a formula."""
    known = _letters()
    shown = (c if c.isprintable() and ord(c) in known else c.encode("unicode_escape").decode() for c in text)
    return "".join(shown).replace("$", r"\$")


@lru_cache(maxsize=4096)
def width(text: str, size: float, *, bold: bool = False) -> float:
    """The width of a drawable text, in points."""
    font = FontProperties(family=families(), size=size, weight="bold" if bold else "normal")
    return float(text_to_path.get_text_width_height_descent(text.replace(r"\$", "$"), font, ismath=False)[0])


def fitted(name: str, size: float, room: float, *, bold: bool = False) -> str:
    """Return a name, drawable, with an ellipsis in the middle where it would be wider than so many points."""
    whole = drawable(name)
    if width(whole, size, bold=bold) <= room:
        return whole
    shortest, longest = 0, len(name)
    while shortest < longest:  # the most letters that there is room for
        kept = (shortest + longest + 1) // 2
        if width(_middle_out(name, kept), size, bold=bold) <= room:
            shortest = kept
        else:
            longest = kept - 1
    return _middle_out(name, shortest)


def _middle_out(name: str, kept: int) -> str:
    """Return the beginning and the end of a name, drawable."""
    head = (kept + 1) // 2
    return drawable(name[:head].rstrip()) + ELLIPSIS + (drawable(name[head - kept :].lstrip()) if kept > head else "")


def wrapped(text: str, size: float, room: float) -> list[str]:
    """Return a drawable text in lines that are no wider than so many points."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and width(longer, size) <= room:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def listed(names: Sequence[str], most: int = 4, longest: int = 28) -> str:
    """Names in a row, the long ones shortened; drawable."""
    shown = [drawable(n) if len(n) <= longest else _middle_out(n, longest) for n in names[:most]]
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(shown) + more


def share(part: float) -> str:
    """Return a share in percent, in few digits, and never a zero or a hundred that is none."""
    if 0 < part < 0.001:
        return "<0.1%"
    if 0.99 < part < 1:
        return ">99%"
    return f"{part:.1%}" if 0 < part < 0.0995 else f"{part:.0%}"


def number(value: float, digits: int = 3) -> str:
    """Return a number in so many digits, as short as can be: 0.25, 1700, 1.7e9."""
    rounded = float(f"{value:.{digits}g}")
    if rounded == 0:
        return "0"
    if PLAIN[0] <= abs(rounded) < PLAIN[1]:
        return np.format_float_positional(rounded, trim="-")
    mantissa, _, exponent = f"{rounded:.{digits - 1}e}".partition("e")
    return f"{mantissa.rstrip('0').rstrip('.') if '.' in mantissa else mantissa}e{int(exponent)}"


def numbers(values: Sequence[float]) -> list[str]:
    """Return numbers beside an axis, rising, in as few digits as tell what they are."""
    gap = min((b - a for a, b in pairwise(values)), default=0.0)
    for digits in range(1, MOST_DIGITS + 1):
        texts = [number(value, digits) for value in values]
        exact = all(abs(float(t) - v) <= (1e-3 * gap or 1e-6 * abs(v)) for t, v in zip(texts, values, strict=True))
        if exact and len(set(texts)) == len(texts):
            return texts
    return [number(value, MOST_DIGITS) for value in values]
