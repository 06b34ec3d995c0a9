"""The best of many configs within a given time: successive halving (Karnin et al., 2013; Jamieson and Talwalkar, 2016).

The first fit is that of the config which a plain fit would take, to its own end. Then rounds follow, in brackets: the
first round of a bracket gives every candidate a short fit, the next gives the best third of them a fit three times as
long, until one is left. Where there is time for another bracket, its candidates are changes to the best config so far.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from flowcli.config import schema as config
from flowcli.model import Density, FlowDensity
from flowcli.training.loop.events import mean_and_error
from flowcli.training.prepare.row_sets import RowSet
from flowcli.training.series.plans import together
from flowcli.training.series.series import Finished, Trial

THIRD = 3  # of the candidates, one goes on; and its fit is so many times as long
SHORTEST, SHORTEST_SHARE = 3.0, 0.25  # seconds of a fit that tells something, and as a share of the first fit
CUT = "out of time"
# Standard errors by which a config must be ahead of the first to take its place: the best of twenty that are as good is
# ahead by nearly that much.
AT_LEAST = 2.0
LEAST_WEIGHT = 0.01  # in an ensemble


@dataclass(frozen=True)
class Candidate:
    """A config to try.

    Attributes:
        name: For people.
        changes: To the config that candidates are made from, as of ``--set``; what may be changed further has some.
        config: Another config instead, by its name.
    """

    name: str
    changes: tuple[str, ...] = ()
    config: str | None = None


_NETS = ("flow.layers.1.layers.1.autoregressive.net", "flow.base.autoregressive_mixture.net")


def _nets(option: str) -> tuple[str, ...]:
    return tuple(f"{net}.{option}" for net in _NETS)


# What ``auto`` may be changed by. Those come first that gained most often, since there may be no time for all.
FIELD = (
    Candidate("no quantile map", ("flow.layers.0.marginal=none",)),
    Candidate("quantile map", ("flow.layers.0.marginal=quantile",)),
    Candidate("wide networks", _nets("hidden=[256, 256]")),
    Candidate("16 components", ("flow.base.autoregressive_mixture.components=16",)),
    Candidate("slower steps", ("train.learning_rate=1e-3",)),
    Candidate("five spline layers", ("flow.layers.1.repeat=5",)),
    Candidate("more dropout", _nets("dropout=0.35")),
    Candidate("no spline layers", ("flow.layers.1.repeat=0",)),
    Candidate("less dropout", _nets("dropout=0.05")),
    Candidate("one component", ("flow.base.autoregressive_mixture.components=1",)),
    Candidate("narrow networks", _nets("hidden=[64, 64]")),
    Candidate("16 bins", ("flow.layers.1.layers.1.autoregressive.transform.spline.bins=16",)),
    Candidate("noise", ("train.noise=0.02",)),
    Candidate("one spline layer", ("flow.layers.1.repeat=1",)),
    Candidate("weight decay", ("train.weight_decay=1",)),
    Candidate("nsf", config="nsf"),
    Candidate("sparse", config="sparse"),
    Candidate("maf-mixture", config="maf-mixture"),
    Candidate("gaussianization", config="gaussianization"),
)


@dataclass(frozen=True)
class SuccessiveHalving:
    """The best config of a field within a given time, or an ensemble of the best.

    Attributes:
        make: From a candidate to its config.
        first: The config that a plain fit would take.
        field: What to try beside it.
        seconds: That all of it may take.
        members: Flows in the density that comes of it, at most.
        seed: Of all random numbers.
    """

    make: Callable[[Candidate], config.Config]
    first: Candidate
    field: tuple[Candidate, ...]
    seconds: float
    members: int = 1
    seed: int = 0

    def next(self, finished: Sequence[Finished]) -> Trial | None:
        """Return the next trial, unless time is over or nothing is left to try."""
        if not finished:
            return self._trial(self.first, self.seconds, 0)
        done = 1
        while sizes := self._sizes(finished[:done]):
            entrants = self._field(finished[:done])
            left = self.seconds - sum(each.seconds for each in finished[:done])
            for index, size in enumerate(sizes):
                number = 1 + max(each.round for each in finished[:done])
                result = {each.name: each for each in finished[:done]}
                entrants = sorted(entrants, key=lambda each: -_nats(result.get(each.name)))[:size]
                # Who came to an end of its own is not fitted again.
                to_run = [each for each in entrants if each.name not in result or result[each.name].outcome == CUT]
                for turn, candidate in enumerate(to_run):
                    if done == len(finished):
                        # Each round that is still to come takes as long as this one.
                        seconds = left / ((len(sizes) - index) * len(to_run) - turn)
                        return None if seconds < SHORTEST else self._trial(candidate, seconds, number)
                    left -= finished[done].seconds
                    done += 1
        return None

    def _sizes(self, before: Sequence[Finished]) -> list[int]:
        """Return how many candidates each round of the bracket after those fits has."""
        left = self.seconds - sum(each.seconds for each in before)
        least = max(SHORTEST, SHORTEST_SHARE * before[0].seconds)
        sizes = [min(len(self._field(before)), int(left / THIRD / least))]
        while sizes[-1] > 1:
            sizes.append(-(-sizes[-1] // THIRD))
        return sizes if sizes[0] > 0 else []

    def _field(self, before: Sequence[Finished]) -> list[Candidate]:
        """Return what a bracket after some fits tries: the field, then what is one change away from its best."""
        tried = {each.name for each in before}
        if not tried & {each.name for each in self.field}:
            return list(self.field)
        changed = [each for each in self.field if each.changes]
        best = None
        for each in sorted(before[1:], key=lambda each: -_nats(each)):
            if (best := self._named(each.name)) is not None:
                break
        trial_config = [] if best is None else [_both(best, each) for each in changed]
        known = {_parts(name) for name in tried}
        return [each for each in trial_config if each is not None and _parts(each.name) not in known]

    def _named(self, name: str) -> Candidate | None:
        """Return the candidate of that name, if it is one that may be changed further."""
        by_name = {each.name: each for each in self.field if each.changes}
        result: Candidate | None = None
        for part in sorted(_parts(name)):
            if part not in by_name:
                return None
            result = by_name[part] if result is None else _both(result, by_name[part])
        return result

    def _trial(self, candidate: Candidate, seconds: float, number: int) -> Trial:
        return Trial(candidate.name, self.make(candidate), self.seed, seconds, number)

    def kept(self, finished: Sequence[Finished]) -> list[int]:
        """Return the first, and the best."""
        order = sorted(range(len(finished)), key=lambda index: -_nats(finished[index]))
        good = [index for index in order if finished[index].nats is not None]
        return sorted({0, *good[: self.members]})

    def whole(
        self, finished: Sequence[Finished], densities: Mapping[int, FlowDensity], train: RowSet, held_out: RowSet
    ) -> Density:
        """Return the best density where it is clearly ahead of the first, which a plain fit chooses, or a mixture."""
        indices = sorted(densities)
        nats = np.stack([densities[index].log_prob(held_out.values) for index in indices])
        if self.members == 1:
            best = int(np.argmax([_nats(finished[index]) for index in indices]))
            gain, error = mean_and_error(torch.from_numpy(nats[best] - nats[0]), held_out.weight_tensor)
            chosen: Density = densities[indices[best if gain > AT_LEAST * error else 0]]
            name = finished[indices[best if gain > AT_LEAST * error else 0]].name
        else:
            weights = shares(nats, held_out.weights)
            strong = [k for k in np.argsort(-weights)[: self.members] if weights[k] >= LEAST_WEIGHT]
            members = [densities[indices[k]] for k in strong]
            own = shares(nats[strong], held_out.weights)
            chosen = together(members, own, train, held_out, self.seed, finished)
            name = " + ".join(f"{w:.2f} {finished[indices[k]].name}" for w, k in zip(own, strong, strict=True))
        chosen.summary = {**chosen.summary, "chosen": name, "trials": [asdict(each) for each in finished]}
        return chosen

    @property
    def fits(self) -> int:
        """Nobody knows how many there will be."""
        return 0

    @property
    def may_fail(self) -> bool:
        """A config that does not suit the rows is one that lost."""
        return True

    def to_json(self) -> dict[str, Any]:
        """Return the plan, to know it again."""
        return {
            "tune": self.seconds,
            "ensemble": self.members,
            "configs": [each.name for each in (self.first, *self.field)],
        }


def _nats(finished: Finished | None) -> float:
    """Return how good it was; what failed is the worst, what was not tried yet the best."""
    if finished is None:
        return math.inf
    return -math.inf if finished.nats is None else finished.nats


def _parts(name: str) -> frozenset[str]:
    """Return the changes that a name is made of."""
    return frozenset(name.split(", "))


def _both(one: Candidate, other: Candidate) -> Candidate | None:
    """Return a candidate with the changes of both, where they do not contradict each other."""
    keys = [{change.partition("=")[0] for change in each.changes} for each in (one, other)]
    if one.config or other.config or keys[0] & keys[1]:
        return None
    return Candidate(f"{one.name}, {other.name}", (*one.changes, *other.changes))


def shares(nats: NDArray[np.float64], weights: NDArray[np.float64] | None) -> NDArray[np.float64]:
    """Return the weights of a mixture of fixed densities that make rows likeliest, by expectation-maximisation.

    Args:
        nats: Log-densities (K, M) of the rows under each.
        weights: Of the rows, (M,).

    Returns:
        (K,), with the sum one.
    """
    w = np.full(len(nats), 1 / len(nats))
    some = np.isfinite(nats).any(axis=0)
    for _ in range(200):
        parts = nats[:, some] + np.log(np.maximum(w, 1e-300))[:, None]
        responsibilities = np.exp(parts - np.logaddexp.reduce(parts, axis=0))
        w = np.average(responsibilities, axis=1, weights=None if weights is None else weights[some])
    return np.asarray(w / w.sum())
