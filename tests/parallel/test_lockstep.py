"""Processes that share memory: they do their part, end with the fit, and say what went wrong."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import pytest
import torch

from flowcli import config
from flowcli.errors import NumericsError, ResourceError
from flowcli.flows import Layout, build_mixed
from flowcli.parallel.lockstep import Lockstep, processes_for, shared
from flowcli.training.loop.flat_parameters import Flat
from flowcli.training.prepare import resolve
from tests.fits import prepared, rows, table

ALONE = sys.platform != "linux" or torch.cuda.is_available()
pytestmark = pytest.mark.skipif(ALONE, reason="processes are forked on Linux alone, and not beside a GPU")

NET = "flow.layers.1.layers.1.autoregressive.net"
SMALL = ["flow.layers.1.repeat=1", "train.batch_size=128", "train.epochs=3", f"{NET}.dropout=0"]


@pytest.fixture
def three_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


def alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def test_every_process_does_its_part_of_every_message():
    seen = shared(3, 5)

    def work(process, message):
        seen[process, int(message[0])] += message[1]

    with Lockstep(work, 3) as lockstep:
        for turn in range(5):
            lockstep.run(turn, turn + 0.5)
            assert torch.equal(seen[:, turn], torch.full((3,), turn + 0.5))
    assert torch.equal(seen.sum(0), 3 * (torch.arange(5) + 0.5))


def test_threads_are_as_before_and_no_process_is_left(three_threads):
    ids = shared(3, dtype=torch.int64)

    def work(process, message):
        ids[process] = os.getpid()
        assert torch.get_num_threads() == 1

    with Lockstep(work, 3) as lockstep:
        lockstep.run(0)
        assert len(set(ids.tolist())) == 3
    assert torch.get_num_threads() == 3
    assert [alive(process) for process in ids.tolist()[1:]] == [False, False]


def test_an_error_in_a_process_comes_up():
    def work(process, message):
        if process == 1:
            raise NumericsError("seven is not a number")

    with pytest.raises(NumericsError, match="seven"), Lockstep(work, 2) as lockstep:
        lockstep.run(0)


def test_a_process_that_is_killed_is_told_not_waited_for():
    ids = shared(2, dtype=torch.int64)

    def work(process, message):
        ids[process] = os.getpid()
        if message[0] and process:
            time.sleep(60)

    with Lockstep(work, 2) as lockstep:
        lockstep.run(0)
        os.kill(int(ids[1]), signal.SIGKILL)
        with pytest.raises(ResourceError, match="--threads 1"):
            lockstep.run(1)


def test_processes_end_when_their_parent_is_killed(tmp_path):
    ids = tmp_path / "ids"
    parent = os.fork()
    if parent == 0:
        try:
            numbers = shared(2, dtype=torch.int64)

            def work(process, message):
                numbers[process] = os.getpid()

            with Lockstep(work, 2) as lockstep:
                lockstep.run(0)
                ids.with_suffix(".new").write_text(str(int(numbers[1])))
                ids.with_suffix(".new").rename(ids)
                time.sleep(60)
        finally:
            os._exit(0)
    deadline = time.monotonic() + 30
    while not ids.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(parent, signal.SIGKILL)
    os.waitpid(parent, 0)
    child = int(ids.read_text())
    while alive(child) and Path(f"/proc/{child}/stat").read_text().split()[2] != "Z":
        assert time.monotonic() < deadline, "the other process lives on"
        time.sleep(0.05)


def test_how_many_processes(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    cpu = torch.device("cpu")
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        assert [processes_for(cpu, size, 64) for size in (10, 64, 127, 128, 512)] == [1, 1, 1, 2, 3]
        assert processes_for(torch.device("cuda"), 512, 64) == 1
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        assert processes_for(cpu, 512, 64) == 1
    finally:
        torch.set_num_threads(before)


def test_a_fit_in_several_processes_is_the_same_fit(three_threads):
    """But for rounding: the gradient of a batch is the sum of those of its parts."""
    found = []
    for threads in (1, 3):
        torch.set_num_threads(threads)
        fitting = prepared(table(rows(1_000, 3)), "nsf", [*SMALL, "train.batch_size=192"])
        assert fitting.loop.steps._processes == threads
        list(fitting.loop.run(lambda: False))
        found.append(fitting.loop.history)
    for one, other in zip(*found, strict=True):
        assert one.train_nats == pytest.approx(other.train_nats, abs=2e-3, nan_ok=True)
        assert one.held_out_nats == pytest.approx(other.held_out_nats, abs=2e-3)


def test_several_processes_repeat_themselves_and_resume_exactly(three_threads):
    torch.set_num_threads(2)
    dropping = [*SMALL[:-1], f"{NET}.dropout=0.2"]

    def fresh():
        fitting = prepared(table(rows(1_000, 3)), "nsf", dropping)
        assert fitting.loop.steps._processes == 2
        return fitting

    whole = fresh()
    list(whole.loop.run(lambda: False))
    part = fresh()
    list(part.loop.run(lambda: part.loop.step == 8))
    document, tensors = part.loop.state()
    others = fresh()
    others.loop.restore(document, {name: tensor.clone() for name, tensor in tensors.items()})
    list(others.loop.run(lambda: False))
    for name, tensor in whole.loop.state()[1].items():
        assert torch.equal(tensor, others.loop.state()[1][name]), name


def test_parameters_are_views_of_one_vector():
    request = config.load("nsf", ["flow.layers.1.repeat=1"])
    resolved = resolve.resolve_flow(request.flow, size=resolve.Size(1000, 3), marginal=False, components=1)
    flow = build_mixed(resolved, Layout(3))
    before = {name: p.detach().clone() for name, p in flow.named_parameters()}
    flat = Flat(flow, share=False)
    for name, parameter in flow.named_parameters():
        assert torch.equal(parameter, before[name])
    flat.vector.add_(1)
    for name, parameter in flow.named_parameters():
        if parameter.requires_grad:
            assert torch.equal(parameter, before[name] + 1)
    decayed = {name for name, p in flow.named_parameters() if ".network." in name and p.ndim == 2}
    assert flat.decaying == sum(before[name].numel() for name in decayed)
    gradients = [torch.full_like(p, number) for number, p in enumerate(flat.parameters)]
    gradient = flat.room(share=False)
    flat.gather(gradients, gradient)
    for number, part in enumerate(flat.parts(gradient)):
        assert (part == number).all()
