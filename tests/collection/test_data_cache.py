"""The data cache: whole files or none, downloaded once, whatever dies."""

import hashlib
import json
import multiprocessing
import os
import random
import signal
import threading
import time
from collections import namedtuple

import pytest

from ffcv_hydra.collection import data_cache, remote_file
from ffcv_hydra.collection.cache_locks import Uses
from ffcv_hydra.collection.cache_room import LIMIT, cache_limit
from ffcv_hydra.collection.data_cache import CachedFile, choose_cache
from ffcv_hydra.collection.remote_file import RemoteFile, Stopped
from ffcv_hydra.errors import BetonError, RemoteError
from tests.collection import stores

KILLS = int(os.environ.get("CRASH_KILLS", 50))
CONTENT = random.Random(0).randbytes(200_000)
SECRETS = "?X-Amz-Signature=hidden"
pytestmark = pytest.mark.timeout(120 + KILLS)
fork = multiprocessing.get_context("fork")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FFCV_HYDRA_DATA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(remote_file, "BACKOFF_SECONDS", 0.01)
    return tmp_path / "cache"


@pytest.fixture
def server(tmp_path):
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "a.bin").write_bytes(CONTENT)
    with stores.serving(tmp_path / "store") as server:
        yield server


@pytest.fixture
def slow(tmp_path):
    (tmp_path / "a.bin").write_bytes(CONTENT)
    return f"slow://{tmp_path}/a.bin"


def take(url, **options):
    came = []
    path = CachedFile(url, **options).take(came.append, threading.Event(), Uses())
    assert sum(came) in (0, path.stat().st_size)
    return path


def kept(cache):
    """What is in the cache beside its own files."""
    return [path for path in cache.rglob("*") if path.is_file() and path.name not in (".locks", ".about.json")]


