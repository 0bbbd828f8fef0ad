"""Processes that end when their parent does."""

import os
import subprocess
import sys

import pytest

from ffcv_hydra import parent_death

pytestmark = [pytest.mark.skipif(sys.platform != "linux", reason="it is Linux's"), pytest.mark.timeout(60)]
SCRIPT = """
import os, signal, sys, time
from ffcv_hydra.parent_death import die_with
parent = os.getpid()
if os.fork() == 0:
    signal.signal(signal.SIGTERM, lambda *_: (print("asked", flush=True), os._exit(0)))
    die_with(parent, *[getattr(signal, name) for name in sys.argv[1:]])
    print(flush=True)
    time.sleep(60)
    os._exit(0)
time.sleep(60)
"""


@pytest.mark.parametrize("signals", [[], ["SIGTERM"]])
def test_a_process_ends_with_its_parent(signals):
    with subprocess.Popen([sys.executable, "-c", SCRIPT, *signals], stdout=subprocess.PIPE, text=True) as process:
        process.stdout.readline()  # the child is there
        process.kill()
        assert process.stdout.read() == ("asked\n" if signals else "")  # to its end, for which the child has to be gone


def test_a_parent_that_is_gone_already_ends_the_process():
    child = os.fork()
    if child == 0:
        parent_death.die_with(-1)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
