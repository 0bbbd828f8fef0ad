"""Images of many channels and deep ones, raw and in tiles: what is stored, what is refused, and damage."""

import io
import sys
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from ffcv_hydra.beton import Beton, ImageArrayField, write_beton
from ffcv_hydra.beton.fields.image_array_field import DTYPES, TILES
from ffcv_hydra.beton.fields.image_encoding import RAW
from ffcv_hydra.beton.fields.own_field import OwnField
from ffcv_hydra.beton.fields.tiles import pack_tiles, unpack_box
from ffcv_hydra.beton.inspection.information import print_information
from ffcv_hydra.beton.reading.verification import verify
from ffcv_hydra.collection.unpacking import unpack
from ffcv_hydra.errors import BetonError, ConversionError

RANDOM = np.random.default_rng(0)


def image(dtype: str, height: int = 37, width: int = 21, channels: int = 5) -> np.ndarray:
    return RANDOM.normal(0, 1000, (height, width, channels)).clip(0, 255).astype(dtype)


def stored(field: ImageArrayField, value: object) -> tuple[np.void, np.ndarray]:
    record, buffers = np.zeros(1, field.metadata_type), []

    def malloc(size: int) -> tuple[int, np.ndarray]:
        buffers.append(np.zeros(size, np.uint8))
        return 1, buffers[-1]

    field.encode(record, value, malloc)
    return record[0], buffers[0]


@pytest.mark.parametrize("write_mode", ["raw", "tiles", "zstd"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_images_come_back_as_they_were(dtype, write_mode):
    field, given = ImageArrayField(5, dtype, write_mode, tile=16), image(dtype)
    for value in (given, given.astype(given.dtype.newbyteorder(">")), np.asfortranarray(given)):
        metadata, content = stored(field, value)
        assert metadata["mode"] == (RAW if write_mode == "raw" else TILES)
        assert (metadata["height"], metadata["width"]) == (37, 21)
        found = field.whole(content, 37, 21)
        assert found.dtype == given.dtype and np.array_equal(found, given)
    again = OwnField.from_binary(field.to_binary()[0])
    assert isinstance(again, ImageArrayField) and again.parameters() == field.parameters()


def test_one_channel_needs_no_axis():
    field, given = ImageArrayField(1, "int16"), image("int16", channels=1)
    _, content = stored(field, given[:, :, 0])
    assert np.array_equal(field.whole(content, 37, 21), given)


def test_raw_images_have_as_many_bytes_as_their_sizes_say():
    field = ImageArrayField(5, "float16", "raw")
    metadata, content = stored(field, image("float16"))
    for size, is_wrong in ((len(content), False), (len(content) - 1, True)):
        assert field.has_wrong_size(metadata[None], np.array([size], np.uint64)) == [is_wrong]


@pytest.mark.parametrize("box", [(0, 0, 37, 21), (16, 0, 32, 16), (15, 7, 17, 9), (36, 20, 37, 21), (3, 2, 30, 21)])
@pytest.mark.parametrize("level", [None, 3])
def test_a_box_is_read_from_the_tiles_that_it_lies_on(box, level):
    given = image("float32")
    data, (top, left, bottom, right) = pack_tiles(given, 16, level).copy(), box

    def part() -> np.ndarray:
        result = np.empty((bottom - top, right - left, 5), np.float32)
        unpack_box(data, given.shape, given.dtype, 16, level is not None, np.array(box), result)
        return result

    assert np.array_equal(part(), given[top:bottom, left:right])
    sizes = data[: 6 * 16].view("<i8")[::2].copy()  # 3 x 2 tiles
    ends = 6 * 16 + np.cumsum(sizes)
    for tile, (begin, end) in enumerate(zip(ends - sizes, ends, strict=True)):
        row, column = divmod(tile, 2)
        if top < (row + 1) * 16 and bottom > row * 16 and left < (column + 1) * 16 and right > column * 16:
            continue
        data[begin:end] = 0  # nobody looks at those that the box does not touch
    assert np.array_equal(part(), given[top:bottom, left:right])
    data[: 6 * 16] = np.roll(data[: 6 * 16], 16)
    with pytest.raises(ValueError):
        part()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"channels": 0}, "channels is 0; use 1 to 256"),
        ({"channels": 257}, "use 1 to 256"),
        ({"channels": 3, "dtype": "float64"}, "dtype is 'float64'; use one of uint8, "),
        ({"channels": 3, "dtype": "colour"}, "use one of uint8, "),
        ({"channels": 3, "write_mode": "jpg"}, "use 'raw', 'tiles' or 'zstd'"),
        ({"channels": 3, "tile": 4}, "use 8 to 4096 pixels"),
        ({"channels": 3, "level": 0}, "use 1 to 22"),
    ],
)
def test_impossible_arguments_are_refused(arguments, said):
    with pytest.raises(ConversionError, match=said):
        ImageArrayField(**arguments)


