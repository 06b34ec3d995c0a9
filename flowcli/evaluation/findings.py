"""From measurements to findings: what is wrong with a model, in plain words, with the figures behind it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from flowcli.evaluation.metrics.calibration import Check
from flowcli.evaluation.metrics.comparison import Nats
from flowcli.evaluation.metrics.copies import Copies
from flowcli.evaluation.metrics.impossible import Impossible
from flowcli.evaluation.metrics.information import divergence
from flowcli.evaluation.metrics.measures import ALPHA, Measures
from flowcli.evaluation.metrics.modes import UnmatchedPoints
from flowcli.evaluation.metrics.repeats import Seen
from flowcli.evaluation.metrics.rivals import Rivals
from flowcli.evaluation.metrics.two_sample import TwoSample
from flowcli.text import and_more, counted

LEAST_NATS = 0.002  # less is no finding, however sure it is
SMALL = 0.02  # nats below which a fault is a small one
EXPLAINED = 0.25  # of a mode's nats: what is worth less follows from that one
NEXT_TO_NOTHING = 0.02  # of the nats of a model that is wrong as a whole: what a column adds to that
ANOTHER_KIND = 0.1  # of the weightiest finding's nats: from there on, several things are wrong
ALONE = 2.0  # times the nats of the whole: what a column that is off as the whole is has beside that
MOSTLY = 5.0  # times the nats of all other findings: what a classifier tells comes first then, and last otherwise
UNEXPLAINED = 0.5  # of a classifier's nats: what no other finding is worth as much as
COPIES_EXCESS, COPIES_SHARE = 4.0, 0.03
TRAIN_ERRORS = 3.0
MOST_NAMED = 3  # in the verdict
MOST_BANDS = 6  # that are told
MOST_COLUMNS = 3  # that are told in full
BANDS_OFF = "bands off"
BANDS = 0.01  # the chance that of a right model any column's band misses its share
LEAST_ROWS = 20  # with fewer, nothing found is no praise, and a difference of means no fault

# How a column's ranks look where the whole model is wrong in that way.
ALIKE = {
    "too narrow": ("the model is too narrow", "the model's tails are too light"),
    "too wide": ("the model is too wide", "the model's tails are too heavy"),
    "tails too light": ("the model's tails are too light", "the model is too wide"),
    "tails too heavy": ("the model's tails are too heavy", "the model is too narrow", "the model is too wide"),
}


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        name: Such as ``too narrow``, ``missing mode`` or ``column off: price``.
        words: What that means, in a sentence with its figures.
        nats: What it costs at least, in nats a row; ``None`` where that is not known, or not the point; infinite where
            rows are impossible.
        column: The column it is about, if it is about one.
        slight: Whether it hardly matters, though what it costs is not known.
    """

    name: str
    words: str
    nats: float | None
    column: str | None = None
    slight: bool = False

    @property
    def small(self) -> bool:
        """Whether it hardly matters."""
        return self.slight if self.nats is None else self.nats < SMALL

    @property
    def cost(self) -> str:
        """What it costs, in words; nothing where that is not known."""
        if self.nats is None:
            return ""
        return f"costs at least {self.nats:.3f} nats a row" if math.isfinite(self.nats) else "costs everything"


@dataclass(frozen=True)
class Evidence:
    """All that findings are made of.

    Attributes:
        measures: Of all rows and draws.
        others: Of what is left without crowds by themselves, and beside draws that have as much of each category as the
            rows where that was not so.
        shares: The column of which that was not so.
        unmatched_points: Rows without draws near, and draws without rows near.
        copies: Whether draws are copies.
        rivals: Simple models.
        nats: The model's mean log-density of the rows.
        own_nats: That of its draws: what the other would be if the model were right.
        train_nats: That of the training rows, where they are known.
        impossible: Rows of density zero.
        seen: Rows that are training rows.
    """

    measures: Measures
    others: Measures
    shares: Check | None
    unmatched_points: tuple[UnmatchedPoints, UnmatchedPoints] | None
    copies: Copies | None
    rivals: Rivals | None
    nats: Nats
    own_nats: Nats
    train_nats: Nats | None
    impossible: Impossible | None
    seen: Seen | None


