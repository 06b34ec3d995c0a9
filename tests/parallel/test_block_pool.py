"""Several processes give what one gives: every bit, the order, the errors. And they leave when they should."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time
from functools import cache
from unittest import mock

import numpy as np
import pytest
import torch

from flowcli.conditional.sampling import Sampler, SampleRequest
from flowcli.errors import NumericsError, ResourceError
from flowcli.model import FlowDensity
from flowcli.parallel import block_pool
from flowcli.parallel.block_pool import BlockPool, Work
from flowcli.parallel.waiting import Waiting
from flowcli.parallel.workers import Workers
from flowcli.table.schema import Column
from tests.fits import fitted, rows, table
from tests.processes import alive, gone

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="one process does everything elsewhere")

SIZE = 2048  # rows of a block, of a density with few columns


@pytest.fixture(autouse=True)
def _one_thread():
    """A pool computes in one thread, so that a density alone gives the same bits."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def at_once(monkeypatch):
    """Processes are started however little there is to do."""
    monkeypatch.setattr(block_pool, "WORTHWHILE", 0.0)


@cache
def density() -> FlowDensity:
    """A density whose samples are on a grid in one column; and far rows are computed once more, in float64."""
    values = np.column_stack([rows(300, 2), np.round(rows(300, 1, seed=1), 1)])
    columns = [Column("a"), Column("b"), Column("c", step=0.1, decimals=1)]
    return fitted(table(values, columns), "nsf", ["flow.layers.1.repeat=2"])


def chunk(count, seed=0):
    values = rows(count, 3, seed)
    values[::100] *= 1e6
    return values


OUTPUTS = 6


def matrix(terms):
    return np.column_stack([terms.latents, terms.base_log_prob, terms.log_det, terms.log_prob])


def terms_of(double=False):
    """What computes the terms of a density."""
    return Work(lambda _, values: matrix(density().terms(values, double=double)), SIZE, 3, OUTPUTS)


def numbers(outputs=1, rows=SIZE):
    """What computes next to nothing: the numbers of the blocks."""
    return Work(lambda number, values: np.full((len(values), outputs), float(number)), rows, 3, outputs)


def mapped(pool, chunks, work):
    """The results of chunks."""
    items = (each if isinstance(each, Waiting) else (None, each) for each in chunks)
    return (result for _, result in pool.map(items, work))


def same(found, terms):
    return np.array_equal(found, matrix(terms))


# --- the same numbers -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("processes", "double"), [(1, False), (3, False), (2, True)])
@pytest.mark.usefixtures("at_once")
def test_terms_are_those_of_the_density(processes, double):
    chunks = [chunk(count, seed) for seed, count in enumerate([5 * SIZE, 0, SIZE + 17, 1])]
    with mock.patch("os.fork", wraps=os.fork) as fork, BlockPool(processes) as pool:
        found = list(mapped(pool, iter(chunks), terms_of(double=double)))
    assert fork.call_count == (0 if processes == 1 else processes)
    assert len(found) == len(chunks)
    for values, terms in zip(chunks, found, strict=True):
        assert same(terms, density().terms(values, double=double))
        assert np.array_equal(terms[:, -1], density().log_prob(values, double=double))


@pytest.mark.parametrize("processes", [1, 3])
@pytest.mark.parametrize("count", [0, 1, 3 * SIZE, 3 * SIZE + 1])
@pytest.mark.usefixtures("at_once")
def test_samples_are_those_of_the_density(processes, count):
    sampler, request = Sampler(density(), lambda: pytest.fail("no conditionals are needed")), SampleRequest(2**62)
    with BlockPool(processes) as pool:
        drawn = list(density().pooled_sample(count, pool, seed=2**62))
        requested = list(sampler.blocks(count, request, pool))
        scored = list(sampler.scored_blocks(count, request, pool))
    assert [len(block) for block in drawn] == [min(SIZE, count - start) for start in range(0, count, SIZE)]
    whole = density().sample(count, seed=2**62)
    for blocks in (drawn, requested, [values for values, _ in scored]):
        assert np.array_equal(np.concatenate([np.empty((0, 3)), *blocks]), whole)
    for values, log_prob in scored if count % SIZE == 0 else []:
        assert np.array_equal(log_prob, density().log_prob(values))


@pytest.mark.usefixtures("at_once")
def test_workers_round_by_way_of_pyarrow():
    """As a power of ten that a float64 does not hold exactly asks for."""
    fine = fitted(table(np.round(rows(300, 1)) * 1e-30, [Column("x", step=1e-30)]), "auto", ["flow.layers=[]"])
    with BlockPool(2) as pool:
        drawn = list(fine.pooled_sample(5 * SIZE, pool, seed=0))
    assert np.array_equal(np.concatenate(drawn), fine.sample(5 * SIZE, seed=0))


def test_the_threads_of_torch_are_as_before():
    torch.set_num_threads(3)
    with BlockPool(2) as pool:
        assert torch.get_num_threads() == 1
        list(density().pooled_sample(1, pool, seed=0))
    assert torch.get_num_threads() == 3


