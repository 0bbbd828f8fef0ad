"""TRAPS W10: JPEGs that need no change are stored as they are; all others are encoded again, or named."""

import os
from contextlib import suppress
from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image

from ffcv_hydra.beton import Beton, GrayscaleImageField, MaskField, RandomAccessImageField, coerce, write_beton
from ffcv_hydra.beton.fields.encoded_jpeg import EncodedJpeg
from ffcv_hydra.beton.fields.rgb_image_field import RGBImageField
from ffcv_hydra.beton.fields.source_image import NotingDamage
from ffcv_hydra.datasets import ImageFolder
from ffcv_hydra.errors import ConversionError
from ffcv_hydra.loader import Loader

JPG = RGBImageField(write_mode="jpg")


def picture(mode="RGB", size=(40, 24), seed=0):
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 6, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).convert(mode)


def jpeg(mode="RGB", **options):
    file = BytesIO()
    picture(mode).save(file, "JPEG", **options)
    return file.getvalue()


def opened(content):
    return Image.open(BytesIO(content))


class Opened:
    """A dataset that opens its images when it is asked for them."""

    def __init__(self, *contents):
        self.contents = contents

    def __len__(self):
        return len(self.contents)

    def __getitem__(self, index):
        return (opened(self.contents[index]),)


KEPT = {
    "baseline": jpeg(quality=95, subsampling=0),
    "subsampled": jpeg(quality=30, subsampling=2),
    "progressive": jpeg(progressive=True),
    "restart markers": jpeg(restart_marker_rows=1),
    "gray": jpeg("L"),
    "trailing bytes": jpeg() + b"and more",
    "with EXIF": jpeg(exif=b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"),
}


@pytest.mark.timeout(300)
def test_W10_jpegs_are_kept_byte_for_byte_and_read_alike_here_and_in_ffcv(tmp_path, read_by_stock_ffcv):
    path = tmp_path / "a.beton"
    write_beton(Opened(*KEPT.values()), path, num_workers=0)
    beton = Beton(path)
    offsets, sizes = beton.extents("image")
    stored = path.read_bytes()
    found = [stored[offset : offset + size] for offset, size in zip(offsets, sizes, strict=True)]
    assert found == list(KEPT.values())
    assert set(beton.field_metadata("image")["width"]) == {40}
    assert set(beton.field_metadata("image")["height"]) == {24}
    (ours,) = next(iter(Loader(path, len(KEPT), num_workers=1)))
    ((stock,),) = read_by_stock_ffcv(path, len(KEPT))
    assert torch.equal(torch.as_tensor(ours), torch.as_tensor(stock))
    for pixels, content in zip(np.asarray(ours), KEPT.values(), strict=True):
        difference = pixels.astype(int) - np.asarray(opened(content).convert("RGB"))
        assert np.abs(difference).mean() < 4  # FFCV and we decode with the fast IDCT, PIL with the exact one


def test_W10_jpegs_of_a_folder_are_kept(tmp_path):
    for name in ("cat", "dog"):
        (tmp_path / "images" / name).mkdir(parents=True)
        (tmp_path / "images" / name / "1.jpg").write_bytes(KEPT["baseline"])
    dataset = ImageFolder(tmp_path / "images", "train", {"train": 1.0})
    write_beton(dataset, tmp_path / "a.beton", num_workers=2, chunksize=1)
    assert Beton(tmp_path / "a.beton").extents("image")[1].tolist() == [len(KEPT["baseline"])] * 2


def loaded(content):
    image = opened(content)
    image.load()
    return image


def drafted(content):
    image = opened(content)
    image.draft("L", (20, 12))
    return image


def drawn_on(content):
    image = opened(content)
    image.putpixel((0, 0), (1, 2, 3))
    return image


@pytest.mark.parametrize(
    "change", [loaded, drafted, drawn_on, lambda content: opened(content).convert("RGB"), lambda _: picture()]
)
def test_W10_images_that_were_touched_are_encoded(change):
    assert isinstance(coerce(JPG, change(KEPT["baseline"])), np.ndarray)


def without(content, marker):
    """A JPEG without its segments of one kind, up to its entropy-coded data."""
    found, at = content[:2], 2
    while content[at + 1] != 0xDA:
        end = at + 2 + int.from_bytes(content[at + 2 : at + 4], "big")
        if content[at + 1] != marker:
            found += content[at:end]
        at = end
    return found + content[at:]


@pytest.mark.parametrize("options", [{}, {"subsampling": 0}, {"restart_marker_rows": 1}, {"optimize": True}])
@pytest.mark.parametrize("at", [0.3, 0.6, 0.9])
def test_a_jpeg_that_is_damaged_somewhere_is_not_kept(options, at):
    content = bytearray(jpeg(quality=95, **options))
    data = content.index(b"\xff\xda") + 14
    at = data + int(at * (len(content) - data))
    content[at : at + 2] = b"\xff\xd5"  # a marker that is none of its own
    assert isinstance(coerce(JPG, opened(bytes(content))), np.ndarray)


@pytest.mark.parametrize("field", [JPG, RandomAccessImageField("jpg")])
@pytest.mark.parametrize("options", [{}, {"mode": "L"}, {"restart_marker_rows": 1}, {"optimize": True}])
def test_F24_only_jpegs_with_their_own_tables_are_kept(field, options):
    size = (320, 240) if field is not JPG else (40, 24)
    file = BytesIO()
    picture(options.get("mode", "RGB"), size).save(file, "JPEG", quality=95, **options)
    content = file.getvalue()
    assert isinstance(coerce(field, opened(content)), EncodedJpeg)
    standard = without(content, 0xC4)  # decoders take the standard's example tables, or those of the image before
    if options.get("optimize"):
        with NotingDamage() as damage, suppress(ConversionError):
            assert isinstance(coerce(field, opened(standard)), np.ndarray) and damage
    else:
        assert np.array_equal(coerce(field, opened(standard)), np.asarray(opened(content).convert("RGB")))
    with pytest.raises(ConversionError, match=r"cannot decode the image"):
        coerce(field, opened(without(content, 0xDB)))


def test_F24_progressive_jpegs_with_tables_between_their_scans_are_kept():
    file = BytesIO()
    picture().save(file, "JPEG", progressive=True, optimize=True)
    assert isinstance(coerce(JPG, opened(file.getvalue())), EncodedJpeg)


@pytest.mark.parametrize("mode", ["raw", "smart", "proportion"])
def test_W10_fields_that_may_store_pixels_get_pixels(mode):
    assert isinstance(coerce(RGBImageField(write_mode=mode, smart_threshold=1), opened(jpeg())), np.ndarray)


def test_W10_other_formats_are_encoded():
    file = BytesIO()
    picture().save(file, "PNG")
    assert isinstance(coerce(JPG, opened(file.getvalue())), np.ndarray)


@pytest.mark.parametrize(("limit", "is_kept"), [(None, True), (40, True), (39, False)])
def test_W10_max_resolution_shrinks_what_is_larger(tmp_path, limit, is_kept):
    content = KEPT["baseline"]
    options = {"max_resolution": limit}
    write_beton(Opened(content), tmp_path / "a.beton", [options], num_workers=0)
    beton = Beton(tmp_path / "a.beton")
    assert (beton.extents("image")[1].tolist() == [len(content)]) == is_kept
    assert beton.field_metadata("image")["width"].tolist() == [40 if is_kept else 39]


def test_W10_a_jpeg_that_decodes_with_a_warning_is_encoded():
    content = KEPT["baseline"]
    warned = content[:-2] + b"\0\0\0" + content[-2:]  # extraneous bytes before the end of the image
    found = coerce(JPG, opened(warned))
    assert np.array_equal(found, np.asarray(opened(content)))


def test_W10_a_cmyk_jpeg_is_encoded_as_rgb():
    found = coerce(JPG, opened(jpeg("CMYK")))
    assert (found.dtype, found.shape) == (np.uint8, (24, 40, 3))


def test_W10_a_jpeg_cut_short_is_named(tmp_path):
    (tmp_path / "images" / "cat").mkdir(parents=True)
    path = tmp_path / "images" / "cat" / "1.jpg"
    path.write_bytes(KEPT["baseline"][:-100])
    dataset = ImageFolder(tmp_path / "images", "train", {"train": 1.0})
    with pytest.raises(ConversionError, match=r"sample 0, field 'image': cannot decode .*1\.jpg: .*truncated"):
        write_beton(dataset, tmp_path / "a.beton", num_workers=0)
    assert not (tmp_path / "a.beton").exists()


@pytest.mark.parametrize("suffix", ["jpg", "png"])
@pytest.mark.parametrize("how", ["image", "file", "after decoding"])
def test_F49_an_image_that_the_dataset_closed_is_not_called_damaged(tmp_path, suffix, how):
    path = tmp_path / f"1.{suffix}"
    picture().save(path)
    with open(path, "rb") as file:
        image = Image.open(file if how == "file" else path)
    if how == "after decoding":
        image.load()
    if how != "file":
        image.close()
    with pytest.raises(ConversionError, match=rf"the dataset closed .*1\.{suffix} before it was read, .*`with` block"):
        coerce(JPG, image)


def test_W10_an_image_can_be_converted_again_and_its_file_is_closed_with_it(tmp_path):
    path = tmp_path / "1.jpg"
    path.write_bytes(KEPT["baseline"])
    with open(path, "rb") as file:
        image = Image.open(file)
        first, second = coerce(JPG, image), coerce(JPG, image)
        assert isinstance(first, EncodedJpeg)
        assert np.array_equal(first.data, second.data)
        assert np.array_equal(np.asarray(image), np.asarray(opened(KEPT["baseline"])))


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="counts open files in /proc")
def test_W10_a_folder_leaves_no_file_open(tmp_path):
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "1.jpg").write_bytes(KEPT["baseline"])
    dataset = ImageFolder(tmp_path, "train", {"train": 1.0})
    held = []
    before = len(os.listdir("/proc/self/fd"))
    held.append(dataset[0])
    assert len(os.listdir("/proc/self/fd")) == before
    assert isinstance(coerce(JPG, held[0][0]), EncodedJpeg)