def findings(evidence: Evidence) -> list[Finding]:
    """Return what is wrong, the weightiest first; nothing where the model is good.

    Each of four tests is made at such a level that a right model is called wrong in about one run of a hundred, all of
    them together, and in another one for bands of columns. What one finding explains is no other: the columns of a
    model that is too narrow as a whole, the regions of one that lacks a mode, the columns that depend on a category
    which is drawn too often. A simpler model that is better comes first where several things are wrong, and after the
    one thing where it is one.
    """
    modes = _modes(evidence)
    shares = [] if evidence.shares is None else [_column(evidence.shares)]
    measures = evidence.others if modes or shares else evidence.measures
    regions, columns = _regions_and_columns(measures)
    dependence = _dependence(measures, columns)
    specific = sorted([*modes, *shares, *regions, *columns, *dependence], key=lambda each: -(each.nats or 0.0))
    if modes:
        specific = [each for each in specific if each in modes or _weight(each) > EXPLAINED * _weight(modes[0])]
    general = _simpler(evidence)
    kinds = {each.name.partition(":")[0] for each in specific if _weight(each) >= ANOTHER_KIND * _weight(specific[0])}
    found = [*specific, *general] if len(kinds) < 2 else [*general, *specific]
    unexplained_by_others = _unexplained_by_others(measures.two_sample, specific)
    mostly = bool(unexplained_by_others) and _weight(unexplained_by_others[0]) > MOSTLY * max(
        map(_weight, found), default=0.0
    )
    first = [*_impossible(evidence.impossible), *_seen(evidence.seen), *_copies(evidence.copies)]
    found = [*unexplained_by_others, *found] if mostly else [*found, *unexplained_by_others]
    bands = _bands(evidence.measures)
    return [*first, *bands, *found] if all(each.small for each in found) else [*first, *found, *bands]


def verdict(found: Sequence[Finding], rows: int) -> str:
    """Return all of it in one line."""
    if not found and rows < LEAST_ROWS:
        return f"too few rows to tell: nothing is wrong that {counted(rows, 'row')} could show"
    if not found:
        return f"good: nothing is wrong that {rows:,} rows could show"
    if all(each.small for each in found):
        return f"good, but for {len(found)} small fault{'s' * (len(found) > 1)}: {_names(found)}"
    return _names(found)


def part(count: int, rows: int, one: str, many: str) -> str:
    """Such as ``1 of 20 rows is``, with the verb for one of them and for many."""
    return f"{count:,} of {counted(rows, 'row')} {one if count == 1 else many}"


def grouped(found: Sequence[Finding]) -> tuple[list[Finding], list[str]]:
    """Findings to be told in full, and the names of those that are more of the same: of many columns, a few will do."""
    columns = [each for each in found if each.column is not None]
    others = columns[MOST_COLUMNS:]
    return [each for each in found if each not in others], [each.name for each in others]


def _names(found: Sequence[Finding]) -> str:
    """Return the names of a few of the findings, and of bands in any case."""
    bands = [each.name for each in found if each.name.startswith(BANDS_OFF)]
    names = [each.name for each in found if each.name not in bands]
    more = len(names) - MOST_NAMED
    return "; ".join([*names[:MOST_NAMED], *([f"and {more} more"] if more > 0 else []), *bands])


def _weight(finding: Finding) -> float:
    return finding.nats or 0.0


def _impossible(found: Impossible | None) -> list[Finding]:
    if found is None:
        return []
    words = f"{found.count:,} of {counted(found.rows, 'row')}, so that the mean log-density of all is minus infinity"
    if found.column is not None:
        words += f"; {found.column} has {found.reason}"
    return [Finding("rows of density zero", words, math.inf, found.column)]


def _seen(found: Seen | None) -> list[Finding]:
    if found is None:
        return []
    words = f"{part(found.count, found.rows, 'is', 'are')} among the training rows, to the digit"
    return [Finding("rows not new", f"{words}: the figures are not of rows that the model has not seen", None)]


