import io

import cv2
import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from ffcv_hydra.beton import Beton, GrayscaleImageField, MaskField, write_beton
from ffcv_hydra.beton.fields.image_fields import JPEG, RAW, RUNS
from ffcv_hydra.beton.inspection.information import print_information
from ffcv_hydra.beton.reading.verification import verify
from ffcv_hydra.errors import BetonError, ConversionError
from ffcv_hydra.kernels.memory.mask_codec import decode_whole_mask

RANDOM = np.random.default_rng(0)
GRAY = RANDOM.integers(0, 256, (6, 9), dtype=np.uint8)
DEEP = RANDOM.integers(0, 65536, (6, 9), dtype=np.uint16)
BLOCKS = np.repeat(np.repeat(np.array([[0, 7], [255, 7]], np.uint8), 8, 0), 9, 1)


def stored(field, value) -> tuple[np.void, np.ndarray]:
    """What a field makes of a value: metadata, and the bytes."""
    record, buffers = np.zeros(1, field.metadata_type), []

    def malloc(size):
        buffers.append(np.zeros(size, np.uint8))
        return 1, buffers[-1]

    field.encode(record, value, malloc)
    (buffer,) = buffers
    return record[0], buffer


def pixels(field, value) -> np.ndarray:
    """The pixels of a value that is stored raw or run-length coded."""
    metadata, content = stored(field, value)
    if metadata["mode"] == RUNS:
        runs, content = content, np.zeros(int(metadata["height"]) * int(metadata["width"]), np.uint8)
        assert decode_whole_mask(runs, content)
    return content.view(field.dtype).reshape(metadata["height"], metadata["width"])


def palette_image() -> Image.Image:
    image = Image.fromarray(BLOCKS, "L").convert("P")
    image.putpalette(list(range(255, -1, -1)) * 3)
    return image


@pytest.mark.parametrize(
    ("bits", "value", "expected"),
    [
        (8, GRAY, GRAY),
        (8, GRAY[:, :, None], GRAY),
        (8, GRAY.T, GRAY.T),
        (8, Image.fromarray(GRAY), GRAY),
        (8, Image.fromarray(GRAY > 99), np.where(GRAY > 99, 255, 0)),
        (8, Image.fromarray(GRAY.astype(np.int32)), GRAY),
        (16, DEEP, DEEP),
        (16, DEEP[:, :, None], DEEP),
        (16, DEEP.astype(">u2"), DEEP),
        (16, Image.fromarray(DEEP), DEEP),
        (16, Image.fromarray(DEEP.astype(np.int32)), DEEP),
    ],
)
def test_grayscale_images_are_stored_as_they_are(bits, value, expected):
    field = GrayscaleImageField("raw", bits=bits)
    assert np.array_equal(pixels(field, value), expected)
    assert stored(field, value)[0]["mode"] == RAW


