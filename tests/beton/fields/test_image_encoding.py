"""What is stored of an image's pixels: JPEGs of the quality asked for, or the pixels; whole or shrunk."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_images

from ffcv_hydra.beton.fields import image_encoding
from ffcv_hydra.beton.fields.image_encoding import JPEG, RAW, encode_image, store_image
from ffcv_hydra.errors import ConversionError

PHOTO = cv2.resize(load_sample_images().images[0], (160, 120), interpolation=cv2.INTER_AREA)


def opened(data: np.ndarray) -> Image.Image:
    return Image.open(io.BytesIO(data.tobytes()))


@pytest.mark.parametrize("image", [PHOTO, PHOTO[:, ::-1], PHOTO[..., 1], PHOTO.transpose(1, 0, 2)])
@pytest.mark.parametrize("quality", [1, 50, 90, 100])
def test_a_jpeg_is_as_large_and_as_good_as_opencvs(image, quality):
    mode, size, data = encode_image(image, "jpg", jpeg_quality=quality)
    assert (mode, size) == (JPEG, image.shape[:2]) and data.dtype == np.uint8
    theirs = cv2.imencode(".jpg", image[..., ::-1] if image.ndim == 3 else image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    expected, found = opened(theirs[1]), opened(data)
    assert found.mode == expected.mode and found.quantization == expected.quantization
    assert [layer[1:3] for layer in found.layer] == [layer[1:3] for layer in expected.layer]  # subsampling
    assert abs(len(data) - len(theirs[1])) < 0.02 * len(data)
    errors = [np.abs(np.asarray(each, dtype=int) - image).mean() for each in (found, expected)]
    assert abs(errors[0] - errors[1]) < 0.02 * errors[1]
    assert quality < 96 or np.array_equal(np.asarray(found), np.asarray(expected))


@pytest.mark.parametrize("image", [PHOTO, PHOTO[::2, ::-1], PHOTO[..., 0].astype(np.uint16) * 257])
def test_raw_pixels_stay_as_they_are(image):
    mode, size, data = encode_image(image, "raw")
    assert (mode, size) == (RAW, image.shape[:2])
    assert np.array_equal(data.view(image.dtype).reshape(image.shape), image)


@pytest.mark.parametrize("image", [PHOTO, PHOTO[..., 2], PHOTO[..., 2].astype(np.uint16) * 257])
@pytest.mark.parametrize("longest, size", [(100, (75, 100)), (80, (60, 80)), (159, (119, 159)), (1, (1, 1))])
def test_a_larger_image_is_shrunk_as_by_opencv_within_a_level(image, longest, size):
    for turned, expected_size in ((image, size), (np.swapaxes(image, 0, 1), size[::-1])):
        _, found_size, data = encode_image(turned, "raw", max_resolution=longest)
        expected = cv2.resize(np.ascontiguousarray(turned), expected_size[::-1], interpolation=cv2.INTER_AREA)
        assert found_size == expected_size
        assert np.abs(data.view(image.dtype).reshape(expected.shape).astype(int) - expected).max() <= 1


def test_an_image_that_fits_is_not_resampled():
    assert np.array_equal(encode_image(PHOTO, "raw", max_resolution=160)[2], PHOTO.reshape(-1))


def test_a_thin_image_keeps_a_pixel_of_width():
    assert encode_image(PHOTO[:, :1], "raw", max_resolution=60)[1] == (60, 1)


def test_smart_is_jpeg_above_the_threshold_once_shrunk():
    for options, expected in (
        ({"smart_threshold": PHOTO.nbytes}, RAW),
        ({"smart_threshold": PHOTO.nbytes - 1}, JPEG),
        ({"smart_threshold": PHOTO.nbytes - 1, "max_resolution": 159}, RAW),
        ({}, RAW),
    ):
        assert encode_image(PHOTO, "smart", **options)[0] == expected


def test_proportion_draws_from_the_global_generator():
    np.random.seed(3)
    expected = (np.random.rand(200) < 0.3).tolist()
    np.random.seed(3)
    found = [encode_image(PHOTO[:8, :8], "proportion", compress_probability=0.3)[0] == JPEG for _ in range(200)]
    assert found == expected


def test_what_cannot_be_a_jpeg_is_refused():
    with pytest.raises(ConversionError, match="TurboJPEG cannot encode the image: .*; use write_mode: raw"):
        encode_image(np.zeros((1, 65_536, 3), np.uint8), "jpg")


def test_metadata_say_what_is_stored():
    record = np.zeros(1, dtype=[("mode", "u1"), ("width", "<u2"), ("height", "<u2"), ("data_ptr", "<u8")])[0]
    storage = np.zeros(PHOTO.nbytes, np.uint8)
    store_image(record, *encode_image(PHOTO, "raw"), lambda size: (size, storage))
    assert record.tolist() == (image_encoding.RAW, 160, 120, PHOTO.nbytes) and np.array_equal(
        storage, PHOTO.reshape(-1)
    )
