"""JPEGs of every kind that the transcoder is tried on, and the decoders that have to read what it writes."""

from io import BytesIO

import cv2
import numpy as np
from hypothesis import strategies as st
from PIL import Image

from ffcv_hydra.kernels.jpeg.tables import TABLES_BYTES
from ffcv_hydra.kernels.jpeg.turbojpeg import decode_jpeg
from ffcv_hydra.kernels.memory.parts import PARTS_LENGTH, SMALL, TABLES
from ffcv_hydra.operations.shared_decoding import DEFERRED_KERNELS, JPEG_KERNELS

_TABLES = np.zeros(TABLES_BYTES // 8, dtype=np.int64)

SUBSAMPLINGS = {
    "4:4:4": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
    "4:2:2": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_422,
    "4:2:0": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420,
    "4:4:0": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_440,
    "4:1:1": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_411,
    "gray": None,
}


def pixels(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Coarse colours with some noise, uint8 (height, width, 3)."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (3, 4, 3), dtype=np.uint8)
    smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(smooth + random.normal(0, 12, smooth.shape), 0, 255).astype(np.uint8)


def encode(
    image: np.ndarray,
    subsampling: str = "4:2:0",
    quality: int = 90,
    optimize: bool = False,
    progressive: bool = False,
    restart_interval: int = 0,
) -> np.ndarray:
    """A JPEG of an image, uint8 (H, W, 3), as uint8 (num_bytes,)."""
    options = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_OPTIMIZE, int(optimize)]
    options += [cv2.IMWRITE_JPEG_PROGRESSIVE, int(progressive), cv2.IMWRITE_JPEG_RST_INTERVAL, restart_interval]
    if subsampling == "gray":
        image = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    else:
        options += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, SUBSAMPLINGS[subsampling]]
    done, data = cv2.imencode(".jpg", image, options)
    assert done
    return data.reshape(-1)


def decode_with_pil(data: np.ndarray) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(data.tobytes())).convert("RGB"))


def decode_with_opencv(data: np.ndarray) -> np.ndarray:
    return cv2.imdecode(data, cv2.IMREAD_COLOR)


def decode_with_turbojpeg(data: np.ndarray) -> np.ndarray:
    height, width = decode_with_opencv(data).shape[:2]
    result = np.empty((height, width, 3), dtype=np.uint8)
    decode_jpeg(data, height, width, 3, result)
    return result


DECODERS = [decode_with_pil, decode_with_opencv, decode_with_turbojpeg]


def assert_same_pixels(first: np.ndarray, second: np.ndarray) -> None:
    """Both JPEGs have the same pixels, whoever decodes them."""
    for decode in DECODERS:
        assert np.array_equal(decode(first), decode(second)), decode.__name__


def parts_with(small: np.ndarray) -> np.ndarray:
    """What images are decoded with, given memory for the bytes of the largest JPEG, and `EXTRA_BYTES`."""
    parts = np.zeros(PARTS_LENGTH, dtype=np.int64)
    for part, kernel in {**JPEG_KERNELS, **DEFERRED_KERNELS}.items():
        parts[part] = kernel.deferred_address
    parts[TABLES], parts[SMALL] = _TABLES.ctypes.data, small.ctypes.data
    return parts


_EDIT = st.tuples(st.sampled_from(["flip", "set", "cut", "insert", "truncate"]), st.floats(0, 1), st.integers(0, 255))
EDITS = st.lists(_EDIT, min_size=1, max_size=3)


def edited(content: bytes, edits: list[tuple[str, float, int]]) -> bytes:
    """A JPEG with `EDITS`: bits and bytes that are changed, cut out or put in, and where it breaks off."""
    damaged = bytearray(content)
    for kind, where, value in edits:
        at = int(where * (len(damaged) - 1))
        if kind == "flip":
            damaged[at] ^= 1 << value % 8
        elif kind == "set":
            damaged[at] = value
        elif kind == "cut":
            del damaged[at : at + 1 + value % 4]
        elif kind == "insert":
            damaged[at:at] = bytes([value])
        elif where > 0.5:
            del damaged[at:]
        if len(damaged) < 4:
            break
    return bytes(damaged)
