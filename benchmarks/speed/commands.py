"""Whole commands, from file to file, beside the model alone and beside a plain script with zuko and pandas.

    python -m benchmarks.speed.commands --json docs/commands.json --table docs/commands.md

Makes a table of a million rows in a temporary folder, fits flowcli's config ``nsf`` to a head of it for a few epochs,
and takes the commands in turn, round by round. About ten minutes on two cores.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.speed import machine

LABELS = {
    "model_scoring": "the model alone (columns to coordinates, then the flow) scores a tensor in memory",
    "flow_scoring": "its flow alone scores a tensor of coordinates in memory",
    "logprob": "flowcli logprob model big.csv -o out.csv",
    "plain_script": "a plain script: pandas.read_csv, zuko's NSF of the same shape in blocks of 2048, to_csv",
    "model_sampling": "the model alone draws a tensor of rows",
    "sample": "flowcli sample model -n ROWS -o out.csv",
    "one_row": "flowcli logprob model one.csv",
    "import_torch": 'python -c "import torch"',
}
RATIOS = {
    "logprob_over_model": ("logprob", "model_scoring", "share of the model's own speed that flowcli logprob reaches"),
    "logprob_over_flow": ("logprob", "flow_scoring", "share of its flow's own speed that flowcli logprob reaches"),
    "sample_over_model": ("sample", "model_sampling", "share of the model's own speed that flowcli sample reaches"),
    "logprob_over_plain_script": ("logprob", "plain_script", "speed of flowcli logprob over the plain script's"),
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed.commands", description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, help="rows of the table (default 1,000,000)")
    parser.add_argument("--columns", type=int, default=8)
    parser.add_argument("--fit-rows", type=int, help="rows of the head that is fitted (default 20,000)")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--rounds", type=int, help="(default 3)")
    parser.add_argument("--threads", type=int, default=machine.cores(), help="processor threads (default all cores)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="20,000 rows, one round: a trial")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write everything, every round, as JSON")
    parser.add_argument("--table", type=Path, metavar="PATH", help="write the page that is printed, as Markdown")
    arguments = parser.parse_args()
    arguments.rows = arguments.rows or (20_000 if arguments.quick else 1_000_000)
    arguments.fit_rows = arguments.fit_rows or (2_000 if arguments.quick else 20_000)
    arguments.rounds = arguments.rounds or (1 if arguments.quick else 3)
    machine.limit_threads(arguments.threads)  # commands inherit it
    with tempfile.TemporaryDirectory() as folder:
        results = _measure(Path(folder), arguments)
    page = _page(results)
    print(page)
    if arguments.table:
        arguments.table.write_text(page + "\n")
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1) + "\n")


def _measure(folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    import torch

    from benchmarks.speed.libraries import installed

    torch.set_num_threads(arguments.threads)
    values = _tables(folder, arguments)
    _say(f"fitting {arguments.fit_rows:,} rows")
    epochs = ["--epochs", str(arguments.epochs)]
    _flowcli(["fit", "head.csv", "-c", "nsf", *epochs, "-o", "model.flow", "--quiet"], folder)
    works = _works(folder, values, arguments)
    if not installed("zuko"):
        del works["plain_script"]
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for number in range(arguments.rounds):
        for name, work in works.items():
            started = time.perf_counter()
            work()
            seconds[name].append(time.perf_counter() - started)
            _say(f"[{number + 1}/{arguments.rounds}] {name}: {seconds[name][-1]:.2f} s")
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    return {
        "machine": machine.describe(torch.get_num_threads()),
        "versions": machine.versions(["flowcli", "torch", "zuko", "pandas", "pyarrow"]),
        "rows": arguments.rows,
        "columns": arguments.columns,
        "rounds": arguments.rounds,
        "bytes": (folder / "big.csv").stat().st_size,
        "seconds": medians,
        "rows_per_second": {
            name: arguments.rows / median for name, median in medians.items() if name not in ("one_row", "import_torch")
        },
        "ratios": {
            name: medians[other] / medians[one] for name, (one, other, _) in RATIOS.items() if {one, other} <= {*works}
        },
        "one_row_over_import_torch": medians["one_row"] / medians["import_torch"],
        "seconds_of_rounds": seconds,
    }


def _tables(folder: Path, arguments: argparse.Namespace) -> Any:
    """Write the table, its head and its first row; return its values (N, D)."""
    import numpy as np
    import pyarrow as pa
    from pyarrow import csv

    random = np.random.default_rng(arguments.seed)
    shape = (arguments.rows, arguments.columns)
    mixed = random.standard_normal(shape) @ random.standard_normal((arguments.columns, arguments.columns))
    hump = np.where(random.random(shape[0]) < 0.3, 3.0, 0.0)
    values = mixed + hump[:, None]
    values[:, ::3] = np.exp(0.3 * values[:, ::3])
    values[:, 1::3] += 0.2 * values[:, :1] ** 2 / (1 + values[:, :1])
    table = pa.table({f"c{i + 1}": values[:, i] for i in range(arguments.columns)})
    for name, rows in (("big", arguments.rows), ("head", arguments.fit_rows), ("one", 1)):
        csv.write_csv(table.slice(0, rows), folder / f"{name}.csv")
    return values


def _works(folder: Path, values: Any, arguments: argparse.Namespace) -> dict[str, Callable[[], object]]:
    """What is timed, in the order of a round."""

    from benchmarks.speed import ours
    from benchmarks.speed.timing import fastest
    from flowcli import api

    density = api.load(folder / "model.flow").density
    coordinates = ours.coordinates(density, values)
    flow, rows = ours.frozen(density.joint.flow), arguments.rows
    blocks = [512, 1024, 2048, 4096]
    block = fastest(lambda rows, block: ours.scorer(flow, coordinates[:rows], block), blocks, 16_384, 0.5).block
    _say(f"the flow alone scores {block} rows at once")
    script = [sys.executable, "-m", "benchmarks.speed.plain_script", str(folder / "big.csv"), str(folder / "p.csv")]
    return {
        "model_scoring": ours.table_scorer(density, values),
        "logprob": lambda: _written(folder, ["logprob", "model.flow", "big.csv"], rows),
        "flow_scoring": ours.scorer(flow, coordinates, block),
        "plain_script": lambda: subprocess.run(script, check=True),
        "model_sampling": ours.table_sampler(density, rows),
        "sample": lambda: _written(folder, ["sample", "model.flow", "-n", str(rows), "--seed", "1"], rows),
        "one_row": lambda: _written(folder, ["logprob", "model.flow", "one.csv"], 1),
        "import_torch": lambda: subprocess.run([sys.executable, "-c", "import torch"], check=True),
    }


def _written(folder: Path, command: list[str], rows: int) -> None:
    """Run a command that writes so many rows, and see that it did."""
    _flowcli([*command, "-o", "out.csv", "--quiet"], folder)
    with (folder / "out.csv").open("rb") as file:
        lines = sum(piece.count(b"\n") for piece in iter(lambda: file.read(2**20), b""))
    if lines != rows + 1:
        raise RuntimeError(f"flowcli {' '.join(command)}: {lines:,} lines for {rows:,} rows")


def _flowcli(command: list[str], folder: Path) -> None:
    subprocess.run([sys.executable, "-m", "flowcli", *command], cwd=folder, check=True)


def _page(results: dict[str, Any]) -> str:
    rates, seconds = results["rows_per_second"], results["seconds"]
    versions = ", ".join(f"{package} {version}" for package, version in results["versions"].items())
    lines = [
        "# Speed of whole commands",
        "",
        f"{results['rows']:,} rows x {results['columns']} columns, {results['bytes'] / 1e6:.0f} MB of CSV; flowcli's"
        f" config nsf; medians over {machine.many(results['rounds'], 'round')}, taken in turn. Made by"
        " `python -m benchmarks.speed.commands`.",
        "",
        "| what | seconds | rows per second |",
        "|---|---:|---:|",
        *(
            f"| {label} | {seconds[name]:.2f} | {format(rates[name], ',.0f') if name in rates else ''} |"
            for name, label in LABELS.items()
            if name in seconds
        ),
        "",
        "| ratio | |",
        "|---|---:|",
        *(f"| {RATIOS[name][2]} | {ratio:.2f} |" for name, ratio in results["ratios"].items()),
        f"| time of flowcli logprob for one row over that of importing torch"
        f" | {results['one_row_over_import_torch']:.2f} |",
        "",
        f"Machine: {machine.in_words(results['machine'])}. Versions: {versions}.",
    ]
    return "\n".join(lines)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
