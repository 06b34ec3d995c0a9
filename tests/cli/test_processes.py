"""Commands that compute in several processes: the same bytes, and every way of ending leaves none."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from unittest import mock

import numpy as np
import pytest
import torch

from flowcli.parallel import block_pool
from tests.cli.terminal import command, environment, fitted, flowcli, process, rows, shell
from tests.processes import alive, children, gone, until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="there is one process only")

ENDLESS = ["-n", 10**9, "--seed", 1, "--threads", 2]


@pytest.fixture
def at_once(monkeypatch):
    """Processes are started however little there is to do."""
    monkeypatch.setattr(block_pool, "WORTHWHILE", 0.0)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Rows for several blocks, and for the last one of them not enough."""
    path = tmp_path_factory.mktemp("table") / "table.csv"
    path.write_text(rows(15_000))
    return path


@pytest.mark.parametrize(
    "arguments",
    [
        ["logprob", "MODEL", "DATA"],
        ["logprob", "MODEL", "DATA", "--with-input", "--terms"],
        ["logprob", "MODEL", "DATA", "--precision", "float64"],
        ["sample", "MODEL", "-n", 15_000, "--seed", 5],
        ["sample", "MODEL", "-n", 15_000, "--seed", 5, "--with-logprob"],
    ],
)
@pytest.mark.usefixtures("at_once")
def test_the_number_of_processes_changes_no_byte(arguments, model, table):
    indices = {"MODEL": model, "DATA": table}
    words = [indices.get(each, each) for each in arguments]
    alone = flowcli(*words, "--threads", 1)
    assert (alone.code, len(alone.lines)) == (0, 15_001)
    sizes = [[], ["--batch-rows", 1], ["--batch-rows", 5000]] if arguments[0] == "logprob" else [[]]
    for threads in (2, 3):
        for size in sizes:
            with mock.patch("os.fork", wraps=os.fork) as fork:
                assert flowcli(*words, "--threads", threads, *size).out == alone.out
            assert 2 <= fork.call_count <= threads


@pytest.mark.usefixtures("at_once")
def test_by_default_there_is_a_process_for_each_core(model, table, monkeypatch):
    for limit, cores, processes in (("", {0, 3, 4}, 3), ("2", {0, 3, 4}, 2), ("", {5}, 0), ("1", {0, 1}, 0)):
        monkeypatch.setenv("OMP_NUM_THREADS", limit)
        monkeypatch.setattr(os, "sched_getaffinity", lambda _, cores=cores: cores)
        monkeypatch.setattr("flowcli.cli.compute._quota", lambda: None)
        with mock.patch("os.fork", wraps=os.fork) as fork:
            assert flowcli("logprob", model, table).code == 0
        assert fork.call_count == processes


@pytest.mark.parametrize("text", ["max 100000", "", "nonsense", "-1 5"])
def test_a_limit_on_time_that_is_none(tmp_path, monkeypatch, text):
    from flowcli.cli import compute

    (tmp_path / "cpu.max").write_text(text)
    monkeypatch.setattr(compute, "QUOTA", tmp_path / "cpu.max")
    assert compute._quota() is None
    monkeypatch.setattr(compute, "QUOTA", tmp_path / "none")
    assert compute._quota() is None


@pytest.mark.parametrize(("text", "cores"), [("150000 100000", 2), ("200000 100000", 2), ("10000 100000", 1)])
def test_a_limit_on_time(tmp_path, monkeypatch, text, cores):
    from flowcli.cli import compute

    (tmp_path / "cpu.max").write_text(text + "\n")
    monkeypatch.setattr(compute, "QUOTA", tmp_path / "cpu.max")
    assert compute._quota() == cores


@pytest.mark.usefixtures("at_once")
def test_rows_before_a_fault_are_written_and_the_exit_code_stays(model, table):
    text = table.read_bytes() + b"1,x,3\n"
    done = flowcli("logprob", model, "--threads", 2, "--batch-rows", 2048, stdin=text)
    alone = flowcli("logprob", model, "--threads", 1, "--batch-rows", 2048, stdin=text)
    assert (done.code, done.err, done.out) == (alone.code, alone.err, alone.out)
    assert (done.code, "standard input:15002" in done.complaint) == (3, True)


# --- in a process of its own ------------------------------------------------------------------------------------------


@pytest.fixture
def started():
    """Starts a command in a process group of its own, as a shell would, with its workers; none outlives the test."""
    running = []

    def start(*arguments, workers=2, **streams):
        process = subprocess.Popen(command(*arguments), env=environment(), start_new_session=True, **streams)
        running.append(process)
        assert until(lambda: len(children(process.pid)) == workers or process.poll() is not None)
        others = children(process.pid)
        assert len(others) == workers
        return process, others

    yield start
    for each in running:
        with suppress(ProcessLookupError):
            os.killpg(each.pid, signal.SIGKILL)
        each.communicate()