TOO_LONG_FOR_JPEG = np.zeros((1, 65501, 3), np.uint8)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (RGBImageField("jpg"), TOO_LONG_FOR_JPEG),
        (RGBImageField("smart", smart_threshold=1), TOO_LONG_FOR_JPEG),
        (RGBImageField("proportion"), TOO_LONG_FOR_JPEG),
        (RandomAccessImageField("jpg"), TOO_LONG_FOR_JPEG.transpose(1, 0, 2)),
        (RGBImageField("jpg", max_resolution=65501), np.zeros((1, 65535, 3), np.uint8)),
        (GrayscaleImageField(), TOO_LONG_FOR_JPEG[:, :, 0]),
    ],
)
def test_F50_an_image_too_long_for_jpeg_is_refused_before_it_is_encoded(tmp_path, field, value):
    with pytest.raises(ConversionError, match=r"sample 0, field 'image': .* pixels; a JPEG holds .*write_mode: raw"):
        write_beton([(value,)], tmp_path / "a.beton", {"image": field}, num_workers=0)


def test_F50_raw_and_shrunk_images_may_be_that_long(tmp_path):
    for field in (RGBImageField("raw"), GrayscaleImageField("raw"), MaskField(), GrayscaleImageField(max_resolution=9)):
        value = TOO_LONG_FOR_JPEG if isinstance(field, RGBImageField) else TOO_LONG_FOR_JPEG[:, :, 0]
        assert write_beton([(value,)], tmp_path / "a.beton", [field], num_workers=0).num_samples == 1
    with pytest.raises(ConversionError, match="65501 x 1 pixels is too narrow for max_resolution=9; pad it"):
        coerce(RGBImageField("jpg", max_resolution=9), TOO_LONG_FOR_JPEG)


def test_images_too_large_for_a_beton_are_refused():
    with pytest.raises(ConversionError, match="an image of 1 x 65536 pixels; a beton holds 1 to 65535 on a side"):
        coerce(RGBImageField(), np.zeros((65536, 1, 3), np.uint8))
    with pytest.raises(ConversionError, match="an image of 0 x 5 pixels"):
        coerce(RGBImageField(), np.zeros((5, 0, 3), np.uint8))
    shrunk = RGBImageField(max_resolution=256)
    assert coerce(shrunk, np.zeros((65536, 256, 3), np.uint8)).shape == (65536, 256, 3)
