"""A new process is on somebody's list before a signal may end this one."""

from __future__ import annotations

import os
import signal
import sys
import threading

import pytest

from flowcli.parallel.fork import undisturbed

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are forked on Linux alone")


@pytest.fixture
def another_thread():
    """A thread that takes whatever signal the main one blocks, as those of a library do."""
    done = threading.Event()
    thread = threading.Thread(target=done.wait)
    thread.start()
    yield
    done.set()
    thread.join()


@pytest.mark.usefixtures("another_thread")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_waits_for_the_end_of_the_block_whichever_thread_it_comes_to(number):
    class CameError(Exception):
        pass

    def handle(number, _):
        raise CameError

    before = signal.signal(number, handle)
    finished = []

    def be_killed():
        with undisturbed(), undisturbed():
            os.kill(os.getpid(), number)
            for _ in range(10_000):  # the other thread has the time to take it
                os.sched_yield()
            finished.append(True)

    try:
        with pytest.raises(CameError):
            be_killed()
        assert signal.getsignal(number) is handle
    finally:
        signal.signal(number, before)
    assert finished


def test_what_is_ignored_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with undisturbed():
            os.kill(os.getpid(), signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