@pytest.mark.parametrize(
    ("number", "code", "said"),
    [
        (signal.SIGINT, 130, b"flowcli: interrupted\n"),
        (signal.SIGTERM, 143, b""),
        (signal.SIGHUP, 129, b""),
        (signal.SIGKILL, -9, b""),
    ],
)
@pytest.mark.parametrize("everyone", [True, False])
def test_a_signal_leaves_no_process_and_no_file(tmp_path, model, number, code, said, everyone, started):
    process, workers = started("sample", model, *ENDLESS, "-o", "s.csv", cwd=tmp_path, stderr=subprocess.PIPE)
    (os.killpg if everyone else os.kill)(process.pid, number)
    assert process.communicate(timeout=30)[1] == said
    assert process.returncode == code
    if number == signal.SIGKILL:
        assert gone(workers)
    else:
        assert not any(map(alive, workers))
        assert os.listdir(tmp_path) == []


def test_a_worker_that_is_killed_is_6(tmp_path, model, started):
    process, workers = started("sample", model, *ENDLESS, "-o", "s.csv", cwd=tmp_path, stderr=subprocess.PIPE)
    os.kill(workers[0], signal.SIGKILL)
    said = process.communicate(timeout=30)[1].decode()
    assert process.returncode == 6
    assert said == "flowcli: a worker process ended (Killed), perhaps for want of memory; try --threads 1\n"
    assert not any(map(alive, workers))
    assert os.listdir(tmp_path) == []


def test_head_ends_all_of_them(tmp_path, model):
    line = f"flowcli sample {model} -n 1000000000 --threads 2 -q | head -1; exit ${{PIPESTATUS[0]}}"
    started = time.monotonic()
    done = shell(line, tmp_path)
    assert (done.code, done.out, done.err) == (141, b"a,b,c\n", "")
    assert time.monotonic() - started < 30


SLOW = """
import sys
from flowcli.parallel import block_pool
from flowcli.cli.main import main
block_pool.WORTHWHILE = 0.0
main()
"""


@pytest.mark.parametrize("threads", [1, 2])
def test_a_pipe_has_its_answers_before_it_ends(model, threads):
    """As soon as the 4 MiB that are read at a time have come, whole blocks of them are answered."""
    text = rows(1000).encode()
    header, _, body = text.partition(b"\n")
    first = header + b"\n" + body * (4 * 2**20 // len(body) + 1)
    words = ["logprob", str(model), "--threads", str(threads), "--batch-rows", "2048"]
    with subprocess.Popen(
        [sys.executable, "-c", SLOW, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment()
    ) as process:
        clock = threading.Timer(60, process.kill)
        clock.start()
        feeder = threading.Thread(target=process.stdin.write, args=[first])
        feeder.start()
        answers = first[: 4 * 2**20].count(b"\n") // 2048 * 2048
        for _ in range(answers):
            assert process.stdout.readline()
        assert len(children(process.pid)) == (0 if threads == 1 else threads)
        feeder.join()
        process.stdin.close()
        remaining = process.stdout.read()
        clock.cancel()
    assert process.returncode == 0
    assert answers + remaining.count(b"\n") == first.count(b"\n")


@pytest.mark.skipif(torch.cuda.is_available(), reason="a fit beside a GPU is one process")
@pytest.mark.parametrize("everyone", [True, False])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_to_a_fit_saves_it_and_leaves_no_process(tmp_path, number, code, everyone, started):
    (tmp_path / "data.csv").write_text(rows(3_000))
    words = ["fit", "data.csv", "-c", "nsf", "--epochs", 500, "--threads", 2]
    process, others = started(*words, workers=1, cwd=tmp_path, stderr=subprocess.PIPE)
    (os.killpg if everyone else os.kill)(process.pid, number)
    said = process.communicate(timeout=30)[1].decode()
    assert process.returncode == code
    assert said.splitlines()[-1].startswith("flowcli: interrupted at step")
    assert not any(map(alive, others))
    assert sorted(os.listdir(tmp_path)) == ["data.csv", "data.flow.state"]


def test_one_row_held_out_is_enough_for_several_processes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data.csv").write_text(rows(400))
    (tmp_path / "one.csv").write_text("".join(line + "\n" for line in rows(2).splitlines()[:2]))
    words = ["-c", "nsf", "--epochs", 1, "--set", "train.batch_size=200", "--valid", "one.csv"]
    assert flowcli("fit", "data.csv", *words, "--threads", 3).code == 0


def test_no_thread_aborts_a_command_that_is_over(tmp_path):
    """pyarrow's threads may still let go of what they read when Python takes itself down, which aborts the process."""
    values = np.random.default_rng(0).normal(size=300)
    (tmp_path / "one.csv").write_text("x\n" + "".join(f"{value!r}\n" for value in values.tolist()))
    model = fitted(tmp_path / "one.csv", tmp_path / "one.flow")
    for _ in range(8):
        done = process("impute", model, "-", "--threads", 1, stdin=b'x\n0.5\n""\n', cwd=tmp_path)
        assert (done.code, done.err) == (0, "")
        assert len(done.lines) == 3
