"""Betons at URLs, which are read as those on this machine are."""

import copy
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import fsspec
import pytest

from ffcv_hydra.beton import Beton, write_beton
from ffcv_hydra.beton_path import beton_exists
from ffcv_hydra.building.conversion_config import distinct_betons
from ffcv_hydra.cli.entry import execute
from ffcv_hydra.cli.inspection import main
from ffcv_hydra.cli.resolvers import count_classes
from ffcv_hydra.collection import (
    Index,
    ShardEntry,
    read_index,
    remote_file,
    remote_shards,
    write_index,
    write_sharded_beton,
)
from ffcv_hydra.collection.cache_room import LIMIT
from ffcv_hydra.collection.data_cache import data_cache
from ffcv_hydra.collection.facts import read_manifest
from ffcv_hydra.collection.fetching import local
from ffcv_hydra.collection.mixture import Mixture
from ffcv_hydra.collection.shards import identity_of, opened
from ffcv_hydra.collection.uploading import upload
from ffcv_hydra.errors import BetonError, RemoteError
from ffcv_hydra.loader import Loader
from ffcv_hydra.ordering import QuasiRandom
from ffcv_hydra.ordering.options import OrderOption
from ffcv_hydra.pipeline import FFCVPipelineManager
from tests.collection import stores
from tests.loader.configurations import FIELDS, Scenes, digests, make, pipelines_with

pytestmark = pytest.mark.timeout(180)


CROPS = pipelines_with("RandomResizedCrop")
LABELS = {name: "disabled" for name in FIELDS if name != "label"}


