"""What is taken from inside numba is still there, and does what is expected of it."""

import ctypes

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
    assert not numba_internals.is_cached(plus_one, tmp_path)
    owner, entry_point, address = numba_internals.compile_for(plus_one, "int64(int64)", tmp_path, nogil=True)
    assert entry_point(1) == 2
    assert ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(address)(5) == 6
    assert sum(owner.stats.cache_hits.values()) == 0 and numba_internals.is_cached(plus_one, tmp_path)
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