# --- when processes are started ---------------------------------------------------------------------------------------


def test_little_work_starts_nothing():
    with mock.patch("os.fork", side_effect=AssertionError), BlockPool(8) as pool:
        assert len(list(mapped(pool, [chunk(1), chunk(100)], terms_of()))) == 2
        assert len(list(density().pooled_sample(SIZE + 1, pool, seed=0))) == 2


def test_no_more_start_than_there_are_blocks(monkeypatch):
    monkeypatch.setattr(block_pool, "WORTHWHILE", 0.0)
    with mock.patch("os.fork", wraps=os.fork) as fork, BlockPool(50) as pool:
        assert len(list(density().pooled_sample(6 * SIZE, pool, seed=0))) == 6
    assert fork.call_count == 4


def test_blocks_that_come_one_by_one_start_them_too(monkeypatch):
    monkeypatch.setattr(block_pool, "WORTHWHILE", 1e-3)
    monkeypatch.setattr(FlowDensity, "terms", slowly(FlowDensity.terms, 5e-4))
    values = chunk(10)
    with mock.patch("os.fork", wraps=os.fork) as fork, BlockPool(2) as pool:
        assert len(list(mapped(pool, itertools.repeat(values, 100), terms_of()))) == 100
    assert fork.call_count == 2


def slowly(function, seconds):
    def slow(*arguments, **options):
        time.sleep(seconds)
        return function(*arguments, **options)

    return slow


@pytest.mark.usefixtures("at_once")
def test_where_the_system_starts_none_the_numbers_come_all_the_same():
    expected = density().terms(chunk(4 * SIZE))
    for refused in (BlockingIOError(11, "no more processes"), OSError(12, "no memory")):
        with mock.patch("os.fork", side_effect=refused), BlockPool(2) as pool:
            (found,) = mapped(pool, [chunk(4 * SIZE)], terms_of())
        assert same(found, expected)
    fork, forked = os.fork, []

    def once():
        if forked:
            raise OSError(11, "no more")
        forked.append(True)
        return fork()

    with mock.patch("os.fork", once), BlockPool(3) as pool:
        (found,) = mapped(pool, [chunk(4 * SIZE)], terms_of())
    assert forked
    assert same(found, expected)


@pytest.mark.usefixtures("at_once")
def test_blocks_are_numbered_through_all_chunks():
    chunks = [chunk(2 * SIZE), chunk(SIZE + 1), chunk(5)]
    with BlockPool(2) as pool:
        found = list(pool.map(zip("abc", chunks, strict=True), numbers()))
    assert [np.unique(part).tolist() for _, part in found] == [[0.0, 1.0], [2.0, 3.0], [4.0]]
    assert [payload for payload, _ in found] == ["a", "b", "c"]


# --- order, memory and time -------------------------------------------------------------------------------------------


def test_results_come_in_the_order_of_the_tasks_from_all_workers():
    def compute(number, values):
        time.sleep(0.02 if number % 3 == 0 else 0)
        return np.array([[number, os.getpid(), values.sum()]])

    found = computed(compute, [np.full((1, 2), i) for i in range(30)])
    assert found[:, 0].tolist() == list(range(30))
    assert found[:, 2].tolist() == [2 * i for i in range(30)]
    assert len(set(found[:, 1])) == 3
    assert os.getpid() not in found[:, 1]


def computed(compute, given, processes=3, slots=5):
    """What workers make of rows."""
    tasks = (block_pool._Task(number, values, 1) for number, values in enumerate(given))
    workers = Workers(processes, slots, 1, 2, 3, compute)
    try:
        workers.start()
        return np.concatenate([found for _, found in block_pool._shared(tasks, workers)])
    finally:
        workers.close()


@pytest.mark.usefixtures("at_once")
def test_an_endless_input_is_not_read_far_ahead():
    taken = []

    def endless():
        for seed in itertools.count():
            taken.append(seed)
            yield chunk(SIZE, seed)

    with BlockPool(2) as pool:
        for number, found in enumerate(mapped(pool, endless(), terms_of())):
            assert same(found, density().terms(chunk(SIZE, number)))
            assert len(taken) <= number + 2 + block_pool.SLOTS
            if number == 5:
                break


@pytest.mark.usefixtures("at_once")
def test_while_the_input_is_waited_for_what_is_finished_comes():
    read, write = os.pipe()
    found = []

    def slow():
        for seed in range(6):
            yield chunk(SIZE, seed)
        yield Waiting(read)
        assert len(found) == 6
        os.write(write, b"x")
        yield Waiting(read)  # there is something to read: no need to wait for anything
        yield chunk(SIZE, 6)

    with BlockPool(2) as pool:
        found.extend(mapped(pool, iter([]), terms_of()))
        for terms in mapped(pool, slow(), terms_of()):
            found.append(terms)
    assert len(found) == 7
    os.close(read)
    os.close(write)


