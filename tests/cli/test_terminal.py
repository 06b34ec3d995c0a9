"""A person at a terminal, and programs that stream."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import numpy as np
import pytest

from tests.cli.terminal import TINY, command, environment, fitted
from tests.processes import until

SEQUENCE = re.compile(r"\x1b\[[0-9;?]*([A-Za-z])")


def on_a_terminal(*arguments, cwd, stdout=None, **changes):
    """Run a command on a terminal of 80 columns; return its exit code and what came to the terminal."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    variables = {k: v for k, v in environment(**{"TERM": "xterm-256color", **changes}).items() if k != "COLUMNS"}
    child = subprocess.Popen(
        command(*arguments), stdin=theirs, stdout=stdout or theirs, stderr=theirs, cwd=cwd, env=variables
    )
    os.close(theirs)
    came = b""
    try:
        while part := os.read(ours, 65536):
            came += part
    except OSError:  # the other side is closed
        pass
    os.close(ours)
    return child.wait(), came.decode()


@pytest.mark.parametrize("arguments", [["logprob", "m.flow"], ["logprob", "m.flow", "-"], ["fit", "-", "-o", "m.flow"]])
def test_nobody_types_a_table(tmp_path, arguments):
    code, text = on_a_terminal(*arguments, cwd=tmp_path)
    assert (code, text.splitlines()) == (2, ["flowcli: no DATA: give a file, or pipe a table in: ... | flowcli ..."])


@pytest.mark.parametrize("colour", [True, False])
def test_the_progress_display(tmp_path, data, tiny, colour):
    (tmp_path / "d.csv").write_text(data.read_text().replace("a,b,c", "[bold]a,[/x],\x1b[31mc", 1))
    arguments = ["fit", "d.csv", "-c", "tiny.yaml", "--epochs", 20, "--threads", 1]
    code, text = on_a_terminal(*arguments, cwd=tmp_path, **({} if colour else {"NO_COLOR": "1"}))
    assert code == 0
    _, _, second, *_, bar, stopped, nats, gaussian, mixture, wrote, _, _ = text.splitlines()
    assert "flowcli: [/x]" in second
    # What a screen shows of a line that is written over and over is what came last.
    states = [SEQUENCE.sub("", state).rstrip() for state in bar.split("\r") if state]
    assert all(len(state) <= 80 for state in states)
    assert re.search(r"epoch \d+(\.\d)? train -\d+\.\d\d held-out -\d+\.\d\d. rate \de-\d\d [\d,]+ rows/s", states[-1])
    assert [line.startswith("flowcli: ") for line in (stopped, nats, gaussian, mixture, wrote)]
    kinds = {match[1] for match in SEQUENCE.finditer(text)}
    assert kinds <= {"m", "K", "A", "l", "h"}
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h") == 1  # the cursor comes back
    colours = re.findall(r"\x1b\[[0-9;]*(?:3\d|9\d|38;[0-9;]*)m", text)
    assert bool(colours) is colour


def test_an_interrupted_fit_leaves_the_terminal_in_order(tmp_path, data):
    (tmp_path / "tiny.yaml").write_text(TINY)
    ours, theirs = pty.openpty()
    words = ["fit", data, "-o", "m.flow", "-c", "tiny.yaml", "--epochs", 100_000, "--set", "train.patience=0"]
    child = subprocess.Popen(
        command(*words), stdin=theirs, stdout=theirs, stderr=theirs, cwd=tmp_path, env=environment(TERM="xterm")
    )
    os.close(theirs)
    came = b""
    interrupted = False
    try:
        while part := os.read(ours, 65536):
            came += part
            if b"rows/s" in came and not interrupted:
                child.send_signal(signal.SIGINT)
                interrupted = True
    except OSError:
        pass
    os.close(ours)
    assert child.wait() == 130
    last = SEQUENCE.sub("", came.decode()).splitlines()[-1]
    assert re.fullmatch(r"flowcli: interrupted at step [\d,]+; to go on: the same command with --resume", last)
    assert came.count(b"\x1b[?25l") == came.count(b"\x1b[?25h") == 1
    assert sorted(os.listdir(tmp_path)) == ["m.flow.state", "tiny.yaml"]


