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


SOURCE = """
import os, signal

class Interrupted:
    def __len__(self):
        return 10

    def __getitem__(self, index):
        if index == 5:
            os.kill(os.getpid(), signal.SIGINT)
        return index, index
"""


@pytest.mark.timeout(100)
@pytest.mark.parametrize(
    ("if_exists", "told"),
    [
        ("keep", "what was finished is kept, and the same command goes on from there"),
        ("overwrite", "the same command begins anew"),
    ],
)
def test_ctrl_c_of_a_conversion_says_what_becomes_of_it(command, tmp_path, if_exists, told):
    (tmp_path / "interrupting.py").write_text(SOURCE)
    options = ("dataset.source._target_=interrupting.Interrupted", "conversion.num_workers=0", "conversion.chunksize=2")
    done = command("convert.py", "dataset=custom", f"conversion.if_exists={if_exists}", *options)
    assert done.returncode == 130
    assert done.stderr.splitlines()[-1] == f"interrupted; {told}"


@pytest.mark.timeout(60)
def test_ctrl_c_during_imports_is_not_forgotten():
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED_IN_A_CALLBACK], capture_output=True, text=True, timeout=50, check=False
    )
    assert done.returncode == -signal.SIGINT, done
    assert "went on" not in done.stdout
