"""Datasets without a length: shards, which workers read in parallel, and any iterable."""

import itertools
import os

import numpy as np
import pytest
import torch

from ffcv_hydra.beton import Beton, write_beton
from ffcv_hydra.beton.writing import partial, worker_pool
from ffcv_hydra.errors import ConversionError

pytestmark = pytest.mark.timeout(120)
OPTIONS = {"page_size": 1 << 21}


class Sharded:
    """Shards with `lengths` samples: `size` bytes each, and a number."""

    def __init__(self, lengths, size=1000, fail=None):
        self.shard_names = [f"shard-{number}.tar" for number in range(len(lengths))]
        self.lengths = lengths
        self.size = size
        self.fail = fail

    def read_shard(self, number):
        for position in range(self.lengths[number]):
            if (number, position) == self.fail:
                raise ValueError("broken")
            yield np.full(self.size, position % 256, dtype=np.uint8), 1000 * number + position


class Stream(torch.utils.data.IterableDataset):
    """A torch dataset whose length nobody knows."""

    def __iter__(self):
        return ((np.full(n % 50, n % 256, dtype=np.uint8), n) for n in range(300))


def contents(path, field="bytes"):
    offsets, sizes = Beton(path).extents(field)
    data = path.read_bytes()
    return [data[offset : offset + size] for offset, size in zip(offsets.tolist(), sizes.tolist(), strict=True)]


@pytest.mark.parametrize("size", [0, 5, 1000, 40_000, 1_500_000])
def test_data_that_stand_in_the_metadatas_way_are_found_at_the_end(tmp_path, size):
    lengths = [5, 1, 7] if size > 100_000 else [40, 0, 100]
    write_beton(Sharded(lengths, size), tmp_path / "a.beton", num_workers=0, **OPTIONS)
    beton = Beton(tmp_path / "a.beton")
    positions = [(number, position) for number, length in enumerate(lengths) for position in range(length)]
    assert beton.field_metadata("int").tolist() == [1000 * number + position for number, position in positions]
    assert contents(beton.path) == [bytes([position % 256]) * size for _, position in positions]


@pytest.mark.parametrize("size", [50, 25_000])
def test_each_small_sample_is_in_one_page_wherever_it_had_to_go(tmp_path, size):
    samples = ((np.full(size, n, np.uint8), np.full(size, n, np.float32)) for n in range(100))
    beton = Beton(write_beton(samples, tmp_path / "a.beton", num_workers=0, **OPTIONS).path)
    pages = beton.pointers.reshape(100, 2) // beton.page_size
    assert (pages[:, 0] == pages[:, 1]).all()
    assert contents(beton.path) == [bytes([n]) * size for n in range(100)]


def test_W11_a_file_from_shards_is_as_compact_as_any(tmp_path):
    summary = write_beton(Sharded([3000, 4000], 300), tmp_path / "a.beton", num_workers=2)
    beton = Beton(summary.path)
    assert summary.num_bytes <= 1.05 * (int(beton.sizes.sum()) + beton.metadata.nbytes + 24 * len(beton.sizes))


def test_stock_ffcv_reads_it(tmp_path):
    theirs = pytest.importorskip("ffcv.fields")
    write_beton(Sharded([30, 40], 50), tmp_path / "a.beton", num_workers=0, **OPTIONS)
    reader = pytest.importorskip("ffcv.reader").Reader(str(tmp_path / "a.beton"))
    assert reader.num_samples == 70
    assert [type(field) for field in reader.handlers.values()] == [theirs.BytesField, theirs.IntField]
    data = (tmp_path / "a.beton").read_bytes()
    rows = reader.metadata["f0"]
    assert [data[row["ptr"] : row["ptr"] + row["size"]] for row in rows] == contents(tmp_path / "a.beton")


