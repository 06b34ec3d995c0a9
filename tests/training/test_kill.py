"""Fits that are killed at random moments and resumed end with the same weights as one that was not."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from flowcli.model.files import container
from tests.fits import rows

# FLOWCLI_KILLS=50 for a thorough run.
KILLS = int(os.environ.get("FLOWCLI_KILLS", "6"))
NET = "flow.layers.1.layers.1.autoregressive.net"
# Many small steps, with everything on that has a state: noise, dropout, averages, rounded columns.
OPTIONS = [
    *("--threads", "1", "--save-every", "0.001", "-c", "nsf"),
    *("--set", "flow.layers.1.repeat=1", "--set", f"{NET}.hidden=[8, 8]", "--set", f"{NET}.dropout=0.1"),
    *("--set", "train.noise=0.01", "--set", "train.batch_size=32", "--set", "train.patience=0", "--epochs", "20"),
]

pytestmark = pytest.mark.slow


@pytest.fixture
def data(tmp_path: Path) -> Path:
    cloud = rows(600, 3)
    cloud[:, 0] = np.round(3 * cloud[:, 0])
    path = tmp_path / "data.csv"
    np.savetxt(path, cloud, delimiter=",", header="n,x,y", comments="", fmt=["%d", "%.17g", "%.17g"])
    return path


def start(data: Path, output: str, *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "flowcli", "fit", str(data), *OPTIONS, "-o", output, *more]
    return subprocess.Popen(command, cwd=data.parent, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str]) -> None:
    _, said = process.communicate(timeout=300)
    assert process.returncode == 0, said


def identity(path: Path) -> int | None:
    """Which file it is; another one after each replacement."""
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return None


def wait_for(path: Path, process: subprocess.Popen[str], before: int | None = None) -> None:
    """Wait until the fit has begun, that is, until it has saved a state of its own."""
    until = time.monotonic() + 120
    while identity(path) in {None, before} and process.poll() is None and time.monotonic() < until:
        time.sleep(0.01)


def digest(path: Path) -> str:
    return container.payload_digest(path, "flowcli")


def whole(data: Path) -> tuple[str, float]:
    """The weights of a fit that nothing interrupts, and how long its loop takes."""
    process = start(data, "whole.flow")
    wait_for(data.with_name("whole.flow.state"), process)
    began = time.monotonic()
    finish(process)
    return digest(data.with_name("whole.flow")), time.monotonic() - began


def strays(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.endswith((".tmp", ".state"))]


def test_killed_again_and_again(data: Path) -> None:
    expected, seconds = whole(data)
    model, state = data.with_name("killed.flow"), data.with_name("killed.flow.state")
    chance = random.Random(0)
    kills = finished = 0
    while kills < KILLS:
        before = identity(state)
        process = start(data, model.name, *(["--resume"] if state.exists() else ["--force"]))
        if chance.random() < 0.8:  # most often in the midst of the fit, sometimes while it starts
            wait_for(state, process, before)
            time.sleep(chance.uniform(0, 0.5 * seconds))
        else:
            time.sleep(chance.uniform(0, 3))
        if process.poll() is None:
            process.kill()
            kills += 1
            process.communicate()
            continue
        finish(process)
        finished += 1
        assert digest(model) == expected
    if state.exists() or not model.exists():
        finish(start(data, model.name, *(["--resume"] if state.exists() else ["--force"])))
    assert digest(model) == expected
    assert strays(data.parent) == []
    print(f"{kills} kills, {finished + 1} finished fits, all with the same weights")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_asked_to_end_it_saves_its_state(data: Path, number: signal.Signals, code: int) -> None:
    expected, seconds = whole(data)
    model, state = data.with_name("asked.flow"), data.with_name("asked.flow.state")
    process = start(data, model.name)
    wait_for(state, process)
    time.sleep(0.3 * seconds)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == code, said
    assert "--resume" in said
    assert state.exists()
    assert not model.exists()
    finish(start(data, model.name, "--resume"))
    assert digest(model) == expected
    assert strays(data.parent) == []
