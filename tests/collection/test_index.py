"""The index of a sharded beton: written, read, and refused where it lies."""

import json
from dataclasses import replace

import numpy as np
import pytest

from ffcv_hydra.beton.appendix import fingerprint
from ffcv_hydra.beton.data_digest import DataDigest
from ffcv_hydra.collection.index import Index, ShardEntry, is_sharded, read_index, write_index
from ffcv_hydra.errors import BetonError

DIGESTS = [DataDigest(count, (count, 17)) for count in (3, 5)]
SHARDS = tuple(
    ShardEntry(f"{number:05d}.beton", digest.num_samples, 100 + number, f"{number:064x}", str(digest))
    for number, digest in enumerate(DIGESTS)
)
DESCRIPTION = {"source": {"_target_": "toy"}}
INDEX = Index(SHARDS, "ab", {"image": "image", "label": "int"}, DESCRIPTION, fingerprint(DESCRIPTION), "manifest-1.zz")


def test_what_was_written_is_read(tmp_path):
    assert not is_sharded(tmp_path)
    write_index(tmp_path, INDEX)
    assert is_sharded(tmp_path) and not is_sharded(tmp_path / "index.json")
    found = read_index(tmp_path)
    assert found == INDEX
    assert (found.num_samples, found.num_bytes, found.data) == (8, 201, DIGESTS[0].then(DIGESTS[1]))
    assert found.starts.dtype == np.int64 and found.starts.tolist() == [0, 3, 8]
    before = (tmp_path / "index.json").read_bytes()
    write_index(tmp_path, found)
    assert (tmp_path / "index.json").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["index.json"]


def test_one_shard_without_a_digest_leaves_the_whole_without(tmp_path):
    write_index(tmp_path, replace(INDEX, shards=(SHARDS[0], replace(SHARDS[1], data=""))))
    assert read_index(tmp_path).data is None


def test_shards_are_below_the_folder_elsewhere_or_remote():
    files = ["0.beton", "../a/0.beton", "/data/0.beton", "s3://bucket/0.beton"]
    found = [replace(SHARDS[0], file=file).location("/data/b") for file in files]
    assert found == ["/data/b/0.beton", "/data/a/0.beton", "/data/0.beton", "s3://bucket/0.beton"]


def shard(number, **values):
    return lambda content: content["shards"][number].update(values)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda content: content.update(num_samples=9), "num_samples is 9, but its shards have 8 together"),
        (lambda content: content.update(num_bytes=9), "num_bytes is 9, but its shards have 201 together"),
        (lambda content: content.update(data=str(DIGESTS[0])), "data is .* but its shards have"),
        (lambda content: content["shards"].reverse(), "data is .* but its shards have"),
        (lambda content: content["shards"].clear(), "shards: there is none"),
        (lambda content: content.update(shards=3), "shards is no list"),
        (lambda content: content.pop("fields"), "fields is missing"),
        (lambda content: content.update(kinds={"a": 1}), "kinds.a is no str"),
        (lambda content: content.update(manifest="../m"), "manifest is '../m', which is no file of its folder"),
        (lambda content: content.update(description={}), "fingerprint is not that of the description"),
        (lambda content: content.update(version=0), "version is 0, not 1"),
        (shard(1, num_samples=4), r"shards\[1\].num_samples is 4, but its digest is of 5 samples"),
        (shard(1, num_samples=0), r"shards\[1\].num_samples is 0"),
        (shard(0, num_bytes=-5), r"shards\[0\].num_bytes is -5"),
        (shard(0, num_bytes=True), r"shards\[0\].num_bytes is no int"),
        (shard(0, tables="x"), r"shards\[0\].tables is no SHA-256"),
        (shard(0, data="x"), r"shards\[0\].data is no digest of data"),
        (shard(0, file=""), r"shards\[0\].file is empty"),
        (shard(0, file=None), r"shards\[0\].file is missing"),
        (shard(1, file="./00000.beton"), r"shards\[1\].file is '00000.beton', which is there before"),
    ],
)
def test_an_index_that_lies_is_refused(tmp_path, change, told):
    write_index(tmp_path, INDEX)
    path = tmp_path / "index.json"
    content = json.loads(path.read_bytes())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(BetonError, match=f"index.json: is damaged: {told}.*; restore it, or convert or merge again$"):
        read_index(tmp_path)


def test_what_is_no_index_is_refused(tmp_path):
    write_index(tmp_path, INDEX)
    path = tmp_path / "index.json"
    whole = path.read_bytes()
    for content in (whole[:-40], b"", b"\xff\xfe", b"[" * 100_000):
        path.write_bytes(content)
        with pytest.raises(BetonError, match="index.json: is (no index|damaged): .*; restore it"):
            read_index(tmp_path)
    path.write_bytes(b"[]")
    with pytest.raises(BetonError, match="is damaged: the whole is no dict"):
        read_index(tmp_path)
    path.write_bytes(whole.replace(b'"version": 1', b'"version": 7'))
    with pytest.raises(BetonError, match="is of version 7, which is newer than this package; update it$"):
        read_index(tmp_path)


def test_a_folder_without_one_is_refused(tmp_path):
    with pytest.raises(BetonError, match="index.json: no such file; name a .beton file or a folder that has an index"):
        read_index(tmp_path)
