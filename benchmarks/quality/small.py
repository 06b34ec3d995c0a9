"""``python -m benchmarks.quality.small``: auto beside simple densities on tables of 60 to 500 rows, over twenty splits.

What of a table is not fitted to is tested on. One splits so few rows well or badly by chance, so only the mean over
splits says much; its error is that of the differences, split by split. Leaves ``small.json`` among the results, which
``python -m benchmarks.quality --report`` reads.
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.quality import sets
from benchmarks.quality.methods import AUTO, SIMPLE, method
from benchmarks.quality.run import Budget

CASES = (("magic", 60), ("magic", 200), ("magic", 500), ("penguins", 60), ("penguins", 200))
SPLITS, MOST_TESTED = 20, 5_000
FILE = "small.json"


@dataclass(frozen=True)
class Small:
    """One method on one size of a table.

    Attributes:
        nats: Mean over splits and rows.
        gain: What auto has more.
        error: Its standard error over splits, which share rows.
        splits: How many.
    """

    nats: float
    gain: float
    error: float
    splits: int


def main() -> None:
    """Fit all, and write what came of it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--results", type=Path, default=Path(".quality"))
    parser.add_argument("--splits", type=int, default=SPLITS)
    parser.add_argument("--tables", nargs="+", choices=[table for table, _ in CASES], help="all by default")
    parser.add_argument("--max-rows", type=int, help="leave out cases of more rows")
    arguments = parser.parse_args()
    arguments.results.mkdir(exist_ok=True)
    warnings.simplefilter("ignore")
    found = []
    cases = [
        (table, rows)
        for table, rows in CASES
        if table in (arguments.tables or table) and rows <= (arguments.max_rows or rows)
    ]
    for fit in _fits(cases, arguments.splits):
        found.append(fit)
        print(
            f"{fit['table']}, {fit['rows']} rows, split {fit['split']}, {fit['method']}: {fit['nats']:.3f}", flush=True
        )
        (arguments.results / FILE).write_text(json.dumps(found) + "\n")


def _fits(cases: list[tuple[str, int]], splits: int) -> Iterator[dict[str, Any]]:
    for table, rows in cases:
        frame = sets.real(table)
        for split in range(splits):
            order = np.random.default_rng([split, rows]).permutation(len(frame))[: rows + MOST_TESTED]
            train, test = (frame.iloc[part].reset_index(drop=True) for part in (order[:rows], order[rows:]))
            for how in (AUTO, *SIMPLE):
                run = method(how)(train, test, Budget(0.0), split)
                nats = float(run.log_prob.mean())
                yield {"table": table, "rows": rows, "split": split, "method": how, "nats": nats}


def summary(folder: Path) -> dict[str, dict[str, Small]]:
    """Methods by the names of the cases; empty where nothing was run."""
    file = folder / FILE
    if not file.exists():
        return {}
    fits = json.loads(file.read_text())
    found: dict[str, dict[str, Small]] = {}
    for table, rows in CASES:
        of_case = [fit for fit in fits if (fit["table"], fit["rows"]) == (table, rows)]
        own = {how: {f["split"]: f["nats"] for f in of_case if f["method"] == how} for how in (AUTO, *SIMPLE)}
        common = sorted(set.intersection(*(set(of) for of in own.values())))
        if common:
            found[f"{table}, {rows} rows"] = {how: _small(own[AUTO], own[how], common) for how in own}
    return found


def _small(auto: dict[int, float], own: dict[int, float], splits: list[int]) -> Small:
    gains = np.array([auto[split] - own[split] for split in splits])
    return Small(
        nats=float(np.mean([own[split] for split in splits])),
        gain=float(gains.mean()),
        error=float(gains.std(ddof=1) / np.sqrt(len(gains))) if len(gains) > 1 else float("nan"),
        splits=len(gains),
    )


if __name__ == "__main__":
    main()
