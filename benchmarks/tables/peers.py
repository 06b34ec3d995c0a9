"""Other densities of tables, on the measure that flowcli uses: numbers on a grid count with the mass of their cell.

Each takes the rows to fit and the rows to score, and the schema that flowcli found, so that all agree on which column
is a number on which grid.
"""

from __future__ import annotations

import contextlib
import io
import warnings

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import LinearRegression
from sklearn.mixture import GaussianMixture

from flowcli.table import Column, Schema

Numbers = NDArray[np.float64]
VALIDATION = 0.15


# --- each column by itself --------------------------------------------------------------------------------------------


def independent(train: pd.DataFrame, test: pd.DataFrame, schema: Schema) -> Numbers:
    """Frequencies where a column has few values; elsewhere a Gaussian mixture by BIC, of numbers or of logarithms."""
    total = np.zeros(len(test))
    for column in schema.columns:
        own, new = train[column.name], test[column.name]
        if column.text or (own.nunique() <= len(own) / 20 and column.step):
            total += _frequencies(own, new) - (np.log(column.step) if column.step and not column.text else 0.0)
            continue
        missing = own.isna().mean()
        share = np.where(new.isna(), np.log(max(missing, 0.5 / len(own))), np.log(1 - missing))
        total += share + np.where(
            new.isna(), 0.0, _mixture(own.dropna().to_numpy(float), new.to_numpy(float), column.step)
        )
    return total


def _texts(cells: pd.Series) -> pd.Series:
    """Cells as texts, a missing one as one of them."""
    return cells.astype(object).where(cells.notna(), "missing").astype(str)


def _frequencies(own: pd.Series, new: pd.Series) -> Numbers:
    own, new = _texts(own), _texts(new)
    counts = own.value_counts()
    levels = len(counts) + 1
    return np.asarray(np.log((new.map(counts).fillna(0).to_numpy(float) + 0.5) / (len(own) + 0.5 * levels)))


def _mixture(own: Numbers, new: Numbers, step: float | None) -> Numbers:
    candidates = []
    for logs in (False, True):
        if logs and own.min() <= 0:
            continue
        line = np.log(own) if logs else own
        models = [
            GaussianMixture(k, random_state=0, reg_covar=1e-9 * line.var()).fit(line[:, None]) for k in (1, 2, 4, 8)
        ]
        model = min(models, key=lambda m: m.bic(line[:, None]))
        jacobian = own if logs else np.ones_like(own)
        fit = model.score_samples(line[:, None]) - np.log(jacobian)
        candidates.append((fit.mean(), logs, model))
    _, logs, model = max(candidates, key=lambda candidate: candidate[0])
    weights, means, scales = model.weights_, model.means_[:, 0], np.sqrt(model.covariances_[:, 0, 0])

    def cdf(x: Numbers) -> Numbers:
        line = np.log(np.maximum(x, 1e-300)) if logs else x
        return np.asarray((weights * stats.norm.cdf((line[:, None] - means) / scales)).sum(axis=1))

    filled = np.where(np.isnan(new), np.nanmedian(new), new)
    if step:
        return np.log(np.maximum(cdf(filled + step / 2) - cdf(filled - step / 2), 1e-30) / step)
    line = np.log(np.maximum(filled, 1e-300)) if logs else filled
    return np.asarray(model.score_samples(line[:, None]) - (line if logs else 0.0))


# --- adversarial random forests ---------------------------------------------------------------------------------------

ARF_NODES = (5, 20, 50)
ARF_SMOOTHING = (1e-3, 1e-2, 1e-1)
# arfpy's own time grows with trees and leaves: fifty trees where rows are few, R's usual ten elsewhere.
MANY_ROWS = 5000


