"""Conversion into shards: the same samples, the same bytes whatever happened meanwhile, and what is replaced by it."""

import os
import shutil
from functools import reduce

import numpy as np
import pytest

from ffcv_hydra.beton import Beton, write_beton
from ffcv_hydra.beton.data_digest import DataDigest, data_digest, fields_identity
from ffcv_hydra.beton.fields.base import Field
from ffcv_hydra.beton.writing import partial, placing
from ffcv_hydra.collection.facts import read_manifest
from ffcv_hydra.collection.index import read_index
from ffcv_hydra.collection.writing import write_sharded_beton
from ffcv_hydra.errors import ConversionError

pytestmark = pytest.mark.timeout(120)
OPTIONS = {"num_workers": 0, "chunksize": 10, "page_size": 1 << 21}
LEFT = {"a.beton.partial.shards", "a.beton.partial.facts"}
read_indices: list[int] = []


class Numbers:
    """100 samples of about 10 kB, one value of each drawn; some fail while `broken` says so."""

    broken: set[int] = set()

    def __len__(self):
        return 100

    def __getitem__(self, index):
        read_indices.append(index)
        if index in self.broken:
            raise ValueError("broken")
        data = np.random.default_rng(index).integers(0, 256, 10_000 + index, dtype=np.uint8)
        return data, index, np.random.rand()


class InParts:
    """100 small samples in parts of different lengths, some empty; no length."""

    shard_names = [f"part {number}" for number in range(6)]
    bounds = [0, 0, 33, 34, 90, 90, 100]

    def read_shard(self, number):
        for index in range(*self.bounds[number : number + 2]):
            if index in Numbers.broken:
                raise ValueError("broken")
            yield np.full(100 * index, index, np.uint8), index, np.random.rand()


WAYS = [(Numbers, {"shards": 7}), (Numbers, {"shard_size": 150_000}), (InParts, {"shard_size": "37kB"})]


@pytest.fixture(autouse=True)
def _all_in_order(monkeypatch):
    read_indices.clear()
    monkeypatch.setattr(partial, "COMMIT_SECONDS", 0)
    monkeypatch.setattr(partial, "COMMIT_SHARE", 0)
    monkeypatch.setattr(Numbers, "broken", set())


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def write(path, dataset=Numbers, **options):
    return write_sharded_beton(dataset(), path, **(OPTIONS | options))


def shards_of(path):
    return [Beton(shard.location(path)) for shard in read_index(path).shards]


def labels(path):
    return [label for beton in shards_of(path) for label in beton.field_metadata("int").tolist()]


@pytest.mark.parametrize(("dataset", "cut"), WAYS)
def test_shards_hold_what_one_file_does(tmp_path, dataset, cut):
    one, path = tmp_path / "one.beton", tmp_path / "a.beton"
    write_beton(dataset(), one, **OPTIONS)
    summary = write(path, dataset, **cut)
    index, betons = read_index(path), shards_of(path)
    assert labels(path) == list(range(100))
    assert index.data == data_digest(Beton(one)) == reduce(DataDigest.then, map(data_digest, betons))
    assert index.fields == fields_identity(Beton(one))
    assert index.kinds == summary.fields == {"bytes": "bytes", "int": "int", "float": "float"}
    assert [shard.file for shard in index.shards] == [f"{number:05d}.beton" for number in range(len(betons))]
    assert [(s.num_samples, s.num_bytes, s.tables) for s in index.shards] == [
        (beton.num_samples, beton.path.stat().st_size, beton.checksum) for beton in betons
    ]
    assert (summary.path, summary.num_samples, summary.num_bytes) == (path, 100, index.num_bytes)
    assert read_manifest(path) == read_manifest(one)
    assert sorted(os.listdir(tmp_path)) == ["a.beton", "one.beton"]


def test_the_numbers_of_samples_are_as_equal_as_can_be(tmp_path):
    write(tmp_path / "a.beton", shards=7)
    assert [beton.num_samples for beton in shards_of(tmp_path / "a.beton")] == [15, 15, 14, 14, 14, 14, 14]


def test_a_shard_ends_with_the_sample_that_reaches_its_size(tmp_path):
    write(tmp_path / "a.beton", shard_size=150_000)
    sizes = [beton.path.stat().st_size for beton in shards_of(tmp_path / "a.beton")]
    assert len(sizes) == 7
    for size in sizes[:-1]:
        assert 150_000 <= size < 150_000 + 20_000