@pytest.mark.parametrize(
    "value", [image("float32"), image("uint16", channels=4), image("uint16")[0], image("uint16")[None], "image", None]
)
def test_other_images_are_refused_in_one_line(value):
    with pytest.raises(ConversionError, match=r"expected uint16 array of shape \(H, W, 5\), got ") as error:
        stored(ImageArrayField(5, "uint16"), value)
    assert "\n" not in str(error.value)


def test_sides_that_do_not_fit_are_refused():
    for shape in ((0, 5, 2), (65536, 1, 2)):
        with pytest.raises(ConversionError, match="a beton holds 1 to 65535 on a side"):
            stored(ImageArrayField(2, "uint8"), np.zeros(shape, np.uint8))


def test_without_the_package_tiles_are_refused_naming_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "zstandard", None)
    ImageArrayField(3)
    with pytest.raises(ConversionError, match=r"pip install 'ffcv_hydra\[arrays\]'") as error:
        ImageArrayField(3, write_mode="zstd")
    assert "\n" not in str(error.value)


class Images:
    def __init__(self) -> None:
        self.items = [(image("uint16", 30 + n, 40 - n), image("float16", 30, 40, 2)) for n in range(4)]

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        return self.items[index]


FIELDS = {"deep": ImageArrayField(5, "uint16", "zstd", tile=16), "half": ImageArrayField(2, "float16", "raw")}


@pytest.fixture
def beton(tmp_path: Path) -> tuple[Path, Images]:
    write_beton(images := Images(), tmp_path / "a.beton", FIELDS, num_workers=0)
    return tmp_path / "a.beton", images


def test_a_file_says_what_it_holds(beton):
    path, _ = beton
    assert verify(path, decode=True).findings == []
    output = io.StringIO()
    print_information(path, Console(file=output, width=200))
    assert "image_array uint16, 5 channels" in output.getvalue()
    assert "4 in tiles" in output.getvalue() and "4 raw" in output.getvalue()


def test_unpacked_images_are_arrays(beton, tmp_path):
    path, images = beton
    unpack(path, tmp_path / "unpacked")
    for name, column in (("deep", 0), ("half", 1)):
        files = sorted((tmp_path / "unpacked" / name).glob("*.npy"))
        assert len(files) == 4
        for file, item in zip(files, images.items, strict=True):
            assert np.array_equal(np.load(file), item[column]) and np.load(file).dtype == item[column].dtype


@pytest.mark.parametrize("decode", [False, True])
def test_damaged_tiles_are_found(beton, decode):
    path, _ = beton
    begin, size = (int(column[2]) for column in Beton(path).extents("deep"))
    content = bytearray(path.read_bytes())
    content[begin + size - 20] ^= 16
    with pytest.raises(ValueError, match="tile 1, 2 is damaged"):
        FIELDS["deep"].whole(np.frombuffer(content, np.uint8)[begin : begin + size], 32, 38)
    path.write_bytes(content)
    (finding,) = verify(path, decode=decode).findings
    assert "field 'deep', sample 2: the stored bytes differ from their checksum" in finding


@pytest.mark.parametrize("level", [None, 3])
def test_damaged_tables_of_tiles_are_found(level):
    given, data = image("int16"), pack_tiles(image("int16"), 16, level)

    def unpack_all(data: np.ndarray, is_packed: bool = level is not None) -> None:
        box, result = np.array([0, 0, 37, 21]), np.empty((37, 21, 5), np.int16)
        unpack_box(data, given.shape, given.dtype, 16, is_packed, box, result)

    huge, negative = data.copy(), data.copy()
    huge[7], negative[7] = 0x7F, 0xFF
    for damaged in (data[:20], data[:-1], data[:0], huge, negative):
        with pytest.raises(ValueError, match="its table of tiles is"):
            unpack_all(damaged.copy())
    wrong = data.copy()
    wrong[8] ^= 1
    with pytest.raises(ValueError, match="tile 0, 0 is damaged"):
        unpack_all(wrong)
    with pytest.raises(ValueError, match="tile 0, 0 has another size"):
        unpack_all(pack_tiles(given[:, :, :3].copy(), 16, level))
    with pytest.raises(ValueError, match="tile 0, 0 has another size"):
        unpack_all(pack_tiles(given, 16), is_packed=True)


def test_a_missing_package_is_said_when_a_file_is_opened(beton, monkeypatch):
    monkeypatch.setitem(sys.modules, "zstandard", None)
    with pytest.raises((BetonError, ConversionError), match=r"ffcv_hydra\[arrays\]"):
        Beton(beton[0])
