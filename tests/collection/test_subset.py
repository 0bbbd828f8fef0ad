"""Samples of betons copied into another one: as a conversion of them would have stored them, byte for byte."""

import os

import numpy as np
import pytest
import torch

from ffcv_hydra.beton import (
    GrayscaleImageField,
    Manifest,
    MaskField,
    RaggedArrayField,
    RandomAccessImageField,
    write_beton,
)
from ffcv_hydra.beton.reading.reader import Beton
from ffcv_hydra.beton.reading.verification import verify
from ffcv_hydra.collection import write_sharded_beton
from ffcv_hydra.collection.shards import opened
from ffcv_hydra.collection.stored_samples import StoredSamples
from ffcv_hydra.collection.subset import subset
from ffcv_hydra.errors import BetonError, ConversionError

pytestmark = pytest.mark.timeout(120)
CLASSES = ["ant", "bee", "cat", "dog", "eel", "fox"]
FIELDS = {
    "image": RandomAccessImageField("jpg"),
    "label": None,
    "grey": GrayscaleImageField("raw"),
    "mask": MaskField(),
    "array": None,
    "tensor": None,
    "boxes": RaggedArrayField("float32", [4]),
    "data": None,
    "text": None,
    "record": None,
    "score": None,
}


class Everything:
    """Samples with a field of each kind, some of them empty, with names and classes."""

    def __init__(self, numbers):
        self.numbers = list(numbers)

    def __len__(self):
        return len(self.numbers)

    def __getitem__(self, index):
        number = self.numbers[index]
        random = np.random.default_rng(number)
        height, width = 20 + number, 30
        return (
            random.integers(0, 255, (height, width, 3), dtype=np.uint8),
            number % 6,
            random.integers(0, 255, (height, width), dtype=np.uint8),
            np.full((height, width), number, dtype=np.uint8),
            random.random((2, 3), dtype=np.float32),
            torch.from_numpy(random.random(5)),
            random.random((number % 3, 4), dtype=np.float32),
            np.arange(number % 4, dtype=np.uint8),
            "x" * (number % 2),
            {"number": number},
            number / 2,
        )

    def manifest(self):
        names = [f"{CLASSES[number % 6]}/{number}" for number in self.numbers]
        return Manifest(names, self.numbers, [number % 6 for number in self.numbers], CLASSES, kind="samples")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "all.beton"
    write_beton(Everything(range(40)), path, FIELDS, num_workers=0, description={"source": "mine"})
    return path


def check_same(path, expected_numbers, tmp_path, **description):
    """Whether a file is what a conversion of these samples gives, its description apart."""
    found = Beton(path)
    assert verify(path).findings == []
    expected = tmp_path / "expected.beton"
    written = found.description
    write_beton(Everything(expected_numbers), expected, FIELDS, num_workers=0, description=written)
    assert path.read_bytes() == expected.read_bytes()
    assert written["subset"].items() >= description.items()
    assert written["subset"]["of"] == [{"source": "mine"}]


def test_samples_that_fulfil_a_condition(whole, tmp_path):
    path = tmp_path / "few.beton"
    summary = subset(whole, path, where="label in ['bee', 3] and image.height * image.width < 1200")
    numbers = [number for number in range(20) if number % 6 in (1, 3)]
    assert summary.num_samples == len(numbers)
    check_same(path, numbers, tmp_path, where="label in ['bee', 3] and image.height * image.width < 1200")


def test_samples_by_their_ids_in_their_order(whole, tmp_path):
    subset(whole, tmp_path / "few.beton", indices=[7, 0, 39])
    check_same(tmp_path / "few.beton", [7, 0, 39], tmp_path)


def test_a_share_of_samples_drawn_by_a_seed(whole, tmp_path):
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        assert subset(whole, tmp_path / f"{name}.beton", where="label > 0", fraction=0.3, seed=seed).num_samples == 10
    names = [Beton(tmp_path / f"{name}.beton").manifest.names for name in "abc"]
    assert names[0] == names[1] != names[2]
    check_same(tmp_path / "a.beton", [int(name.partition("/")[2]) for name in names[0]], tmp_path, fraction=0.3, seed=3)


@pytest.mark.parametrize("shards", [None, 3])
def test_all_of_several_betons_in_one_file_or_in_shards(whole, tmp_path, shards):
    write_sharded_beton(Everything(range(40, 55)), tmp_path / "more.beton", FIELDS, num_workers=0, shards=2)
    subset([whole, tmp_path / "more.beton"], tmp_path / "all.beton", shards=shards)
    found = opened(tmp_path / "all.beton")
    assert verify(found.files[0].path).findings == []
    write_beton(Everything(range(55)), tmp_path / "expected.beton", FIELDS, num_workers=0)
    expected = Beton(tmp_path / "expected.beton")
    assert len(found.files) == (shards or 1)
    assert found.manifest.names == expected.manifest.names and found.manifest.classes == CLASSES
    for name in FIELDS:
        if expected.extents(name) is None:
            assert np.array_equal(found.field_metadata(name), expected.field_metadata(name))
        else:
            assert np.array_equal(found.checksums_of(name), expected.checksums_of(name))
    if shards is None:
        written = found.description
        write_beton(Everything(range(55)), tmp_path / "expected.beton", FIELDS, num_workers=0, description=written)
        tables = [Beton(tmp_path / name) for name in ("all.beton", "expected.beton")]
        assert np.array_equal(tables[0].metadata, tables[1].metadata)


