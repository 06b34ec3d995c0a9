"""Every way of going wrong has its exit code and its line."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from contextlib import suppress
from unittest import mock

import pytest

from flowcli.cli.lock import locked
from flowcli.cli.main import COMMANDS, cli, run
from tests.cli.terminal import environment, flowcli, process, shell

MISTAKES = {
    "unknown command": (["ft", "d.csv"], "no such command 'ft'; did you mean 'fit'?"),
    "no near command": (
        ["xyz"],
        "no such command 'xyz'; the commands are fit, logprob, sample, impute, evaluate, check, ",
    ),
    "unknown option": (["--nope"], "no such option '--nope'"),
    "option nearly": (["fit", "d.csv", "--epoch", "3"], "no such option '--epoch'; did you mean '--epochs'?"),
    "no argument": (["fit"], "missing argument 'DATA' (see flowcli fit --help)"),
    "one too many": (["info", "m.flow", "more"], "got unexpected extra argument (more)"),
    "no value": (["fit", "d.csv", "-c"], "option '-c' requires an argument"),
    "no number of rows": (["sample", "m.flow"], "missing option '-n' / '--rows'"),
    "number too small": (["sample", "m.flow", "-n", "-1"], "--rows: -1 is not at least 0"),
    "no number": (["fit", "d.csv", "--epochs", "x"], "--epochs: 'x' is not a whole number, at least 0"),
    "no choice": (["fit", "d.csv", "--device", "tpu"], "--device: 'tpu' is not one of 'auto', 'cpu'"),
    "no time": (["fit", "d.csv", "--time-limit", "10x"], "--time-limit: '10x' is not a time; write 90, 90s, 10m or 2h"),
    "negative time": (["fit", "d.csv", "--time-limit", "-3s"], "--time-limit: '-3s' is not a positive time"),
    "seed too large": (["fit", "d.csv", "--seed", "99999999999"], "--seed: 99999999999 is not from 0 to 2147483647"),
    "unknown config": (["fit", "d.csv", "-c", "nfs"], "did you mean 'nsf'?"),
    "unknown key": (
        ["fit", "d.csv", "--set", "train.epoch=3"],
        "there is no 'train.epoch'; did you mean 'train.epochs'?",
    ),
    "no key": (["fit", "d.csv", "--set", "epochs"], "--set epochs: write key.path=value"),
    "no config to print": (["config", "nfs"], "did you mean 'nsf'?"),
    "no data": (["fit", "none.csv"], "none.csv: there is no such file"),
    "a folder": (["fit", "."], ". is a folder"),
    "a URL": (["fit", "https://example.org/d.csv"], "nothing is ever fetched"),
    "no name": (["fit", "d.csv", "-o", ""], "-o '' is not the name of a file"),
    "model to stdout": (["fit", "d.csv", "-o", "-"], "a model is a file"),
    "model is a folder": (["fit", "d.csv", "-o", "."], ".: is a folder"),
    "model is a device": (["fit", "d.csv", "-o", "/dev/null"], "/dev/null: is a device"),
    "model in no folder": (["fit", "d.csv", "-o", "no/m.flow"], "no/m.flow: there is no folder"),
    "model is the data": (["fit", "d.csv", "-o", "d.csv"], "d.csv: input and output are the same file"),
    "stdin without -o": (["fit", "-"], "say where the model goes with -o MODEL"),
    "held-out share": (["fit", "d.csv", "--valid", "2"], "--valid 2: a share lies above 0 and is at most 0.5"),
    "held-out nan": (["fit", "d.csv", "--valid", "nan"], "--valid nan: a share"),
    "held-out file": (["fit", "d.csv", "--valid", "none.csv"], "none.csv: there is no such file"),
    "both from stdin": (["fit", "-", "-o", "m.flow", "--valid", "-"], "standard input has the rows to fit already"),
    "unknown column": (["fit", "d.csv", "--columns", "a,z"], "--columns: there is no column 'z'"),
    "nothing left": (["fit", "d.csv", "--exclude", "a,b,c"], "leave no column"),
    "no kind": (["fit", "d.csv", "--kind", "a"], "--kind a: write COLUMN=KIND"),
    "unknown kind": (["fit", "d.csv", "--kind", "a=log"], "--kind a=log: 'log' is not a kind of column"),
    "kind of no column": (["fit", "d.csv", "--kind", "z=real"], "--kind: there is no column 'z'"),
    "separator": (["fit", "d.csv", "--sep", ",,"], "--sep ',,'"),
    "no model": (["logprob", "none.flow", "d.csv"], "none.flow: no such file"),
    "model a folder": (["info", "."], ".: is a folder"),
    "no folder": (["sample", "m.flow", "-n", "1", "-o", "no/s.csv"], "no/s.csv: there is no folder"),
    "input is output": (["logprob", "m.flow", "d.csv", "-o", "d.csv"], "d.csv: input and output are the same file"),
    "model is output": (["sample", "m.flow", "-n", "1", "-o", "m.flow"], "m.flow: input and output are the same file"),
}


@pytest.mark.parametrize(("arguments", "message"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_in_a_command_is_2(tmp_path, data, model, arguments, message):
    (tmp_path / "d.csv").write_bytes(data.read_bytes())
    (tmp_path / "m.flow").write_bytes(model.read_bytes())
    done = flowcli(*arguments)
    assert (done.code, done.out) == (2, b"")
    assert message in done.complaint
    assert sorted(os.listdir()) == ["d.csv", "m.flow"]
    assert (tmp_path / "m.flow").read_bytes() == model.read_bytes()
    assert (tmp_path / "d.csv").read_bytes() == data.read_bytes()


FAULTS = {
    "empty": ("", "is empty"),
    "short row": ("a,b,c\n1,2,3\n1,2\n", ":3: 2 cells where the header has 3"),
    "text": ("a,b,c\n1,2,3\n1,x,3\n", ":3, column 'b': 'x' is not a number"),
    "missing": ("a,b,c\n1,,3\n1,,3\n", {"fit": "every column is constant", "logprob": "missing"}),
    "infinite": ("a,b,c\n1,inf,3\n1,2,3\n", ":2, column 'b': 'inf' is not finite"),
}


@pytest.mark.parametrize("name", ["fit", "logprob"])
@pytest.mark.parametrize(("text", "message"), FAULTS.values(), ids=FAULTS.keys())
def test_data_that_cannot_be_used_are_3(tmp_path, model, tiny, name, text, message):
    (tmp_path / "d.csv").write_text(text)
    arguments = ["fit", "d.csv", "-c", tiny] if name == "fit" else ["logprob", model, "d.csv", "-o", "scores.csv"]
    done = flowcli(*arguments)
    assert done.code == 3
    assert (message if isinstance(message, str) else message[name]) in done.complaint
    assert "d.csv" in done.complaint
    assert sorted(os.listdir()) == ["d.csv", "tiny.yaml"]


def test_fit_needs_rows(tmp_path, tiny):
    (tmp_path / "d.csv").write_text("a,b\n")
    assert flowcli("fit", "d.csv", "-c", tiny).code == 3
    (tmp_path / "d.csv").write_text("a,b\n1,2\n3,4\n")
    done = flowcli("fit", "d.csv", "-c", tiny)
    assert (done.code, "2 rows are too few for 2 columns" in done.complaint) == (3, True)
    assert not (tmp_path / "d.flow").exists()


def test_a_column_that_the_model_needs_is_missing_3(tmp_path, model):
    (tmp_path / "d.csv").write_text("a,x\n1,2\n")
    done = flowcli("logprob", model, "d.csv")
    assert (done.code, done.out) == (3, b"")
    assert "'b', 'c'" in done.complaint


@pytest.mark.parametrize(
    "arguments", [["logprob", "m.flow", "d.csv"], ["sample", "m.flow", "-n", "1"], ["info", "m.flow"]]
)
@pytest.mark.parametrize("damage", ["cut", "flipped", "other", "empty"])
def test_a_damaged_model_is_4(tmp_path, data, model, arguments, damage):
    whole = bytearray(model.read_bytes())
    content = {"cut": whole[:-7], "flipped": whole, "other": b"a,b\n1,2\n", "empty": b""}[damage]
    whole[-5] ^= 1
    (tmp_path / "m.flow").write_bytes(content)
    (tmp_path / "d.csv").write_bytes(data.read_bytes())
    done = flowcli(*arguments)
    assert (done.code, done.out) == (4, b"")
    assert done.complaint.startswith("m.flow: ")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
@pytest.mark.parametrize("name", ["fit", "sample", "logprob"])
def test_a_folder_that_cannot_be_written_is_6(tmp_path, data, model, tiny, name):
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o500)
    arguments = {
        "fit": ["fit", data, "-c", tiny, "-o", folder / "m.flow"],
        "sample": ["sample", model, "-n", 10, "-o", folder / "s.csv"],
        "logprob": ["logprob", model, data, "-o", folder / "s.csv"],
    }[name]
    done = flowcli(*arguments)
    assert done.code == 6
    assert "step" not in done.err
    assert "cannot be written: Permission denied" in done.complaint


def test_a_place_where_nothing_can_be_written_is_6(data, tiny):
    done = flowcli("fit", data, "-c", tiny, "-o", "/proc/m.flow")
    assert done.code == 6
    assert done.complaint.startswith("/proc/m.flow: cannot be written")


def test_an_unreadable_file_is_6(monkeypatch, data, tiny):
    import builtins

    plain = builtins.open

    def refuse(file, *arguments, **options):
        if str(file) == str(data):
            raise PermissionError(13, "Permission denied", str(file))
        return plain(file, *arguments, **options)

    monkeypatch.setattr(builtins, "open", refuse)
    done = flowcli("fit", data, "-c", tiny)
    assert done.code == 6
    assert "cannot be read: Permission denied" in done.complaint


def test_a_model_that_another_run_writes_is_7(tmp_path, data, tiny):
    model = tmp_path / "m.flow"
    with locked(model):
        done = flowcli("fit", data, "-c", tiny, "-o", "m.flow", "--force")
        assert (done.code, "m.flow: another run is fitting this model" in done.complaint) == (7, True)
    assert sorted(os.listdir()) == ["tiny.yaml"]


def test_a_lock_that_a_killed_run_left_holds_nobody_up(tmp_path, data, tiny):
    (tmp_path / "data.flow.lock").write_text("")
    (tmp_path / ".data.flow.0123456789abcdef.tmp").write_text("half a model")
    assert flowcli("fit", data, "-c", tiny, "--epochs", 0).code == 0
    assert sorted(os.listdir()) == ["data.flow", "tiny.yaml"]


def test_a_lock_lets_every_error_pass_and_goes_away(tmp_path):
    for error in (FileNotFoundError("gone"), ValueError("other")):
        lock = locked(tmp_path / "m.flow")
        lock.__enter__()
        assert os.listdir() == ["m.flow.lock"]
        assert not lock.__exit__(type(error), error, None)
        assert os.listdir() == []


def raising(error):
    def load(*_):
        raise error

    return load


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (ZeroDivisionError("by\nzero"), 70, "a bug in flowcli, sorry: ZeroDivisionError: by zero (flowcli --debug ..."),
        (MemoryError(), 6, "not enough memory"),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), 6, "not enough memory"),
        (OSError(28, "No space left on device"), 6, "standard output: cannot be written: No space left on device"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_what_nobody_expected(monkeypatch, model, error, code, message):
    monkeypatch.setattr("flowcli.api.model.models.load", raising(error))
    done = flowcli("info", model)
    assert (done.code, done.out) == (code, b"")
    assert message in done.complaint


@pytest.mark.parametrize("arguments", [["--debug", "info", "m.flow"], ["info", "m.flow", "--debug"]])
@pytest.mark.parametrize(("error", "code"), [(ZeroDivisionError("x"), 70), (None, 2)])
def test_debug_shows_the_traceback_and_keeps_the_exit_code(monkeypatch, arguments, error, code):
    if error is not None:
        monkeypatch.setattr("flowcli.api.model.models.load", raising(error))
    done = flowcli(*arguments)
    assert done.code == code
    assert done.err.startswith("Traceback (most recent call last):")
    assert done.err.splitlines()[-1].startswith("flowcli: ")


def test_names_are_printed_literally(tmp_path, tiny):
    name = "[/x]\x1b[31mred"
    (tmp_path / "d.csv").write_text(f'{name},b\n1,2\n"oops\x1b[0m",3\n')
    done = flowcli("fit", "d.csv", "-c", tiny)
    assert done.code == 3
    assert "\x1b" not in done.err
    assert "[/x]\\x1b[31mred" in done.complaint
    done = flowcli("fit", "[bold]\x1b[31m.csv", "-c", tiny)
    assert (done.code, "\x1b" in done.err, "[bold]\\x1b[31m.csv" in done.complaint) == (2, False, True)


def test_flowcli_alone_shows_its_help():
    done = flowcli()
    assert (done.code, done.out) == (2, b"")
    assert "flowcli fit data.csv" in done.err


COMMANDS_WITH_DATA = [
    ["sample", "MODEL", "-n", "2000", "-q"],
    ["logprob", "MODEL", "DATA", "--with-input"],
    ["info", "MODEL"],
    ["config", "nsf"],
    ["fit", "DATA", "-c", "TINY", "--epochs", "0", "--json", "-q"],
]


def streams(target, arguments, **indices):
    """Run a command with that standard output; return its exit code and what it complained of."""
    stderr = io.StringIO()
    with suppress(OSError), open(target, "w") as stdout, mock.patch.multiple(sys, stdout=stdout, stderr=stderr):
        code = run([str(indices.get(each, each)) for each in arguments])
    return code, stderr.getvalue()


@pytest.mark.parametrize("arguments", COMMANDS_WITH_DATA, ids=lambda each: each[0])
def test_a_closed_pipe_is_141_and_quiet(data, model, tiny, arguments):
    reading, writing = os.pipe()
    os.close(reading)
    ended = streams(writing, arguments, MODEL=model, DATA=data, TINY=tiny)
    assert ended == (141, "")


@pytest.mark.parametrize("arguments", COMMANDS_WITH_DATA, ids=lambda each: each[0])
def test_a_full_disk_is_6(data, model, tiny, arguments):
    code, err = streams("/dev/full", arguments, MODEL=model, DATA=data, TINY=tiny)
    assert (code, err) == (6, "flowcli: standard output: cannot be written: No space left on device\n")


@pytest.mark.parametrize("name", ["sample", "logprob"])
def test_an_output_on_a_full_device_is_6(data, model, name):
    arguments = ["sample", model, "-n", 10] if name == "sample" else ["logprob", model, data]
    done = flowcli(*arguments, "-o", "/dev/full")
    assert (done.code, done.complaint) == (6, "/dev/full: cannot be written: No space left on device")


def test_without_standard_error_data_stays_data(monkeypatch, model):
    out = io.TextIOWrapper(io.BytesIO())
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", None)
    assert run(["sample", str(model), "-n", "2"]) == 0
    assert out.buffer.getvalue().decode().splitlines()[0] == "a,b,c"


# --- in a process of its own ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", ["--help", "config", "config nsf", "config --schema"])
def test_standard_output_that_is_full_or_closed_is_6(tmp_path, arguments):
    for redirection in (">/dev/full", ">&-"):
        done = shell(f"flowcli {arguments} {redirection}", tmp_path)
        assert done.code == 6
        assert done.complaint.startswith("standard output: cannot be written")


def test_a_closed_standard_error_loses_words_and_nothing_else(tmp_path, data, tiny):
    done = shell(f"flowcli fit {data} -c tiny.yaml --epochs 1 --json 2>&-", tmp_path)
    assert (done.code, done.err) == (0, "")
    assert json.loads(done.text)["model"] == "data.flow"
    assert flowcli("info", "data.flow").code == 0


def test_head_ends_the_rest_quietly(tmp_path, model):
    done = shell(f"flowcli sample {model} -n 200000 -q | head -1; exit ${{PIPESTATUS[0]}}", tmp_path)
    assert (done.code, done.out, done.err) == (141, b"a,b,c\n", "")


@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_help_imports_nothing_heavy(name):
    script = (
        "import sys\n"
        "from flowcli.cli.main import run\n"
        f"code = run({[name, '--help'] if name else ['--help']})\n"
        "ours = {n.partition('.')[0] for n in sys.modules} - set(sys.stdlib_module_names)\n"
        "print(sorted(ours), file=sys.stderr)\n"
        "sys.exit(code)\n"
    )
    done = subprocess.run([sys.executable, "-I", "-c", script], capture_output=True, text=True, env=environment())
    assert done.returncode == 0
    loaded = {module for module in eval(done.stderr) if not module.startswith(("_", "sitecustomize"))}
    assert loaded <= {"click", "flowcli"}
    assert "Examples:" in done.stdout


def test_the_commands_of_the_group_are_the_modules():
    assert list(cli.commands) == []
    assert process("--version").text.startswith("flowcli, version ")
