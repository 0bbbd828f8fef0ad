"""One process at a time holds a file's lock."""

import os

import pytest

from ffcv_hydra.locks import lock, locked, unlock


@pytest.mark.parametrize(("first", "second", "both"), [(False, False, False), (False, True, False), (True, True, True)])
def test_a_lock_is_for_one_or_for_those_that_share_it(tmp_path, first, second, both):
    path = tmp_path / "a"
    path.touch()
    with open(path, "rb") as one, open(path, "rb") as other:
        assert lock(one, shared=first)
        assert lock(other, shared=second) is both
        unlock(one)
        assert lock(other, wait=True)


def test_a_folder_can_be_locked(tmp_path):
    one, other = os.open(tmp_path, os.O_RDONLY), os.open(tmp_path, os.O_RDONLY)
    assert lock(one) and not lock(other)
    os.close(one)
    assert lock(other)
    os.close(other)


def test_a_lock_ends_with_its_block_also_where_a_fork_has_the_file_open(tmp_path):
    path = tmp_path / "a.lock"
    ours, theirs = os.pipe()
    with locked(path) as has_it:
        child = os.fork()
        if child == 0:
            os.read(ours, 1)
            os._exit(0)
        assert has_it
        with locked(path, wait=False) as has_it_too:
            assert not has_it_too
    with locked(path, wait=False) as has_it:
        assert has_it
    os.write(theirs, b"x")
    os.waitpid(child, 0)
    os.close(ours)
    os.close(theirs)


def test_a_lock_that_cannot_be_made_is_an_error(tmp_path):
    with pytest.raises(OSError), locked(tmp_path / "none" / "a"):
        pass