def arf(train: pd.DataFrame, test: pd.DataFrame, schema: Schema) -> Numbers:
    """Adversarial random forests (Watson et al., 2023) by arfpy; node size and smoothing by a validation part.

    It knows no missing cells: where a number can be missing, a category says whether it is, and the number is left out
    of the product. Numbers of few values are categories for it, which suits it better.
    """
    trees = 10 if len(train) > MANY_ROWS else 50
    order = np.random.default_rng(0).permutation(len(train))
    cut = int(VALIDATION * len(train))
    valid, others = train.iloc[order[:cut]], train.iloc[order[cut:]]
    best, choice = -np.inf, (ARF_NODES[0], ARF_SMOOTHING[0])
    for nodes in ARF_NODES:
        forest = _Forest(others, schema, nodes, trees)
        for smoothing in ARF_SMOOTHING:
            nats = forest.log_prob(valid, smoothing).mean()
            if nats > best:
                best, choice = nats, (nodes, smoothing)
    return _Forest(train, schema, choice[0], trees).log_prob(test, choice[1])


class _Forest:
    """A fitted forest with the parameters of its leaves."""

    def __init__(self, frame: pd.DataFrame, schema: Schema, nodes: int, trees: int) -> None:
        from arfpy import arf as library

        self.schema, self.medians, self.levels = schema, {}, {}
        cells = self._cells(frame, first=True)
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            np.random.seed(0)
            if not hasattr(np, "in1d"):  # arfpy 0.1 knows this function by the name that it had until numpy 2.4
                np.in1d = np.isin  # type: ignore[attr-defined]
            self.model = library.arf(
                cells, num_trees=trees, min_node_size=nodes, verbose=False, random_state=0, n_jobs=2
            )
            self.parameters = self.model.forde()
        bounds = self.model.bnds.drop_duplicates(["tree", "nodeid"]).set_index(["tree", "nodeid"])["cvg"]
        self.coverage = bounds.to_dict()
        numbers, classes = self.parameters["cnt"], self.parameters["cat"]
        self.numbers = (
            {} if numbers.empty else {k: v.set_index(["tree", "nodeid"]) for k, v in numbers.groupby("variable")}
        )
        self.classes = (
            {}
            if classes.empty
            else {
                k: v.drop_duplicates(["tree", "nodeid", "value"]).set_index(["tree", "nodeid", "value"])["prob"]
                for k, v in classes.groupby("variable")
            }
        )

    def _cells(self, frame: pd.DataFrame, *, first: bool = False) -> pd.DataFrame:
        out = {}
        for column in self.schema.columns:
            cells = frame[column.name]
            if column.text or column.kind in ("discrete", "boolean"):
                texts = _texts(cells)
                if first:
                    self.levels[column.name] = sorted(texts.unique())
                out[column.name] = pd.Categorical(texts, categories=self.levels[column.name])
                continue
            if column.missing:
                out[f"{column.name} missing"] = pd.Categorical(cells.isna().astype(str), categories=["False", "True"])
            if first:
                self.medians[column.name] = float(cells.median())
            out[column.name] = cells.fillna(self.medians[column.name]).astype(float).to_numpy()
        return pd.DataFrame(out)

    def log_prob(self, frame: pd.DataFrame, smoothing: float) -> Numbers:
        cells = self._cells(frame)
        codes = cells.copy()
        for name in cells:
            if isinstance(cells[name].dtype, pd.CategoricalDtype):
                codes[name] = cells[name].cat.codes
        leaves = self.model.clf.apply(codes)
        steps = {column.name: column.step for column in self.schema.columns}
        densities = np.zeros((len(cells), leaves.shape[1]))
        for tree in range(leaves.shape[1]):
            keys = pd.MultiIndex.from_arrays([np.full(len(cells), tree), leaves[:, tree]])
            log_density = np.log(np.array([self.coverage.get(key, 0.0) for key in keys]) + 1e-300)
            for name, table in self.numbers.items():
                log_density += self._number(table.reindex(keys), cells[name].to_numpy(), frame, name, steps[name])
            for name, table in self.classes.items():
                count = len(cells[name].cat.categories)
                triples = pd.MultiIndex.from_arrays([keys.get_level_values(0), leaves[:, tree], codes[name]])
                probability = table.reindex(triples).fillna(0.0).to_numpy()
                log_density += np.log((1 - smoothing) * probability + smoothing / count)
                if (step := steps.get(name)) and not name.endswith(" missing"):
                    log_density -= np.log(step)
            densities[:, tree] = log_density
        return np.asarray(np.logaddexp.reduce(densities, axis=1) - np.log(leaves.shape[1]))

    def _number(self, leaf: pd.DataFrame, x: Numbers, frame: pd.DataFrame, name: str, step: float | None) -> Numbers:
        """The log-density of a number in its leaves: a normal cut off at the leaves' bounds."""
        mean = leaf["mean"].to_numpy(float)
        scale = float(np.nanstd(x)) or 1.0
        sd = np.maximum(np.nan_to_num(leaf["sd"].to_numpy(float), nan=scale), (step or 1e-3 * scale) / np.sqrt(12))
        low, high = ((leaf[edge].to_numpy(float) - mean) / sd for edge in ("min", "max"))
        z = (x - mean) / sd
        total = np.maximum(stats.norm.cdf(high) - stats.norm.cdf(low), 1e-12)
        if step:
            half = step / 2 / sd
            mass = stats.norm.cdf(np.minimum(z + half, high)) - stats.norm.cdf(np.maximum(z - half, low))
            log_density = np.log(np.maximum(mass, 1e-12) / total / step)
        else:
            log_density = stats.norm.logpdf(z) - np.log(sd) - np.log(total)
        absent = frame[name].isna().to_numpy()
        return np.where(absent | np.isnan(mean), np.where(absent, 0.0, np.log(1e-12)), log_density)