@pytest.mark.parametrize(("dataset", "cut"), WAYS)
def test_the_bytes_are_the_same_for_any_workers_and_interruptions(tmp_path, monkeypatch, dataset, cut):
    write(tmp_path / "reference", dataset, **cut)
    reference = contents(tmp_path / "reference")
    for num_workers in (1, 3):
        write(tmp_path / str(num_workers), dataset, num_workers=num_workers, **cut)
        assert contents(tmp_path / str(num_workers)) == reference
    path = tmp_path / "a.beton"
    for at in (3, 17, 18, 33, 34, 60, 99):
        with monkeypatch.context() as patch, pytest.raises(ConversionError, match="broken"):
            patch.setattr(Numbers, "broken", {at})
            write(path, dataset, num_workers=at % 2, **cut)
        assert not path.exists()
    write(path, dataset, **cut)
    assert contents(path) == reference
    assert not LEFT & set(os.listdir(tmp_path))


def test_finished_shards_are_kept_and_the_one_at_work_goes_on(tmp_path, monkeypatch):
    path = tmp_path / "a.beton"
    with monkeypatch.context() as patch, pytest.raises(ConversionError, match="sample 88"):
        patch.setattr(Numbers, "broken", {88})
        write(path, shards=2, chunksize=10)
    assert set(os.listdir(tmp_path)) == LEFT
    read_indices.clear()
    write(path, shards=2, chunksize=10)
    # A look at the dataset, the first samples of the finished shard, the first and the last finished portion of the
    # second shard, the rest.
    assert read_indices[-40:] == [*range(50, 60), *range(70, 80), *range(80, 100)]
    assert not set(read_indices[:-40]) & set(range(10, 24))


@pytest.mark.parametrize("changed", ["data", "metadata"])
def test_finished_shards_are_not_kept_if_the_dataset_gives_other_samples_now(tmp_path, monkeypatch, changed, caplog):
    path = tmp_path / "a.beton"
    with monkeypatch.context() as patch, pytest.raises(ConversionError, match="sample 88"):
        patch.setattr(Numbers, "broken", {88})
        write(path, shards=5)
    before = Numbers.__getitem__

    def other(self, index):
        item = before(self, index)
        at = next(n for n, value in enumerate(item) if isinstance(value, int) == (changed == "metadata"))
        return (*item[:at], item[at] + 1, *item[at + 1 :])

    monkeypatch.setattr(Numbers, "__getitem__", other)
    write(tmp_path / "reference", shards=5)
    write(path, shards=5)
    assert contents(path) == contents(tmp_path / "reference")
    assert "the dataset gives other samples now" in caplog.text


def test_a_finished_shard_that_was_damaged_is_made_again(tmp_path, monkeypatch):
    path = tmp_path / "a.beton"
    write(tmp_path / "reference", shards=5)
    with monkeypatch.context() as patch, pytest.raises(ConversionError, match="sample 88"):
        patch.setattr(Numbers, "broken", {88})
        write(path, shards=5)
    shard = tmp_path / "a.beton.partial.shards/00001.beton"
    shard.write_bytes(shard.read_bytes()[:-100])
    write(path, shards=5)
    assert contents(path) == contents(tmp_path / "reference")


@pytest.mark.parametrize("change", [{"shards": 6}, {"shard_size": 10**6}, {"seed": 1}, {"resume": False}])
def test_another_conversion_begins_anew(tmp_path, monkeypatch, change):
    path, options = tmp_path / "a.beton", {"shards": 5} if "shard_size" not in change else {}
    write(tmp_path / "reference", **(options | change))
    with monkeypatch.context() as patch, pytest.raises(ConversionError, match="sample 88"):
        patch.setattr(Numbers, "broken", {88})
        write(path, shards=5)
    write(path, **(options | change))
    assert contents(path) == contents(tmp_path / "reference")


def test_where_nothing_can_be_gone_on_with_nothing_stays(tmp_path):
    def broken():
        yield from ((n, np.zeros(100, np.uint8)) for n in range(50))
        raise ValueError("broken")

    with pytest.raises(ConversionError, match="broken"):
        write_sharded_beton(broken(), tmp_path / "a.beton", shard_size=1000, **OPTIONS)
    assert os.listdir(tmp_path) == []


def test_each_shard_says_which_one_it_is(tmp_path):
    description = {"source": {"_target_": "numbers"}}
    write(tmp_path / "a.beton", shards=2, description=description)
    assert read_index(tmp_path / "a.beton").description == description
    assert [beton.description for beton in shards_of(tmp_path / "a.beton")] == [
        {**description, "shard": 0},
        {**description, "shard": 1},
    ]