def test_the_folder_is_the_user_s_cache_or_the_variable_s(monkeypatch, tmp_path):
    assert data_cache.data_cache() == tmp_path / "cache"
    monkeypatch.delenv("FFCV_HYDRA_DATA_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert data_cache.data_cache() == tmp_path / "ffcv_hydra" / "data"


def test_a_run_chooses_another_folder_and_limit_until_another_one_does_not(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(LIMIT, raising=False)
    choose_cache("here", "5GB")
    choose_cache("there", 7)
    assert (data_cache.data_cache(), cache_limit()) == (tmp_path / "there", 7)
    choose_cache()
    assert (data_cache.data_cache(), cache_limit()) == (tmp_path / "cache", None)


def test_a_file_is_downloaded_once_and_its_use_is_noted(server):
    path = take(f"{server.url}/a.bin")
    assert path.read_bytes() == CONTENT and path.name == "a.bin"
    about = path.parent / ".about.json"
    os.utime(about, ns=(0, 0))
    before = path.stat()
    assert take(f"{server.url}/a.bin") == path
    assert server.gets == ["/a.bin"]
    assert about.stat().st_mtime_ns > 0 and path.stat().st_ctime_ns == before.st_ctime_ns  # it is known as it was


def test_what_may_pass_is_tried_again(server):
    for faults in ([500, 503, 429], ["short", "cut"]):
        server.faults = [("", fault) for fault in faults]
        path = take(f"{server.url}/a.bin", content=str(faults))
        assert path.read_bytes() == CONTENT and not server.faults


def test_a_stall_is_an_error_that_may_pass(server, monkeypatch):
    monkeypatch.setattr(remote_file, "STALL_SECONDS", 0.3)
    server.faults = [("", "stall")]
    assert take(f"{server.url}/a.bin").read_bytes() == CONTENT
    server.faults = [("", "stall")] * 2
    monkeypatch.setattr(remote_file, "TRIES", 2)
    with pytest.raises(RemoteError, match=r"/a.bin: (no byte came for 0.3 seconds|failed with \w+), 2 times; see"):
        take(f"{server.url}/a.bin", content="other")


@pytest.mark.parametrize(
    ("faults", "told"),
    [
        ([404, 404], "there is no such file; correct the URL"),
        ([403, 403], "no permission; ask for it, or use other credentials"),
        ([401, 401], "credentials are missing or not accepted; set those .* AWS_PROFILE"),
        ([418, 418], "failed with HTTP status 418"),
        ([500] * 4, "failed with HTTP status 500, 2 times"),
        (["short"] * 2, "100,000 bytes came, not 200,000, 2 times"),
        (["cut"] * 2, "failed with ClientPayloadError, 2 times"),
    ],
)
def test_what_does_not_pass_is_one_line_without_secrets(server, cache, monkeypatch, faults, told):
    monkeypatch.setattr(remote_file, "TRIES", 2)
    server.faults = [("", fault) for fault in faults]
    url = f"{server.url}/a.bin{SECRETS}".replace("://", "://ana:hidden@")
    with pytest.raises(RemoteError, match=rf"^http://\*\*\*@127.0.0.1:\d+/a.bin\?\.\.\.: {told}") as caught:
        take(url)
    error = caught.value
    while error is not None:
        assert "hidden" not in str(error)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    assert kept(cache) == [] and not server.faults
    assert take(url).read_bytes() == CONTENT
    assert any(given and given.startswith("Basic ") for given in server.authorizations)
    assert not any(
        b"hidden" in path.read_bytes() for path in cache.rglob("*") if path.is_file() and path.name != "a.bin"
    )
    assert not any("hidden" in str(path) for path in cache.rglob("*"))


def test_a_server_that_is_not_there_is_one_line(server, monkeypatch):
    monkeypatch.setattr(remote_file, "TRIES", 2)
    with pytest.raises(RemoteError, match=r"^http://127.0.0.1:9/a: failed with \w+ \(Connection refused\), 2 times;"):
        take("http://127.0.0.1:9/a")


def test_no_credentials_is_one_line(slow, monkeypatch):
    class NoCredentialsError(Exception):
        pass

    def refuse(self, path, **_):
        raise NoCredentialsError("hidden")

    monkeypatch.setattr(stores.SlowFileSystem, "info", refuse)
    with pytest.raises(RemoteError, match="a.bin: credentials are missing or not accepted"):
        take(slow)


def test_a_protocol_whose_package_is_missing_or_that_is_unknown(monkeypatch):
    import fsspec.core

    def missing(url, **_):
        raise ImportError

    with pytest.raises(RemoteError, match="^nothing://a: fsspec knows no protocol 'nothing'"):
        take("nothing://a")
    monkeypatch.setattr(fsspec.core, "url_to_fs", missing)
    with pytest.raises(RemoteError, match=r"^s3://b/a: s3:// needs a package; pip install 'ffcv_hydra\[s3\]'$"):
        take("s3://b/a")


def test_no_room_is_one_line_before_and_while_it_is_written(slow, cache, monkeypatch):
    full = namedtuple("usage", "total used free")(1, 1, 1000)
    with monkeypatch.context() as patch:
        patch.setattr(data_cache.shutil, "disk_usage", lambda _: full)
        with pytest.raises(RemoteError, match="a.bin: no room for its 200,000 bytes in .*, which has 1,000; make some"):
            take(slow)

    def fill(self, path1, path2, **_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(stores.SlowFileSystem, "get_file", fill)
    with pytest.raises(
        RemoteError, match="a.bin: no room in .*; make some, or choose another folder by cache.dir or FFCV_"
    ):
        take(slow)
    assert kept(cache) == []


def test_a_cache_that_cannot_be_written_to_is_one_line_and_enough_when_it_has_all(slow, monkeypatch):
    path = take(slow)
    monkeypatch.setattr(data_cache, "downloading", None)
    assert take(slow) == path
    monkeypatch.setenv("FFCV_HYDRA_DATA_CACHE", "/proc/none")
    with pytest.raises(
        RemoteError, match="a.bin: cannot be kept in /proc/none/.*; choose another folder by cache.dir or FFCV_"
    ):
        take(slow)


def test_another_size_than_the_index_s_and_what_a_check_refuses(slow, cache):
    with pytest.raises(
        RemoteError, match="a.bin: has changed: it has 200,000 bytes, its index says 7; upload it again"
    ):
        take(slow, num_bytes=7)

    def check(path):
        assert path.read_bytes() == CONTENT
        raise BetonError(f"{path}: is none")

    with pytest.raises(RemoteError, match=f"^{slow}: is none$"):
        take(slow, check=check)
    assert kept(cache) == []


def test_a_file_that_was_cut_in_the_cache_is_downloaded_again(slow):
    path = take(slow, num_bytes=len(CONTENT))
    os.truncate(path, 1000)
    assert take(slow, num_bytes=len(CONTENT)).read_bytes() == CONTENT


def test_what_changed_under_its_url_is_seen_and_taken_when_asked(slow, tmp_path):
    file = CachedFile(slow)
    path = file.take(lambda _: None, threading.Event(), Uses())
    assert file.is_current(RemoteFile(slow).info())
    about = json.loads((path.parent / ".about.json").read_bytes())
    assert about["url"] == slow and about["num_bytes"] == len(CONTENT)
    (tmp_path / "a.bin").write_bytes(CONTENT[::-1])
    assert not file.is_current(RemoteFile(slow).info())
    assert file.take(lambda _: None, threading.Event(), Uses()).read_bytes() == CONTENT
    assert file.take(lambda _: None, threading.Event(), Uses(), anew=True).read_bytes() == CONTENT[::-1]


def test_a_download_is_stopped_at_once_and_leaves_nothing(slow, cache, monkeypatch):
    stop, go_on = threading.Event(), threading.Event()
    get = stores.SlowFileSystem.get_file

    def get_file(self, place, path, **options):
        stop.set()
        assert go_on.wait(30)
        get(self, place, path, **options)

    monkeypatch.setattr(stores.SlowFileSystem, "get_file", get_file)
    with pytest.raises(Stopped):
        CachedFile(slow).take(lambda _: None, stop, Uses())
    go_on.set()
    for thread in threading.enumerate():
        if thread.name == "remote file":  # which was left behind
            thread.join(30)
    assert kept(cache) == []


def _take_in_process(url, begin, results):
    begin.wait()
    results.put(hashlib.sha256(take(url).read_bytes()).hexdigest())


def test_processes_that_ask_at_once_download_once(slow, tmp_path):
    begin, results = fork.Event(), fork.SimpleQueue()
    processes = [fork.Process(target=_take_in_process, args=(slow, begin, results)) for _ in range(4)]
    for process in processes:
        process.start()
    begin.set()
    found = {results.get() for _ in processes}
    for process in processes:
        process.join()
    assert found == {hashlib.sha256(CONTENT).hexdigest()}
    assert (tmp_path / "a.log").read_text() == "began\n"


def test_processes_that_are_killed_leave_whole_files_or_none(slow, cache):
    generator = random.Random(1)
    for number in range(KILLS):
        if number % 10 == 0:
            for path in kept(cache):
                path.unlink()
        begin, results = fork.Event(), fork.SimpleQueue()
        processes = [fork.Process(target=_take_in_process, args=(slow, begin, results)) for _ in range(2)]
        for process in processes:
            process.start()
        begin.set()
        time.sleep(generator.uniform(0, 0.08))
        os.kill(processes[0].pid, signal.SIGKILL)
        if number % 3:
            os.kill(processes[1].pid, signal.SIGKILL)
        else:
            assert results.get() == hashlib.sha256(CONTENT).hexdigest()  # it was not kept waiting
        for process in processes:
            process.join()
        whole = [path for path in kept(cache) if not path.name.endswith(".writing")]
        assert all(path.read_bytes() == CONTENT for path in whole)
    take(slow)
    assert [path.read_bytes() for path in kept(cache)] == [CONTENT]
