"""Tables whose density is known: rows, and the exact log-density of each on the measure that flowcli uses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Known:
    """A table with a known density.

    Attributes:
        sample: Rows by their number and a seed.
        log_prob: The log-density of rows, in nats, (B,).
        kinds: What a user would have to say about columns.
    """

    sample: Callable[[int, int], pd.DataFrame]
    log_prob: Callable[[pd.DataFrame], Numbers]
    kinds: dict[str, str] = field(default_factory=dict)


# --- categories that shift means and scales ---------------------------------------------------------------------------

SHARES = np.array([0.5, 0.3, 0.2])
GROUPS = np.random.default_rng(1).dirichlet(np.full(12, 0.7), size=3)  # the second category given the first
MEANS = np.random.default_rng(2).normal(size=(3, 3)) * 2
SCALES = np.array([0.5, 1.0, 2.0])
MIXING = np.array([[1.0, 0.0, 0.0], [0.6, 0.8, 0.0], [-0.3, 0.5, 0.7]])
LETTERS = np.array(list("abcdefghijkl"))


def _shifted_sample(rows: int, seed: int) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    first = random.choice(3, rows, p=SHARES)
    second = (random.random(rows)[:, None] > np.cumsum(GROUPS[first], axis=1)).sum(axis=1).clip(max=11)
    center = MEANS[first] + 0.2 * second[:, None]
    x = center + SCALES[first][:, None] * (random.normal(size=(rows, 3)) @ MIXING.T)
    return pd.DataFrame({"first": LETTERS[first], "second": LETTERS[second], "x": x[:, 0], "y": x[:, 1], "z": x[:, 2]})


def _shifted_log_prob(frame: pd.DataFrame) -> Numbers:
    first, second = (np.searchsorted(LETTERS, frame[name]) for name in ("first", "second"))
    residual = frame[["x", "y", "z"]].to_numpy() - MEANS[first] - 0.2 * second[:, None]
    unit = np.linalg.solve(MIXING, (residual / SCALES[first][:, None]).T).T
    normal = stats.norm.logpdf(unit).sum(axis=1) - np.log(np.diag(MIXING)).sum() - 3 * np.log(SCALES[first])
    return np.asarray(np.log(SHARES[first]) + np.log(GROUPS[first, second]) + normal)


# --- missing not at random --------------------------------------------------------------------------------------------


def _missing_sample(rows: int, seed: int) -> pd.DataFrame:
    """y is missing where it is large, with a probit link; z where a category says so."""
    random = np.random.default_rng(seed)
    kind = random.random(rows) < 0.4
    x = random.normal(size=rows) + kind
    y = 0.7 * x + 0.6 * random.normal(size=rows)
    z = -0.5 * x + 0.8 * random.normal(size=rows)
    y = np.where(random.normal(size=rows) < 1.5 * y - 1.0, np.nan, y)
    z = np.where(random.random(rows) < np.where(kind, 0.5, 0.1), np.nan, z)
    return pd.DataFrame({"kind": np.where(kind, "yes", "no"), "x": x, "y": y, "z": z})


def _missing_log_prob(frame: pd.DataFrame) -> Numbers:
    kind = (frame["kind"] == "yes").to_numpy()
    x, y, z = (frame[name].to_numpy() for name in "xyz")
    total = np.log(np.where(kind, 0.4, 0.6)) + stats.norm.logpdf(x, kind)
    # Where y is missing it is summed over: the probability that a normal lies below 1.5 y - 1 for a normal y.
    absent = stats.norm.logcdf((1.5 * 0.7 * x - 1.0) / np.sqrt(1 + (1.5 * 0.6) ** 2))
    with np.errstate(invalid="ignore"):
        present = stats.norm.logpdf(y, 0.7 * x, 0.6) + stats.norm.logsf(1.5 * y - 1.0)
    total += np.where(np.isnan(y), absent, present)
    share = np.where(kind, 0.5, 0.1)
    given = np.log1p(-share) + stats.norm.logpdf(z, -0.5 * x, 0.8)
    return np.asarray(total + np.where(np.isnan(z), np.log(share), given))


# --- shares with a copula ---------------------------------------------------------------------------------------------

BETAS = ((0.5, 0.5), (2.0, 5.0), (1.0, 3.0), (5.0, 5.0))
COPULA = np.array([[1.0, 0.6, -0.3, 0.2], [0.6, 1.0, 0.1, 0.4], [-0.3, 0.1, 1.0, 0.5], [0.2, 0.4, 0.5, 1.0]])


def _shares_sample(rows: int, seed: int) -> pd.DataFrame:
    z = np.random.default_rng(seed).multivariate_normal(np.zeros(4), COPULA, rows)
    uniform = stats.norm.cdf(z)
    columns = [stats.beta(*shape).ppf(uniform[:, i]) for i, shape in enumerate(BETAS)]
    inside = np.clip(np.column_stack(columns), np.nextafter(0, 1), np.nextafter(1, 0))
    return pd.DataFrame(inside, columns=list("pqrs"))


def _shares_log_prob(frame: pd.DataFrame) -> Numbers:
    x = frame.to_numpy()
    # From the nearer end, so that nothing is lost close to one.
    z = np.column_stack(
        [
            np.where(
                x[:, i] < 0.5,
                stats.norm.ppf(stats.beta(*shape).cdf(x[:, i])),
                -stats.norm.ppf(stats.beta(*shape).sf(x[:, i])),
            )
            for i, shape in enumerate(BETAS)
        ]
    )
    marginal = sum(stats.beta(*shape).logpdf(x[:, i]) for i, shape in enumerate(BETAS))
    copula = stats.multivariate_normal(np.zeros(4), COPULA).logpdf(z) - stats.norm.logpdf(z).sum(axis=1)
    return np.asarray(marginal + copula)


# --- heavy tails ------------------------------------------------------------------------------------------------------

DEGREES = 2.5
SHAPE = np.array([[1.0, 0.5, 0.2, 0.0], [0.5, 1.0, 0.3, -0.4], [0.2, 0.3, 1.0, 0.1], [0.0, -0.4, 0.1, 1.0]])


def _student_sample(rows: int, seed: int) -> pd.DataFrame:
    draws = stats.multivariate_t(np.zeros(4), SHAPE, df=DEGREES).rvs(rows, random_state=seed)
    return pd.DataFrame(draws, columns=list("abcd"))


def _student_log_prob(frame: pd.DataFrame) -> Numbers:
    return np.asarray(stats.multivariate_t(np.zeros(4), SHAPE, df=DEGREES).logpdf(frame.to_numpy()))


def _tails_sample(rows: int, seed: int) -> pd.DataFrame:
    draws = stats.t(DEGREES).rvs((rows, 3), random_state=seed)
    return pd.DataFrame(draws, columns=list("abc"))


def _tails_log_prob(frame: pd.DataFrame) -> Numbers:
    return np.asarray(stats.t(DEGREES).logpdf(frame.to_numpy()).sum(axis=1))


# --- angles -----------------------------------------------------------------------------------------------------------


def _angles_sample(rows: int, seed: int) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    first = random.vonmises(3.0, 2.0, rows)
    second = random.vonmises(2 * first + 1.0, 4.0, rows)
    speed = 3 + np.cos(first) + 0.4 * random.normal(size=rows)
    angles = np.degrees(np.column_stack([first, second])) % 360
    return pd.DataFrame({"wind": angles[:, 0], "wave": angles[:, 1], "speed": speed})


def _angles_log_prob(frame: pd.DataFrame) -> Numbers:
    first, second = np.radians(frame["wind"].to_numpy()), np.radians(frame["wave"].to_numpy())
    per_degree = np.log(np.pi / 180)
    total = stats.vonmises(2.0).logpdf(first - 3.0) + stats.vonmises(4.0).logpdf(second - 2 * first - 1.0)
    return np.asarray(total + 2 * per_degree + stats.norm.logpdf(frame["speed"], 3 + np.cos(first), 0.4))


# --- counts -----------------------------------------------------------------------------------------------------------


def _counts_sample(rows: int, seed: int) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    kind = random.choice(3, rows, p=SHARES)
    visits = random.poisson(np.array([0.7, 3.0, 12.0])[kind])
    sales = random.negative_binomial(3.0, 1 / (1 + 0.4 * (1 + visits)))
    return pd.DataFrame({"kind": LETTERS[kind], "visits": visits, "sales": sales})


def _counts_log_prob(frame: pd.DataFrame) -> Numbers:
    kind = np.searchsorted(LETTERS, frame["kind"])
    visits = frame["visits"].to_numpy()
    total = np.log(SHARES[kind]) + stats.poisson(np.array([0.7, 3.0, 12.0])[kind]).logpmf(visits)
    return np.asarray(total + stats.nbinom(3.0, 1 / (1 + 0.4 * (1 + visits))).logpmf(frame["sales"]))


# --- zeros beside other values, and rounded prices --------------------------------------------------------------------


def _prices_sample(rows: int, seed: int) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    wet = random.random(rows) < 0.35
    rain = np.where(wet, random.lognormal(0.5, 1.0, rows), 0.0)
    price = np.round(random.lognormal(3.0 + 0.3 * wet, 0.5, rows), 2)
    fee = 5 * np.round((40 + 0.5 * price + 12 * random.normal(size=rows)) / 5)
    return pd.DataFrame({"rain": rain, "price": price, "fee": fee})


def _prices_log_prob(frame: pd.DataFrame) -> Numbers:
    rain, price, fee = (frame[name].to_numpy() for name in ("rain", "price", "fee"))
    wet = rain > 0
    total = np.where(
        wet, np.log(0.35) + stats.lognorm(1.0, scale=np.exp(0.5)).logpdf(np.where(wet, rain, 1)), np.log(0.65)
    )
    total += _cell(stats.lognorm(0.5, scale=np.exp(3.0 + 0.3 * wet)), price, 0.01)
    return np.asarray(total + _cell(stats.norm(40 + 0.5 * price, 12), fee, 5.0))


def _cell(distribution: stats.rv_continuous, x: Numbers, step: float) -> Numbers:
    """The logarithm of the mass of the cell around x, per unit."""
    above = distribution.cdf(x) > 0.5
    low, high = x - step / 2, x + step / 2
    mass = np.where(above, distribution.sf(low) - distribution.sf(high), distribution.cdf(high) - distribution.cdf(low))
    return np.asarray(np.log(np.maximum(mass, 1e-300) / step))


# --- everything at once -----------------------------------------------------------------------------------------------


def _mixed_sample(rows: int, seed: int) -> pd.DataFrame:
    parts = [_shifted_sample(rows, seed), _missing_sample(rows, seed + 1000), _counts_sample(rows, seed + 2000)]
    parts[2] = parts[2].rename(columns={"kind": "group"})
    parts[1] = parts[1].rename(columns={"x": "u", "y": "v", "z": "w"})
    frame = pd.concat(parts, axis=1)
    # Whatever the parts are, this column ties them together.
    frame["tie"] = frame["x"] + frame["u"] + np.random.default_rng(seed + 3000).normal(size=rows)
    return frame


def _mixed_log_prob(frame: pd.DataFrame) -> Numbers:
    second = frame[["kind", "u", "v", "w"]].rename(columns={"u": "x", "v": "y", "w": "z"})
    third = frame[["group", "visits", "sales"]].rename(columns={"group": "kind"})
    tie = stats.norm.logpdf(frame["tie"], frame["x"] + frame["u"])
    return np.asarray(_shifted_log_prob(frame) + _missing_log_prob(second) + _counts_log_prob(third) + tie)


KNOWN = {
    "categories that shift means": Known(_shifted_sample, _shifted_log_prob),
    "missing not at random": Known(_missing_sample, _missing_log_prob),
    "Beta shares with a copula": Known(_shares_sample, _shares_log_prob),
    "multivariate t, 2.5 degrees": Known(_student_sample, _student_log_prob),
    "independent t's, 2.5 degrees": Known(_tails_sample, _tails_log_prob),
    "von Mises angles": Known(_angles_sample, _angles_log_prob, {"wind": "circular:360", "wave": "circular:360"}),
    "counts": Known(_counts_sample, _counts_log_prob),
    "zeros and rounded prices": Known(_prices_sample, _prices_log_prob),
    "everything at once": Known(_mixed_sample, _mixed_log_prob),
}
