"""``flowcli fit``: what it writes, what it refuses, and how it goes on after an interruption."""

from __future__ import annotations

import gzip
import json
import os
import signal

import numpy as np
import pytest

import flowcli as package
from flowcli.cli.views.progress import FitProgress
from flowcli.errors import NumericsError
from flowcli.model.files.container import payload_digest
from flowcli.training import Begun, Setback
from flowcli.training.loop.loop import Loop
from tests.cli.terminal import fitted, flowcli, rows


def digest(path):
    return payload_digest(path, "flowcli")


def columns(path):
    return package.load(path).columns


@pytest.fixture
def fit(data, tiny):
    """Fit the small table with the small config."""

    def call(*arguments, of=data, epochs=1, stdin=b""):
        always = ["-c", tiny, "--threads", 1, "--epochs", epochs]
        return flowcli("fit", of, *always, *arguments, stdin=stdin)

    return call


@pytest.mark.parametrize("name", ["data.csv.gz", "data.tsv", "data", "my data.csv", ".csv", "data.flow.csv"])
def test_the_model_has_the_name_of_the_data(fit, data, tmp_path, name):
    (tmp_path / "in").mkdir()
    content = data.read_bytes()
    (tmp_path / "in" / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    assert fit(of=f"in/{name}", epochs=0).code == 0
    stem = {"my data.csv": "my data", ".csv": ".csv", "data.flow.csv": "data.flow"}.get(name, "data")
    assert sorted(os.listdir()) == sorted(["in", "tiny.yaml", f"{stem}.flow"])


def test_rows_from_standard_input(fit, data, tmp_path):
    assert fit("-o", "m.flow", of="-", stdin=data.read_bytes()).code == 0
    assert fit("-o", "n.flow").code == 0
    assert digest(tmp_path / "m.flow") == digest(tmp_path / "n.flow")


def test_a_model_is_not_replaced_unasked(fit, tmp_path):
    (tmp_path / "data.flow").write_bytes(b"an older model")
    done = fit()
    assert (done.code, "data.flow: is there already; --force replaces it" in done.complaint) == (2, True)
    assert fit("--resume").complaint.startswith("data.flow: is there already, and no interrupted fit")
    assert (tmp_path / "data.flow").read_bytes() == b"an older model"
    assert fit("--force").code == 0
    assert columns(tmp_path / "data.flow") == ["a", "b", "c"]


def test_a_failure_leaves_everything_as_it_was(fit, tmp_path, monkeypatch):
    (tmp_path / "data.flow").write_bytes(b"an older model")
    (tmp_path / "data.flow.state").write_bytes(b"an interrupted fit")
    (tmp_path / "bad.csv").write_text("a,b\n1,x\n2,3\n")
    present = sorted(os.listdir())
    assert fit("-o", "data.flow", "--force", of="bad.csv").code == 3
    assert fit("--force", "--set", "train.epoch=1").code == 2
    assert fit("--force", "--columns", "z").code == 2
    assert sorted(os.listdir()) == present
    assert (tmp_path / "data.flow").read_bytes() == b"an older model"
    assert (tmp_path / "data.flow.state").read_bytes() == b"an interrupted fit"

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("flowcli.atomic.os.fsync", fail)
    done = fit("--force")
    assert done.code == 6
    assert done.err.endswith("\nflowcli: data.flow.state: cannot be written: No space left on device\n")
    assert sorted(os.listdir()) == present
    assert (tmp_path / "data.flow").read_bytes() == b"an older model"


def test_columns_are_chosen_by_name(fit, tmp_path):
    header = 'a=b,"x, y",[c],d\n'
    random = np.random.default_rng(0)
    body = "".join(",".join(f"{v:.6g}" for v in row) + "\n" for row in random.uniform(1, 2, (80, 4)))
    (tmp_path / "d.csv").write_text(header + body)
    chosen = {
        ("--columns", "d,a=b"): ["a=b", "d"],
        ("--columns", '"x, y",[c]'): ["x, y", "[c]"],
        ("--exclude", '"x, y"'): ["a=b", "[c]", "d"],
        ("--columns", "a=b,d", "--exclude", "d"): ["a=b"],
    }
    for options, names in chosen.items():
        assert fit(*options, "--force", of="d.csv", epochs=0).code == 0
        assert columns(tmp_path / "d.flow") == names
    kinds = ["--kind", "a=b=positive", "--kind", "x, y=bounded:0,2.5", "--kind", "d=real"]
    assert fit(*kinds, "--force", of="d.csv", epochs=0).code == 0
    described = json.loads(flowcli("info", "d.flow", "--json").text)["columns"]
    assert [column["kind"] for column in described] == ["positive", "bounded", "real", "real"]
    done = fit("--kind", "d=bounded:0,1", "-o", "e.flow", of="d.csv")
    assert (done.code, "d.csv:2, column 'd': " in done.complaint) == (3, True)


def test_rows_to_hold_out(fit, data, tmp_path):
    assert fit("--valid", "0.2").code == 0
    assert package.load("data.flow").summary["held_out_rows"] == 60
    (tmp_path / "valid.csv").write_text("c,b,extra,a\n1.50,3,x,0.25\n2.50,4,y,-0.25\n")
    done = fit("--valid", "valid.csv", "--force")
    summary = package.load("data.flow").summary
    assert (done.code, summary["rows"], summary["held_out_rows"]) == (0, 300, 2)
    done = fit("--valid", "-", "--force", stdin=(tmp_path / "valid.csv").read_bytes())
    assert (done.code, package.load("data.flow").summary["held_out_rows"]) == (0, 2)
    (tmp_path / "valid.csv").write_text("a,b\n1,2\n")
    done = fit("--valid", "valid.csv", "--force")
    assert (done.code, done.complaint[:39]) == (3, "valid.csv: there is no column 'c'; the ")
    (tmp_path / "valid.csv").write_text("a,b,c\n")
    assert fit("--valid", "valid.csv", "--force").complaint == "valid.csv: has a header but no rows"
    (tmp_path / "valid.csv").write_text("a,b,c\n1,2,0.5\n1,2,-0.5\n")
    done = fit("--valid", "valid.csv", "--force", "--kind", "c=positive")
    assert (done.code, "valid.csv, column 'c': row 2: -0.5 is outside the column" in done.complaint) == (3, True)


def test_json_is_one_object_and_all_there_is(fit):
    done = fit("--json")
    assert done.text.count("\n") == 1
    summary = json.loads(done.text, parse_constant=pytest.fail)
    assert {"model", "rows", "held_out_rows", "held_out_nats", "held_out_error", "outcome", "seed"} <= set(summary)
    assert summary["model"] == "data.flow"
    assert "held-out" in done.err


def test_quiet_is_silent(fit):
    done = fit("-q")
    assert (done.code, done.out, done.err) == (0, b"", "")


def test_what_is_said_where_there_is_no_terminal(fit):
    done = fit(epochs=2)
    assert (done.code, done.out) == (0, b"")
    lines = done.err.splitlines()
    assert all(line.startswith("flowcli: ") and line.isprintable() for line in lines)
    assert lines[0].split() == ["flowcli:", "column", "taken", "for", "range", "missing"]
    assert lines[2].startswith("flowcli: b       from 0 up, in steps of 1 ")
    assert any(
        "270 rows to fit, 30 held out, 3 columns; quantile map + autoregressive + normal" in line for line in lines
    )
    status = [line for line in lines if line.startswith("flowcli: step ")]
    assert len(status) > 1
    assert "rows/s" in status[-1]
    assert any("a single Gaussian has " in line for line in lines)
    assert lines[-2:] == [
        "flowcli:   flowcli logprob data.flow NEW.csv --with-input",
        "flowcli:   flowcli sample data.flow -n 1000",
    ]


@pytest.mark.filterwarnings("ignore::RuntimeWarning:numpy")
@pytest.mark.parametrize("scale", [1e-30, 1, 1e200])
def test_the_summary_has_numbers_alone(fit, tmp_path, scale):
    values = np.random.default_rng(0).standard_normal(50) * scale
    (tmp_path / "d.csv").write_text("a\n" + "".join(f"{value!r}\n" for value in values.tolist()))
    done = fit(of="d.csv")
    assert done.code == 0
    assert "45 rows to fit, 5 held out, 1 column; " in done.err
    assert not {"nan", "inf", "-inf"} & set(done.err.split())


def test_the_next_commands_can_be_pasted(fit):
    done = fit("-o", "my 'best' model.flow")
    import shlex

    last = done.err.splitlines()[-1].removeprefix("flowcli: ")
    assert flowcli(*shlex.split(last)[1:]).code == 0


def test_a_seed_repeats_byte_for_byte(fit, tmp_path):
    names = ("one", "two", "three")
    for name, seed in zip(names, (5, 5, 6), strict=True):
        assert fit("-o", f"{name}.flow", "--seed", seed, epochs=2).code == 0
    one, two, three = (digest(tmp_path / f"{name}.flow") for name in names)
    assert one == two != three


def test_no_epochs_give_the_start(fit):
    done = fit("--json", epochs=0)
    assert (done.code, json.loads(done.text)["steps"]) == (0, 0)


def test_a_mixture_that_nothing_improved_on_says_that_it_saw_all_rows(data):
    done = flowcli("fit", data, "--epochs", 0, "--json")
    said = json.loads(done.text)
    assert said["held_out_rows_fitted"]
    assert "was fitted to the held-out rows too" in done.err
    kept = json.loads(flowcli("info", "data.flow", "--json").text)["summary"]
    assert {name: kept[name] for name in said if name != "model"} == {k: v for k, v in said.items() if k != "model"}
    assert "30 held out until the end" in flowcli("info", "data.flow").text


def test_a_time_limit_ends_the_fit(fit):
    done = fit("--time-limit", "0.2s", "--json", "--set", "train.patience=0", epochs=5000)
    summary = json.loads(done.text)
    assert (done.code, summary["outcome"]) == (0, "out of time")
    assert 0 < summary["seconds"] < 5


def test_threads_are_set(fit, monkeypatch):
    import torch

    assert fit(epochs=0).code == 0
    assert torch.get_num_threads() == 1
    assert flowcli("sample", "data.flow", "-n", 1, "--threads", 2).code == 0
    assert torch.get_num_threads() == 2


# --- interruptions ----------------------------------------------------------------------------------------------------


@pytest.fixture
def interrupt(monkeypatch):
    """Send a signal when the fit has come to a step."""

    def arrange(number, step=5):
        take = Loop._take_step

        def taking(self, *arguments):
            take(self, *arguments)
            if self.step == step:
                os.kill(os.getpid(), number)

        monkeypatch.setattr(Loop, "_take_step", taking)
        return lambda: monkeypatch.setattr(Loop, "_take_step", take)

    return arrange


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_an_interrupted_fit_goes_on_to_the_same_weights(fit, interrupt, tmp_path, number, code):
    assert fit("-o", "whole.flow", epochs=3).code == 0
    undo = interrupt(number)
    handler = signal.getsignal(number)
    done = fit(epochs=3)
    undo()
    assert done.code == code
    assert done.err.splitlines()[-1] == "flowcli: interrupted at step 5; to go on: the same command with --resume"
    assert sorted(os.listdir()) == ["data.flow.state", "tiny.yaml", "whole.flow"]
    assert signal.getsignal(number) is handler
    done = fit(epochs=3)
    assert (done.code, "an interrupted fit is waiting; --resume goes on with it" in done.complaint) == (2, True)
    done = fit("--resume", epochs=3)
    assert done.code == 0
    assert "going on from step 5 of" in done.err
    assert sorted(os.listdir()) == ["data.flow", "tiny.yaml", "whole.flow"]
    assert digest(tmp_path / "data.flow") == digest(tmp_path / "whole.flow")


def test_a_second_signal_ends_at_once(fit, monkeypatch):
    def shown(self, event):
        if not isinstance(event, Begun):
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(FitProgress, "show", shown)
    assert fit(epochs=3).code == 130
    assert sorted(os.listdir()) == ["data.flow.state", "tiny.yaml"]


def test_what_a_fit_cannot_go_on_with(fit, interrupt, data, tmp_path):
    undo = interrupt(signal.SIGINT)
    assert fit(epochs=3).code == 130
    undo()
    state = (tmp_path / "data.flow.state").read_bytes()
    (tmp_path / "other.csv").write_text(rows(300, seed=1))
    (tmp_path / "named.csv").write_text(data.read_text().replace("a,b,c", "a,b,d"))
    others = [
        ({"of": "other.csv", "epochs": 3}, ["-o", "data.flow"], "rows"),
        ({"of": "named.csv", "epochs": 3}, ["-o", "data.flow"], "columns [2]: it was c, now it is d"),
        ({"epochs": 3}, ["--exclude", "b"], "columns: it was ['a', 'b', 'c'], now it is ['a', 'c']"),
        ({"epochs": 3}, ["--kind", "c=real"], "column kinds [2].kind: it was positive, now it is real"),
        ({"epochs": 4}, [], "config train.epochs: it was 3, now it is 4"),
        ({"epochs": 3}, ["--set", "train.clip=0.5"], "config train.clip: it was 5.0, now it is 0.5"),
        ({"epochs": 3}, ["--seed", "1"], "seed: it was 0, now it is 1"),
    ]
    for how, options, what in others:
        done = fit("--resume", *options, **how)
        assert done.code == 2, options
        assert done.complaint == f"--resume: not the fit that was interrupted; other {what}", done.err
    assert (tmp_path / "data.flow.state").read_bytes() == state
    (tmp_path / "data.flow.state").write_bytes(state[:-9])
    done = fit("--resume", epochs=3)
    assert (done.code, done.complaint.startswith("data.flow.state: ")) == (4, True)
    assert fit("--force").code == 0
    assert sorted(os.listdir()) == ["data.flow", "named.csv", "other.csv", "tiny.yaml"]


def test_resume_without_an_interrupted_fit_starts_one(fit):
    done = fit("--resume")
    assert (done.code, "there is no interrupted fit to go on with; starting from the beginning" in done.err) == (
        0,
        True,
    )


def test_a_fit_with_no_finite_start_is_5_and_leaves_nothing(fit, monkeypatch, tmp_path):
    monkeypatch.setattr(Loop, "_is_sound", lambda self, evaluation: False)
    before = sorted(os.listdir())
    done = fit()
    assert (done.code, "nats at the start; look for" in done.err.splitlines()[-1]) == (5, True), done.err
    assert sorted(os.listdir()) == before


def test_the_state_is_saved_between_evaluations(fit, monkeypatch, tmp_path):
    from flowcli.model.files import state_file

    status = []
    save = state_file.save_state
    monkeypatch.setattr(
        state_file,
        "save_state",
        lambda state, *remaining: (status.append(state[0]["loop"]["step"]), save(state, *remaining)),
    )
    assert fit("--save-every", "0.001", epochs=2).code == 0
    evaluate_density = {
        0,
        *(entry["step"] for entry in json.loads(flowcli("info", "data.flow", "--json").out)["summary"]["history"]),
    }
    assert set(status) - evaluate_density, "only evaluations were saved"


def test_a_fit_that_diverges_keeps_the_best_and_is_5(fit, monkeypatch, tmp_path):
    run = Loop.run

    def diverging(self, *arguments, **options):
        for event in run(self, *arguments, **options):
            yield event
            if self.step > 3:
                yield Setback(self.step, 1, 1e-3)
                raise NumericsError("the fit diverged 4 times")

    monkeypatch.setattr(Loop, "run", diverging)
    done = fit()
    assert done.code == 5
    assert (
        done.err.splitlines()[-1] == "flowcli: the fit diverged 4 times; data.flow holds the best density before that"
    )
    assert "the numbers went wrong at step" in done.err
    assert columns(tmp_path / "data.flow") == ["a", "b", "c"]
    assert sorted(os.listdir()) == ["data.flow", "tiny.yaml"]


def test_a_link_stays_a_link(fit, tmp_path, data):
    (tmp_path / "models").mkdir()
    fitted(data, tmp_path / "models" / "m.flow")
    (tmp_path / "link.flow").symlink_to("models/m.flow")
    before = digest(tmp_path / "models" / "m.flow")
    assert fit("-o", "link.flow", "--force", "--seed", 9).code == 0
    assert (tmp_path / "link.flow").is_symlink()
    assert digest(tmp_path / "models" / "m.flow") != before
