"""What stands beside the axis of a panel: as many ticks as there is room for, none upon another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from flowcli.evaluation.plots import words
from flowcli.evaluation.plots.scale import Scale
from flowcli.evaluation.plots.sheet import LINE, POINT, SMALL, TICK_HEIGHT, tick_room

LONGEST = 0.75  # inches of a level's name beside an axis
BETWEEN = 4.0  # points between two ticks' words
Ticks = list[tuple[float, str]]


@dataclass(frozen=True)
class Below:
    """The ticks below a panel.

    Attributes:
        ticks: Places from 0 to 1, and drawable words.
        turned: Whether the words run upwards.
        height: The inches that they need.
    """

    ticks: Ticks
    turned: bool
    height: float


def below(scale: Scale, width: float) -> Below:
    """Return the ticks below a panel of some width, in inches."""
    if not scale.count:
        return Below(_numbers_below(scale, width), False, TICK_HEIGHT)
    slot = width / scale.count / POINT - BETWEEN
    whole = [(at, words.drawable(text)) for at, text in scale.ticks(0)]
    if max(words.width(text, SMALL) for _, text in whole) <= slot:
        return Below(whole, False, TICK_HEIGHT)
    if scale.count == 1:
        return Below([(0.5, words.fitted(scale.labels[0], SMALL, slot))], False, TICK_HEIGHT)
    every = 1 + int(LINE * SMALL * POINT * scale.count > width * 1.15)  # narrower than its letters are high
    texts = _distinct_labels(scale, LONGEST / POINT)
    ticks = [(at, text) for (at, _), text in zip(whole, texts, strict=True)][::every]
    return Below(ticks, True, tick_room(text for _, text in ticks))


def beside(scale: Scale, height: float) -> Ticks:
    """Return the ticks left of a panel of some height, in inches."""
    if scale.count:
        every = 1 + int(LINE * SMALL * POINT * scale.count > height * 1.15)
        texts = _distinct_labels(scale, LONGEST / POINT)
        return [(at, text) for (at, _), text in zip(scale.ticks(0), texts, strict=True)][::every]
    half = LINE * SMALL * POINT / 2 / height
    for most in (5, 4, 3, 2, 1):
        ticks = scale.ticks(most)
        gaps = [b[0] - a[0] for a, b in pairwise(ticks)]
        if most == 1 or all(gap >= 2.6 * half for gap in gaps):
            return [tick for tick in ticks if -0.01 <= tick[0] <= 1.01 and (half * 0.4 <= tick[0] <= 1 - half * 0.4)]
    return []


def _numbers_below(scale: Scale, width: float) -> Ticks:
    """As many as there is room for, none of them far beyond the panel's ends."""
    room = width / POINT
    best: Ticks = []
    for most in (5, 4, 3, 2, 1):
        ticks = []
        for at, text in scale.ticks(most):
            half = words.width(text, SMALL) / 2
            if at * room - half >= -3.0 and at * room + half <= room + 3.0:
                ticks.append((at, text))
        free = all(
            (b[0] - a[0]) * room >= (words.width(a[1], SMALL) + words.width(b[1], SMALL)) / 2 + BETWEEN
            for a, b in pairwise(ticks)
        )
        if free and len(ticks) > len(best):
            best = ticks
    return best


def _distinct_labels(scale: Scale, room: float) -> list[str]:
    """Return the names of levels, shortened; where two would be the same, without what all begin and end with."""
    texts = [words.fitted(text, SMALL, room) for text in scale.labels]
    if len(set(texts)) == len(texts):
        return texts
    own = scale.labels[: len(scale.levels)]
    head = _shared(own)
    tail = _shared([text[head:][::-1] for text in own])
    cut = [f"{words.ELLIPSIS * (head > 0)}{t[head : len(t) - tail]}{words.ELLIPSIS * (tail > 0)}" for t in own]
    texts = [words.fitted(text, SMALL, room) for text in [*cut, *scale.labels[len(own) :]]]
    if len(set(texts)) == len(texts):
        return texts
    return [f"{number} {words.fitted(text, SMALL, room - 12)}" for number, text in enumerate(scale.labels, 1)]


def _shared(texts: Sequence[str]) -> int:
    """Return how many letters all texts begin with."""
    count = 0
    for letters in zip(*texts, strict=False):
        if len(set(letters)) > 1:
            break
        count += 1
    return count
