"""``python -m benchmarks.tables [synthetic] [tails] [real] [conditional] [samples]``: docs/tables.json and .md."""

from __future__ import annotations

import json
import sys
import time
import warnings
from collections.abc import Iterator
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
ROWS_OF_TAILS = 1_000_000  # so that the rows themselves say where their farthest ten-thousandth begins
FIVE = ("penguins", "diamonds", "house prices", "avocados", "flights")
# Seconds that a fit may take here, so that all of it can be run again in half an hour.
LIMIT = {"flights": 90.0, "diamonds": 120.0}


def synthetic() -> Iterator[tuple[str, Any]]:
    """The gap to the true log-density on new rows."""
    for name, known in KNOWN.items():
        train, test = known.sample(ROWS, 1), known.sample(ROWS, 2)
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


def tails() -> Iterator[tuple[str, Any]]:
    """Far quantiles of drawn rows, densities of far rows, and shares close to an edge."""
    for name in ("independent t's, 2.5 degrees", "multivariate t, 2.5 degrees"):
        known = KNOWN[name]
        model = flowcli.fit(known.sample(ROWS_OF_TAILS, 1), kinds=known.kinds)
        drawn = model.sample(1_000_000, seed=0).to_numpy()
        true = float(peers.stats.t(2.5).ppf(0.9999))
        high, low = np.quantile(drawn, 0.9999, axis=0), -np.quantile(drawn, 0.0001, axis=0)
        ratios = np.concatenate([high, low]) / true
        far = known.sample(1000, 3) * np.geomspace(1, 1e6, 1000)[:, None]
        yield (
            name,
            {
                "true": true,
                "lowest": ratios.min(),
                "highest": ratios.max(),
                "far rows finite": float(np.isfinite(model.log_prob(far)).mean()),
            },
        )
    known = KNOWN["Beta shares with a copula"]
    model = flowcli.fit(known.sample(ROWS, 1), kinds=known.kinds)
    drawn = model.sample(1_000_000, seed=0).to_numpy()
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


def real() -> Iterator[tuple[str, Any]]:
    """Held-out nats beside adversarial random forests and columns by themselves."""
    for name, splits, dropped in (
        ("penguins", 5, []),
        ("house prices", 1, ["id", "sqft_basement"]),
        ("diamonds", 1, []),
    ):
        frame = load(name).drop(columns=dropped)
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


def conditional() -> Iterator[tuple[str, Any]]:
    """The price given the rest."""
    for name, dropped in (("diamonds", []), ("house prices", ["id", "sqft_basement"])):
        train, test = _split(load(name).drop(columns=dropped), 0)
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


def samples() -> Iterator[tuple[str, Any]]:
    """Drawn rows beside the data, column by column."""
    for name in FIVE:
        frame = load(name)
        notices: list[str] = []
        started = time.perf_counter()
        model = flowcli.fit(frame, notice=notices.append, time_limit=LIMIT.get(name))
        seconds = time.perf_counter() - started
        drawn = model.sample(20_000, seed=0)
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
    warnings.simplefilter("ignore")
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for part in sys.argv[1:] or parts:
        for name, found in parts[part]():
            results.setdefault(part, {})[name] = found
            print(part, name, found, flush=True)
            RESULTS.write_text(json.dumps(results, indent=1, default=float) + "\n")
            RESULTS.with_suffix(".md").write_text(render(results))


if __name__ == "__main__":
    main()