def test_a_subset_of_a_subset_and_of_a_sharded_beton_is_the_same(whole, tmp_path):
    write_sharded_beton(
        Everything(range(40)), tmp_path / "s.beton", FIELDS, num_workers=0, shards=3, description={"source": "mine"}
    )
    subset(tmp_path / "s.beton", tmp_path / "a.beton", where="label == 2")
    subset(whole, tmp_path / "b.beton", where="label == 2")
    assert (tmp_path / "a.beton").read_bytes() == (tmp_path / "b.beton").read_bytes()
    subset(tmp_path / "a.beton", tmp_path / "c.beton", where="image.height > 30")
    assert Beton(tmp_path / "c.beton").manifest.names == [f"cat/{number}" for number in range(14, 40, 6)]


def test_a_condition_is_the_same_in_blocks(whole, tmp_path, monkeypatch):
    monkeypatch.setattr("ffcv_hydra.collection.subset.BLOCK_ROWS", 7)
    subset(whole, tmp_path / "few.beton", where="score >= 10")
    check_same(tmp_path / "few.beton", range(20, 40), tmp_path)


def test_an_unfinished_copy_leaves_nothing_at_the_path(whole, tmp_path):
    damaged = tmp_path / "damaged.beton"
    content = bytearray(whole.read_bytes())
    offset = int(Beton(whole).extents("image")[0][25])
    content[offset + 100] ^= 1
    damaged.write_bytes(content)
    with pytest.raises(ConversionError, match=r"damaged\.beton: sample 25, field 'image' is damaged; restore the file"):
        subset(damaged, tmp_path / "few.beton")
    assert not (tmp_path / "few.beton").exists()
    subset(damaged, tmp_path / "few.beton", where="not score == 12.5")
    assert Beton(tmp_path / "few.beton").num_samples == 39


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"where": "label == 5 and score < 1"}, "where: 'label == 5 and score < 1' is true of none of 40 samples"),
        ({"where": "boxes > 1"}, "there is no field 'boxes' of numbers; choose from grey.height, grey.width, image"),
        ({"indices": [1, 40]}, "there is no sample 40; there are 40, numbered from 0"),
        ({"indices": [-1]}, "there is no sample -1"),
        ({"indices": [1, 2, 1]}, "sample 1 is there twice"),
        ({"indices": [0.5]}, "give a list of whole numbers"),
        ({"indices": []}, "give a list of whole numbers"),
        ({"fraction": 0}, "use a share above 0, and up to 1"),
        ({"fraction": 1.5}, "use a share above 0, and up to 1"),
        ({"fraction": 0.001}, "of 40 samples is none"),
    ],
)
def test_a_choice_that_cannot_be_is_one_line(whole, tmp_path, options, told):
    with pytest.raises(ConversionError, match=told):
        subset(whole, tmp_path / "few.beton", **options)
    assert list(tmp_path.iterdir()) == []


def test_what_is_at_the_output_is_left(whole, tmp_path):
    (tmp_path / "few.beton").write_text("mine")
    with pytest.raises(BetonError, match="exists already; choose another output"):
        subset(whole, tmp_path / "few.beton")
    assert (tmp_path / "few.beton").read_text() == "mine"


def test_a_shard_that_is_cut_short_meanwhile_is_one_line(tmp_path, monkeypatch):
    folder = tmp_path / "s.beton"
    write_sharded_beton(Everything(range(40)), folder, FIELDS, num_workers=0, shards=2)
    read = StoredSamples.__getitem__

    def cut_then_read(samples, index):
        if index == 30:
            os.truncate(folder / "00001.beton", 100)
        return read(samples, index)

    monkeypatch.setattr(StoredSamples, "__getitem__", cut_then_read)
    with pytest.raises(ConversionError, match=r"00001\.beton: sample 10, field 'image' is damaged"):
        subset(folder, tmp_path / "few.beton")
    assert not (tmp_path / "few.beton").exists()


def test_names_and_classes_that_are_lost_are_not_left_out(tmp_path):
    write_sharded_beton(Everything(range(6)), tmp_path / "a.beton", FIELDS, shards=2, num_workers=0)
    next((tmp_path / "a.beton").glob("manifest-*")).unlink()
    with pytest.raises(BetonError, match="manifest-.*: cannot be read: No such file"):
        subset(tmp_path / "a.beton", tmp_path / "few.beton", indices=[1, 2])
    assert os.listdir(tmp_path) == ["a.beton"]
