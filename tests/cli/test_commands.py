"""What happens around the tasks of the commands."""

import signal
import subprocess
import sys

import pytest

INTERRUPTED_IN_A_CALLBACK = """
import os, signal, weakref
from ffcv_hydra.cli.commands import _interrupts_end_at_once

class Library:
    pass

def callback(_):
    os.kill(os.getpid(), signal.SIGINT)
    for _ in range(1000):
        pass

with _interrupts_end_at_once():
    library = Library()
    reference = weakref.ref(library, callback)
    del library  # an exception in the callback is printed and forgotten
print("went on")
"""


@pytest.mark.timeout(60)
def test_ctrl_c_during_imports_is_not_forgotten():
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED_IN_A_CALLBACK], capture_output=True, text=True, timeout=50, check=False
    )
    assert done.returncode == -signal.SIGINT, done
    assert "went on" not in done.stdout