@pytest.fixture(scope="module")
def sharded(tmp_path_factory) -> Path:
    """The 48 scenes in five shards."""
    path = tmp_path_factory.mktemp("sharded") / "scenes.beton"
    write_sharded_beton(Scenes(), path, FIELDS, shards=5, num_workers=0, page_size=1 << 21)
    return path


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("FFCV_HYDRA_DATA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(remote_file, "BACKOFF_SECONDS", 0.01)
    monkeypatch.setattr(remote_file, "TRIES", 3)
    return tmp_path / "cache"


@pytest.fixture
def server(scenes, sharded, tmp_path):
    store = tmp_path / "store"
    store.mkdir()
    shutil.copy(scenes, store / "one.beton")
    shutil.copytree(sharded, store / "many.beton")
    with stores.serving(store) as server:
        yield server


def test_batches_from_urls_are_those_of_the_file(scenes, sharded, server):
    fsspec.filesystem("memory").put(str(scenes), "/scenes.beton")
    expected = digests(make(scenes, "random"))
    urls = [f"{server.url}/one.beton", f"{server.url}/many.beton", f"file://{sharded}", "memory://scenes.beton"]
    for url in urls:
        loader = make(url, "random")
        assert digests(loader) == expected, url
        assert identity_of(opened(url)) == identity_of(Beton(scenes))
    assert len([path for path in server.gets if path.endswith("0.beton")]) == 1


def test_urls_stand_in_lists_mixtures_managers_and_indexes(scenes, sharded, server, tmp_path):
    url = f"{server.url}/many.beton"
    expected = digests(make([sharded, scenes], "random"))
    assert digests(make([url, scenes], "random")) == expected
    mixed = [digests(Loader(Mixture({path: 0.7, scenes: 0.3}), 8, pipelines=LABELS)) for path in (url, sharded)]
    assert mixed[0] == mixed[1]
    manager = FFCVPipelineManager(url)
    assert manager.file_path == url
    index = read_index(sharded)
    shards = [replace(shard, file=f"{url}/{shard.file}") for shard in index.shards]
    shards[1] = replace(index.shards[1], file=str(sharded / index.shards[1].file))
    (tmp_path / "merged").mkdir()
    write_index(tmp_path / "merged", replace(index, shards=tuple(shards), manifest=""))
    assert digests(make(tmp_path / "merged", "random")) == digests(make(sharded, "random"))


def test_without_a_network_the_cache_is_enough(sharded, server, caplog):
    url = f"{server.url}/many.beton"
    loader = make(url, "random")
    expected = digests(loader)
    server.faults = [("", 500)] * 9
    loader.sampler.set_epoch(0)
    for other in (copy.deepcopy(loader), pickle.loads(pickle.dumps(loader))):
        other.sampler.set_epoch(0)
        assert digests(other) == expected  # asks nobody
    assert len(server.faults) == 9
    assert digests(make(url, "random")) == expected
    assert "failed with HTTP status 500; going on with what is in the cache" in caplog.text
    server.faults.clear()
    (server.folder / "many.beton" / "index.json").unlink()
    assert digests(make(url, "random")) == expected
    assert "is there no longer; going on with what is in the cache" in caplog.text


def bytes_in(cache):
    """Of the shards there, while some of them may be evicted."""
    found = 0
    for folder in os.listdir(cache):
        with suppress(OSError):
            found += sum(path.stat().st_size for path in (cache / folder).glob("0*.beton"))
    return found


def shards_got(server):
    return [path for path in server.gets if path.startswith("/many.beton/0")]


def test_shards_come_when_they_are_needed(sharded, server):
    options = {"indices": range(12, 20), "batch_size": 4, "pipelines": CROPS}
    loader = make(f"{server.url}/many.beton", "random", **options)
    assert shards_got(server) == ["/many.beton/00000.beton"]  # which says what the fields are
    assert digests(loader) == digests(make(sharded, "random", **options))
    assert sorted(shards_got(server)) == ["/many.beton/00000.beton", "/many.beton/00001.beton"]


@pytest.mark.parametrize("os_cache", [True, False])
def test_a_cache_that_is_smaller_than_the_data_gives_the_same_batches(server, cache, monkeypatch, os_cache):
    sharded = server.folder / "many.beton"
    shutil.rmtree(sharded)
    write_sharded_beton(Scenes(), sharded, FIELDS, shards=24, num_workers=0, page_size=1 << 21)
    monkeypatch.setattr(remote_shards, "ROOM_SECONDS", 10)
    limit = 18 * max(path.stat().st_size for path in sharded.glob("*.beton"))
    monkeypatch.setenv(LIMIT, str(limit))
    options = {"ordering": QuasiRandom(pages=2), "batch_size": 3, "batches_ahead": 1, "pipelines": CROPS}
    options["os_cache"] = os_cache
    here, there = make(sharded, "random", **options), make(f"{server.url}/many.beton", "random", **options)
    for _ in range(3):
        expected = digests(here)
        for number, batch in enumerate(there):
            assert digests([batch]) == expected[number : number + 1]
            assert bytes_in(cache) <= limit
    assert 24 < len(shards_got(server)) <= 4 * 24


def test_a_batch_that_is_read_from_more_than_the_cache_holds_is_one_line(sharded, server, monkeypatch):
    monkeypatch.setattr(remote_shards, "ROOM_SECONDS", 0.3)
    largest = max(path.stat().st_size for path in sharded.glob("*.beton"))
    monkeypatch.setenv(LIMIT, str(2 * largest))
    with pytest.raises(
        RemoteError, match=r"^a batch is read from 5 of 5 shards, [\d,]+ bytes, and the cache's limit is"
    ):
        digests(make(f"{server.url}/many.beton", "random", batch_size=24, pipelines=CROPS))
    monkeypatch.setenv(LIMIT, str(largest // 2))
    with pytest.raises(RemoteError, match=r"many.beton/0000\d.beton: has .* bytes, and the cache's limit is"):
        make(f"{server.url}/many.beton", "random")


def test_random_says_what_it_costs_before_it_starts(sharded, server, monkeypatch, caplog):
    largest = max(path.stat().st_size for path in sharded.glob("*.beton"))
    monkeypatch.setenv(LIMIT, str(4 * largest))
    options = {"batch_size": 1, "batches_ahead": 1, "pipelines": CROPS}
    for ordering in (OrderOption.SEQUENTIAL, OrderOption.RANDOM):
        next(iter(make(f"{server.url}/many.beton", "random", ordering=ordering, **options)))
        told = [text for text in caplog.messages if "ordering=quasi_random does it once" in text]
        assert len(told) == (ordering is OrderOption.RANDOM)
    assert "this order fetches each of them about 2 times in an epoch" in told[0] or "about 3 times" in told[0]


def test_an_error_of_a_shard_is_the_loader_s(sharded, server):
    (server.folder / "many.beton" / "00003.beton").unlink()
    options = {"ordering": OrderOption.SEQUENTIAL, "pipelines": CROPS}
    loader = make(f"{server.url}/many.beton", "random", **options)
    batches = iter(loader)
    assert digests([next(batches), next(batches)]) == digests(make(sharded, "random", **options))[:2]
    for _ in range(2):
        with pytest.raises(RemoteError, match=f"^{server.url}/many.beton/00003.beton: there is no such file"):
            digests(batches)
        loader.sampler.set_epoch(0)
        batches = iter(loader)
    shutil.copy(sharded / "00003.beton", server.folder / "many.beton")
    assert digests(loader) == digests(make(sharded, "random", **options))


def test_a_pass_that_is_left_leaves_no_threads(server):
    server.faults = [("00003.beton", "stall")] * 9
    for _ in range(3):
        batches = iter(make(f"{server.url}/many.beton", "random", ordering=OrderOption.SEQUENTIAL, pipelines=CROPS))
        next(batches)
        del batches
    deadline = time.monotonic() + 30
    while any(thread.name in ("fetching ahead", "ffcv_hydra-0") for thread in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_the_manifest_comes_along(sharded, server):
    here = local(f"{server.url}/many.beton")
    assert here.is_relative_to(data_cache())
    assert read_index(sharded).manifest
    assert read_manifest(here).num_items == read_manifest(sharded).num_items


def test_what_changed_under_its_url_is_one_line_until_it_is_taken_anew(scenes, sharded, server):
    one, many = f"{server.url}/one.beton", f"{server.url}/many.beton"
    assert (local(one).is_file(), local(many).is_dir()) == (True, True)
    shutil.copy(sharded / "00000.beton", server.folder / "one.beton")
    index = read_index(sharded)
    few = replace(index, shards=index.shards[:3])
    write_index(server.folder / "many.beton", few)
    for url, num_samples in ((one, index.shards[0].num_samples), (many, few.num_samples)):
        with pytest.raises(
            RemoteError, match=f"{url}: changed since it was fetched; python -m ffcv_hydra fetch --anew"
        ):
            local(url)
        local(url, anew=True)
        assert opened(url).num_samples == num_samples


def test_a_shard_that_is_not_the_index_s_is_named_by_its_url(server, sharded):
    shutil.copy(sharded / "00000.beton", server.folder / "many.beton" / "00001.beton")
    index = read_index(sharded)
    same_size = replace(index.shards[1], num_bytes=(sharded / "00000.beton").stat().st_size)
    url = f"{server.url}/many.beton"
    if same_size != index.shards[1]:
        with pytest.raises(RemoteError, match=r"many.beton/00001.beton: has changed: it has [\d,]+ bytes, its index"):
            local(url)
    write_index(server.folder / "many.beton", replace(index, shards=(index.shards[0], same_size, *index.shards[2:])))
    with pytest.raises(RemoteError, match=f"^{url}/00001.beton: has changed: its tables are not those that its index"):
        local(url, anew=True)
    (server.folder / "many.beton" / "00001.beton").unlink()
    with pytest.raises(RemoteError, match=f"^{url}/00001.beton: there is no such file"):
        local(url)
    assert len(list(data_cache().rglob("00000.beton"))) == 1  # what is whole stays


@pytest.mark.parametrize("content", [b"<html>no beton</html>", b""])
def test_what_is_no_beton_or_no_index_is_named_by_its_url(server, content):
    (server.folder / "one.beton").write_bytes(content)
    (server.folder / "many.beton" / "index.json").write_bytes(content)
    with pytest.raises(BetonError, match=f"^{server.url}/one.beton: "):
        local(f"{server.url}/one.beton")
    with pytest.raises(BetonError, match=f"^{server.url}/many.beton/index.json: is no index"):
        local(f"{server.url}/many.beton")
    with pytest.raises(RemoteError, match=f"^{server.url}/none: there is no such file; correct the URL"):
        Loader(f"{server.url}/none", 1)


def test_paths_of_another_machine_and_outside_are_no_way_out_of_the_cache(server, sharded):
    index = read_index(sharded)
    url = f"{server.url}/many.beton"
    for file, error in (
        ("/etc/passwd", "its index names /etc/passwd, a path of the machine"),
        ("../../x", "no such file"),
    ):
        shards = (replace(index.shards[0], file=file), *index.shards[1:])
        write_index(server.folder / "many.beton", replace(index, shards=shards))
        with pytest.raises(RemoteError, match=error):
            local(url, anew=True)


def test_an_index_may_be_forbidden_where_only_a_beton_is(server, scenes):
    """S3 says so of what is not there, to those who may not list it."""
    server.faults = [("one.beton/index.json", 403)] * 2
    assert local(f"{server.url}/one.beton").read_bytes() == scenes.read_bytes()


def test_nothing_secret_is_written(server, cache):
    url = f"{server.url}/many.beton?X-Amz-Signature=hidden".replace("://", "://ana:hidden@")
    here = local(url)
    assert json.loads((here / ".about.json").read_text()) == {"url": f"http://***@{server.url[7:]}/many.beton?..."}
    for path in cache.rglob("*"):
        assert "hidden" not in str(path)
        assert not path.is_file() or b"hidden" not in path.read_bytes()


INTERRUPTED = """
import sys
from tests.collection import stores
from ffcv_hydra.cli.inspection import main
sys.exit(main(["fetch", sys.argv[1]]))
"""


def test_ctrl_c_ends_it_and_keeps_what_is_whole(server, cache):
    server.faults = [("00003.beton", "stall")] * 9
    process = subprocess.Popen([sys.executable, "-c", INTERRUPTED, f"{server.url}/many.beton"], stderr=subprocess.PIPE)
    deadline = time.monotonic() + 120
    while not list(cache.rglob("00004.beton")) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (130, b"")
    assert sorted(path.name for path in cache.rglob("*.beton")) == [f"0000{number}.beton" for number in (0, 1, 2, 4)]
    assert not list(cache.rglob("*.writing"))
    server.faults.clear()
    server.gets.clear()
    local(f"{server.url}/many.beton")
    assert server.gets.count("/many.beton/00003.beton") == 1 and "/many.beton/00000.beton" not in server.gets


def test_upload_goes_on_where_it_was_and_writes_the_index_last(sharded, scenes, tmp_path, monkeypatch):
    written = []
    put = stores.SlowFileSystem.put_file

    def noting(self, path, place, **options):
        written.append(Path(place).name)
        return put(self, path, place, **options)

    monkeypatch.setattr(stores.SlowFileSystem, "put_file", noting)
    url = f"slow://{tmp_path}/store/many.beton"
    assert upload(sharded, url) == (7, 0)
    assert written[-1] == "index.json" and digests(make(url, "random")) == digests(make(sharded, "random"))
    (tmp_path / "store/many.beton/00002.beton").write_bytes(b"cut")
    assert upload(sharded, url) == (2, 5)
    assert upload(sharded, url, overwrite=True) == (7, 0)
    other = tmp_path / "other.beton"
    for path in (tmp_path / "store/many.beton").glob("*.beton"):
        write_beton([(n, path.stem) for n in range(Beton(path).num_samples)], other, num_workers=0, overwrite=True)
        path.write_bytes(
            other.read_bytes().ljust(path.stat().st_size, b"\0")[: path.stat().st_size]
        )  # of the same size
    assert upload(sharded, url) == (6, 1)
    for path in sharded.glob("*.beton"):
        assert (tmp_path / "store/many.beton" / path.name).read_bytes() == path.read_bytes()
    assert upload(scenes, f"file://{tmp_path}/store/one.beton") == (1, 0)
    assert (tmp_path / "store/one.beton").read_bytes() == scenes.read_bytes()


def test_the_commands_say_where_and_how_many(scenes, tmp_path, capsys):
    url = f"file://{tmp_path}/store/one.beton"
    assert main(["upload", str(scenes), url]) == 0
    assert main(["upload", str(scenes), url]) == 0
    assert main(["fetch", url]) == 0
    assert main(["fetch", "one.beton"]) == 1
    output = capsys.readouterr()
    told = [f"{url}: 1 file written", f"{url}: 0 files written, 1 were there already", str(local(url))]
    assert output.out.splitlines() == told
    assert output.err == "one.beton is no URL; write it with its protocol, such as s3://bucket/train.beton\n"


def test_a_split_at_a_url_is_not_converted(monkeypatch):
    split = {"source": {"_target_": "none.None"}, "beton": "s3://bucket/a.beton"}
    config = {"dataset": {"splits": {"train": split}, "fields": None}, "conversion": {}}
    assert distinct_betons(config) == []
    assert beton_exists("s3://bucket/a.beton")
    assert count_classes("/none", "s3://bucket/a.beton") is None


@pytest.mark.parametrize(
    "given",
    [
        "dataset.splits.train.beton=URL",
        "dataset.splits={train: {beton: 'URL'}}",
        'dataset.members={a: {dataset: toy, share: 1, splits: {train: {source: null, beton: "URL"}}}}',
    ],
)
def test_a_command_line_with_secrets_is_refused_before_a_run_s_folder_keeps_it(given, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as caught:
        execute(print, "run", [given.replace("URL", "https://ana:hidden@host/a.beton?hidden")])
    key = given.partition("=")[0]
    assert str(caught.value).startswith(f"{key}=https://***@host/a.beton?...: has a user or a query")
    assert "hidden" not in str(caught.value) and list(tmp_path.iterdir()) == []


def test_another_beton_is_not_replaced_by_an_upload(sharded, scenes, tmp_path):
    many, one, told = f"file://{tmp_path}/many.beton", f"file://{tmp_path}/one.beton", "there is another beton; choose"
    index = read_index(sharded)
    begun = tmp_path / "begun"  # with fewer shards
    shutil.copytree(sharded, begun)
    write_index(begun, replace(index, shards=index.shards[:3]))
    upload(begun, many)
    assert upload(sharded, many)[1] == 4  # the first three, and the manifest
    upload(scenes, one)
    write_index(begun, replace(index, shards=index.shards[1:3]))
    for path, url in ((begun, many), (scenes, many), (sharded, one), (sharded / "00000.beton", one)):
        with pytest.raises(RemoteError, match=rf"{Path(url).name}: {told}"):
            upload(path, url)
    assert digests(make(one, "random")) == digests(make(scenes, "random"))
    assert digests(make(many, "random")) == digests(make(sharded, "random"))
    upload(sharded / "00000.beton", one, overwrite=True)


def test_uploads_that_cannot_be_are_one_line(sharded, scenes, tmp_path, monkeypatch):
    with pytest.raises(
        RemoteError, match="/data is no URL; write it with its protocol, such as s3://bucket/scenes.beton"
    ):
        upload(sharded, "/data")
    with pytest.raises(BetonError, match="no such file"):
        upload(tmp_path / "none.beton", f"file://{tmp_path}/a")
    entry = ShardEntry("../b.beton", 1, 1, "0" * 64, "")
    (tmp_path / "merged").mkdir()
    write_index(tmp_path / "merged", Index((entry,), "", {}))
    with pytest.raises(BetonError, match=r"merged: its shard \.\./b\.beton is not in the folder"):
        upload(tmp_path / "merged", f"file://{tmp_path}/a")

    def refuse(self, path, place, **options):
        raise PermissionError("hidden")

    monkeypatch.setattr(stores.SlowFileSystem, "put_file", refuse)
    with pytest.raises(RemoteError, match="b/one.beton: no permission; ask for it") as caught:
        upload(scenes, f"slow://{tmp_path}/b/one.beton")
    assert "hidden" not in str(caught.value)
    assert threading.active_count() < 50
