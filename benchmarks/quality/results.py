"""What fits left behind, read again."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Result:
    """One fit of one method.

    Attributes:
        log_prob: Of the test rows, (M,); NaN where a method has no density.
        truth: The true one, (M,), or empty.
        words: Seconds, curve, budget, a note, and how many cores there were.
        members: The log-densities of several fits that make up this one, (K, M), where there are.
    """

    log_prob: NDArray[np.float64]
    truth: NDArray[np.float64]
    words: dict[str, Any]
    members: NDArray[np.float64] | None = None

    def member(self, number: int) -> Result:
        """One of the fits that make up this one."""
        assert self.members is not None
        return replace(self, log_prob=self.members[number])

    @property
    def nats(self) -> float:
        """The mean, of the rows that have a density."""
        return float(np.nanmean(self.log_prob))

    @property
    def error(self) -> float:
        """The standard error of that mean."""
        known = self.log_prob[~np.isnan(self.log_prob)]
        return float(known.std() / np.sqrt(len(known)))

    @property
    def seconds(self) -> float:
        """Of the fit."""
        return float(self.words["seconds"])

    def seconds_to(self, nats: float) -> float:
        """When the curve first came that far; infinity where it never did."""
        return next((t for t, reached in self.words["curve"] if reached >= nats), np.inf)


def file_of(folder: Path, name: str, how: str, seed: int) -> Path:
    """Where a fit leaves what came of it."""
    return folder / f"{_plain(name)}--{_plain(how)}--{seed}.npz"


def read(folder: Path, name: str, how: str, seed: int) -> Result | None:
    """What a fit left behind, if it ran."""
    file = file_of(folder, name, how, seed)
    if not file.exists():
        return None
    with np.load(file) as found:
        return Result(found["log_prob"], found["truth"], json.loads(str(found["words"])), found.get("members"))


def _plain(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
