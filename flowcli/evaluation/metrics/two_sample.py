"""The classifier two-sample test: can a classifier tell the model's draws from rows (Lopez-Paz & Oquab, 2017)?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from sklearn.ensemble import HistGradientBoostingClassifier
from threadpoolctl import threadpool_limits

from flowcli.random import Stream, numpy_generator
from flowcli.table import Schema

Rows = NDArray[np.float64]

MOST_PAIRS, LEAST_PAIRS = 10_000, 50
FOLDS = 5
TREES, TREES_OF_FEW = 100, 40
MOST_LEVELS = 250  # of a category that the trees can split in two as they like; more are numbers to them
SURE = 0.95  # the probability from which the classifier is nearly sure
CONFIDENCE = 0.95
MOST_PERMUTED = 2000


@dataclass(frozen=True)
class TwoSample:
    """What a classifier makes of rows and draws that it has not seen.

    Attributes:
        pairs: How many rows it was shown, and as many draws.
        auc: How often it finds a row more like a row than a draw is: 0.5 for a right model, 1 for one that is told at
            a glance.
        error: Its standard error.
        low: The lower end of a 95% confidence interval, whose other end is ``high``.
        high: Its upper end.
        chance: How likely such a high one is for a right model.
        nats: What the model loses at least, by the classifier's odds (Donsker & Varadhan, 1975).
        sure_rows: The share of rows that it is nearly sure are rows.
        sure_draws: The share of draws that it is nearly sure are draws.
        columns: The columns that tell: how much of the AUC goes when the column's cells are shuffled, the most first;
            empty where the test tells nothing.
        odds: The log-odds of being a row, of rows and of draws, (n,) each.
        chosen: Which rows and which draws these are.
    """

    pairs: int
    auc: float
    error: float
    low: float
    high: float
    chance: float
    nats: float
    sure_rows: float
    sure_draws: float
    columns: tuple[tuple[str, float], ...]
    odds: tuple[Rows, Rows]
    chosen: tuple[NDArray[np.int64], NDArray[np.int64]]


# Trees for so few rows take half the time on one thread, and a tenth where torch's own threads wait beside them.
@threadpool_limits.wrap(limits=1, user_api="openmp")  # type: ignore[untyped-decorator]
def two_sample(rows: Rows, draws: Rows, schema: Schema, seed: int, *, least_chance: float = 0.0) -> TwoSample | None:
    """Train classifiers on some of the rows and draws, and test them on the others; ``None`` where there are too few.

    Row and draw of a pair stay together, so that what they are given, where the model is conditioned on something,
    helps nobody.

    Args:
        rows: (N, C).
        draws: (M, C); where the model is conditioned on columns, the i-th is drawn for the i-th row.
        schema: The columns.
        seed: Of the choice of rows, of the folds, and of the classifiers.
        least_chance: Columns that tell are looked for where the chance is below it.
    """
    random = numpy_generator(seed, Stream.TWO_SAMPLE)
    paired = any(column.given for column in schema.columns)
    pairs = min(len(rows), len(draws), MOST_PAIRS)
    if pairs < LEAST_PAIRS:
        return None
    chosen = random.permutation(len(rows))[:pairs]
    own = chosen if paired else random.permutation(len(draws))[:pairs]
    indices = [p for p, c in enumerate(schema.columns) if c.kind != "constant" or c.has_gaps]
    categorical = [schema.columns[p].text and len(schema.columns[p].levels) <= MOST_LEVELS for p in indices]
    ours, theirs = rows[chosen][:, indices], draws[own][:, indices]
    folds = np.arange(pairs) % FOLDS
    random.shuffle(folds)
    odds = np.empty(pairs), np.empty(pairs)
    placed = np.empty(pairs), np.empty(pairs)
    models = []
    many = pairs >= 10 * LEAST_PAIRS  # enough to spare some that say when to stop
    for fold in range(FOLDS):
        test, train = folds == fold, folds != fold
        model = HistGradientBoostingClassifier(
            max_iter=TREES if many else TREES_OF_FEW, max_leaf_nodes=15, l2_regularization=1.0, early_stopping=many,
            categorical_features=categorical if any(categorical) else None, random_state=seed,
        )  # fmt: skip
        model.fit(np.concatenate([ours[train], theirs[train]]), np.repeat([1, 0], np.count_nonzero(train)))
        models.append(model)
        for part, table in enumerate((ours, theirs)):
            odds[part][test] = model.decision_function(table[test])
        placed[0][test], placed[1][test] = _placed(odds[0][test], odds[1][test])
    auc = float(placed[0].mean())
    # Of pairs, so that what row and draw have in common is allowed for (after DeLong et al., 1988). Two pairs in
    # different folds meet twice, each once as one to learn from: by chance alike, they are so twice. That doubles the
    # variance at most, and nearly does where nothing can be told.
    error = float((placed[0] + placed[1]).std(ddof=1) * np.sqrt(2 / pairs))
    error = max(error, 0.5 / pairs)  # told without one mistake
    chance = float(stats.norm.sf((auc - 0.5) / error))
    reach = float(stats.norm.ppf((1 + CONFIDENCE) / 2)) * error
    nats = max(0.0, float(odds[0].mean() - np.log(np.mean(np.exp(np.clip(odds[1], -30, 30))))))
    edge = np.log(SURE / (1 - SURE))
    telling: tuple[tuple[str, float], ...] = ()
    if chance < least_chance:
        names = [schema.columns[index].name for index in indices]
        telling = _telling(models, ours, theirs, folds, names, random)
    return TwoSample(
        pairs, auc, error, max(0.0, auc - reach), min(1.0, auc + reach), chance, nats,
        float((odds[0] > edge).mean()), float((odds[1] < -edge).mean()), telling, odds, (chosen, own),
    )  # fmt: skip


def _placed(rows: Rows, draws: Rows) -> tuple[Rows, Rows]:
    """For each row the share of draws below it, (n,), and for each draw the share of rows above it; ties count half."""
    return (
        (np.searchsorted(s := np.sort(draws), rows, "left") + np.searchsorted(s, rows, "right")) / (2 * len(draws)),
        1 - (np.searchsorted(s := np.sort(rows), draws, "left") + np.searchsorted(s, draws, "right")) / (2 * len(rows)),
    )


def _telling(
    models: list[HistGradientBoostingClassifier],
    rows: Rows,
    draws: Rows,
    folds: NDArray[np.int64],
    names: list[str],
    random: np.random.Generator,
) -> tuple[tuple[str, float], ...]:
    """For each column what the AUC loses when its cells are shuffled (Breiman, 2001)."""
    lost = np.zeros(len(names))
    for fold, model in enumerate(models):
        test = np.flatnonzero(folds == fold)[: MOST_PERMUTED // len(models)]
        whole = np.concatenate([rows[test], draws[test]])
        before = _auc(model.decision_function(whole))
        for index in range(len(names)):
            shuffled = whole.copy()
            shuffled[:, index] = random.permutation(shuffled[:, index])
            lost[index] += (before - _auc(model.decision_function(shuffled))) / len(models)
    return tuple((names[index], float(lost[index])) for index in np.argsort(-lost) if lost[index] > 0)


def _auc(scores: Rows) -> float:
    rows, draws = np.split(scores, 2)
    return float(_placed(rows, draws)[0].mean())