def test_stock_ffcv_reads_each_shard(tmp_path, read_by_stock_ffcv):
    write(tmp_path / "a.beton", shards=3)
    batches = read_by_stock_ffcv(tmp_path / "a.beton/00001.beton", 33)
    assert batches[0][1].reshape(-1).tolist() == list(range(34, 67))


class Pair(Field):
    """A class that only its user knows."""

    metadata_type = np.dtype([("first", "<i8"), ("second", "<i8")])

    def encode(self, destination, value, malloc):
        destination["first"], destination["second"] = value


def test_fields_of_a_users_own_are_stored(tmp_path):
    dataset = [((n, n + 1),) for n in range(5)]
    write_sharded_beton(dataset, tmp_path / "a.beton", {"pair": Pair()}, shards=2, **OPTIONS)
    assert read_index(tmp_path / "a.beton").num_samples == 5


@pytest.mark.parametrize(
    ("cut", "told"),
    [
        ({}, "give either shards or shard_size, not both"),
        ({"shards": 2, "shard_size": 100}, "give either shards or shard_size, not both"),
        ({"shards": 0}, "shards is 0; use a whole number from 1 on"),
        ({"shards": True}, "shards is True; use a whole number"),
        ({"shards": 101}, "shards=101: there are only 100 samples; use fewer shards"),
        ({"shard_size": 0}, "shard_size is 0; use a number of bytes"),
        ({"shard_size": "1 pound"}, "shard_size is '1 pound'; use a number of bytes from 1 on, or a text such as"),
        ({"shard_size": "0GB"}, "shard_size is '0GB'"),
    ],
)
def test_impossible_cuts_are_refused(tmp_path, cut, told):
    with pytest.raises(ConversionError, match=told):
        write(tmp_path / "a.beton", **cut)
    assert os.listdir(tmp_path) == []


def test_without_a_length_the_number_of_shards_cannot_be_kept(tmp_path):
    with pytest.raises(ConversionError, match="shards=2: InParts has no length; use shard_size, such as 1GB"):
        write(tmp_path / "a.beton", InParts, shards=2)


def test_a_file_and_a_folder_replace_each_other(tmp_path):
    path = tmp_path / "a.beton"
    for _ in range(2):
        write_beton(Numbers(), path, **OPTIONS)
        assert Beton(path).num_samples == 100
        write(path, shards=3)
        write(path, shards=2)
        assert labels(path) == list(range(100))
        assert len(read_index(path).shards) == 2
        assert os.listdir(tmp_path) == ["a.beton"]


@pytest.mark.parametrize("before", ["file", "folder"])
def test_killed_while_it_replaces_nothing_is_lost(tmp_path, monkeypatch, before):
    path, rename = tmp_path / "a.beton", os.rename
    write_beton(Numbers(), path, **OPTIONS) if before == "file" else write(path, shards=2)
    kept = contents(path) if before == "folder" else path.read_bytes()

    class Killed(BaseException):
        pass

    def die(source, target):
        if target == path:
            raise Killed
        rename(source, target)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(placing.os, "rename", die)
        write(path, shards=3)
    assert not path.exists()
    with partial.Partial.locked(path):
        assert (contents(path) if before == "folder" else path.read_bytes()) == kept
    read_indices.clear()
    write(path, shards=3)
    # Only the look at the dataset, and at the first samples of the first and the last shard: all of them were there.
    assert not set(read_indices) & {*range(10, 24), *range(50, 60)}
    assert len(read_index(path).shards) == 3
    assert os.listdir(tmp_path) == ["a.beton"]


def test_a_folder_with_other_files_is_not_replaced(tmp_path):
    path = tmp_path / "a.beton"
    write(path, shards=2)
    (path / "notes.txt").write_text("mine")
    for convert in (lambda: write(path, shards=3), lambda: write_beton(Numbers(), path, **OPTIONS)):
        with pytest.raises(ConversionError, match=r"cannot replace .*a.beton: notes.txt in it is none of its shards"):
            convert()
    assert len(read_index(path).shards) == 2
    shutil.rmtree(path)
    path.mkdir()
    with pytest.raises(ConversionError, match="it is a directory; name a file in it"):
        write(path, shards=3)


def test_a_folder_of_somebodys_is_not_taken_for_unfinished_shards(tmp_path):
    (tmp_path / "a.beton.partial.shards").mkdir()
    (tmp_path / "a.beton.partial.shards/mine").write_text("mine")
    with pytest.raises(ConversionError, match=r"a.beton.partial.shards: mine in it is none of its shards; move it"):
        write(tmp_path / "a.beton", shards=2)
    assert (tmp_path / "a.beton.partial.shards/mine").read_text() == "mine"
