"""Betons as files: pictures as they were stored, which a folder of images gives again, and a table of the rest."""

import base64
import csv
import io
import json

import numpy as np
import pytest
from PIL import Image

from ffcv_hydra.beton import (
    GrayscaleImageField,
    Manifest,
    MaskField,
    RaggedArrayField,
    RandomAccessImageField,
    write_beton,
)
from ffcv_hydra.beton.reading.reader import Beton
from ffcv_hydra.cli.inspection import main
from ffcv_hydra.collection import write_sharded_beton
from ffcv_hydra.collection.unpacking import unpack
from ffcv_hydra.datasets import ImageFolder
from ffcv_hydra.errors import BetonError, ConversionError, WriteError

pytestmark = pytest.mark.timeout(120)
ALL = {"train": 1.0}


def picture(number):
    pixels = np.random.default_rng(number).integers(0, 255, (9, 12, 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize((120 + number, 90), Image.Resampling.BICUBIC)


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """A folder of JPEGs, large enough for restart markers, and one PNG, in two classes with the same names."""
    root = tmp_path_factory.mktemp("photographs")
    for number in range(8):
        folder = root / ("bee", "ant")[number % 2]
        folder.mkdir(exist_ok=True)
        picture(number).save(folder / f"p {number // 2}.jpg", quality=80)
    picture(9).save(root / "ant" / "q.png")
    return root


def content(path):
    """By field, what is stored of each sample, wherever it lies."""
    beton = Beton(path)
    return {
        name: beton.field_metadata(name).tolist() if beton.extents(name) is None else beton.checksums_of(name).tolist()
        for name in beton.fields
    }


@pytest.mark.parametrize("write_mode", ["jpg", "raw"])
@pytest.mark.parametrize("shards", [None, 2])
def test_a_folder_of_images_comes_back_as_it_was_stored(photographs, tmp_path, write_mode, shards):
    fields = {"image": RandomAccessImageField(write_mode), "label": None}
    write_beton(ImageFolder(photographs, "train", ALL), tmp_path / "a.beton", fields, num_workers=0)
    source = tmp_path / "a.beton"
    if shards:
        source = tmp_path / "s.beton"
        write_sharded_beton(ImageFolder(photographs, "train", ALL), source, fields, num_workers=0, shards=shards)
    made = unpack(source, tmp_path / "out")
    assert (made.num_samples, made.pictures, made.num_classes) == (9, (".",), 2)
    again = ImageFolder(tmp_path / "out", "train", ALL)
    assert again.classes == ["ant", "bee"]
    write_beton(again, tmp_path / "b.beton", fields, num_workers=0)
    assert content(tmp_path / "a.beton") == content(tmp_path / "b.beton")


def test_jpegs_are_written_as_they_are_stored(photographs, tmp_path):
    plain = {"image": RandomAccessImageField("jpg", random_access=False), "label": None}
    write_beton(ImageFolder(photographs, "train", ALL), tmp_path / "a.beton", plain, num_workers=0)
    unpack(tmp_path / "a.beton", tmp_path / "out")
    for path in photographs.rglob("*.jpg"):
        assert (tmp_path / "out" / path.relative_to(photographs)).read_bytes() == path.read_bytes()


def test_what_is_no_picture_is_in_the_table_or_an_array(tmp_path):
    fields = {
        "image": RandomAccessImageField("raw"),
        "grey": GrayscaleImageField(bits=16),
        "mask": MaskField(),
        "label": None,
        "score": None,
        "array": None,
        "boxes": RaggedArrayField("float32", [2]),
        "data": None,
        "text": None,
        "record": None,
    }
    samples = [
        (
            picture(number).resize((20, 10)),
            np.full((5, 6), 1000 * number, dtype=np.uint16),
            np.full((7, 8), number, dtype=np.uint8),
            number,
            number / 3,
            np.arange(number, number + 6, dtype=np.float32).reshape(2, 3),
            np.full((number, 2), 0.1, dtype=np.float32),
            np.frombuffer(b"\0\xff" * number, dtype=np.uint8),
            'a,\n"b" é' * number,
            {"n": [number]},
        )
        for number in range(11)
    ]
    write_beton(samples, tmp_path / "a.beton", fields, num_workers=0)
    made = unpack(tmp_path / "a.beton", tmp_path / "out")
    assert (made.pictures, made.arrays, made.num_classes) == (("image", "grey", "mask"), ("array.npy",), None)
    with open(tmp_path / "out" / "table.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["id", *(name for name in fields if name != "array")]
    arrays = np.load(tmp_path / "out" / "array.npy")
    for number, (row, sample) in enumerate(zip(rows, samples, strict=True)):
        for name, expected in zip(("image", "grey", "mask"), sample, strict=False):
            assert row[name] == f"{name}/{number:02}.png"
            assert np.array_equal(np.asarray(Image.open(tmp_path / "out" / row[name])), np.asarray(expected))
        assert (int(row["id"]), int(row["label"]), float(row["score"])) == (number, number, number / 3)
        assert np.array_equal(arrays[number], sample[5])
        assert np.array_equal(np.array(json.loads(row["boxes"]), np.float32).reshape(-1, 2), sample[6])
        assert base64.b64decode(row["data"]) == sample[7].tobytes()
        assert (row["text"], json.loads(row["record"])) == (sample[8], sample[9])


class Named:
    """Three samples with names and classes that no file may have, or that are the same where case does not count."""

    names = ("../../x/a.b.jpg", "X/A.b.png", "y/CON:?*.jpg")

    def __len__(self):
        return 3

    def __getitem__(self, index):
        return picture(index), index

    def manifest(self):
        return Manifest(self.names, [1, 2, 3], [0, 1, 2], ["../c", "__-c", ".. / C"])


def test_names_lead_nowhere_else_and_are_not_taken_twice(tmp_path):
    write_beton(Named(), tmp_path / "a.beton", {"image": None, "label": None}, num_workers=0)
    unpack(tmp_path / "a.beton", tmp_path / "below" / "out")
    paths = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.jpg"))
    assert len(paths) == len({path.lower() for path in paths}) == 3
    assert all(path.startswith("below/out/") and path.count("/") == 3 for path in paths)
    assert len({path.split("/")[2].lower() for path in paths}) == 3
    rows = list(csv.DictReader(io.StringIO((tmp_path / "below/out/table.csv").read_text())))
    assert [row["name"] for row in rows] == list(Named.names)


def test_a_folder_with_something_in_it_is_refused(tmp_path):
    write_beton([(1,)], tmp_path / "a.beton", num_workers=0)
    (tmp_path / "out").mkdir()
    unpack(tmp_path / "a.beton", tmp_path / "out")
    with pytest.raises(BetonError, match="out is not empty; choose another folder"):
        unpack(tmp_path / "a.beton", tmp_path / "out")
    with pytest.raises(BetonError, match=r"a\.beton is not empty"):
        unpack(tmp_path / "a.beton", tmp_path / "a.beton")
    (tmp_path / "other.unpacking").mkdir()
    with pytest.raises(BetonError, match="another one unpacks, or was killed; remove it then"):
        unpack(tmp_path / "a.beton", tmp_path / "other")
    with pytest.raises(WriteError, match="cannot be made"):
        unpack(tmp_path / "a.beton", tmp_path / "a.beton" / "below")


def test_a_damaged_sample_is_named_and_nothing_is_left(tmp_path):
    path = tmp_path / "a.beton"
    write_beton([(picture(number), number) for number in range(3)], path, num_workers=0)
    content = bytearray(path.read_bytes())
    content[int(Beton(path).extents("image")[0][1]) + 5] ^= 1
    path.write_bytes(content)
    with pytest.raises(ConversionError, match="sample 1, field 'image' is damaged"):
        unpack(path, tmp_path / "out")
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.beton"]


def test_the_command_says_what_is_where_and_how_to_read_it_again(photographs, tmp_path, capsys):
    write_beton(ImageFolder(photographs, "train", ALL), tmp_path / "a.beton", {"image": None, "label": None})
    assert main(["unpack", str(tmp_path / "a.beton"), str(tmp_path / "out")]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{tmp_path / 'out'}: 9 samples: pictures in folders of 2 classes, table.csv",
        f"read again by dataset=image_folder dataset.root={tmp_path / 'out'}",
    ]
