"""Progressive photographs become what TurboJPEG makes of them; `kernels/jpeg/baseline.py` is tried here, too.

For scans that no encoder at hand writes, and for damaged files, see `tests/kernels/jpeg/test_coefficients.py`.
"""

from functools import cache
from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_images

from benchmarks.photos import FOLDER
from ffcv_hydra.beton.fields.baseline_jpeg import to_baseline
from ffcv_hydra.kernels.jpeg.baseline import STANDARD_TABLES
from tests.kernels.jpeg_scans import segment
from tests.kernels.jpegs import SUBSAMPLINGS, decode_with_pil, encode
from tests.kernels.turbojpeg_transform import transformed

SIZES = [(1, 1), (7, 9), (8, 8), (16, 16), (17, 33)]


@cache
def photographs() -> list[np.ndarray]:
    """scikit-learn's two, and some of those that were fetched for the benchmarks, if they were."""
    fetched = sorted((FOLDER / "packages").rglob("*_by_*.jpg"))[::4]
    return [*load_sample_images().images, *(np.asarray(Image.open(path).convert("RGB")) for path in fetched)]


def progressive_jpeg(seed: int) -> np.ndarray:
    """A crop of a photograph, of any size, quality and subsampling, with or without restart markers and comments."""
    random = np.random.default_rng(seed)
    photo = photographs()[random.integers(len(photographs()))]
    height, width = SIZES[seed] if seed < len(SIZES) else random.integers(1, 200, 2)
    scale = int(random.choice([1, 1, 2]))
    rows, columns = int(height) * scale, int(width) * scale
    top, left = random.integers(photo.shape[0] - rows + 1), random.integers(photo.shape[1] - columns + 1)
    crop = Image.fromarray(photo[top : top + rows, left : left + columns]).reduce(scale)
    if random.random() < 0.25:
        crop = crop.convert("L")
    quality, restart = int(random.integers(1, 101)), int(random.choice([0, 0, 1, 3, 20]))
    if random.random() < 0.3:
        subsampling = "gray" if crop.mode == "L" else str(random.choice([*SUBSAMPLINGS][:-1]))
        pixels = np.asarray(crop.convert("RGB"))
        return encode(
            pixels, subsampling, quality, bool(random.integers(2)), progressive=True, restart_interval=restart
        )
    options = {"comment": b"text"} if random.random() < 0.3 else {"exif": b"Exif\0\0" + bytes(20)}
    options |= {"icc_profile": random.bytes(300)} if random.random() < 0.3 else {}
    options |= {"optimize": bool(random.integers(2))}
    if crop.mode == "RGB":  # TurboJPEG sets a lone component's factors, which mean nothing, to 1
        options |= {"subsampling": int(random.integers(3))}
    file = BytesIO()
    crop.save(file, "JPEG", progressive=True, quality=quality, restart_marker_blocks=restart, **options)
    return np.frombuffer(file.getvalue(), dtype=np.uint8)


def test_a_thousand_photographs_become_what_turbojpegs_transform_makes_of_them():
    for seed in range(1000):
        jpeg = progressive_jpeg(seed)
        assert to_baseline(jpeg).tobytes() == transformed(jpeg), seed


def test_pixels_stay():
    simplejpeg = pytest.importorskip("simplejpeg")
    for seed in range(30):
        jpeg = progressive_jpeg(seed)
        before, after = (
            simplejpeg.decode_jpeg(content.tobytes(), "rgb", fastdct=True) for content in (jpeg, to_baseline(jpeg))
        )
        assert np.array_equal(before, after), seed


def segments(jpeg: bytes) -> list[bytes]:
    """Those before the first scan's data."""
    found, at = [], 2
    while not found or found[-1][1] != 0xDA:
        end = at + 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")
        found.append(jpeg[at:end])
        at = end
    return found


def test_other_segments_stay_in_their_order():
    added = [segment(0xFE, b"one"), segment(0xEE, b"Adobe\0\x64\0\0\0\0\1"), segment(0xE5, b""), segment(0xFE, b"two")]
    content = encode(np.zeros((20, 20, 3), np.uint8), progressive=True, restart_interval=2).tobytes()
    at = content.index(b"\xff\xc4")
    content = content[:at] + b"\xff\xff".join(added) + content[at:]  # with fill bytes between them
    jpeg = np.frombuffer(content, dtype=np.uint8)
    found = segments(to_baseline(jpeg).tobytes())
    own = segments(content.replace(b"\xff\xff\xff", b"\xff"))
    frame = next(one for one in own if one[1] == 0xC2)
    kept = [one for one in own[:-1] if one[1] not in (0xC2, 0xC4, 0xDD)]
    assert [one for one in found[:-1] if one[1] not in (0xC0, 0xC4)] == kept
    assert kept[-4:] == added
    assert b"\xff\xc0" + frame[2:] in found
    assert [one[4:] for one in found if one[1] == 0xC4] == STANDARD_TABLES


def test_a_baseline_jpeg_stays_itself_but_for_its_restart_markers():
    pixels = np.asarray(load_sample_images().images[0])[:50, :70]
    plain = encode(pixels)
    assert np.array_equal(to_baseline(encode(pixels, restart_interval=2)), plain)
    assert np.array_equal(to_baseline(plain), plain)


def test_bytes_behind_the_image_are_left_out():
    jpeg = progressive_jpeg(20)
    assert np.array_equal(to_baseline(np.concatenate([jpeg, np.arange(99, dtype=np.uint8)])), to_baseline(jpeg))


def saved(mode: str, **options) -> np.ndarray:
    file = BytesIO()
    Image.fromarray(photographs()[0][:40, :50]).convert(mode).save(file, "JPEG", progressive=True, **options)
    return np.frombuffer(file.getvalue(), dtype=np.uint8)


def changed(offset: int, value: int) -> np.ndarray:
    """A progressive JPEG with another byte in its frame, counted from the marker."""
    content = bytearray(saved("RGB", subsampling=0).tobytes())
    content[content.index(b"\xff\xc2") + offset] = value
    return np.frombuffer(bytes(content), dtype=np.uint8)


def test_red_green_and_blue_stay_such():
    jpeg = saved("RGB", keep_rgb=True)
    assert np.array_equal(decode_with_pil(to_baseline(jpeg)), decode_with_pil(jpeg))


@pytest.mark.parametrize(
    "jpeg",
    [
        np.zeros(0, dtype=np.uint8),
        saved("CMYK"),
        changed(1, 0xCA),
        changed(4, 12),
        changed(5, 0x80),
        changed(11, 0x44),
        saved("RGB")[:-2],
        saved("RGB")[:500],
    ],
    ids=["empty", "CMYK", "arithmetic", "12 bits", "a size for which bytes lack", "large MCUs", "no end", "cut short"],
)
def test_others_are_left_as_they_are(jpeg):
    assert to_baseline(jpeg) is None
