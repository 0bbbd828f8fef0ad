"""Images in tiles, as they are or packed losslessly with zstd, so that a part of an image is read without the rest.

First a table in row order: of each tile its size in bytes and the XXH64 of these, two uint64. Then the tiles one after
another: values (height, width, C), little-endian; or a zstd frame of these values' lowest bytes, then of the next ones,
and so on, which is smaller and unpacked faster. Tiles at the right and at the bottom may be smaller.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from xxhash import xxh64_intdigest

from ffcv_hydra.errors import ConversionError
from ffcv_hydra.kernels.memory.checksum import first_mismatch

_ENTRY = np.dtype([("size", "<i8"), ("checksum", "<u8")])


def check_can_pack() -> None:
    """Raise `ConversionError` if the library that packs is missing."""
    try:
        import zstandard  # noqa: F401  # of an extra
    except ImportError as error:
        raise ConversionError(
            "packed images need the package zstandard: pip install 'ffcv_hydra[arrays]', or use write_mode: tiles"
        ) from error


def pack_tiles(image: np.ndarray, side: int, level: int | None = None) -> np.ndarray:
    """What is stored of an image.

    Args:
        image: (H, W, C), little-endian.
        side: of a tile, in pixels.
        level: of zstd; None: tiles are not packed.

    Returns:
        uint8 (num_bytes,).
    """
    tiles = [
        image[top : top + side, left : left + side].tobytes()
        for top in range(0, image.shape[0], side)
        for left in range(0, image.shape[1], side)
    ]
    if level is not None:
        import zstandard

        packer = zstandard.ZstdCompressor(level=level)
        tiles = [packer.compress(_planes(tile, image.dtype.itemsize)) for tile in tiles]
    table = np.array([(len(tile), xxh64_intdigest(tile)) for tile in tiles], dtype=_ENTRY)
    return np.frombuffer(b"".join([table.tobytes(), *tiles]), dtype=np.uint8)


def _planes(values: bytes, size: int) -> bytes:
    return np.frombuffer(values, dtype=np.uint8).reshape(-1, size).T.tobytes()


def unpack_box(
    data: np.ndarray,
    shape: tuple[int, int, int],
    dtype: np.dtype,
    side: int,
    is_packed: bool,
    box: np.ndarray,
    result: np.ndarray,
) -> None:
    """Read a part of an image, of which only the tiles that it lies on are looked at.

    Args:
        data: uint8, what `pack_tiles` gives.
        shape, dtype: of the image.
        side: of a tile, in pixels.
        is_packed: whether tiles are zstd's.
        box: int64 (4,): top, left, bottom, right, inside of the image.
        result: (bottom - top, right - left, C), of any dtype, written.

    Raises:
        ValueError: a tile is damaged.
    """
    height, width, channels = shape
    rows, columns = -(-height // side), -(-width // side)
    first = rows * columns * _ENTRY.itemsize
    if len(data) < first:
        raise ValueError("its table of tiles is cut off")
    table = data[:first].view(_ENTRY)
    ends = first + np.cumsum(table["size"])
    if ends[-1] != len(data) or table["size"].min() < 0 or table["size"].max() > len(data):
        raise ValueError("its table of tiles is damaged")
    top, left, bottom, right = (int(edge) for edge in box)
    covered = np.ogrid[top // side : -(-bottom // side), left // side : -(-right // side)]
    chosen = (covered[0] * columns + covered[1]).reshape(-1)
    sizes, checksums = table["size"][chosen], table["checksum"][chosen]
    wrong = int(first_mismatch(data, ends[chosen] - sizes, sizes, checksums))
    if wrong >= 0:
        raise ValueError(f"tile {chosen[wrong] // columns}, {chosen[wrong] % columns} is damaged")
    unpack = _unpacker(dtype) if is_packed else None
    for number in chosen.tolist():
        y, x = number // columns * side, number % columns * side
        size = min(side, height - y), min(side, width - x), channels
        stored = data[ends[number] - table["size"][number] : ends[number]].data
        num_bytes = math.prod(size) * dtype.itemsize
        values = np.frombuffer(stored, dtype=np.uint8) if unpack is None else unpack(stored, num_bytes)
        if values.nbytes != num_bytes:
            raise ValueError(f"tile {number // columns}, {number % columns} has another size")
        above, before = max(y, top), max(x, left)
        part = values.view(dtype).reshape(size)[above - y : bottom - y, before - x : right - x]
        result[above - top :, before - left :][: part.shape[0], : part.shape[1]] = part


def _unpacker(dtype: np.dtype) -> Callable[[memoryview, int], np.ndarray]:
    """A function that unpacks a frame into values as wide as the dtype's; none if they have not so many bytes."""
    import zstandard

    unpacker, number = zstandard.ZstdDecompressor(), np.dtype(f"<u{dtype.itemsize}")

    def unpack(frame: memoryview, num_bytes: int) -> np.ndarray:
        try:
            content = unpacker.decompress(frame) if zstandard.frame_content_size(frame) == num_bytes else b""
        except zstandard.ZstdError:
            content = b""
        *lower, upper = np.frombuffer(content, dtype=np.uint8).reshape(number.itemsize, -1)
        values = upper.astype(number)
        for plane in reversed(lower):
            values <<= 8
            values |= plane
        return values

    return unpack
