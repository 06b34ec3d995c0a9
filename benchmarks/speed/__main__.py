"""Training, scoring and sampling beside zuko, nflows, normflows and flowjax, and beside the matrix products alone.

    python -m benchmarks.speed --json docs/speed.json --table docs/speed.md

Measures the libraries that are installed: pip install zuko nflows normflows flowjax. About half an hour on two cores;
``--quick --columns 2 6`` is a minute's trial whose figures mean nothing.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

from benchmarks.speed import machine


def main() -> None:
    arguments = _arguments()
    machine.limit_threads(arguments.threads)  # before torch and jax are loaded, which read this once
    _run(arguments)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed", description=__doc__.splitlines()[0])
    parser.add_argument("--families", nargs="+", metavar="NAME", help="maf, nsf, nsf-coupling, mixture; all by default")
    parser.add_argument("--columns", nargs="+", type=int, metavar="D", help="numbers of columns, 2 at least")
    parser.add_argument("--directions", nargs="+", metavar="NAME", help="training, scoring, sampling; all by default")
    parser.add_argument("--libraries", nargs="+", metavar="NAME", help="of the installed ones; products are the bound")
    parser.add_argument("--rounds", type=int, default=None, help="rounds of each figure (default 5)")
    parser.add_argument("--seconds", type=float, default=None, help="for each library in each round (default 0.25)")
    parser.add_argument("--threads", type=int, default=machine.cores(), help="processor threads (default all cores)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="one short round with few rows: a trial")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write everything, every round, as JSON")
    parser.add_argument("--table", type=Path, metavar="PATH", help="write the page that is printed, as Markdown")
    return parser.parse_args()


def _run(arguments: argparse.Namespace) -> None:
    import torch

    from benchmarks.speed import cases, libraries, measure, report
    from benchmarks.speed.results import Results

    torch.set_num_threads(arguments.threads)
    families = _chosen(arguments.families, list(cases.FAMILIES))
    directions = _chosen(arguments.directions, list(cases.DIRECTIONS))
    available = [name for name in libraries.NAMES if libraries.installed(name)]
    loaded = {name: libraries.load(name) for name in _chosen(arguments.libraries, available)}
    if arguments.quick:
        effort = measure.Effort(arguments.rounds or 1, arguments.seconds or 0.01, (256, 512), 1024)
    else:
        effort = measure.Effort(arguments.rounds or 5, arguments.seconds or 0.25, (512, 2048, 8192), 32_768)
    packages = [package for library in loaded.values() for package in library.PACKAGES]
    results = Results(
        machine=machine.describe(torch.get_num_threads()),
        versions=machine.versions(list(dict.fromkeys(packages))),
        settings={
            "families": families,
            "directions": directions,
            "rounds": effort.rounds,
            "seconds": effort.seconds,
            "blocks": list(effort.blocks),
            "rows": effort.rows,
            "seed": arguments.seed,
            "quick": arguments.quick,
        },
        networks={name: library.NETWORK for name, library in loaded.items()},
    )
    todo = cases.cases(families, arguments.columns)
    total, started = len(todo) * len(directions), time.monotonic()
    for cell, parameters in measure.measure(todo, directions, loaded, effort, arguments.seed):
        results.cells.append(cell)
        results.parameters[cell.case] = parameters
        elapsed = time.monotonic() - started
        print(f"[{len(results.cells)}/{total}, {elapsed:.0f} s] {report.line(cell)}", file=sys.stderr, flush=True)
        if arguments.json:  # after every figure, so that what was measured survives an interruption
            arguments.json.write_text(json.dumps(results.to_json(), indent=1) + "\n")
    page = report.markdown(results)
    print(page)
    if arguments.table:
        arguments.table.write_text(page)


def _chosen(wanted: list[str] | None, available: list[str]) -> list[str]:
    """Those that were asked for, in the usual order, or all."""
    if wanted is None:
        return available
    unknown = [name for name in wanted if name not in available]
    if unknown:
        raise SystemExit(f"{', '.join(unknown)}: not among {', '.join(available)}")
    return [name for name in available if name in wanted]


if __name__ == "__main__":
    main()
