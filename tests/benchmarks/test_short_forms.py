"""Every benchmark runs in a short form and gives sane figures; absolute times and ratios are not bounded."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(module: str, *arguments: object) -> str:
    """Run a benchmark from the root of the repository, as CONTRIBUTING says, and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{module}", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "2"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.mark.slow
def test_speed_beside_other_libraries(tmp_path):
    file = tmp_path / "speed.json"
    run("speed", "--quick", "--columns", 3, "--libraries", "flowcli", "zuko", "products", "--json", file)
    cells = json.loads(file.read_text())["cells"]
    assert len(cells) == 4 * 3  # families and directions
    for cell in cells:
        assert cell["failures"] == {}
        assert cell["rows_per_second"].keys() >= {"flowcli", "products"}
        assert all(1 < rate < 1e9 for rate in cell["rows_per_second"].values())


@pytest.mark.slow
def test_speed_of_whole_commands(tmp_path):
    file = tmp_path / "commands.json"
    sizes = ("--rows", 4_000, "--fit-rows", 500, "--epochs", 1, "--columns", 3)
    page = run("speed.commands", "--quick", *sizes, "--json", file)
    found = json.loads(file.read_text())
    assert found["ratios"].keys() == {
        "logprob_over_model",
        "logprob_over_flow",
        "sample_over_model",
        "logprob_over_plain_script",
    }
    assert all(0 < seconds < 600 for seconds in found["seconds"].values())
    assert "flowcli logprob model big.csv" in page


@pytest.mark.slow
def test_quality_beside_peers(tmp_path):
    methods = ("auto", "Gaussian", "kernels", "zuko")
    where = ("--results", tmp_path / "results", "--docs", tmp_path)
    run("quality", "--sets", "penguins", "--methods", *methods, "--seeds", 0, "--seconds", 1, "--rows", 150, *where)
    found = json.loads((tmp_path / "quality.json").read_text())["penguins"]["methods"]
    assert found.keys() == {*methods}
    assert all(-40 < method["nats"] < 0 for method in found.values())
    assert "penguins" in (tmp_path / "quality.md").read_text()


@pytest.mark.slow
def test_quality_on_few_rows(tmp_path):
    run("quality.small", "--splits", 1, "--tables", "penguins", "--max-rows", 60, "--results", tmp_path)
    fits = json.loads((tmp_path / "small.json").read_text())
    assert [fit["method"] for fit in fits] == ["auto", "Gaussian", "Gaussian mixture", "kernels"]
    assert all(-40 < fit["nats"] < 0 for fit in fits)


@pytest.mark.slow
def test_tables_as_they_are(tmp_path):
    file = tmp_path / "tables.json"
    run("tables", "synthetic", "samples", "--tables", "counts", "penguins", "--rows", 300, "--results", file)
    found = json.loads(file.read_text())
    counts = found["synthetic"]["counts"]
    assert counts["finite"] == 1
    assert -0.2 < counts["gap"] < 1.5
    assert {row["column"] for row in found["samples"]["penguins"]} >= {"species", "bill_length_mm"}
    assert "penguins" in file.with_suffix(".md").read_text()


@pytest.mark.slow
def test_every_config_on_one_set(tmp_path):
    header, *lines = (ROOT / "sample_data" / "magic.csv").read_text().splitlines()[:401]
    data = tmp_path / "magic.dat"
    data.write_text("\n".join(["@relation magic", f"@inputs {header}", *(f"{line},g" for line in lines)]))
    page = tmp_path / "magic.md"
    run("magic", data, "--configs", "mixture", "--json", tmp_path / "magic.json", "--table", page)
    found = json.loads((tmp_path / "magic.json").read_text())
    figures = found["flows"]["mixture"]
    assert -40 < figures["nats"] < -20
    assert figures["round_trip"] < 1e-9
    assert all(math.isfinite(row["nats"]) for row in found["baselines"].values())
    assert "| `-c mixture` |" in page.read_text()


def test_gains_of_gradients_that_are_written_out():
    page = run("gradients", "--rows", 16, "--columns", 3, "--rounds", 1, "--steps", 1)
    gains = [float(line.split("|")[2]) for line in page.splitlines()[2:]]
    assert len(gains) == 2
    assert all(0.01 < gain < 100 for gain in gains)
