"""``python -m benchmarks.quality.one SET METHOD SEED SECONDS ROWS FILE``: one fit in a process of its own."""

from __future__ import annotations

import json
import os
import sys
import warnings
from pathlib import Path

import numpy as np

from benchmarks.quality.methods import method
from benchmarks.quality.run import Budget
from benchmarks.quality.sets import split


def main(name: str, how: str, seed: str, seconds: str, max_rows: str, file: str) -> None:
    """Fit to so many rows at most (0: all), and write what came of it to FILE, whole."""
    warnings.simplefilter("ignore")
    rows = split(name, int(seed), int(max_rows) or None)
    run = method(how)(rows.train, rows.test, Budget(float(seconds)), int(seed))
    truth = np.empty(0) if rows.truth is None else rows.truth
    cores = len(os.sched_getaffinity(0))
    words = json.dumps(
        {"seconds": run.seconds, "curve": run.curve, "note": run.note, "budget": float(seconds), "cores": cores}
    )
    members = {} if run.members is None else {"members": run.members}
    part = Path(file).with_suffix(".part.npz")
    np.savez_compressed(part, log_prob=run.log_prob, truth=truth, words=np.array(words), **members)
    part.rename(file)


if __name__ == "__main__":
    main(*sys.argv[1:])
