import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from numba import types

from ffcv_hydra.errors import LoaderError
from ffcv_hydra.kernels.compiling import compilation, numba_internals
from ffcv_hydra.kernels.memory.gather import gather

FLIP = "from ffcv_hydra.kernels.geometry.flip import random_horizontal_flip as kernel; kernel.compile()"


@pytest.mark.timeout(120)
def test_a_second_process_loads_what_the_first_compiled(tmp_path: Path):
    environment = {**os.environ, "FFCV_HYDRA_CACHE": str(tmp_path)}
    found = []
    for _ in range(2):
        subprocess.run([sys.executable, "-c", FLIP], env=environment, check=True)
        found.append({path.name: path.stat().st_mtime_ns for path in tmp_path.rglob("*.nb?")})
    assert found[0]
    assert found[0] == found[1]


def test_a_change_in_any_kernel_source_makes_another_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "a.py").write_text("1")
    monkeypatch.setattr(compilation, "__file__", str(tmp_path / "compiling" / "compilation.py"))
    before = compilation.cache_directory()
    assert compilation.cache_directory() == before
    (tmp_path / "a.py").write_text("2")
    compilation._version.cache_clear()  # as in a new process
    assert compilation.cache_directory() != before


@pytest.mark.timeout(120)
@pytest.mark.parametrize("when", ["before", "between"])
def test_kernels_survive_what_ffcvs_loader_does_to_numbas_types(when: str):
    script = f"""
import numba as nb, numpy as np
from ffcv_hydra.kernels.memory.gather import gather

def spoil():  # as FFCV's memory managers do
    nb.uint8[::1].mutable = False
    nb.uint8[:, ::1].mutable = False
    nb.uint64[::1].mutable = False

def run():
    data, target = np.arange(10, dtype=np.uint8), np.zeros((2, 4), dtype=np.uint8)
    gather(data, np.array([0, 5]), np.array([3, 2]), target, 1)
    assert target.tolist() == [[0, 0, 1, 2], [0, 5, 6, 0]]
    data.flags.writeable = False
    gather(data, np.array([0, 5]), np.array([3, 2]), target, 1)

kept = nb.typeof(np.empty(0, np.uint8)), nb.typeof(np.empty((0, 0), np.uint8))
if {when!r} == "between": run()
spoil(); run(); spoil(); run()
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_cache_folder_that_cannot_be_made_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FFCV_HYDRA_CACHE", "/proc/none")
    with pytest.raises(LoaderError, match="cannot be kept in /proc/none/.*; set FFCV_HYDRA_CACHE to another folder"):
        compilation.Kernel(lambda number: number, "int64(int64)").compile()


READ_ONLY = """
import errno, os, sys
def refuse(event, arguments):  # as a read-only file system does, also to root
    if event == "open" and str(arguments[0]).startswith(sys.argv[1]) and arguments[2] & (os.O_WRONLY | os.O_RDWR):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), arguments[0])
sys.addaudithook(refuse)
"""


@pytest.mark.timeout(120)
def test_F41_a_folder_of_kernels_that_cannot_be_written_is_enough_if_it_has_all(tmp_path: Path):
    environment = {**os.environ, "FFCV_HYDRA_CACHE": str(tmp_path)}

    def run(script: str) -> subprocess.CompletedProcess:
        command = [sys.executable, "-c", script, str(tmp_path)]
        return subprocess.run(command, env=environment, capture_output=True, text=True)

    refused = run(READ_ONLY + FLIP)
    last = refused.stderr.splitlines()[-1]
    assert last.startswith("ffcv_hydra.errors.LoaderError: compiled kernels cannot be kept in") and "Read-only" in last
    assert run(FLIP).returncode == 0
    compiled = sorted(tmp_path.rglob("*"))
    loaded = run(READ_ONLY + FLIP + "; print(sum(kernel._dispatcher.stats.cache_hits.values()))")
    assert (loaded.stdout, loaded.stderr) == ("1\n", "")
    assert sorted(tmp_path.rglob("*")) == compiled


@pytest.mark.timeout(120)
def test_F41_a_disk_that_is_full_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setenv("FFCV_HYDRA_CACHE", str(tmp_path))
    monkeypatch.setattr(numba_internals.caching.IndexDataCacheFile, "save", full)
    kernel = compilation.Kernel(lambda number: number, "int64(int64)")
    with pytest.raises(LoaderError, match="cannot be kept in .*: No space left on device; set FFCV_HYDRA_CACHE"):
        kernel.compile()


BYTES = np.zeros((4, 2), dtype=np.uint8)


@pytest.mark.parametrize("wrong", [BYTES.view(np.int8), BYTES.reshape(-1), BYTES.T])
def test_arrays_that_do_not_fit_the_signature_are_refused(wrong: np.ndarray):
    data, numbers = np.zeros(9, dtype=np.uint8), np.zeros(2, dtype=np.int64)
    with pytest.raises(TypeError, match="gather: argument 3 must be uint8, 2-d and contiguous"):
        gather(data, numbers, numbers, wrong, 0)


DEFERRED = """
import ctypes, sys
from numba import types
from ffcv_hydra.kernels.compiling.compilation import Kernel, kernel
from ffcv_hydra.kernels.compiling.pointers import call_address

@kernel("int64(int64, int64)")
def add(a, b):
    return a + b

@kernel("int64(int64, int64)")
def call_add(address, a):
    return call_address(address, (a, 5))

"""


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("script", "printed"),
    [
        ("address = add.deferred_address; print(add.loaded, call_add(address, 2), add.loaded, call_add(address, 3))",
         "False 7 True 8"),
        ("add.compile(); print(add.deferred_address == add.address, call_add(add.deferred_address, 2))", "True 7"),
        ("add._compile = lambda: sys.exit('disk full')\n"
         "try: call_add(add.deferred_address, 2)\n"
         "except SystemExit as error: print(error, 'raised')",
         "disk full raised"),
    ],
    ids=["compiled when called", "compiled before", "cannot be compiled"],
)  # fmt: skip
def test_a_deferred_address_is_that_of_the_kernel_or_of_what_compiles_it(script: str, printed: str, tmp_path: Path):
    path = tmp_path / "script.py"  # numba caches nothing that has no file
    path.write_text(DEFERRED + script)
    environment = {**os.environ, "FFCV_HYDRA_CACHE": str(tmp_path / "cache")}
    done = subprocess.run([sys.executable, str(path)], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == printed


def test_threads_that_ask_at_once_are_given_one_deferred_address():
    def ask(kernel, barrier, found):
        barrier.wait()
        found.append(kernel.deferred_address)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(200):
            kernel, barrier, found = compilation.Kernel(abs, types.int64(types.int64)), threading.Barrier(4), []
            threads = [threading.Thread(target=ask, args=(kernel, barrier, found)) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert len(set(found)) == 1  # another one would be that of code that is freed, and may yet be called
    finally:
        sys.setswitchinterval(interval)
