"""What is taken from inside numba is still there, and does what is expected of it."""

import ctypes
import subprocess
import sys

import numba
import numpy as np
import pytest
from numba import types

from ffcv_hydra.kernels.compiling import numba_internals


def plus_one(number):
    return number + 1


def test_a_signature_tells_its_arguments():
    signature = "int64(uint8[:, ::1], float64, float32[::1])"
    assert [str(kind) for kind in numba_internals.argument_types(signature)][1] == "float64"
    assert numba_internals.array_arguments(signature) == [(0, np.uint8, 2), (2, np.float32, 1)]
    assert numba_internals.argument_types(types.void(types.int64)) == (types.int64,)


def test_code_has_an_entry_point_and_an_address_and_is_taken_from_its_folder(tmp_path):
    before = numba.config.CACHE_DIR
    assert not numba_internals.cached_names(tmp_path)
    owner, entry_point, address = numba_internals.compile_for(plus_one, "int64(int64)", tmp_path, nogil=True)
    assert entry_point(1) == 2
    assert ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(address)(5) == 6
    assert sum(owner.stats.cache_hits.values()) == 0
    assert numba_internals.cached_names(tmp_path) == {numba_internals.cache_name(plus_one)}
    again, _, _ = numba_internals.compile_for(plus_one, "int64(int64)", tmp_path, nogil=True)
    assert sum(again.stats.cache_hits.values()) == 1
    assert before == numba.config.CACHE_DIR


def test_a_folder_is_not_tried_for_writing(tmp_path, monkeypatch):
    def refuse(self):
        raise OSError("read-only")

    numba_internals.compile_for(plus_one, "int64(int64)", tmp_path)
    monkeypatch.setattr(numba_internals.caching._CacheLocator, "ensure_cache_path", refuse)
    with pytest.raises(RuntimeError, match="no locator available"):
        numba_internals.compile_for(plus_one, "int64(int64)", tmp_path)
    with numba_internals.without_writing():
        numba_internals.compile_for(plus_one, "int64(int64)", tmp_path)
    assert numba_internals.caching._CacheLocator.ensure_cache_path is refuse


def test_a_type_that_was_marked_read_only_is_writeable_for_a_moment():
    kind = types.Array(types.complex64, 3, "C")  # that nothing else here uses
    kept = [kind]
    kind.mutable = False
    try:
        with numba_internals.unspoiled_types():
            assert kept[0].mutable
        assert not kind.mutable
    finally:
        kind.mutable = True
    read_only = types.Array(types.complex64, 3, "C", readonly=True)
    with numba_internals.unspoiled_types():
        assert not read_only.mutable


def test_kernels_do_without_scipy_and_functions_of_a_users_own_have_its_blas(tmp_path):
    script = f"""
import sys
from pathlib import Path
import numba, numpy as np
from ffcv_hydra.kernels.compiling import numba_internals

def double(number):
    return 2 * number

_, entry_point, _ = numba_internals.compile_for(double, "int64(int64)", Path({str(tmp_path)!r}))
print(entry_point(4), "scipy.linalg" in sys.modules)
print(numba.njit(lambda a, b: a @ b)(np.eye(2), np.array([3.0, 4.0])).tolist(), "scipy.linalg" in sys.modules)
"""
    path = tmp_path / "script.py"
    path.write_text(script)
    done = subprocess.run([sys.executable, str(path)], capture_output=True, text=True)
    assert done.stdout.splitlines() == ["8 False", "[3.0, 4.0] True"], done.stderr


def test_where_scipy_is_not_there_numba_knows_it(monkeypatch):
    monkeypatch.setattr(numba_internals, "find_spec", lambda name: None)
    monkeypatch.delitem(sys.modules, "numba.np.arraymath")
    found = []
    monkeypatch.setattr(numba_internals, "import_module", lambda name: found.append(numba_internals.linalg.ensure_blas))
    before = numba_internals.linalg.ensure_blas
    numba_internals._load_without_blas()
    assert numba_internals.linalg.ensure_blas is before
    with pytest.raises(ImportError):
        found[0]()
