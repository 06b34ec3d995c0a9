"""``python -m benchmarks.quality``: flowcli and its peers on the same rows, and docs/quality.json with what came of it.

    python -m benchmarks.quality                                    all sets, peers and configs, three seeds; many hours
    python -m benchmarks.quality --sets magic rings --methods auto zuko --seeds 0
    python -m benchmarks.quality --report                           docs/quality.md again, from what there is

Each fit runs in a process of its own and leaves a file under ``.quality``; one that is there is not run again, unless
``--again`` says so. Figures that are compared in time belong to one run, so run them anew together.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.quality import methods, sets
from benchmarks.quality.report import DOCS, write_report
from benchmarks.quality.results import file_of

RESULTS = Path(".quality")


def main() -> None:
    """Run what is asked for and not there yet, then write the report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sets", nargs="*", default=list(sets.NAMES))
    parser.add_argument("--methods", nargs="*", default=[*methods.PEERS, *methods.shipped(), *methods.MORE])
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2])
    parser.add_argument("--seconds", type=float, default=120.0, help="that a peer's flow may be fitted for")
    parser.add_argument("--rows", type=int, default=0, help="of each set at most: a trial whose figures mean nothing")
    parser.add_argument("--again", action="store_true", help="run what is there already, too")
    parser.add_argument("--report", action="store_true", help="run nothing")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--docs", type=Path, default=DOCS, help="the folder of the report")
    arguments = parser.parse_args()
    arguments.results.mkdir(exist_ok=True)
    if not arguments.report:
        for seed in arguments.seeds:
            for name in arguments.sets:
                for how in arguments.methods:
                    _run(name, how, seed, arguments)
    write_report(arguments.results, arguments.docs)


def _run(name: str, how: str, seed: int, arguments: argparse.Namespace) -> None:
    file = file_of(arguments.results, name, how, seed)
    if not methods.installed(how) or (file.exists() and not arguments.again):
        return
    started = time.perf_counter()
    effort = [str(seed), str(arguments.seconds), str(arguments.rows)]
    command = [sys.executable, "-m", "benchmarks.quality.one", name, how, *effort, str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    failure = f": {done.stderr.strip().splitlines()[-1]}" if done.returncode else ""
    print(f"{name}, {how}, seed {seed}: {time.perf_counter() - started:.0f} s{failure}", flush=True)


if __name__ == "__main__":
    main()
