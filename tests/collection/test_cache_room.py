"""The limit of the data cache: what is evicted, and what never is."""

import multiprocessing
import os
import random
import signal
import threading
import time
from contextlib import nullcontext, suppress
from pathlib import Path
from types import SimpleNamespace

import pytest

from ffcv_hydra.collection import cache_room, remote_file
from ffcv_hydra.collection.cache_locks import Uses, downloading
from ffcv_hydra.collection.cache_room import NoRoom, cache_limit
from ffcv_hydra.collection.data_cache import CachedFile
from ffcv_hydra.errors import RemoteError
from tests.collection import stores

SIZE = 10_000
fork = multiprocessing.get_context("fork")
KILLS = int(os.environ.get("CRASH_KILLS", 50))
pytestmark = pytest.mark.timeout(120 + KILLS)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("FFCV_HYDRA_DATA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv(cache_room.LIMIT, str(3 * SIZE))
    monkeypatch.setattr(remote_file, "BACKOFF_SECONDS", 0.01)
    return tmp_path / "cache"


@pytest.fixture
def urls(tmp_path) -> list[str]:
    for number in range(8):
        (tmp_path / f"{number}.bin").write_bytes(bytes([number]) * SIZE)
    return [f"slow://{tmp_path}/{number}.bin" for number in range(8)]


def take(url, uses=None):
    return CachedFile(url).take(lambda _: None, threading.Event(), uses or Uses())


def numbers_in(cache):
    return sorted(int(path.stem) for path in cache.rglob("*.bin"))


def test_what_was_not_used_for_the_longest_time_goes_first_and_as_a_whole(urls, cache):
    for number in (0, 1, 2, 0, 3):
        take(urls[number])
    assert numbers_in(cache) == [0, 2, 3]
    assert len(list(cache.iterdir())) == 4  # with the locks: no folder of what is gone
    take(urls[1])
    assert numbers_in(cache) == [0, 1, 3]


def test_what_is_in_use_stays_and_is_no_room(urls, cache):
    with Uses() as uses:
        for number in (0, 1):
            take(urls[number], uses)
        for number in (2, 3, 4):
            take(urls[number])
        assert numbers_in(cache) == [0, 1, 4]
        with Uses() as more:
            take(urls[4], more)
            told = rf"^{urls[5]}: no room for its 10,000 bytes in the cache, all of whose 30,000 are in use; raise "
            with pytest.raises(NoRoom, match=told):
                take(urls[5])
        assert numbers_in(cache) == [0, 1, 4]
        take(urls[5])
    assert numbers_in(cache) == [0, 1, 5]


def test_nothing_is_evicted_for_what_would_not_fit_all_the_same(urls, cache, monkeypatch, tmp_path):
    with Uses() as uses:
        take(urls[0], uses)
        for number in (1, 2):
            take(urls[number])
        (tmp_path / "6.bin").write_bytes(bytes(2 * SIZE + 1))
        with pytest.raises(NoRoom):
            take(urls[6])
    (tmp_path / "7.bin").write_bytes(bytes(3 * SIZE + 1))
    with pytest.raises(RemoteError, match="7.bin: has 30,001 bytes, and the cache.s limit is 30,000; raise cache"):
        take(urls[7])
    assert numbers_in(cache) == [0, 1, 2]


def test_what_others_are_downloading_counts(urls, cache, monkeypatch):
    begun, go_on = threading.Event(), threading.Event()
    get = stores.SlowFileSystem.get_file

    def get_file(self, place, path, **options):
        if "0.bin" in place:
            begun.set()
            assert go_on.wait(30)
        get(self, place, path, **options)

    monkeypatch.setattr(stores.SlowFileSystem, "get_file", get_file)
    with Uses() as uses:
        thread = threading.Thread(target=take, args=(urls[0], uses))
        thread.start()
        assert begun.wait(30)
        for number in (1, 2, 3):
            take(urls[number])
        assert numbers_in(cache) == [2, 3]
        go_on.set()
        thread.join()
    assert numbers_in(cache) == [0, 2, 3]


def test_what_arrives_while_all_is_counted_counts(urls, cache, monkeypatch):
    begun, go_on = threading.Event(), threading.Event()
    get, scan = stores.SlowFileSystem.get_file, os.scandir

    def get_file(self, place, path, **options):
        begun.set()
        assert go_on.wait(30)
        get(self, place, path, **options)

    def scandir(folder):
        seen = list(scan(folder))  # before it arrives
        go_on.set()
        thread.join()
        return nullcontext(seen)

    monkeypatch.setattr(stores.SlowFileSystem, "get_file", get_file)
    thread = threading.Thread(target=take, args=(urls[0],))
    thread.start()
    assert begun.wait(30)
    monkeypatch.setattr(cache_room, "os", SimpleNamespace(**{**vars(os), "scandir": scandir}))
    assert sum(entry.num_bytes for entry in cache_room._entries(cache)) >= SIZE
    thread.join()


def test_what_killed_downloads_left_is_removed_and_does_not_count(urls, cache):
    path = take(urls[0])
    (path.parent / ".coming").write_text(str(3 * SIZE))
    (path.parent / ".0.bin.abc.writing").write_bytes(b"half")
    take(urls[1])
    assert sorted(found.name for found in path.parent.iterdir()) == [".about.json", "0.bin"]
    assert numbers_in(cache) == [0, 1]


def test_what_else_lies_in_the_folder_is_nobody_s_to_evict(urls, cache):
    take(urls[0])
    for name in ("20240115", "datasets", "0" * 32, "0" * 31):
        (cache / name).mkdir()
        (cache / name / "precious.txt").write_bytes(bytes(9 * SIZE))
    (cache / "lost+found").mkdir(mode=0)
    for number in (1, 2, 3):
        take(urls[number])
    assert numbers_in(cache) == [1, 2, 3] and len(list(cache.rglob("precious.txt"))) == 4


def test_a_size_that_the_server_does_not_say_is_counted_when_it_is_known(tmp_path, cache):
    with stores.serving(tmp_path) as server:
        for number in range(4):
            (tmp_path / f"{number}.bin").write_bytes(bytes(SIZE))
            server.without_lengths = True
            take(f"{server.url}/{number}.bin")
    assert numbers_in(cache) == [1, 2, 3]


@pytest.mark.parametrize("text", ["much", "-1", ""])
def test_a_limit_that_is_none_is_one_line(urls, monkeypatch, text):
    monkeypatch.setenv(cache_room.LIMIT, text)
    with pytest.raises(RemoteError, match=f"^FFCV_HYDRA_DATA_CACHE_LIMIT is '{text}'; use a number of bytes"):
        take(urls[0])


def test_the_limit_is_the_variable_s(monkeypatch):
    monkeypatch.setenv(cache_room.LIMIT, "50GB")
    assert cache_limit() == 50_000_000_000
    monkeypatch.delenv(cache_room.LIMIT)
    assert cache_limit() is None


def _take_some(urls, seed):
    generator = random.Random(seed)
    while True:
        number = generator.randrange(len(urls))
        try:
            with Uses() as uses:
                path = take(urls[number], uses)
                assert path.read_bytes() == bytes([number]) * SIZE
        except NoRoom:
            pass


def test_processes_that_evict_and_are_killed_leave_whole_files_within_the_limit(urls, cache):
    generator = random.Random(0)
    processes = []
    for seed in range(KILLS):
        while len(processes) < 3:
            processes.append(fork.Process(target=_take_some, args=(urls, seed * 3 + len(processes))))
            processes[-1].start()
        time.sleep(generator.uniform(0, 0.06))
        killed = processes.pop(0)
        assert killed.is_alive()
        os.kill(killed.pid, signal.SIGKILL)
        killed.join()
        found = []
        for folder in os.listdir(cache):
            with suppress(OSError):  # evicted meanwhile
                found += [(int(path.stem), path.read_bytes()) for path in (cache / folder).glob("[0-9].bin")]
        assert all(content == bytes([number]) * SIZE for number, content in found)
    for process in processes:
        os.kill(process.pid, signal.SIGKILL)
        process.join()
    for number in range(8):
        take(urls[number])
    assert numbers_in(cache) == [5, 6, 7] and not list(cache.rglob("*.writing")) and not list(cache.rglob(".coming"))
    for folder in cache.iterdir():
        if folder.is_dir():
            with downloading(folder) as mine:
                assert mine