def _something_is_wrong(measures: Measures) -> bool:
    """Return whether one of the tests on rows and draws says so."""
    test = measures.two_sample
    chances = [measures.coverage.chance, *(check.adjusted for check in measures.checks)]
    return min(*chances, 1.0 if test is None else test.chance) < ALPHA


def _modes(evidence: Evidence) -> list[Finding]:
    """Crowds of rows without draws, and of draws without rows."""
    if evidence.unmatched_points is None or not _something_is_wrong(evidence.measures):
        return []
    rows, draws = evidence.unmatched_points
    found = []
    for each, name in ((rows, "missing mode"), (draws, "spurious mode")):
        if not each.is_mode:
            continue
        count, unmatched_points = float(len(each.looked_at)), float(len(each.indices))
        here, present = np.array([unmatched_points, count - unmatched_points]), np.array([0.0, count])
        nats = divergence(here, present) if name == "missing mode" else divergence(present, here)
        what, other = ("rows", "draw") if name == "missing mode" else ("draws", "row")
        words = f"{each.share:.1%} of the {what} form a crowd of their own in which there is no {other}"
        found.append(Finding(name, words, nats))
    return sorted(found, key=lambda each: -_weight(each))


def _regions_and_columns(measures: Measures) -> tuple[list[Finding], list[Finding]]:
    """Return what regions say and what columns say, without what follows from the other."""
    columns = [check for check in measures.checks if check.adjusted < ALPHA and check.nats >= LEAST_NATS]
    coverage = measures.coverage
    miscalibration = coverage.miscalibration if coverage.chance < ALPHA and coverage.nats >= LEAST_NATS else None
    if miscalibration is None:
        return [], [_column(check) for check in columns]
    alike = [check for check in columns if check.aspect == "values" and check.detail in ALIKE[miscalibration]]
    all_values = sum(check.aspect == "values" for check in measures.checks)
    most = max((check.nats for check in columns), default=0.0)
    if columns and not 2 * len(alike) >= all_values and coverage.nats < most:
        return [], [_column(check) for check in columns]
    shares = ", ".join(f"{region.inside:.1%}" for region in coverage.regions)
    levels = ", ".join(f"{region.level:.0%}" for region in coverage.regions)
    words = f"the model's {levels} regions hold {shares} of the rows"
    if 2 * len(alike) >= all_values:
        words += f"; {len(alike)} of {all_values} columns by themselves look so too" if all_values > 1 else ""
        columns = [check for check in columns if check not in alike or check.nats > ALONE * coverage.nats]
    columns = [check for check in columns if check.nats > NEXT_TO_NOTHING * coverage.nats]
    return [Finding(miscalibration, words, coverage.nats)], [_column(check) for check in columns]


def _column(check: Check) -> Finding:
    match check.aspect:
        case "shares":
            return Finding(f"category shares off: {check.column}", check.detail, check.nats, check.column)
        case "missing":
            return Finding(f"missing cells off: {check.column}", check.detail, check.nats, check.column)
        case _:
            words = f"{check.detail or 'its shape is another'}; Kolmogorov-Smirnov distance {check.distance:.3f}"
            return Finding(f"column off: {check.column}", words, check.nats, check.column)


def _bands(measures: Measures) -> list[Finding]:
    """Return that bands of columns miss their shares, the worst first; no such model is good.

    The share of rows in a band is tested by itself, allowing for all bands of all columns (Bonferroni). A miss that
    costs next to nothing is none: it takes 1.7% of the rows beyond a band of 99%, or 53% in one of 50%.
    """
    all_bands = [(band, check.column) for check in measures.checks for band in check.bands]
    missed = [
        (band, column) for band, column in all_bands if band.chance * len(all_bands) < BANDS and band.nats >= LEAST_NATS
    ]
    if not missed:
        return []
    missed.sort(key=lambda each: -each[0].nats)
    shown = [f"{column}'s {band.level:.0%} band holds {band.inside:.1%}" for band, column in missed]
    name = f"{shown[0]} of the rows" + (f", and {len(shown) - 1} more" if len(shown) > 1 else "")
    intervals = [f"{each} ({band.low:.1%} to {band.high:.1%})" for each, (band, _) in zip(shown, missed, strict=True)]
    words = f"{and_more(intervals, MOST_BANDS, between='; ')}; in brackets 95% confidence"
    return [Finding(f"{BANDS_OFF}: {name}", words, None)]


