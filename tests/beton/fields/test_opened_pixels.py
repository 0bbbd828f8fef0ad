import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from ffcv_hydra.beton.fields import pillow_internals
from ffcv_hydra.beton.fields.opened_pixels import opened_pixels

SIZES = [(1, 1), (1, 7), (5, 1), (23, 37)]
FILTERS = [[0], [1], [2], [3], [4], [4, 3, 2, 1, 0]]


def picture(height, width, seed=0, channels=3):
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(image, filters=(0,), *, depth=8, colours=2, more=b"", between=b"", change=None):
    """A PNG whose lines have filters in turn, as the specification describes them; `change` is done to the lines."""
    height, width = image.shape[:2]
    rows = image.reshape(height, -1).astype(int)
    pixel, lines = image.shape[2], []
    for y in range(height):
        left, up = np.zeros_like(rows[y]), rows[y - 1] if y else np.zeros_like(rows[y])
        corner = np.zeros_like(up)
        left[pixel:], corner[pixel:] = rows[y][:-pixel], up[:-pixel]
        distances = np.abs([up - corner, left - corner, left + up - 2 * corner])
        nearest = np.choose(distances.argmin(axis=0), [left, up, corner])
        kind = filters[y % len(filters)]
        guess = [np.zeros_like(up), left, up, (left + up) // 2, nearest][kind]
        lines.append(bytes([kind]) + ((rows[y] - guess) % 256).astype(np.uint8).tobytes())
    content = b"".join(lines)
    data = zlib.compress(change(content) if change else content)
    header = struct.pack(">IIBBBBB", width, height, depth, colours, 0, 0, 0)
    half = len(data) // 2
    body = chunk(b"IHDR", header) + more + chunk(b"IDAT", data[:half]) + between + chunk(b"IDAT", data[half:])
    return b"\x89PNG\r\n\x1a\n" + body + chunk(b"IEND", b"")


def saved(image, file_type, **options):
    file = io.BytesIO()
    Image.fromarray(image).save(file, file_type, **options)
    return file.getvalue()


def opened(content):
    return Image.open(io.BytesIO(content))


def check(content, expected=None):
    found = opened_pixels(opened(content))
    assert found is not None and (found.dtype, found.flags.c_contiguous) == (np.uint8, True)
    assert np.array_equal(found, np.asarray(opened(content)) if expected is None else expected)


@pytest.mark.parametrize("filters", FILTERS)
def test_pngs_of_every_filter_have_their_pixels(filters):
    for seed, size in enumerate(SIZES):
        image = picture(*size, seed)
        check(png(image, filters), image)
        check(png(image, filters))
        check(saved(image, "PNG"), image)


@pytest.mark.parametrize("options", [{"quality": 90}, {"quality": 30}, {"lossless": True}, {"exif": b"Exif\0\0II*\0"}])
def test_webps_have_the_pixels_that_pillow_gives_them(options):
    assert pillow_internals._libwebp() is not None
    for seed, size in enumerate(SIZES):
        check(saved(picture(*size, seed), "WEBP", **options))


def animation():
    file = io.BytesIO()
    frames = [Image.fromarray(picture(8, 8, seed)) for seed in range(2)]
    frames[0].save(file, "WEBP", save_all=True, append_images=frames[1:])
    return file.getvalue()


RGB = picture(8, 9)
OTHERS = {
    "gray": saved(RGB[:, :, 0], "PNG"),
    "alpha": saved(picture(8, 9, channels=4), "PNG"),
    "webp with alpha": saved(picture(8, 9, channels=4), "WEBP"),
    "16 bits": png(picture(8, 9, channels=6), depth=16),
    "a transparent colour": png(RGB, more=chunk(b"tRNS", bytes(6))),
    "a text between pixels": png(RGB, between=chunk(b"tEXt", b"a\0b")),
    "jpeg": saved(RGB, "JPEG"),
    "animation": animation(),
    "a checksum": png(RGB)[:-20] + b"\0" + png(RGB)[-19:],
    "a filter that is none": png(RGB, change=lambda lines: b"\5" + lines[1:]),
    "too few lines": png(RGB, change=lambda lines: lines[:-1]),
    "too many": png(RGB, change=lambda lines: lines + lines),
}


@pytest.mark.parametrize("name", OTHERS)
def test_all_else_is_left_to_pillow(name):
    assert opened_pixels(opened(OTHERS[name])) is None


@pytest.mark.parametrize("file_type", ["PNG", "WEBP"])
def test_images_that_were_loaded_or_changed_are_left_to_pillow(file_type):
    image = opened(saved(RGB, file_type))
    image.load()
    assert opened_pixels(image) is None
    image = opened(saved(RGB, file_type))
    image.putpixel((0, 0), (1, 2, 3))
    assert opened_pixels(image) is None
    assert opened_pixels(opened(saved(RGB, file_type)).copy()) is None


def test_a_damaged_webp_is_left_to_pillow():
    content = bytearray(saved(RGB, "WEBP", quality=90))
    content[-12:] = bytes(12)
    image = opened(bytes(content))
    found = opened_pixels(image)
    assert found is None or np.array_equal(found, np.asarray(image))
    assert pillow_internals.decode_webp(np.zeros(40, np.uint8), 8, 9) is None
    whole = np.frombuffer(saved(RGB, "WEBP"), np.uint8)
    assert pillow_internals.decode_webp(whole, 8, 8) is None  # another size than was said