# --- a column given the others ----------------------------------------------------------------------------------------


def regression(train: pd.DataFrame, test: pd.DataFrame, target: Column, *, boosted: bool, logs: bool) -> Numbers:
    """The target given the rest: a mean by linear regression or boosted trees, and Gaussian residuals around it."""
    parts = [frame.drop(columns=target.name) for frame in (train, test)]
    if boosted:
        texts = [name for name in parts[0] if parts[0][name].dtype.kind not in "fiub"]
        for name in texts:
            levels = parts[0][name].value_counts().index[:250]
            parts = [p.assign(**{name: pd.Categorical(p[name], categories=levels)}) for p in parts]
        model = HistGradientBoostingRegressor(
            random_state=0, max_iter=1000, early_stopping=True, categorical_features="from_dtype"
        )
    else:
        both = pd.get_dummies(pd.concat(parts), dtype=float)
        both = (both - both.mean()) / both.std().replace(0, 1)
        parts = [both.iloc[: len(train)], both.iloc[len(train) :]]
        model = LinearRegression()
    y, new = (frame[target.name].to_numpy(float) for frame in (train, test))
    line = np.log(y) if logs else y
    order = np.random.default_rng(0).permutation(len(y))
    cut = int(VALIDATION * len(y))
    model.fit(parts[0].iloc[order[cut:]], line[order[cut:]])
    sd = float(np.std(line[order[:cut]] - model.predict(parts[0].iloc[order[:cut]])))
    mean = model.predict(parts[1])
    step = target.step
    if step:
        low, high = (np.log(new - step / 2), np.log(new + step / 2)) if logs else (new - step / 2, new + step / 2)
        low, high = (low - mean) / sd, (high - mean) / sd
        flip = low > 0
        low, high = np.where(flip, -high, low), np.where(flip, -low, high)
        return np.asarray(np.log(np.maximum(stats.norm.cdf(high) - stats.norm.cdf(low), 1e-300) / step))
    return np.asarray(stats.norm.logpdf(np.log(new) if logs else new, mean, sd) - (np.log(new) if logs else 0.0))
