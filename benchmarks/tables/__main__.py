"""Tables as they are, beside peers and known densities: docs/tables.json and docs/tables.md.

python -m benchmarks.tables                      all parts; half an hour
python -m benchmarks.tables synthetic tails      some parts
python -m benchmarks.tables synthetic --tables counts --rows 500 --results /elsewhere/tables.json      a trial
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import flowcli
from benchmarks.tables import peers
from benchmarks.tables.report import render
from benchmarks.tables.sets import load
from benchmarks.tables.synthetic import KNOWN
from flowcli.model import FlowDensity

RESULTS = Path("docs/tables.json")
ROWS = 20_000
TAIL_ROWS = 1_000_000  # so that the rows themselves say where their farthest ten-thousandth begins
FIVE = ("penguins", "diamonds", "house prices", "avocados", "flights")
# Seconds that a fit may take here, so that all of it can be run again in half an hour.
LIMIT = {"flights": 90.0, "diamonds": 120.0}


@dataclass(frozen=True)
class Effort:
    """How much is measured.

    Attributes:
        tables: The names of the tables; ``None`` for all.
        rows: How many rows of each table at most; ``None`` for the published figures.
    """

    tables: list[str] | None = None
    rows: int | None = None

    def count(self, usual: int) -> int:
        """Return how many rows to use where ``usual`` are used for the published figures."""
        return usual if self.rows is None else min(usual, self.rows)

    def wants(self, name: str) -> bool:
        """Return whether a table is measured."""
        return self.tables is None or name in self.tables

    def load(self, name: str) -> pd.DataFrame:
        """Return the first rows of a real table."""
        return load(name).head(self.rows)


def synthetic(effort: Effort) -> Iterator[tuple[str, Any]]:
    """Measure the gap to the true log-density on new rows."""
    for name, known in KNOWN.items():
        if not effort.wants(name):
            continue
        train, test = (known.sample(effort.count(ROWS), seed) for seed in (1, 2))
        started = time.perf_counter()
        model = flowcli.fit(train, kinds=known.kinds)
        seconds = time.perf_counter() - started
        ours, truth = model.log_prob(test), known.log_prob(test)
        gap = truth - ours
        yield (
            name,
            {
                "columns": train.shape[1],
                "true": truth.mean(),
                "ours": ours.mean(),
                "gap": gap.mean(),
                "error": gap.std() / np.sqrt(len(gap)),
                "finite": float(np.isfinite(ours).mean()),
                "seconds": seconds,
            },
        )


def tails(effort: Effort) -> Iterator[tuple[str, Any]]:
    """Measure far quantiles of drawn rows, densities of far rows, and shares close to an edge."""
    for name in filter(effort.wants, ("independent t's, 2.5 degrees", "multivariate t, 2.5 degrees")):
        known = KNOWN[name]
        model = flowcli.fit(known.sample(effort.count(TAIL_ROWS), 1), kinds=known.kinds)
        drawn = model.sample(effort.count(1_000_000), seed=0).to_numpy()
        true = float(peers.stats.t(2.5).ppf(0.9999))
        high, low = np.quantile(drawn, 0.9999, axis=0), -np.quantile(drawn, 0.0001, axis=0)
        ratios = np.concatenate([high, low]) / true
        extremes = known.sample(1000, 3) * np.geomspace(1, 1e6, 1000)[:, None]
        yield (
            name,
            {
                "true": true,
                "lowest": ratios.min(),
                "highest": ratios.max(),
                "far rows finite": float(np.isfinite(model.log_prob(extremes)).mean()),
            },
        )
    name = "Beta shares with a copula"
    if not effort.wants(name):
        return
    known = KNOWN[name]
    model = flowcli.fit(known.sample(effort.count(ROWS), 1), kinds=known.kinds)
    drawn = model.sample(effort.count(1_000_000), seed=0).to_numpy()
    yield (
        "Beta(1/2, 1/2) edges",
        {
            "inside": float(((drawn[:, 0] > 0) & (drawn[:, 0] < 1)).mean()),
            **{
                f"share below {edge}": float((drawn[:, 0] < edge).mean() / peers.stats.beta(0.5, 0.5).cdf(edge))
                for edge in (1e-4, 1e-3, 1e-2)
            },
            **{
                f"share above 1 - {edge}": float((drawn[:, 0] > 1 - edge).mean() / peers.stats.beta(0.5, 0.5).cdf(edge))
                for edge in (1e-4, 1e-3, 1e-2)
            },
        },
    )


def real(effort: Effort) -> Iterator[tuple[str, Any]]:
    """Compare held-out nats with adversarial random forests and with columns by themselves."""
    for name, splits, dropped in (
        ("penguins", 5, []),
        ("house prices", 1, ["id", "sqft_basement"]),
        ("diamonds", 1, []),
    ):
        if not effort.wants(name):
            continue
        frame = effort.load(name).drop(columns=dropped)
        gains: dict[str, list[float]] = {"ours": [], "arf": [], "independent": []}
        for split in range(splits):
            train, test = _split(frame, split)
            model = flowcli.fit(train, time_limit=LIMIT.get(name))
            schema = model.density.schema
            scored = {
                "ours": model.log_prob(test),
                "arf": peers.arf(train, test, schema),
                "independent": peers.independent(train, test, schema),
            }
            for rival, nats in scored.items():
                gains[rival].extend(nats[np.isfinite(scored["ours"])])
            print(name, split, {rival: nats.mean() for rival, nats in scored.items()}, flush=True)
        ours = np.array(gains["ours"])
        result = {rival: float(np.mean(nats)) for rival, nats in gains.items()}
        for rival in ("arf", "independent"):
            gain = ours - np.array(gains[rival])
            result |= {f"over {rival}": gain.mean(), f"error {rival}": gain.std() / np.sqrt(len(gain))}
        yield name, result | {"rows": len(ours)}


def conditional(effort: Effort) -> Iterator[tuple[str, Any]]:
    """Compare the density of the price given the other columns with regressions."""
    for name, dropped in (("diamonds", []), ("house prices", ["id", "sqft_basement"])):
        if not effort.wants(name):
            continue
        train, test = _split(effort.load(name).drop(columns=dropped), 0)
        given = [column for column in train if column != "price"]
        model = flowcli.fit(train, given=given, time_limit=LIMIT.get(name))
        target = next(column for column in model.density.schema.columns if column.name == "price")
        ours = model.log_prob(test)
        result = {"ours": float(ours.mean())}
        for boosted in (False, True):
            rival = max(
                (peers.regression(train, test, target, boosted=boosted, logs=logs) for logs in (False, True)),
                key=np.mean,
            )
            word = "boosted" if boosted else "linear"
            gain = ours - rival
            result |= {
                word: rival.mean(),
                f"over {word}": gain.mean(),
                f"error {word}": gain.std() / np.sqrt(len(gain)),
            }
        yield name, result


def samples(effort: Effort) -> Iterator[tuple[str, Any]]:
    """Compare drawn rows with the data, column by column."""
    for name in filter(effort.wants, FIVE):
        frame = effort.load(name)
        notices: list[str] = []
        started = time.perf_counter()
        model = flowcli.fit(frame, notice=notices.append, time_limit=LIMIT.get(name))
        seconds = time.perf_counter() - started
        drawn = model.sample(effort.count(ROWS), seed=0)
        yield (
            name,
            [
                {"column": f"{len(frame):,} rows, {seconds:.0f} s; said: {'; '.join(notices) or 'nothing'}"},
                *(_compared(frame[column], drawn[column], model.density) for column in frame),
            ],
        )


def _compared(data: pd.Series, drawn: pd.Series, density: FlowDensity) -> dict[str, str]:
    from flowcli.table import decision

    column = next(c for c in density.schema.columns if c.name == data.name)
    row = {
        "column": str(data.name),
        "taken for": decision(column),
        "missing": f"{data.isna().mean():.1%} / {drawn.isna().mean():.1%}",
    }
    again = data.sample(len(drawn), replace=True, random_state=0)
    row |= {"distance": f"{_distance(data, drawn):.3f}", "of as many rows": f"{_distance(data, again):.3f}"}
    if column.text:
        return row | {"range": f"{data.nunique()} / {drawn.nunique()} texts"}
    return row | {"range": f"{data.min():g} to {data.max():g} / {drawn.min():g} to {drawn.max():g}"}


def _distance(data: pd.Series, drawn: pd.Series) -> float:
    """Half the sum of the differences of shares for texts, else the largest one of the distribution functions."""
    if not pd.api.types.is_numeric_dtype(data) or data.dtype == bool:
        shares = [cells.dropna().astype(str).value_counts(normalize=True) for cells in (data, drawn)]
        return float(0.5 * shares[0].subtract(shares[1], fill_value=0).abs().sum())
    x, y = (np.sort(cells.dropna().to_numpy(float)) for cells in (data, drawn))
    at = np.unique(x)
    return float(np.abs(np.searchsorted(x, at, "right") / len(x) - np.searchsorted(y, at, "right") / len(y)).max())


def _split(frame: pd.DataFrame, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    order = np.random.default_rng(seed).permutation(len(frame))
    cut = len(frame) // 5
    return frame.iloc[order[cut:]].reset_index(drop=True), frame.iloc[order[:cut]].reset_index(drop=True)


def main() -> None:
    """Run the parts that were named, or all, and write what was found."""
    parts = {"synthetic": synthetic, "tails": tails, "real": real, "conditional": conditional, "samples": samples}
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tables", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("parts", nargs="*", choices=[*parts, []], help="all by default")
    parser.add_argument("--tables", nargs="+", metavar="NAME", help="all tables of the parts by default")
    parser.add_argument("--rows", type=int, help="rows of each table at most: a trial whose figures mean nothing")
    parser.add_argument("--results", type=Path, default=RESULTS, help=f"the JSON file (default {RESULTS})")
    arguments = parser.parse_args()
    effort, file = Effort(arguments.tables, arguments.rows), arguments.results
    warnings.simplefilter("ignore")
    results = json.loads(file.read_text()) if file.exists() else {}
    for part in arguments.parts or parts:
        for name, found in parts[part](effort):
            results.setdefault(part, {})[name] = found
            print(part, name, found, flush=True)
            file.write_text(json.dumps(results, indent=1, default=float) + "\n")
            file.with_suffix(".md").write_text(render(results))


if __name__ == "__main__":
    main()
