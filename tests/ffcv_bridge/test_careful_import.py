"""Importing FFCV has no effects that outlast it."""

import subprocess
import sys

import pytest

FORK_ON_ONE_CORE = """
import os
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
import ffcv_hydra.ffcv_bridge
child = os.fork()
if child == 0:
    os._exit(0)
os.waitpid(child, 0)
"""


@pytest.mark.timeout(120)
def test_a_process_that_has_forked_on_a_single_core_ends():
    subprocess.run([sys.executable, "-c", FORK_ON_ONE_CORE], check=True, timeout=60)
