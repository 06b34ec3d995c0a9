"""``flowcli fit --ensemble`` and ``--tune``: several fits, one model file."""

from __future__ import annotations

import json
import os
import signal

import numpy as np
import pytest

import flowcli as package
from flowcli.model.files.container import payload_digest
from flowcli.training.loop.loop import Loop
from tests.cli.terminal import flowcli


@pytest.fixture
def fit(data, tiny):
    """Fit the small table with the small config."""

    def call(*arguments, configs=(), of=data, epochs=2):
        chosen = [word for name in configs or [tiny] for word in ("-c", name)]
        return flowcli("fit", of, *chosen, "--threads", 1, "--epochs", epochs, *arguments)

    return call


@pytest.fixture
def interrupt(monkeypatch):
    """Send a signal at a step of a fit, counted over all fits."""

    def arrange(step):
        take, taken = Loop._take_step, []

        def taking(self, *arguments):
            take(self, *arguments)
            taken.append(self.step)
            if len(taken) == step:
                os.kill(os.getpid(), signal.SIGINT)

        monkeypatch.setattr(Loop, "_take_step", taking)
        return lambda: monkeypatch.setattr(Loop, "_take_step", take)

    return arrange


def digest(path):
    return payload_digest(path, "flowcli")


def test_an_ensemble_is_one_model_file(fit, data, tmp_path):
    done = fit("--ensemble", 3, "--json")
    assert done.code == 0, done.err
    assert sorted(os.listdir()) == ["data.flow", "tiny.yaml"]
    lines = done.err.splitlines()
    for number in (1, 2, 3):
        assert sum(line.startswith(f"flowcli: flow {number} of 3: quantile map") for line in lines) == 1
        assert sum(line.startswith(f"flowcli: flow {number} of 3: held-out ") for line in lines) == 1
    assert sum("rows to fit" in line for line in lines) == 1
    summary = json.loads(done.text)
    assert summary["held_out_nats"] > -100
    scores = flowcli("logprob", "data.flow", data)
    assert (scores.code, len(scores.lines)) == (0, 301)
    frame = flowcli("sample", "data.flow", "-n", 20, "--seed", 1, "--with-logprob")
    assert (frame.code, frame.lines[0], len(frame.lines)) == (0, "a,b,c,logprob", 21)
    info = flowcli("info", "data.flow")
    assert "flows         3, weighing 0.333, 0.333, 0.333\n" in info.text
    assert info.text.count("flow:") == 1
    assert json.loads(flowcli("info", "data.flow", "--json").out)["format"] == 5


def test_an_ensemble_has_no_terms(fit, data):
    assert fit("--ensemble", 2).code == 0
    done = flowcli("logprob", "data.flow", data, "--terms")
    assert (done.code, done.complaint.startswith("the model is an ensemble")) == (2, True)


def test_an_ensemble_of_one_is_a_plain_fit(fit, tmp_path):
    assert fit("--ensemble", 1, "-o", "one.flow").code == fit("-o", "plain.flow").code == 0
    assert digest(tmp_path / "one.flow") == digest(tmp_path / "plain.flow")


@pytest.mark.parametrize("step", [3, 20, 30, 45])
def test_an_interrupted_ensemble_goes_on_to_the_same_weights(fit, interrupt, tmp_path, step):
    assert fit("--ensemble", 3, "-o", "whole.flow").code == 0
    undo = interrupt(step)
    done = fit("--ensemble", 3)
    undo()
    assert done.code == 130
    number, own = divmod(step - 1, 16)
    assert done.err.splitlines()[-1] == (
        f"flowcli: interrupted at step {own + 1} of flow {number + 1} of 3; to go on: the same command with --resume"
    )
    assert fit("--ensemble", 2, "--resume").complaint.endswith("it was ensemble 3, now it is ensemble 2")
    assert fit("--ensemble", 3, "--resume").code == 0
    assert digest(tmp_path / "data.flow") == digest(tmp_path / "whole.flow")
    assert sorted(os.listdir()) == ["data.flow", "tiny.yaml", "whole.flow"]


def test_a_choice_shows_what_was_tried(fit, tiny, tmp_path):
    done = fit("--tune", "60s", "--json", configs=[tiny, "mixture", "maf"], epochs=5)
    assert done.code == 0, done.err
    lines = [line.removeprefix("flowcli: ") for line in done.err.splitlines()]
    head = next(index for index, line in enumerate(lines) if line.startswith("tried "))
    assert lines[head].split() == ["tried", "held-out", "time", "parameters"]
    board = lines[head + 1 : head + 4]
    nats = [float(line.split("±")[0].split()[-1]) for line in board]
    assert nats == sorted(nats, reverse=True)
    assert {line.split()[0].rpartition("/")[2] for line in board} == {"tiny.yaml", "mixture", "maf"}
    assert lines[head + 4].startswith("chosen: ")
    assert all(len(line) <= 80 - len("flowcli: ") for line in board)
    summary = json.loads(done.text)
    assert [trial["round"] for trial in summary["trials"]] == [0, 1, 1]
    assert "chosen" in flowcli("info", "data.flow").text
    assert package.load("data.flow").summary["chosen"] == summary["chosen"]


def test_a_choice_ends_in_time_and_goes_on_after_an_interruption(fit, interrupt, tiny):
    undo = interrupt(60)
    done = fit("--tune", "60s", configs=[tiny, "mixture", "maf"], epochs=5)
    undo()
    assert (done.code, "with --resume" in done.err.splitlines()[-1]) == (130, True)
    assert "tune 60" in fit("--tune", "50s", "--resume", configs=[tiny, "mixture", "maf"], epochs=5).complaint
    done = fit("--tune", "60s", "--resume", configs=[tiny, "mixture", "maf"], epochs=5)
    assert done.code == 0, done.err
    assert len(package.load("data.flow").summary["trials"]) == 3


def test_the_best_together(fit, tiny):
    done = fit("--tune", "60s", "--ensemble", 2, configs=[tiny, "mixture"], epochs=5)
    assert done.code == 0, done.err
    model = package.load("data.flow")
    assert " + " in model.summary["chosen"] or "1.00" in model.summary["chosen"]
    assert np.isfinite(model.summary["held_out_nats"])


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["-c", "nsf"], "several -c are for --tune TIME"),
        (["--tune", "10s", "--time-limit", "5s"], "--tune has a time of its own"),
        (["--tune", "0s"], "is not a positive time"),
        (["--ensemble", "0"], "--ensemble"),
    ],
)
def test_what_makes_no_sense_is_2(fit, arguments, complaint):
    done = fit(*arguments)
    assert (done.code, complaint in done.complaint) == (2, True), done.err
    assert os.listdir() == ["tiny.yaml"]


def test_it_says_where_something_simple_is_better(data, tmp_path):
    """A flow that was not trained, of two heaps: one Gaussian may lose to it, but their mixture cannot."""
    random = np.random.default_rng(0)
    heaps = random.normal(size=(2000, 2)) + np.where(random.random((2000, 1)) < 0.5, -4.0, 4.0)
    np.savetxt("d.csv", heaps, delimiter=",", header="a,b", comments="", fmt="%.9f")
    done = flowcli("fit", "d.csv", "-c", "maf", "--epochs", 0, "--threads", 1)
    assert done.code == 0, done.err
    assert "flowcli: note: so a mixture of 2 Gaussians is the better model here; are there enough rows?\n" in done.err
    done = flowcli("fit", "d.csv", "--epochs", 3, "--threads", 1, "--force")
    assert "a mixture of 2 Gaussians has " in done.err
    assert "is the better model" not in done.err
