"""Signals that ask a sweep to stop."""

import os
import signal

import pytest

from ffcv_hydra.sweeps.stop_requests import StopRequests


@pytest.fixture
def hangup():
    """SIGHUP is not ignored, as it is under `nohup`; what it did before is done again after the test."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


def test_one_request_that_comes_twice_counts_once_and_handlers_are_put_back(hangup):
    before = signal.getsignal(signal.SIGTERM)
    with StopRequests() as requests:
        assert requests.count == 0
        for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            os.kill(os.getpid(), signum)
        assert requests.count == 1
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_signal_that_is_ignored_stays_so_as_under_nohup(hangup):
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with StopRequests() as requests:
        os.kill(os.getpid(), signal.SIGHUP)
        assert requests.count == 0