@pytest.mark.parametrize("buffered", [0, 64 << 20])
def test_the_file_is_the_same_for_any_number_of_workers(tmp_path, monkeypatch, buffered):
    monkeypatch.setattr(worker_pool, "BUFFERED_BYTES", buffered)  # 0: all that comes early waits on the disk
    found = set()
    for num_workers in (0, 1, 2, 3):
        write_beton(Sharded([50, 3, 0, 200, 9, 60], 20_000), tmp_path / "a.beton", num_workers=num_workers, **OPTIONS)
        found.add((tmp_path / "a.beton").read_bytes())
        assert os.listdir(tmp_path) == ["a.beton"]
    assert len(found) == 1


@pytest.mark.parametrize("num_workers", [0, 2])
def test_W1_W2_errors_name_shard_and_sample_and_finished_shards_are_kept(tmp_path, monkeypatch, num_workers):
    monkeypatch.setattr(partial, "COMMIT_SECONDS", 0)
    monkeypatch.setattr(worker_pool, "PORTIONS_AHEAD", 1)
    write_beton(Sharded([9] * 20), tmp_path / "b.beton", num_workers=0, description={}, **OPTIONS)
    with pytest.raises(ConversionError) as caught:
        write_beton(
            Sharded([9] * 20, fail=(15, 4)), tmp_path / "a.beton", num_workers=num_workers, description={}, **OPTIONS
        )
    assert str(caught.value).startswith("sample 4 of shard-15.tar: the dataset raised ValueError: broken (")
    assert not (tmp_path / "a.beton").exists()
    read = []
    monkeypatch.setattr(
        Sharded, "read_shard", lambda self, n, given=Sharded.read_shard: read.append(n) or given(self, n)
    )
    write_beton(Sharded([9] * 20), tmp_path / "a.beton", num_workers=0, description={}, **OPTIONS)
    assert (tmp_path / "a.beton").read_bytes() == (tmp_path / "b.beton").read_bytes()
    assert 5 not in read


def test_a_sample_that_does_not_fit_is_named(tmp_path):
    with pytest.raises(ConversionError, match="sample 0 of shard-1.tar, field 'bytes': .*; use page_size=4194304"):
        write_beton(Sharded([0, 1], 3 << 20), tmp_path / "a.beton", **OPTIONS)


def test_W12_a_sample_of_another_type_is_named(tmp_path):
    dataset = Sharded([3, 3])
    dataset.read_shard = lambda number: iter([(1,), ("text",)][: number + 1])
    with pytest.raises(ConversionError, match=r"^sample 1 of shard-1.tar, field 'int': expected an int, got str$"):
        write_beton(dataset, tmp_path / "a.beton", num_workers=0)


@pytest.mark.parametrize("make", [Stream, lambda: iter(Stream()), lambda: (item for item in Stream())])
@pytest.mark.parametrize("num_workers", [0, 2])
def test_any_iterable_is_stored_as_it_comes(tmp_path, make, num_workers):
    write_beton(make(), tmp_path / "a.beton", {"data": None, "number": None}, num_workers=num_workers)
    assert Beton(tmp_path / "a.beton").field_metadata("number").tolist() == list(range(300))
    assert contents(tmp_path / "a.beton", "data") == [item[0].tobytes() for item in Stream()]
    assert os.listdir(tmp_path) == ["a.beton"]


def test_errors_of_iterables_name_the_sample(tmp_path):
    broken = itertools.chain(((n,) for n in range(5)), ((1 / 0,) for _ in range(1)))
    with pytest.raises(ConversionError, match="sample 5: the dataset raised ZeroDivisionError"):
        write_beton(broken, tmp_path / "a.beton")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("dataset", [Sharded([0, 0]), Sharded([]), iter(())])
def test_empty_ones_are_refused(tmp_path, dataset):
    with pytest.raises(ConversionError, match="the dataset is empty"):
        write_beton(dataset, tmp_path / "a.beton")


@pytest.mark.parametrize("options", [{"indices": [1]}, {"shuffle_indices": True}])
def test_choosing_from_what_has_no_length_is_refused(tmp_path, options):
    with pytest.raises(ConversionError, match="indices: Sharded has no length"):
        write_beton(Sharded([3]), tmp_path / "a.beton", **options)