# --- when something goes wrong ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.usefixtures("at_once")
def test_an_error_comes_after_what_was_right(processes, monkeypatch):
    whole = FlowDensity.terms

    def broken(self, values, **options):
        if values[0, 0] == 5:
            raise NumericsError("a log-density is not a number")
        return whole(self, values, **options)

    monkeypatch.setattr(FlowDensity, "terms", broken)
    found = []
    with (
        pytest.raises(NumericsError, match="a log-density is not a number"),
        BlockPool(processes) as pool,
    ):
        found.extend(mapped(pool, (np.full((3 * SIZE, 3), float(i)) for i in itertools.count()), terms_of()))
    assert len(found) == 5
    assert no_children()


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.usefixtures("at_once")
def test_an_error_of_the_input_comes_after_the_rows_before_it(processes):
    def chunks():
        for seed in range(4):
            yield chunk(2 * SIZE, seed)
        raise ValueError("line 7")

    found = []
    with pytest.raises(ValueError, match="line 7"), BlockPool(processes) as pool:
        found.extend(mapped(pool, chunks(), terms_of()))
    assert len(found) == 4
    assert no_children()


class Odd(Exception):
    """An exception that pickle cannot bring back."""

    def __init__(self, one, two):
        super().__init__(f"{one} {two}")


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (MemoryError(), MemoryError, ""),
        (NumericsError("no"), NumericsError, "no"),
        (Odd("no", "good"), RuntimeError, "Odd: no good"),
        (ValueError("x" * 10**6), RuntimeError, "ValueError: " + "x" * 988),
        (KeyboardInterrupt(), KeyboardInterrupt, ""),
    ],
)
def test_every_exception_of_a_worker_comes_up(error, kind, message):
    def compute(number, values):
        if number == 7:
            raise error
        return np.zeros((1, 3))

    with pytest.raises(kind) as caught:
        computed(compute, np.zeros((20, 1, 2)))
    assert (type(caught.value), str(caught.value)) == (kind, message)
    assert no_children()


def test_the_place_of_an_error_is_told():
    def compute(number, values):
        raise ZeroDivisionError("by zero")

    with pytest.raises(ZeroDivisionError) as caught:
        computed(compute, np.zeros((1, 1, 2)))
    assert "in compute" in caught.value.__notes__[0]


@pytest.mark.parametrize("alone", [True, False])
def test_a_worker_that_is_killed_is_an_error_and_no_wait(alone):
    def compute(number, values):
        if number == 7:
            os.kill(os.getpid(), signal.SIGKILL)
        return np.zeros((1, 3))

    with pytest.raises(ResourceError, match=r"^a worker process ended \(Killed\), perhaps for want of memory"):
        computed(compute, np.zeros((20, 1, 2)), processes=1 if alone else 3)
    assert no_children()


@pytest.mark.usefixtures("at_once")
def test_who_goes_early_leaves_no_process():
    with BlockPool(2) as pool:
        blocks = density().pooled_sample(10**9, pool, seed=0)
        for _ in range(4):
            next(blocks)
        assert not no_children()
    assert no_children()


def no_children():
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return True
    return False


# --- a process of its own ---------------------------------------------------------------------------------------------

SCRIPT = """
import atexit, os, signal, sys, time
import numpy as np
from flowcli.parallel import block_pool
from flowcli.parallel.workers import Workers

def compute(number, values):
    print("never seen")
    os.write(1, b"nor this")
    if number > 5:
        time.sleep(0.5)
    return np.zeros((1, 1))

atexit.register(os.write, 2, b"at exit")
print("once")
workers = Workers(3, 60, 1, 1, 1, compute)
workers.start()
found = block_pool._shared((block_pool._Task(i, np.zeros((1, 1)), 1) for i in range(1000)), workers)
"""


def script(end):
    return [sys.executable, "-c", SCRIPT + end]


def test_workers_write_nothing_and_run_no_exit_handlers():
    end = "for _ in range(5): next(found)\nworkers.close()"
    done = subprocess.run(script(end), capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("once\n", "at exit")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("idle", [True, False])
def test_workers_end_with_the_process_that_started_them(number, idle):
    end = "print(*workers._processes.values(), flush=True)\n" + "list(found)\n" * (not idle) + "signal.pause()"
    with subprocess.Popen(script(end), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as parent:
        assert parent.stdout.readline() == "once\n"
        workers = [int(word) for word in parent.stdout.readline().split()]
        assert len(workers) == 3
        for worker in workers if idle else []:  # that is for the parent to obey
            os.kill(worker, signal.SIGINT)
            os.kill(worker, signal.SIGTERM)
        time.sleep(0.2)
        assert all(alive(worker) for worker in workers)
        parent.send_signal(number)
        assert parent.wait() == -number
        assert gone(workers, seconds=4)  # as soon as they are through with a task, and not with all that waited
        assert parent.communicate() == ("", "")
