"""Images in tiles that are not packed; `beton.fields.tiles` says how they lie in the file.

A tile is compared with its checksum and copied while it is in the processor's cache.
"""

from numba import types

from ffcv_hydra.kernels.compiling.compilation import kernel
from ffcv_hydra.kernels.compiling.pointers import bytes_at, uint64_at
from ffcv_hydra.kernels.memory.checksum import xxh64
from ffcv_hydra.kernels.memory.copies import copy_bytes

_ENTRY = 16  # bytes of the table, per tile: its size, and its checksum


@kernel(types.int64(*[types.int64] * 11))
def read_tiles(address, size, height, width, pixel_bytes, side, top, left, bottom, right, target):
    """Read a box of an image, and look at no tile but those that it lies on.

    Args:
        address, size: where the image is stored, and its bytes.
        height, width: of the image, in pixels.
        pixel_bytes: of a pixel.
        side: of a tile, in pixels.
        top, left, bottom, right: of the box, inside the image.
        target: the address of the box's pixels, written row by row.

    Returns:
        1, or 0 if something is damaged.
    """
    columns = (width + side - 1) // side
    begin = (height + side - 1) // side * columns * _ENTRY
    if side < 1 or size != begin + height * width * pixel_bytes:
        return 0
    row_bytes = (right - left) * pixel_bytes
    for row in range(top // side, (bottom + side - 1) // side):
        y = row * side
        high, first, last = min(side, height - y), max(top, y), min(bottom, y + side)
        for column in range(left // side, (right + side - 1) // side):
            x = column * side
            wide, before, behind = min(side, width - x), max(left, x), min(right, x + side)
            entry = address + (row * columns + column) * _ENTRY
            tile, num_bytes = address + begin + (y * width + high * x) * pixel_bytes, high * wide * pixel_bytes
            if uint64_at(entry) != num_bytes or uint64_at(entry + 8) != xxh64(bytes_at(tile, num_bytes), 0, num_bytes):
                return 0
            source = tile + ((first - y) * wide + before - x) * pixel_bytes
            result = target + (first - top) * row_bytes + (before - left) * pixel_bytes
            for _ in range(first, last):
                copy_bytes(result, source, (behind - before) * pixel_bytes)
                source, result = source + wide * pixel_bytes, result + row_bytes
    return 1
