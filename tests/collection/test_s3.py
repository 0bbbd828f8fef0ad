"""Betons in S3: a real server of its protocol on this machine."""

import os
import shutil
import urllib.request
from dataclasses import replace
from pathlib import Path

import fsspec
import pytest

from benchmarks.s3_store import s3_server
from ffcv_hydra.beton import Beton
from ffcv_hydra.collection import read_index, remote_file, write_index, write_sharded_beton
from ffcv_hydra.collection.data_cache import data_cache
from ffcv_hydra.collection.fetching import local
from ffcv_hydra.collection.uploading import upload
from ffcv_hydra.datasets import ToyImages
from ffcv_hydra.errors import RemoteError
from tests import processes
from tests.loader.configurations import FIELDS, Scenes, digests, make

s3fs = pytest.importorskip("s3fs")
pytest.importorskip("moto.server")
pytestmark = pytest.mark.timeout(180)

MANY, ONE = "s3://bucket/folder/many.beton", "s3://bucket/one.beton"
KEY, SECRET = "AKIAKEYOFTHETESTS", "secretofthetests"


@pytest.fixture(scope="module")
def sharded(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("sharded") / "scenes.beton"
    write_sharded_beton(Scenes(), path, FIELDS, shards=5, num_workers=0, page_size=1 << 21)
    return path


@pytest.fixture(scope="module")
def endpoint():
    with s3_server() as endpoint:
        yield endpoint


@pytest.fixture(autouse=True)
def s3(endpoint, tmp_path, monkeypatch):
    """A store with an empty bucket, for those who have the credentials."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("FFCV_HYDRA_DATA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(remote_file, "BACKOFF_SECONDS", 0.01)
    monkeypatch.setattr(remote_file, "TRIES", 2)
    _post(f"{endpoint}/moto-api/reset-auth", b"inf")
    _post(f"{endpoint}/moto-api/reset")
    s3fs.S3FileSystem.clear_instance_cache()
    store = fsspec.filesystem("s3")
    store.mkdir("bucket")
    yield store
    s3fs.S3FileSystem.clear_instance_cache()


def _post(url, data=b""):
    request = urllib.request.Request(url, data, {"Content-Type": "text/plain"})
    with urllib.request.urlopen(request, timeout=30):
        pass


def ask_for_permission(endpoint):
    """Nothing is allowed from here on: nobody has been given a permission."""
    _post(f"{endpoint}/moto-api/reset-auth", b"0")


def test_batches_from_s3_are_those_of_the_file(scenes, sharded):
    assert (upload(scenes, ONE), upload(sharded, MANY)) == ((1, 0), (7, 0))
    expected = digests(make(scenes, "random"))
    assert digests(make(ONE, "random")) == expected
    assert digests(make(MANY, "random")) == expected


def test_upload_and_fetch_go_on_where_they_were(sharded, s3, monkeypatch):
    upload(sharded, MANY)
    s3.rm(f"{MANY}/00002.beton")
    s3.pipe(f"{MANY}/00003.beton", b"cut")
    assert upload(sharded, MANY) == (3, 4)
    here = local(MANY)
    Path(read_index(here).shards[1].location(here)).unlink()
    got = []
    download = remote_file.RemoteFile.download
    monkeypatch.setattr(
        remote_file.RemoteFile, "download", lambda self, *args: (got.append(self.url), download(self, *args))[1]
    )
    local(MANY)
    assert got == [f"{MANY}/00001.beton"]


def test_what_is_not_there_is_named(scenes):
    with pytest.raises(RemoteError, match="^s3://bucket/none.beton: there is no such file; correct the URL$"):
        local("s3://bucket/none.beton")
    with pytest.raises(RemoteError, match="^s3://none/a.beton: there is no such file; correct the URL$"):
        local("s3://none/a.beton")
    with pytest.raises(RemoteError, match="^s3://none/a.beton: there is no such bucket or folder; make it first$"):
        upload(scenes, "s3://none/a.beton")


def test_without_permission(scenes, endpoint):
    upload(scenes, ONE)
    ask_for_permission(endpoint)
    told = r"/\w+.beton: no permission; ask for it, or use other credentials$"
    with pytest.raises(RemoteError, match="^s3://bucket" + told):
        local(ONE)
    with pytest.raises(RemoteError, match="^s3://bucket" + told) as caught:
        upload(scenes, "s3://bucket/new.beton")
    assert KEY not in str(caught.value)


def test_without_credentials(scenes, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    s3fs.S3FileSystem.clear_instance_cache()
    told = rf"^{ONE}\S*: credentials are missing or not accepted; set those .* AWS_PROFILE, or AWS_ACCESS_KEY_ID and"
    with pytest.raises(RemoteError, match=told):
        local(ONE)
    with pytest.raises(RemoteError, match=told):
        upload(scenes, ONE)


def test_a_profile_is_where_credentials_are_found(scenes, monkeypatch, tmp_path):
    (tmp_path / "credentials").write_text(f"[mine]\naws_access_key_id = {KEY}\naws_secret_access_key = {SECRET}\n")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_PROFILE", "mine")
    s3fs.S3FileSystem.clear_instance_cache()
    assert upload(scenes, ONE) == (1, 0)


def test_a_shard_of_another_conversion_and_one_that_is_damaged_are_named_and_not_kept(sharded, s3):
    upload(sharded, MANY)
    content = bytearray((sharded / "00001.beton").read_bytes())
    beton = Beton(sharded / "00001.beton")
    content[int(beton.extents("image")[0][3])] ^= 1
    s3.pipe(f"{MANY}/00001.beton", bytes(content))
    with pytest.raises(
        RemoteError,
        match=f"^{MANY}/00001.beton: field 'image', sample 3: the stored bytes differ from their checksum; upload it",
    ):
        local(MANY)
    index = read_index(sharded)
    changed = Path(str(sharded) + ".other")
    shutil.copytree(sharded, changed)
    other = replace(index.shards[1], num_bytes=(sharded / "00000.beton").stat().st_size)
    write_index(changed, replace(index, shards=(index.shards[0], other, *index.shards[2:])))
    shutil.copy(sharded / "00000.beton", changed / "00001.beton")
    upload(changed, MANY, overwrite=True)
    with pytest.raises(RemoteError, match=f"^{MANY}/00001.beton: has changed: its tables are not those that its index"):
        local(MANY, anew=True)
    assert not list(data_cache().rglob("00001.beton"))


def test_what_changed_under_its_url_is_one_line_until_it_is_taken_anew(scenes, sharded):
    upload(scenes, ONE)
    local(ONE)
    upload(sharded / "00000.beton", ONE, overwrite=True)
    with pytest.raises(RemoteError, match=f"^{ONE}: changed since it was fetched; python -m ffcv_hydra fetch --anew"):
        local(ONE)
    assert local(ONE, anew=True).read_bytes() == (sharded / "00000.beton").read_bytes()


def test_a_run_keeps_and_says_nothing_secret(tmp_path):
    write_sharded_beton(ToyImages(32), tmp_path / "toy.beton", shards=2, num_workers=0)
    upload(tmp_path / "toy.beton", "s3://bucket/toy.beton")
    run = ["run.py", "debug=fast_dev_run", f"hydra.run.dir={tmp_path}/run", "cache.limit=1GB"]
    run += ["dataset.splits.train.beton=s3://bucket/toy.beton", "dataset.splits.val=null", "dataset.splits.test=null"]
    done = processes.run(run, tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    files = [path for path in (tmp_path / "run").rglob("*") if path.is_file()]
    assert len(files) > 2
    for text in (done.stdout, done.stderr, *(path.read_bytes().decode("latin-1") for path in files)):
        assert SECRET not in text and KEY not in text
