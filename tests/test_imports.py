"""The garbage collector is held back while modules are loaded, and is as it was afterwards."""

import gc

import pytest

from ffcv_hydra.imports import without_collecting


@pytest.mark.parametrize("before", [True, False])
def test_the_collector_is_left_as_it_was(before):
    was_enabled = gc.isenabled()
    (gc.enable if before else gc.disable)()
    try:
        with pytest.raises(ImportError), without_collecting():
            assert not gc.isenabled()
            raise ImportError
        assert gc.isenabled() is before
    finally:
        (gc.enable if was_enabled else gc.disable)()
