import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ffcv_hydra.kernels.compiling import together
from ffcv_hydra.kernels.compiling.compilation import Kernel, cache_directory
from ffcv_hydra.kernels.compiling.numba_internals import cache_name
from ffcv_hydra.kernels.compiling.together import compile_together
from ffcv_hydra.kernels.geometry.flip import random_horizontal_flip
from ffcv_hydra.kernels.memory.gather import gather
from ffcv_hydra.kernels.random.draws import draw_chosen
from ffcv_hydra.locks import locked

pytestmark = pytest.mark.timeout(120)
KERNELS = [random_horizontal_flip, draw_chosen, gather]


def in_process(script: str, folder: Path) -> list[str]:
    """What a script prints in a process of its own, with the cache in `folder`."""
    path = folder / "script.py"  # numba caches nothing that has no file
    path.write_text(script)
    environment = {**os.environ, "FFCV_HYDRA_CACHE": str(folder / "cache")}
    done = subprocess.run([sys.executable, str(path)], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_each_kernel_is_compiled_once_by_one_of_several_processes(tmp_path: Path):
    script = """
from ffcv_hydra.kernels.compiling.compilation import kernel
from ffcv_hydra.kernels.compiling.together import compile_together
from ffcv_hydra.kernels.random.draws import draw_chosen
from ffcv_hydra.kernels.geometry.flip import random_horizontal_flip
from ffcv_hydra.kernels.memory.gather import gather

KERNELS = [random_horizontal_flip, draw_chosen, gather]

@kernel("int64(int64)")
def only_here(value):
    return value + 1

compile_together([*KERNELS, only_here])
print(sum(kernel.loaded for kernel in KERNELS), only_here.loaded, only_here(2))
print(*(kernel.compiled for kernel in KERNELS))
"""
    loaded, is_loaded, value, *compiled = in_process(script, tmp_path)
    assert int(loaded) < len(KERNELS) or len(os.sched_getaffinity(0)) == 1
    assert (is_loaded, value, compiled) == ("True", "3", ["True"] * 3)
    code = [path.name.partition("-")[0] for path in (tmp_path / "cache").rglob("*.nbc")]
    assert len(code) == len(set(code)) == 4


def test_what_another_process_compiles_is_left_to_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("FFCV_HYDRA_CACHE", str(tmp_path))
    fresh = Kernel(gather.python, gather._signature)
    folder = cache_directory()
    folder.mkdir(parents=True)
    with locked(folder / f".{cache_name(fresh.python)}.lock"):
        fresh.compile_unless_taken()
        assert not fresh.compiled
    fresh.compile_unless_taken()
    assert fresh.loaded


def test_nothing_is_started_when_all_is_compiled(monkeypatch: pytest.MonkeyPatch):
    for kernel in KERNELS:
        kernel.compile()
    monkeypatch.setattr(subprocess, "Popen", None)
    compile_together(KERNELS)
    compile_together(Kernel(kernel.python, kernel._signature) for kernel in KERNELS)  # on disk


def test_one_process_does_all_where_no_other_can_be_started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    refused = []

    def refuse(*_: object, **__: object) -> None:
        refused.append(True)
        raise OSError("no memory")

    monkeypatch.setenv("FFCV_HYDRA_CACHE", str(tmp_path))
    monkeypatch.setattr(subprocess, "Popen", refuse)
    monkeypatch.setattr(together, "_name", lambda kernel: "module:kernel")
    fresh = [Kernel(kernel.python, kernel._signature) for kernel in KERNELS]
    compile_together(fresh)
    assert all(kernel.loaded for kernel in fresh)
    assert refused or len(os.sched_getaffinity(0)) == 1


def test_who_waits_long_is_told_why(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture):
    caplog.set_level("INFO")
    with together._telling(2):
        pass
    assert caplog.messages == []
    monkeypatch.setattr(together, "_LONG", 0.0)
    with together._telling(2):
        deadline = time.monotonic() + 20
        while not caplog.messages and time.monotonic() < deadline:
            time.sleep(0.01)
    said = f"compiling 2 functions for this processor, once: they are kept in {cache_directory()}"
    assert caplog.messages == [said]
