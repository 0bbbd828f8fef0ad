"""What was compared on this machine is known to later processes, until the file changes."""

import os

import pytest

from ffcv_hydra.beton import Beton, write_beton
from ffcv_hydra.collection import checked
from ffcv_hydra.collection.index import read_index, write_index
from ffcv_hydra.collection.merging import merge
from ffcv_hydra.collection.shards import Shards
from ffcv_hydra.errors import BetonError


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("FFCV_HYDRA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(checked, "STILL_SECONDS", 0)
    for number in range(3):
        items = [(10 * number + row, "text" * row) for row in range(10)]
        write_beton(items, tmp_path / f"{number}.beton", {"label": None, "text": None}, num_workers=0)
    merge([tmp_path / f"{number}.beton" for number in range(3)], tmp_path / "all.beton")
    return tmp_path / "all.beton"


@pytest.fixture
def whole_readings(monkeypatch):
    """The betons that were read and compared as a whole."""
    read, found = Beton._read, []
    monkeypatch.setattr(Beton, "_read", lambda self, *args: (found.append(self.path.name), read(self, *args))[1])
    return found


def labels(folder):
    return Shards([folder]).field_metadata("label").tolist()


def test_a_shard_is_compared_once(folder, whole_readings):
    assert labels(folder) == list(range(30)) and whole_readings == ["0.beton", "1.beton", "2.beton"]
    assert labels(folder) == list(range(30)) and len(whole_readings) == 3
    shards = Shards([folder])
    assert shards.extents("text")[1].tolist() == [4 * row for row in range(10)] * 3
    assert shards.checksums_of("text")[15] == Beton(folder.parent / "1.beton").checksums_of("text")[5]


def test_a_file_that_has_changed_since_is_compared_again(folder, whole_readings):
    labels(folder)
    path = folder.parent / "1.beton"
    data = bytearray(path.read_bytes())
    data[Beton(path)._metadata_end - 4] ^= 255
    path.write_bytes(data)
    with pytest.raises(BetonError, match=r"1\.beton: header or tables are damaged"):
        labels(folder)


def test_another_index_is_not_believed(folder, whole_readings):
    labels(folder)
    index = read_index(folder)
    object.__setattr__(index.shards[2], "tables", "0" * 64)
    write_index(folder, index)
    with pytest.raises(BetonError, match=r"2\.beton: is not the shard .* its tables are others"):
        labels(folder)


def test_a_young_file_and_a_cache_that_cannot_be_written_to_are_no_trouble(folder, whole_readings, monkeypatch):
    (folder.parent / "cache").write_text("in the way")
    for _ in range(2):
        assert labels(folder) == list(range(30))
    assert len(whole_readings) == 6
    os.remove(folder.parent / "cache")
    monkeypatch.setattr(checked, "STILL_SECONDS", 1000)
    for _ in range(2):
        assert labels(folder) == list(range(30))
    assert len(whole_readings) == 12


def test_the_list_does_not_grow_for_ever(folder, monkeypatch):
    monkeypatch.setattr(checked, "MOST_BYTES", 20)
    labels(folder)
    assert checked.CheckedShards().path.stat().st_size == 17