@pytest.mark.parametrize(
    ("bits", "value"),
    [
        (8, DEEP),
        (8, Image.fromarray(DEEP)),
        (8, Image.fromarray(DEEP.astype(np.int32))),
        (8, GRAY.astype(np.int64)),
        (8, GRAY / 255),
        (8, Image.new("RGB", (4, 4))),
        (8, Image.new("P", (4, 4))),
        (8, Image.new("LA", (4, 4))),
        (8, Image.new("F", (4, 4))),
        (8, np.zeros((4, 4, 3), np.uint8)),
        (8, np.zeros(4, np.uint8)),
        (8, "image"),
        (16, GRAY),
        (16, Image.fromarray(GRAY)),
        (16, Image.fromarray(np.full((2, 2), 65536, np.int32))),
        (16, Image.fromarray(np.full((2, 2), -1, np.int32))),
    ],
)
def test_what_would_lose_information_is_refused_in_one_line(bits, value):
    with pytest.raises(ConversionError, match="expected .* got ") as error:
        stored(GrayscaleImageField("raw", bits=bits), value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("field", [GrayscaleImageField(), GrayscaleImageField("raw", max_resolution=4), MaskField()])
@pytest.mark.parametrize("shape", [(0, 5), (5, 0), (65536, 1)])
def test_sides_that_do_not_fit_are_refused(field, shape):
    if shape == (65536, 1) and getattr(field, "max_resolution", None):
        assert stored(field, np.zeros(shape, np.uint8))[0]["height"] == 4
        return
    with pytest.raises(ConversionError, match="a beton holds 1 to 65535 on a side"):
        stored(field, np.zeros(shape, np.uint8))


def test_jpegs_have_one_component_and_the_quality_asked_for():
    smooth = cv2.resize(GRAY, (64, 48), interpolation=cv2.INTER_CUBIC)
    sizes = {}
    for quality in (20, 90):
        metadata, content = stored(GrayscaleImageField(jpeg_quality=quality), smooth)
        assert (metadata["mode"], metadata["height"], metadata["width"]) == (JPEG, 48, 64)
        image = Image.open(io.BytesIO(content.tobytes()))
        assert image.mode == "L"
        sizes[quality] = len(content)
        assert np.abs(np.asarray(image).astype(int) - smooth).mean() < (12 if quality == 20 else 3)
    assert sizes[20] < sizes[90]


def test_W10_a_gray_jpeg_that_needs_no_change_is_kept():
    file = io.BytesIO()
    Image.fromarray(GRAY).save(file, "JPEG", quality=50)
    _, content = stored(GrayscaleImageField(), Image.open(file))
    assert content.tobytes() == file.getvalue()
    metadata, content = stored(GrayscaleImageField(max_resolution=6), Image.open(file))
    assert content.tobytes() != file.getvalue()
    assert (metadata["height"], metadata["width"]) == (4, 6)
    metadata, _ = stored(GrayscaleImageField("raw"), Image.open(file))
    assert metadata["mode"] == RAW


def test_a_colour_jpeg_is_refused():
    file = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(file, "JPEG")
    with pytest.raises(ConversionError, match="got a PIL image of mode RGB; convert it in the dataset"):
        stored(GrayscaleImageField(), Image.open(file))


def test_a_file_that_cannot_be_decoded_is_refused():
    file = io.BytesIO()
    Image.fromarray(GRAY).save(file, "PNG")
    with pytest.raises(ConversionError, match="cannot decode"):
        stored(GrayscaleImageField(), Image.open(io.BytesIO(file.getvalue()[:-30])))


def test_deep_images_are_shrunk_by_area():
    field = GrayscaleImageField(bits=16, max_resolution=8)
    large = np.kron(DEEP[:4, :4], np.ones((4, 4), np.uint16))
    assert np.array_equal(pixels(field, large), np.kron(DEEP[:4, :4], np.ones((2, 2), np.uint16)))
    assert pixels(field, np.full((1, 100), 5, np.uint16)).shape == (1, 8)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"bits": 12}, "bits is 12; use 8 or 16"),
        ({"write_mode": "png"}, "unknown write_mode 'png'; use 'jpg' or 'raw'"),
        ({"write_mode": "jpg", "bits": 16}, "a JPEG holds 8 bits"),
        ({"jpeg_quality": 0}, "jpeg_quality is 0; use 1 to 100"),
        ({"jpeg_quality": "high"}, "jpeg_quality is 'high'; use 1 to 100"),
        ({"max_resolution": 0}, "max_resolution is 0; use 1 or more pixels"),
    ],
)
def test_impossible_arguments_are_refused(arguments, message):
    with pytest.raises(ConversionError, match=f"^GrayscaleImageField: {message}"):
        GrayscaleImageField(**arguments)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (BLOCKS, BLOCKS),
        (BLOCKS[:, :, None], BLOCKS),
        (BLOCKS.T, BLOCKS.T),
        (BLOCKS.astype(np.int64), BLOCKS),
        (BLOCKS > 6, BLOCKS > 6),
        (GRAY, GRAY),
        (np.array([[200]], np.uint8), [[200]]),
        (Image.fromarray(BLOCKS), BLOCKS),
        (Image.fromarray(BLOCKS > 6), BLOCKS > 6),
        (Image.fromarray(BLOCKS.astype(np.int32)), BLOCKS),
        (palette_image(), np.asarray(palette_image())),
    ],
)
def test_masks_are_lossless(value, expected):
    assert np.array_equal(pixels(MaskField(), value), expected)


