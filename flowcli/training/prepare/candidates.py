"""Which way to fit some rows: in which coordinates, with which architecture, and from where."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass

from flowcli.config import schema as config
from flowcli.encoding import Encoder, Standardizer
from flowcli.errors import ConfigError
from flowcli.random import Stream
from flowcli.training.loop.epochs import dequantization_shares, generator
from flowcli.training.loop.loop import Loop
from flowcli.training.prepare import resolve
from flowcli.training.prepare.mixture import LARGEST_SAMPLE
from flowcli.training.prepare.row_sets import RowSet, out_of_reach
from flowcli.training.prepare.starts import Sample, Start, choose_starts, gated

TICKS = 4  # in a trial with a time limit, after each of which it may end


@dataclass(frozen=True)
class StartCandidate:
    """One way to fit.

    Attributes:
        encoder: From rows to coordinates.
        resolved: The config with nothing left to decide.
        start: The mixture to start from, if there is one.
    """

    encoder: Encoder
    resolved: config.Config
    start: Start | None


class StartCandidates:
    """The ways to fit that a config leaves open.

    Args:
        request: The config.
        encoder: Of the rows, without a quantile map.
        train: The training rows.
        held_out: The held-out rows.
        seed: Of all random numbers.
    """

    def __init__(self, request: config.Config, encoder: Encoder, train: RowSet, held_out: RowSet, seed: int) -> None:
        self._request, self._encoder, self._rows, self._seed = request, encoder, len(train), seed
        self._train = resolve.resolve_train(request.train, rows=len(train))
        self._trials_pay = resolve.long_enough(self._train, rows=len(train))
        self._marginals = resolve.wants_marginal(request.flow)
        if len(self._marginals) > 1 and out_of_reach(encoder, train).any():
            self._marginals = [True]  # no choice then: without a quantile map such rows would be left out
        self._sample, self._held_sample = (
            Sample.of(encoder, row_set, seed, purpose, most)
            for row_set, purpose, most in (
                (train, Stream.TRAINING_SAMPLE, LARGEST_SAMPLE),
                (held_out, Stream.HELD_OUT_SAMPLE, len(held_out)),
            )
        )
        plain = encoder.coordinates
        self._choices = [plain]
        if len(plain) and any(self._marginals):
            shares = dequantization_shares(encoder, len(train), generator(seed, Stream.MAP_DEQUANTIZATION))
            mapped = plain.with_marginal(encoder.continuous_numbers(train.prepared, shares))
            self._choices = [mapped if marginal else plain for marginal in self._marginals]

    @property
    def columns(self) -> int:
        """D, of the coordinates."""
        return len(self._encoder.coordinates)

    def wide(self) -> StartCandidate | None:
        """Return the other architecture for many columns, where they are many and the config has one."""
        flow = resolve.wide(self._request.flow, size=resolve.Size.of(self._encoder, self._rows))
        mapped = self._choices[-1]
        if flow is None or mapped.marginal is None or not self._trials_pay:
            return None
        return StartCandidate(self._encoder.with_coordinates(mapped), self._resolved(flow), None)

    def quick_nats(self) -> float | None:
        """Return the held-out nats of mixtures of few Gaussians that EM finds in few rows.

        ``None`` where they are no match for those of whole rows: these have more than coordinates, or cells.
        """
        layout = self._encoder.layout
        if layout.outcome_counts or layout.angles or self._encoder.rounded:
            return None
        sample = self._sample.some(resolve.ROWS_OF_FEW, generator(self._seed, Stream.QUICK_SAMPLE))
        counts = resolve.FEW_COMPONENTS
        result = choose_starts(self._choices, sample, self._held_sample, components=counts, seed=self._seed, folds=0)
        return result[0].held_out_nats

    def likely(self) -> list[StartCandidate]:
        """Return the ways with the config's own architecture that are worth trying, the likeliest first; mostly one.

        The mixtures that EM finds mostly tell whether a quantile map is worth its while. Where they speak against one,
        but not clearly, only steps can tell: sharp edges are nothing that a mixture sees.

        Raises:
            ConfigError: There are fewer rows than components.
            NumericsError: No start could be found.
        """
        wanted, from_em = _mixture_wish(self._request.flow.base)
        if not self.columns or (wanted is None and len(self._choices) == 1):
            return [self._candidate(self._choices[-1], None, from_em=False)]
        counts = resolve.candidate_components(self._request.flow.base, self._rows, self.columns)
        starts = choose_starts(self._choices, self._sample, self._held_sample, components=counts, seed=self._seed)
        first, *others = starts
        components = len(first.mixture.weights)
        if isinstance(wanted, int) and from_em and wanted != components:
            raise ConfigError(f"components: {wanted} are more than the {self._rows} rows; use fewer")
        result = [self._candidate(first.coordinates, first, from_em=from_em)]
        if others and first.coordinates.marginal is None and self._trials_pay:
            behind = first.held_out_nats - others[0].held_out_nats
            if behind < resolve.UNCLEAR:
                result += [self._candidate(other.coordinates, other, from_em=from_em) for other in others]
        return result

    def _candidate(self, coordinates: Standardizer, start: Start | None, *, from_em: bool) -> StartCandidate:
        encoder = self._encoder.with_coordinates(coordinates)
        flow = resolve.resolve_flow(
            self._request.flow,
            size=resolve.Size.of(encoder, self._rows),
            marginal=self._marginals[0] if len(self._marginals) == 1 else coordinates.marginal is not None,
            components=1 if start is None else len(start.mixture.weights),
        )
        begin = None if start is None or not from_em else gated(start, self._sample, self._held_sample)
        return StartCandidate(encoder, self._resolved(flow), begin)

    def _resolved(self, flow: config.FlowConfig) -> config.Config:
        return self._request.model_copy(update={"flow": flow, "train": self._train})


@dataclass(frozen=True)
class PreparedFit:
    """A fit that can run.

    Attributes:
        candidate: What is fitted.
        encoder: The candidate's, with what is known of the rows that the fit can compute with.
        loop: The fit.
        train: These rows.
        held_out: And those of the held-out rows.
    """

    candidate: StartCandidate
    encoder: Encoder
    loop: Loop
    train: RowSet
    held_out: RowSet


def best(
    candidates: StartCandidates,
    begin: Callable[[StartCandidate], PreparedFit],
    notice: Callable[[str], None],
    time_limit: float | None = None,
) -> PreparedFit:
    """Return the fit that is ahead after a few steps of each way that may be the best, to go on from there.

    The architecture for many columns is the quickest to try, so it comes first. If it is far ahead of mixtures by then,
    it is chosen; if it is behind, dropped; otherwise, or where nobody can tell, the likeliest of the other ways has a
    few steps as well.

    Args:
        candidates: The ways.
        begin: Sets up a fit at its start.
        notice: Takes lines for the user.
        time_limit: Seconds that the whole fit will have. What the others took of them counts among the seconds of the
            one that goes on.
    """
    said = "more than one way to fit these rows may be the best; a few steps of each will tell"
    leader: PreparedFit | None = None
    wide, spent = candidates.wide(), 0.0
    if wide is not None:
        notice(said)
        leader = _tried(begin(wide), time_limit)
        reached, spent = leader.loop.best_nats, leader.loop.seconds
        quick = candidates.quick_nats()
        if quick is not None and reached > quick + resolve.CLEARLY * candidates.columns:
            return leader
        if quick is not None and reached < quick:
            leader = None
    likely = candidates.likely()
    if leader is not None:
        likely = likely[:1]
    elif len(likely) == 1:
        leader = begin(likely[0])
        leader.loop.seconds += spent
        return leader
    elif wide is None:
        notice(said)
    for candidate in likely:
        other = _tried(begin(candidate), time_limit, math.inf if leader is None else leader.loop.best_nats)
        spent += other.loop.seconds
        if leader is None or other.loop.best_nats > leader.loop.best_nats:
            leader = other
    assert leader is not None, "there is always a way"
    leader.loop.seconds = spent
    return leader


def _tried(fit: PreparedFit, time_limit: float | None, to_beat: float = math.inf) -> PreparedFit:
    """Run a fit for as many steps as tell something, or until it has beaten the one before, and evaluate it there."""
    share = math.inf if time_limit is None else resolve.SHARE_OF_TRIAL * time_limit
    loop, tick = fit.loop, None if time_limit is None else share / TICKS
    with closing(loop.run(lambda: False, time_limit, tick_every=tick)) as events:
        for event in events:
            if event.step >= resolve.TRIAL_STEPS or loop.seconds >= share or loop.best_nats > to_beat:
                break
    loop.judge()
    return fit


def _mixture_wish(base: config.Base) -> tuple[int | config.Auto | None, bool]:
    """Return how many components the base is to have, if it is a mixture, and whether EM starts it."""
    match base:
        case config.Mixture(mixture=options):
            return options.components, options.start == "em"
        case config.AutoregressiveMixture(autoregressive_mixture=options):
            return options.components, options.start == "em"
        case _:
            return None, False
