import struct

import cv2
import numpy as np
import pytest

from benchmarks import photos


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where photographs are made, from those of scikit-learn alone."""
    monkeypatch.setattr(photos, "FOLDER", tmp_path)
    monkeypatch.setattr(photos, "PACKAGES", ())
    return tmp_path


def test_photos_are_jpegs_of_halved_chroma_in_a_mix_of_sizes(folder):
    paths = photos.jpeg_photos(len(photos.SIZES))
    shapes = {cv2.imread(str(path)).shape[:2] for path in paths}
    assert shapes == {(height, width) for width, height in photos.SIZES}
    assert max(max(shape) for shape in shapes) == 500
    assert {29, 31} <= {-(-width // 16) for _, width in shapes}
    for path in paths:
        jpeg = path.read_bytes()
        frame = jpeg.index(b"\xff\xc0")
        assert struct.unpack_from("B", jpeg, frame + 11)[0] == 0x22  # luma at twice the chroma's rate, both ways


def test_photos_are_the_same_each_time(folder, monkeypatch):
    first = [path.read_bytes() for path in photos.jpeg_photos(3)]
    monkeypatch.setattr(photos, "FOLDER", folder / "again")
    assert [path.read_bytes() for path in photos.jpeg_photos(3)] == first


def test_photos_are_not_made_twice(folder):
    before = [path.stat().st_mtime_ns for path in photos.jpeg_photos(2)]
    assert [path.stat().st_mtime_ns for path in photos.jpeg_photos(2)] == before


def test_small_photos_are_raw_images(folder):
    small = photos.small_photos(5)
    assert small.shape == (5, 32, 32, 3) and small.dtype == np.uint8
    assert small.std() > 20


def test_a_package_that_cannot_be_had_is_a_warning(folder, monkeypatch, caplog):
    monkeypatch.setattr(photos, "PACKAGES", ("no-such-package",))
    monkeypatch.setenv("PATH", "")
    assert len(photos.jpeg_photos(1)) == 1
    assert "no photographs of no-such-package" in caplog.text


@pytest.mark.parametrize("file_type", ["png", "webp"])
def test_photos_of_other_types_have_the_same_sizes(folder, file_type):
    paths = photos.other_photos(3, file_type)
    assert [path.suffix for path in paths] == [f".{file_type}"] * 3
    for path, jpeg in zip(paths, photos.jpeg_photos(3), strict=True):
        assert cv2.imread(str(path)).shape == cv2.imread(str(jpeg)).shape


def test_masks_are_of_eight_classes_and_as_large_as_their_photographs(folder):
    for path, mask in zip(photos.jpeg_photos(2), photos.masks(2), strict=True):
        classes = cv2.imread(str(mask), cv2.IMREAD_UNCHANGED)
        assert classes.shape == cv2.imread(str(path)).shape[:2] and classes.max() < 8 and len(np.unique(classes)) > 2