def test_masks_are_run_length_coded_or_raw_whichever_is_smaller():
    metadata, content = stored(MaskField(), BLOCKS)
    assert metadata["mode"] == RUNS and len(content) < BLOCKS.size
    metadata, content = stored(MaskField(), GRAY)
    assert metadata["mode"] == RAW and len(content) == GRAY.size


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.array([[3, 256]]), "expected class ids from 0 to 255, got 3 to 256"),
        (np.array([[-1, 2]]), "expected class ids from 0 to 255, got -1 to 2"),
        (Image.fromarray(DEEP), "expected class ids from 0 to 255"),
        (BLOCKS / 1, "expected a PIL image of mode L or P or an array of class ids"),
        (np.zeros((4, 4, 3), np.uint8), "expected a PIL image of mode L or P"),
        (Image.new("RGB", (4, 4)), "got a PIL image of mode RGB"),
        ("mask", "got str"),
    ],
)
def test_what_is_no_mask_of_class_ids_is_refused(value, message):
    with pytest.raises(ConversionError, match=message):
        stored(MaskField(), value)


class GrayAndMask:
    def __len__(self):
        return 6

    def __getitem__(self, index):
        return np.roll(GRAY, index), BLOCKS if index < 4 else GRAY


@pytest.fixture
def beton(tmp_path):
    write_beton(GrayAndMask(), tmp_path / "a.beton", [GrayscaleImageField(), MaskField()], num_workers=0)
    return tmp_path / "a.beton"


def break_data(path, name, sample, change):
    beton = Beton(path)
    offsets, sizes = beton.extents(name)
    start = int(offsets[sample])
    with open(path, "r+b") as file:
        file.seek(start)
        content = bytearray(file.read(int(sizes[sample])))
        change(content)
        file.seek(start)
        file.write(content)


def test_verify_decodes_grayscale_jpegs_and_masks(beton, monkeypatch):
    found = verify(beton, decode=True)
    assert (found.findings, found.num_decoded, found.num_masks) == ([], 6, 4)
    break_data(beton, "grayscale", 2, lambda content: content.__setitem__(slice(2, 40), bytes(38)))
    break_data(beton, "mask", 1, lambda content: content.__setitem__(1, content[1] + 1))
    # Without checksums, as if someone had computed them anew, only decoding finds it.
    monkeypatch.setattr(Beton, "checksums", None)
    assert verify(beton).findings == []
    first, second = verify(beton, decode=True).findings
    assert "field 'mask', sample 1: the runs are not those of a mask of 18 x 16 pixels" in first
    assert "field 'grayscale', sample 2: the JPEG does not decode cleanly" in second


@pytest.mark.parametrize(("name", "mode"), [("grayscale", RUNS), ("grayscale", RAW), ("mask", JPEG), ("mask", 3)])
def test_R2_a_mode_or_size_that_cannot_be_right_is_refused(beton, name, mode):
    column = list(Beton(beton).fields).index(name)
    dtype = Beton(beton).metadata.dtype
    content = bytearray(beton.read_bytes())
    start = content.index(Beton(beton).metadata.tobytes())
    content[start + dtype.fields[f"f{column}"][1]] = mode
    beton.write_bytes(content)
    with pytest.raises(BetonError, match=f"sample 0, field '{name}' has a size that cannot be right"):
        Beton(beton)


def test_info_shows_how_images_are_stored(beton, capsys):
    print_information(beton, Console(width=200))
    shown = " ".join(capsys.readouterr().out.split())
    assert "grayscale grayscale 8-bit 6 JPEG" in shown
    assert "mask mask 2 raw, 4 run-length coded" in shown
    assert "mask: width" in shown
