"""Locks on bytes of one file: between threads and processes, until they end."""

import multiprocessing
import os
import signal

import pytest

from ffcv_hydra.collection.cache_locks import Uses, downloading, locked_cache

fork = multiprocessing.get_context("fork")


@pytest.fixture
def folders(tmp_path):
    return [tmp_path / "cache" / f"{number:032x}" for number in (0, 1 << 120, (1 << 128) - 1)]


def is_used(folder):
    with locked_cache(folder.parent) as claim:
        return not claim(folder)


def test_what_is_used_cannot_be_claimed_until_all_have_let_it_go(folders):
    first, second = Uses(), Uses()
    for uses in (first, second):
        for folder in folders[:2]:
            uses.begin(folder)
    assert [is_used(folder) for folder in folders] == [True, True, False]
    first.close()
    first.close()
    assert is_used(folders[0])
    second.end(folders[0])
    assert [is_used(folder) for folder in folders] == [False, True, False]
    del second, uses
    assert not is_used(folders[1])


def test_one_downloads_at_a_time(folders):
    with downloading(folders[0]) as mine, downloading(folders[0]) as other, downloading(folders[1]) as elsewhere:
        assert (mine, other, elsewhere) == (True, False, True)
    with downloading(folders[0]) as mine:
        assert mine


def test_a_process_that_is_killed_has_no_locks(folders):
    def lock(ready):
        uses = Uses()
        uses.begin(folders[0])
        with downloading(folders[1]):
            ready.set()
            signal.pause()

    ready = fork.Event()
    process = fork.Process(target=lock, args=(ready,))
    process.start()
    assert ready.wait(30)
    with downloading(folders[1]) as mine:
        assert is_used(folders[0]) and not mine
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    with downloading(folders[1]) as mine:
        assert not is_used(folders[0]) and mine


def test_what_a_forked_process_lets_go_is_still_used(folders):
    uses = Uses()
    uses.begin(folders[0])

    def let_go():
        uses.end(folders[0])
        uses.close()

    process = fork.Process(target=let_go)
    process.start()
    process.join()
    assert process.exitcode == 0 and is_used(folders[0])


def test_the_locks_are_for_all_who_may_write_to_the_cache(folders):
    cache = folders[0].parent
    cache.mkdir(mode=0o755)
    cache.chmod(0o1777)
    Uses().begin(folders[0])
    assert (cache / ".locks").stat().st_mode & 0o777 == 0o666


def test_a_cache_that_cannot_be_written_to_can_be_used(tmp_path, monkeypatch):
    uses = Uses()
    uses.begin(tmp_path / "file" / "cache" / ("0" * 32))
    (tmp_path / "none").touch()
    uses.begin(tmp_path / "none" / ("0" * 32))
    uses.end(tmp_path / "none" / ("0" * 32))