def test_a_dumb_terminal_gets_lines(tmp_path, data, tiny):
    code, text = on_a_terminal("fit", data, "-c", "tiny.yaml", "--epochs", 1, cwd=tmp_path, TERM="dumb")
    assert code == 0
    assert "\x1b" not in text
    assert "flowcli: step 0/" in text
    assert text.count("flowcli: step ") == 2  # before the fit and after its only epoch


def test_sampling_ends_with_its_signal_and_leaves_nothing(tmp_path, model):
    child = subprocess.Popen(
        command("sample", model, "-n", 10**9, "-o", "s.csv", "-q"),
        cwd=tmp_path,
        env=environment(),
        stderr=subprocess.PIPE,
    )
    while not any(name.endswith(".tmp") for name in os.listdir(tmp_path)):
        assert child.poll() is None
        time.sleep(0.05)
    child.send_signal(signal.SIGTERM)
    _, err = child.communicate()
    assert (child.returncode, err, os.listdir(tmp_path)) == (143, b"", [])


@pytest.mark.parametrize(
    ("words", "begun"),
    [
        (["sample", "MODEL", "-n", 10**9, "-o", "s.csv"], ".tmp"),
        (["fit", "DATA", "-c", "nsf", "--epochs", 10**6], ".lock"),
    ],
)
def test_what_it_was_started_to_ignore_does_not_end_it(tmp_path, data, model, words, begun):
    """As under nohup, or in the background of a script."""
    words = [{"MODEL": model, "DATA": data}.get(word, word) for word in words]
    with subprocess.Popen(
        ["bash", "-c", 'trap "" HUP INT; exec "$@"', "bash", *command(*words, "--threads", 1)],
        cwd=tmp_path,
        env=environment(),
        stderr=subprocess.PIPE,
    ) as child:
        try:
            assert until(lambda: any(name.endswith(begun) for name in os.listdir(tmp_path)))
            for number in (signal.SIGHUP, signal.SIGINT):
                child.send_signal(number)
            with pytest.raises(subprocess.TimeoutExpired):
                child.wait(1)
            child.send_signal(signal.SIGTERM)
            child.communicate(timeout=30)
            assert child.returncode == 143
        finally:
            child.kill()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("words", [["sample", "MODEL", "-n", "100000"], ["logprob", "MODEL", "DATA"]])
def test_a_signal_whose_exception_was_dropped_counts(tmp_path, data, model, words, number, code):
    """As in a callback of Python's own."""
    script = (
        "import os, sys\n"
        "from flowcli.cli import main, signals\n"
        "signals.obey()\n"
        "try:\n"
        f"    os.kill(os.getpid(), {number.value})\n"
        "except BaseException:\n"
        "    pass\n"
        "sys.exit(main.run(sys.argv[1:]))\n"
    )
    words = [{"MODEL": str(model), "DATA": str(data)}.get(word, word) for word in words]
    done = subprocess.run(
        [sys.executable, "-c", script, *words, "-o", "s.csv", "-q", "--threads", "1"],
        cwd=tmp_path,
        env=environment(),
        check=False,
    )
    assert (done.returncode, os.listdir(tmp_path)) == (code, [])


def peak(*arguments, cwd: Path) -> float:
    """The most memory that a command takes, in MB."""
    script = (
        "import resource, subprocess, sys\n"
        "done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL)\n"
        "print(done.returncode, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *command(*arguments)],
        capture_output=True,
        text=True,
        check=True,
        cwd=cwd,
        env=environment(),
    )
    code, size = done.stdout.split()
    assert code == "0", done.stderr
    return int(size) / (2**20 if sys.platform == "darwin" else 2**10)


@pytest.mark.slow
def test_memory_does_not_grow_with_the_rows(tmp_path):
    lines = [f"{a:.6f},{b:.6f}\n" for a, b in np.random.default_rng(0).standard_normal((2000, 2))]
    for name, times in (("small.csv", 25), ("large.csv", 1000)):
        with open(tmp_path / name, "w") as file:
            file.write("a,b\n")
            for _ in range(times):
                file.writelines(lines)
    (tmp_path / "d.csv").write_text("a,b\n" + "".join(lines))
    fitted(tmp_path / "d.csv", tmp_path / "m.flow")
    assert (
        peak("logprob", "m.flow", "large.csv", cwd=tmp_path)
        < peak("logprob", "m.flow", "small.csv", cwd=tmp_path) + 150
    )
    large, small = (peak("sample", "m.flow", "-q", "-n", rows, cwd=tmp_path) for rows in (2_000_000, 50_000))
    assert large < small + 150