def _dependence(measures: Measures, columns: Sequence[Finding]) -> list[Finding]:
    """What a classifier tells of ranks, which columns by themselves tell nothing of; but for what has no ranks."""
    test, whole = measures.dependence, measures.two_sample
    if test is None or whole is None or test.chance >= ALPHA or test.nats < LEAST_NATS:
        return []
    without_ranks = sum(check.nats for check in measures.checks if check.aspect != "values" and check.adjusted < ALPHA)
    if test.nats - without_ranks < UNEXPLAINED * (whole.nats if columns else test.nats):
        return []
    words = f"columns by themselves left out, a classifier still tells draws from rows, with an AUC of {test.auc:.3f}"
    if measures.pair is not None and abs(measures.pair.rows - measures.pair.draws) > 0.05:
        one, other = measures.pair.columns
        words += f"; {one} and {other} have a rank correlation of {measures.pair.rows:.2f} in the rows"
        words += f" and {measures.pair.draws:.2f} in the draws"
    return [Finding("dependence missed", words, test.nats)]


def _simpler(evidence: Evidence) -> list[Finding]:
    """Return a simple model that is better, and whether that is for want of fitting or for too much of it."""
    found = [] if evidence.rivals is None else list(evidence.rivals.found)
    better = [
        rival for rival in found if rival.gain.rows >= LEAST_ROWS and rival.gain.chance_of_worse < ALPHA / len(found)
    ]
    if not better:
        return []
    best = min(better, key=lambda rival: rival.gain.mean)
    loss = -best.gain.mean
    if loss < LEAST_NATS:
        return []
    words = f"{best.name} has {loss:.3f} ± {best.gain.error:.3f} nats a row more on the same rows"
    train, here = evidence.train_nats, evidence.nats
    if train is not None and train.mean - here.mean > TRAIN_ERRORS * math.hypot(train.error, here.error):
        gap = train.mean - here.mean
        if gap > loss / 2:
            return [Finding("overfitted", f"{words}, and the model has {gap:.3f} more on its training rows", loss)]
    # A model fitted by maximum likelihood that is too simple finds rows about as likely as its own draws.
    if not here.impossible and evidence.own_nats.mean - here.mean < loss / 2:
        return [Finding("underfitted", f"{words}: a simpler model is better", loss)]
    if (surer := evidence.own_nats.mean - here.mean) > 0:
        words += f"; the model is surer of its own draws than of the rows, by {surer:.3f}"
    return [Finding("a simpler model is better", words, loss)]


def _copies(copies: Copies | None) -> list[Finding]:
    if copies is None or copies.excess < COPIES_EXCESS or copies.close - copies.close_rows < COPIES_SHARE:
        return []
    words = f"{copies.close:.1%} of the draws lie as close to a row as {copies.close_rows:.1%} of other rows do"
    if copies.exact > copies.exact_rows:
        words += f"; {copies.exact:.1%} are a row, to the digit ({copies.exact_rows:.1%} of other rows are)"
    return [Finding("copies", words, None)]


def _unexplained_by_others(test: TwoSample | None, specific: Sequence[Finding]) -> list[Finding]:
    """That a classifier tells more than the other findings explain."""
    if test is None or test.chance >= ALPHA or any(_weight(each) > UNEXPLAINED * test.nats for each in specific):
        return []
    names = ", ".join(name for name, _ in test.columns[:3])
    words = f"a classifier tells them apart, with an AUC of {test.auc:.3f}" + (
        f"; most telling: {names}" if names else ""
    )
    # Of two Gaussians that are told apart as well, the divergence is the square of this.
    slight = float(stats.norm.ppf(min(test.auc, 1 - 1e-9))) ** 2 < SMALL
    return [Finding("draws unlike rows", words, test.nats or None, slight=slight)]
