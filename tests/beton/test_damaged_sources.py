"""What is damaged but can be read is stored, counted and named, or refused as the user chooses."""

import io
import zlib

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from ffcv_hydra.beton import (
    GrayscaleImageField,
    MaskField,
    RandomAccessImageField,
    print_summary,
    write_beton,
)
from ffcv_hydra.beton.fields.rgb_image_field import RGBImageField
from ffcv_hydra.beton.writing import partial
from ffcv_hydra.datasets import ImageFolder
from ffcv_hydra.errors import ConversionError


def encoded(mode="RGB", kind="JPEG", size=(320, 240), **options):
    coarse = np.random.default_rng(0).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).convert(mode).save(file, kind, **options)
    return file.getvalue()


def damaged(content):
    """A JPEG with a few bytes of its entropy-coded data overwritten."""
    at = len(content) * 3 // 4
    return content[:at] + b"\xff\xd7" + content[at + 2 : at + 40] + b"\xff\xd3" + content[at + 42 :]


def with_wrong_checksum(png):
    """A PNG in whose compressed pixels one byte was changed, such that it still can be decompressed."""
    at = png.index(b"IDAT")
    length = int.from_bytes(png[at - 4 : at], "big")
    pixels = bytearray(zlib.decompress(png[at + 4 : at + 4 + length]))
    pixels[len(pixels) // 2 + 1] ^= 64
    changed = zlib.compress(bytes(pixels))
    # with the checksum of before
    return png[: at - 4] + len(changed).to_bytes(4, "big") + b"IDAT" + changed + png[at + 4 + length :]


class Opened:
    def __init__(self, *contents):
        self.contents = contents

    def __len__(self):
        return len(self.contents)

    def __getitem__(self, index):
        return (Image.open(io.BytesIO(self.contents[index])),)


JPEG, GRAY_JPEG, CMYK_JPEG = (damaged(encoded(mode)) for mode in ("RGB", "L", "CMYK"))
MPO = damaged(encoded(kind="MPO", save_all=True, append_images=[Image.new("RGB", (8, 8))]))
PNG, GRAY_PNG = (with_wrong_checksum(encoded(mode, "PNG", (64, 48))) for mode in ("RGB", "L"))


@pytest.mark.parametrize(
    ("content", "field"),
    [
        (JPEG, RandomAccessImageField("jpg")),
        (damaged(encoded(size=(24, 20))), RandomAccessImageField("jpg")),
        (damaged(encoded(progressive=True)), RandomAccessImageField("jpg")),
        (JPEG, RGBImageField("jpg")),
        (JPEG, RGBImageField("raw")),
        (JPEG, RGBImageField("smart", smart_threshold=1)),
        (JPEG, RGBImageField("jpg", max_resolution=100)),
        (CMYK_JPEG, RGBImageField("jpg")),
        (MPO, RGBImageField("jpg")),
        (GRAY_JPEG, RGBImageField("jpg")),
        (GRAY_JPEG, GrayscaleImageField()),
        (GRAY_JPEG, GrayscaleImageField("raw")),
        (GRAY_JPEG, MaskField()),
        (PNG, RGBImageField("jpg")),
        (GRAY_PNG, GrayscaleImageField()),
        (GRAY_PNG, MaskField()),
    ],
)
def test_F5_a_damaged_image_is_counted_and_named_in_every_field(tmp_path, content, field):
    dataset = Opened(content)
    summary = write_beton(dataset, tmp_path / "a.beton", {"image": field}, num_workers=0)
    assert (summary.num_samples, summary.num_warnings) == (1, 1)
    (line,) = summary.warnings
    assert line.startswith("sample 0, field 'image': the image is damaged: ")
    assert "\n" not in line
    with pytest.raises(ConversionError, match=r"^sample 0, field 'image': the image is damaged: .*; replace it, or"):
        write_beton(dataset, tmp_path / "b.beton", {"image": field}, num_workers=0, on_warning="error")
    assert not (tmp_path / "b.beton").exists()


@pytest.mark.parametrize(
    "content",
    [
        *(encoded(mode, "JPEG") for mode in ("RGB", "L", "CMYK")),
        encoded(kind="MPO", save_all=True, append_images=[Image.new("RGB", (8, 8))]),
        encoded(kind="PNG"),
        encoded(kind="WEBP"),
    ],
)
@pytest.mark.parametrize("field", [RGBImageField("raw"), RandomAccessImageField("jpg")])
def test_F5_whole_images_are_not_called_damaged(tmp_path, content, field):
    summary = write_beton(Opened(content), tmp_path / "a.beton", [field], num_workers=0, on_warning="error")
    assert (summary.num_samples, summary.num_warnings) == (1, 0)


def test_F5_the_summary_and_the_log_tell_of_the_first_ones(tmp_path, caplog):
    for number in range(12):
        (tmp_path / "images" / "cat").mkdir(parents=True, exist_ok=True)
        (tmp_path / "images" / "cat" / f"{number:02}.jpg").write_bytes(JPEG if number % 2 else encoded())
    dataset = ImageFolder(tmp_path / "images", "train", {"train": 1.0})
    summary = write_beton(dataset, tmp_path / "a.beton", num_workers=0)
    assert (summary.num_warnings, len(summary.warnings)) == (6, 5)
    assert f"6 of 12 samples have faults; the first: {summary.warnings[0]}" in caplog.text
    console = Console(width=400, file=io.StringIO())
    print_summary(summary, console)
    shown = console.file.getvalue()
    assert "6 of 12 samples have faults" in shown
    for number in (1, 3, 5, 7, 9):
        assert f"sample {number}, field 'image': {tmp_path}/images/cat/{number:02}.jpg is damaged: " in shown
    assert "11.jpg" not in shown


def test_F5_warnings_are_the_same_for_any_workers_and_after_going_on(tmp_path, monkeypatch):
    monkeypatch.setattr(partial, "COMMIT_SECONDS", 0)
    monkeypatch.setattr(partial, "COMMIT_SHARE", 0)
    dataset = Opened(*([encoded(), JPEG, PNG] * 4))
    path, options = tmp_path / "a.beton", {"chunksize": 2, "description": {"a": 1}}
    expected = write_beton(dataset, path, num_workers=0, **options)
    content = path.read_bytes()
    path.unlink()
    assert expected.num_warnings == 8
    summary = write_beton(dataset, path, num_workers=2, **options)
    assert (summary.num_warnings, summary.warnings) == (expected.num_warnings, expected.warnings)
    assert path.read_bytes() == content
    path.unlink()
    with monkeypatch.context() as patch:
        patch.setattr(dataset, "contents", (*dataset.contents[:7], b"", *dataset.contents[8:]))
        with pytest.raises(ConversionError, match="sample 7: the dataset raised UnidentifiedImageError"):
            write_beton(dataset, path, num_workers=0, **options)
    assert (tmp_path / "a.beton.partial").exists()
    summary = write_beton(dataset, path, num_workers=0, **options)
    assert (summary.num_warnings, summary.warnings) == (expected.num_warnings, expected.warnings)
    assert path.read_bytes() == content
