from io import BytesIO

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console
from sklearn.datasets import load_sample_images

from ffcv_hydra.beton import Beton, RandomAccessImageField, coerce, write_beton
from ffcv_hydra.beton.fields.encoded_jpeg import EncodedJpeg
from ffcv_hydra.beton.fields.image_encoding import encode_image
from ffcv_hydra.beton.fields.restart_index import has_index, with_random_access
from ffcv_hydra.beton.fields.rgb_image_field import RGBImageField
from ffcv_hydra.beton.inspection.information import print_information
from ffcv_hydra.loader import Loader

JPG = RandomAccessImageField(write_mode="jpg")
PHOTO = cv2.resize(load_sample_images().images[0], (160, 120), interpolation=cv2.INTER_AREA)


def jpeg(**options):
    file = BytesIO()
    Image.fromarray(PHOTO).save(file, "JPEG", **options)
    return file.getvalue()


FILES = {
    "4:2:0": jpeg(),
    "4:4:4": jpeg(subsampling=0, quality=95),
    "4:2:2, optimised": jpeg(subsampling=1, optimize=True),
    "progressive": jpeg(progressive=True),
    "restart markers": jpeg(restart_marker_blocks=3),
    "trailing bytes": jpeg() + b"and more",
}


class Photos:
    """Source JPEGs, then the photo as pixels."""

    def __len__(self):
        return len(FILES) + 1

    def __getitem__(self, index):
        return (Image.open(BytesIO([*FILES.values()][index])) if index < len(FILES) else Image.fromarray(PHOTO),)


def stored(path):
    content = path.read_bytes()
    return [content[begin : begin + size] for begin, size in zip(*Beton(path).extents("image"), strict=True)]


@pytest.mark.timeout(300)
def test_stock_ffcv_and_our_loader_read_the_pixels_of_the_files_without_index(tmp_path, read_by_stock_ffcv):
    with_index, without = tmp_path / "with.beton", tmp_path / "without.beton"
    write_beton(Photos(), with_index, num_workers=0)
    write_beton(Photos(), without, {"image": {"random_access": False}}, num_workers=0)
    assert all(has_index(content[-16:]) for content in stored(with_index))
    assert not any(has_index(content[-16:]) for content in stored(without))
    assert stored(without)[: len(FILES)] == list(FILES.values())
    batches = []
    for path in (with_index, without):
        ((pixels,),) = read_by_stock_ffcv(path, len(Photos()))
        (ours,) = next(iter(Loader(path, len(Photos()), num_workers=1)))
        batches += [torch.as_tensor(pixels), torch.as_tensor(ours)]
    assert all(torch.equal(batch, batches[0]) for batch in batches)


def test_to_a_reader_the_field_is_ffcvs(tmp_path):
    write_beton(Photos(), tmp_path / "a.beton", num_workers=0)
    write_beton(Photos(), tmp_path / "b.beton", [RGBImageField("jpg")], num_workers=0)
    for path in (tmp_path / "a.beton", tmp_path / "b.beton"):
        assert type(Beton(path).fields["image"]) is RGBImageField
    assert not any(has_index(content[-16:]) for content in stored(tmp_path / "b.beton"))


def test_raw_images_are_as_ffcvs():
    for field in (RGBImageField("raw"), RandomAccessImageField("raw")):
        assert encoded(field).tobytes() == PHOTO.tobytes()


def encoded(field):
    data = np.empty(0, dtype=np.uint8)

    def malloc(size):
        nonlocal data
        data = np.empty(size, dtype=np.uint8)
        return 17, data

    record = np.zeros(1, dtype=field.metadata_type)[0]
    field.encode(record, PHOTO, malloc)
    assert record["data_ptr"] == 17
    assert (record["height"], record["width"]) == PHOTO.shape[:2]
    return data


def test_pixels_are_encoded_as_jpegs_with_an_index():
    _, _, plain = encode_image(PHOTO, "jpg", jpeg_quality=80)
    assert np.array_equal(encoded(RandomAccessImageField("jpg", jpeg_quality=80)), with_random_access(plain))
    assert np.array_equal(encoded(RandomAccessImageField("jpg", jpeg_quality=80, random_access=False)), plain)
    smart = RandomAccessImageField("smart", smart_threshold=1000, jpeg_quality=80)
    assert np.array_equal(encoded(smart), with_random_access(plain))


def test_W10_a_jpeg_that_decodes_with_a_warning_is_encoded_again_and_gets_an_index(tmp_path):
    content = FILES["4:2:0"]
    warned = content[:-2] + bytes(40) + content[-2:]
    assert isinstance(coerce(JPG, Image.open(BytesIO(warned))), np.ndarray)
    write_beton([(Image.open(BytesIO(warned)),)], tmp_path / "a.beton", num_workers=0)
    assert has_index(stored(tmp_path / "a.beton")[0][-16:])


def test_W10_headers_that_turbojpeg_warns_of_are_found_without_decoding_the_whole():
    content = FILES["4:2:0"]
    at = content.index(b"JFIF\0") + 5
    warned = content[:at] + b"\x07" + content[at + 1 :]  # a major version that is not known
    assert with_random_access(np.frombuffer(warned, dtype=np.uint8)) is not None
    assert isinstance(coerce(JPG, Image.open(BytesIO(warned))), np.ndarray)


def test_a_kept_jpeg_has_the_size_of_the_image():
    kept = coerce(JPG, Image.open(BytesIO(FILES["4:2:0"])))
    assert isinstance(kept, EncodedJpeg)
    assert (kept.height, kept.width) == PHOTO.shape[:2]


def test_information_says_how_many_images_have_random_access(tmp_path):
    class SomeTooSmall(Photos):
        def __getitem__(self, index):
            return super().__getitem__(index) if index % 2 else (Image.new("RGB", (8, 8)),)

    write_beton(SomeTooSmall(), tmp_path / "a.beton", num_workers=0)
    console = Console(record=True, width=200)
    print_information(tmp_path / "a.beton", console)
    assert "7 JPEG (3 with random access)" in console.export_text()
