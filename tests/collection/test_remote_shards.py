"""Files that are fetched ahead of need: their order, the limit, errors, and ends."""

import multiprocessing
import threading
import time

import pytest

from ffcv_hydra.collection import cache_room, remote_file, remote_shards
from ffcv_hydra.collection.cache_room import NoRoom
from ffcv_hydra.collection.data_cache import CachedFile
from ffcv_hydra.collection.remote_file import Stopped
from ffcv_hydra.collection.remote_shards import RemoteShards
from ffcv_hydra.errors import RemoteError
from tests.collection import stores

SIZE, COUNT = 10_000, 10
pytestmark = pytest.mark.timeout(120)


@pytest.fixture(autouse=True)
def settings(tmp_path, monkeypatch):
    monkeypatch.setenv("FFCV_HYDRA_DATA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(remote_file, "BACKOFF_SECONDS", 0.01)
    monkeypatch.setattr(remote_shards, "ROOM_SECONDS", 30)


@pytest.fixture
def server(tmp_path):
    (tmp_path / "store").mkdir()
    for number in range(COUNT):
        (tmp_path / "store" / f"{number}.bin").write_bytes(bytes([number]) * SIZE)
    with stores.serving(tmp_path / "store") as server:
        yield server


@pytest.fixture
def files(server):
    return [CachedFile(f"{server.url}/{number}.bin") for number in range(COUNT)]


class Reader:
    def __init__(self):
        self.closed = []

    def close(self, number):
        self.closed.append(number)


def limit(monkeypatch, count):
    monkeypatch.setenv(cache_room.LIMIT, str(count * SIZE))


def wait_for(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def there(files):
    return [number for number, file in enumerate(files) if file.is_there()]


def got(server):
    return [int(path[1:-4]) for path in server.gets]


def test_all_come_in_the_order_of_need_and_once(server, files, monkeypatch):
    monkeypatch.setattr(remote_shards, "CONNECTIONS", 1)
    shards = RemoteShards([None, *files[1:]])
    order = [3, 1, 4, 5, 9, 2, 6, 8, 7]
    ahead = shards.ahead(iter([[3, 0, 1], [4, 1], [5], [9, 2, 6], [5, 3, 8, 7]]), 0)
    wait_for(shards.is_complete)
    for number in range(COUNT):
        shards.take(number)
    ahead.close()
    assert got(server) == order
    assert shards.ahead(iter([[1]]), 0)._threads == []


def test_a_pass_works_through_more_than_the_cache_holds(server, files, monkeypatch):
    limit(monkeypatch, 4)
    shards, reader = RemoteShards(files), Reader()
    shards.when_closed(reader.close)
    batches = [[number // 2, (number + 1) // 2] for number in range(2 * COUNT - 2)]
    for _ in range(2):
        ahead = shards.ahead(iter(batches), 0)
        for batch, numbers in enumerate(batches):
            ahead.done(batch)
            ahead.needs(batch, numbers)
            for number in numbers:
                shards.take(number)
            assert set(numbers) <= set(there(files)) and len(there(files)) <= 4
        ahead.close()
    assert len(got(server)) <= 3 * COUNT  # twice each, and some that came ahead of others
    assert 0 not in reader.closed and reader.closed[:3] == [1, 2, 3]


def test_what_is_needed_comes_before_what_came_ahead(server, files, monkeypatch):
    limit(monkeypatch, 3)
    shards = RemoteShards(files)
    ahead = shards.ahead(iter([[1], [2], [3], [4]]), 0)
    wait_for(lambda: len(there(files)) == 3)
    ahead.needs(0, [1, 8])
    shards.take(1)
    shards.take(8)
    assert {1, 8} <= set(there(files))
    ahead.close()


def test_a_batch_that_does_not_fit_is_one_line(files, monkeypatch):
    monkeypatch.setattr(remote_shards, "ROOM_SECONDS", 0.5)
    limit(monkeypatch, 3)
    shards = RemoteShards(files)
    ahead = shards.ahead(iter([[1, 2, 3, 4]]), 0)
    ahead.needs(0, [1, 2, 3, 4])
    with pytest.raises(NoRoom, match="bin: no room for its 10,000 bytes in the cache, all of whose 30,000 are in use"):
        for number in (1, 2, 3, 4):
            shards.take(number)
    ahead.close()


def test_an_error_is_met_by_who_needs_the_file_and_ends_nothing_else(server, files):
    (server.folder / "2.bin").unlink()
    shards = RemoteShards(files)
    ahead = shards.ahead(iter([[number] for number in range(COUNT)]), 0)
    wait_for(lambda: len(there(files)) == COUNT - 1)
    shards.take(3)
    for _ in range(2):
        with pytest.raises(RemoteError, match="/2.bin: there is no such file"):
            shards.take(2)
    (server.folder / "2.bin").write_bytes(b"back")
    shards.take(2)
    ahead.close()


@pytest.mark.parametrize("by", ["close", "stop"])
def test_whoever_waits_is_let_go_when_the_pass_ends(server, files, by):
    server.faults = [("1.bin", "stall")] * 9
    shards = RemoteShards(files)
    ahead = shards.ahead(iter([[1]]), 0)
    wait_for(lambda: "/1.bin" in server.gets)
    raised = []

    def take():
        with pytest.raises(Stopped):
            shards.take(1)
        raised.append(True)

    thread = threading.Thread(target=take)
    thread.start()
    getattr(ahead, by)()
    thread.join(30)
    assert raised == [True]
    ahead.close()
    assert not [found for found in threading.enumerate() if found.name == "fetching ahead"]
    server.going_on.set()
    server.faults.clear()
    shards.take(1)  # outside of a pass


def test_threads_that_need_the_same_file_wait_for_one_download(server, files):
    shards = RemoteShards(files)
    threads = [threading.Thread(target=shards.take, args=(5,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got(server) == [5] and there(files) == [5]


def test_a_forked_process_has_its_own(files):
    shards = RemoteShards(files)
    shards.take(1)
    ahead = shards.ahead(iter([[2], [3]]), 0)

    def take():
        for number in range(COUNT):
            shards.take(number)

    process = multiprocessing.get_context("fork").Process(target=take)
    process.start()
    process.join(60)
    assert process.exitcode == 0 and len(there(files)) == COUNT
    ahead.close()


def test_batches_whose_making_fails_end_the_fetching(files):
    def batches():
        yield [1]
        raise ValueError

    shards = RemoteShards(files)
    ahead = shards.ahead(batches(), 0)
    wait_for(lambda: not any(thread.is_alive() for thread in ahead._threads))
    assert there(files) == [1]
    ahead.close()
