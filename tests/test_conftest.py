"""What holds for every test."""

import runpy
import signal
import subprocess
import sys
from pathlib import Path

HEARS = "import os, signal; os.kill(os.getpid(), signal.{}); print('heard nothing')"


def test_F57_processes_that_tests_start_hear_ctrl_c_however_the_tests_were_started():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as in the background of a script
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        runpy.run_path(str(Path(__file__).with_name("conftest.py")))
        for name in ("SIGINT", "SIGTERM"):
            done = subprocess.run([sys.executable, "-c", HEARS.format(name)], capture_output=True, timeout=60)
            assert done.returncode == -signal.Signals[name]
            assert done.stdout == b""
    finally:
        signal.signal(signal.SIGINT, before)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
