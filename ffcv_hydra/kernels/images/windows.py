"""From stored images to pixels of given sizes: decode each image of a chunk once, and resample parts of it."""

import numpy as np
from numba import types

from ffcv_hydra.kernels.compiling.compilation import device_function, inlined_function, kernel
from ffcv_hydra.kernels.compiling.pointers import array_at, call_address, unowned
from ffcv_hydra.kernels.geometry.resize import resize_window
from ffcv_hydra.kernels.jpeg.decoder import REGION_LEFT, REGION_LENGTH, REGION_TOP, REGION_WIDTH
from ffcv_hydra.kernels.memory.parts import DECODE_BOX, DECODE_RUNS, FILL_AROUND, READ_TILES, RUN_FUNCTIONS, TILE

# the mode column; the first two are FFCV's
STORED_AS_JPEG, STORED_RAW, STORED_AS_RUNS, STORED_AS_TILES = 0, 1, 2, 3

# the columns of `targets`; FILL: the address of the pixel around images that do not fill the window, or 0 for zeros;
# IN_TARGET: whether the functions begin where the result is to be, and not in BETWEEN
TARGET_COLUMNS = 10
(
    ADDRESS, HEIGHT, WIDTH, FILL, RESULT_BYTES, FUNCTIONS, NUM_FUNCTIONS, IN_TARGET, BETWEEN, BETWEEN_BYTES,
) = range(TARGET_COLUMNS)  # fmt: skip

_int64s = types.Array(types.int64, 1, "C")


_signature = types.int64(
    _int64s, types.Array(types.uint8, 1, "C", readonly=True), _int64s, _int64s,
    types.Array(types.uint8, 1, "C"), _int64s, _int64s, types.int64, _int64s, types.Array(types.int64, 3, "C"),
    _int64s, types.Array(types.int64, 2, "C"), types.Array(types.uint64, 1, "C"), types.Array(types.uint8, 1, "C"),
    types.Array(types.float32, 1, "C"), types.int64,
)  # fmt: skip


@device_function
def _union(windows, n, box):
    """The smallest box around the boxes of image n: top, left, bottom, right."""
    for v in range(len(windows)):
        top, left = windows[v, n, 0], windows[v, n, 1]
        bottom, right = top + windows[v, n, 2], left + windows[v, n, 3]
        box[0], box[1] = top if v == 0 else min(box[0], top), left if v == 0 else min(box[1], left)
        box[2], box[3] = bottom if v == 0 else max(box[2], bottom), right if v == 0 else max(box[3], right)


@device_function
def _decode(parts, address, size, mode, height, width, channels, scale, box, scratch, region):
    """The address of the pixels of at least a box of one image: where it is stored if they lie there, else that of
    `scratch`.

    0 if it cannot be decoded. `region` is filled as `decode_box` does.
    """
    region[REGION_TOP] = region[REGION_LEFT] = 0
    region[REGION_WIDTH] = width
    if height < 1 or width < 1:
        return 0
    count = height * width * channels
    pixels = scratch.ctypes.data
    if mode == STORED_RAW:
        return address if size >= count else 0
    if mode == STORED_AS_JPEG:
        jpeg = (
            parts.ctypes.data, address, size, height, width, channels, scale, box.ctypes.data, pixels,
            region.ctypes.data,
        )  # fmt: skip
        return pixels if call_address(parts[DECODE_BOX], jpeg) == 1 else 0  # type: ignore[call-arg]  # numba's context
    if mode == STORED_AS_RUNS and channels == 1:
        return pixels if call_address(parts[DECODE_RUNS], (address, size, pixels, count)) == 1 else 0  # type: ignore[call-arg]
    if mode == STORED_AS_TILES and parts[TILE] > 0:
        region[REGION_TOP], region[REGION_LEFT], region[REGION_WIDTH] = box[0], box[1], box[3] - box[1]
        tiles = address, size, height, width, channels, parts[TILE], box[0], box[1], box[2], box[3], pixels
        return pixels if call_address(parts[READ_TILES], tiles) == 1 else 0  # type: ignore[call-arg]
    return 0


@inlined_function
def _place(parts, target, n, key, pixels, region, window, scale, interpolation, channels, row):
    """Resample one window of decoded pixels, and write what the functions make of it where a target has its image n."""
    window[0] -= region[REGION_TOP]
    window[1] -= region[REGION_LEFT]
    result = target[ADDRESS] + n * target[RESULT_BYTES]
    address = result if target[IN_TARGET] != 0 else target[BETWEEN]
    image = array_at(address, (target[HEIGHT], target[WIDTH], channels), pixels)
    resize_window(parts, pixels, region[REGION_WIDTH], window, scale, interpolation, row, image)
    if target[FILL] != 0:
        filled = address, target[HEIGHT], target[WIDTH], channels, window.ctypes.data, target[FILL]
        call_address(parts[FILL_AROUND], filled)  # type: ignore[call-arg]
    if target[NUM_FUNCTIONS] > 0:
        arguments = (
            target[FUNCTIONS], target[NUM_FUNCTIONS], address, np.int64(key), target[BETWEEN], target[BETWEEN_BYTES],
            result, target[RESULT_BYTES],
        )  # fmt: skip
        call_address(parts[RUN_FUNCTIONS], arguments)  # type: ignore[call-arg]


@kernel(_signature)
def decode_windows(
    parts, data, offsets, sizes, modes, heights, widths, channels, scales, windows, interpolations, targets, keys,
    scratch, row, begin,
):  # fmt: skip
    """Decode N stored images, each once, and resample V windows of each.

    Args:
        parts: int64 (PARTS_LENGTH,), of `parts`.
        data: uint8, the file or a part of it.
        offsets, sizes: int64 (N,), where each image lies in `data`, in bytes.
        modes: uint8 (N,), `STORED_AS_JPEG`, `STORED_RAW` for pixels (height, width, C), `STORED_AS_RUNS` for masks,
            `STORED_AS_TILES` for tiles of pixels of the side TILE of `parts`.
        heights, widths: int64 (N,), of the whole images.
        channels: C, 1 or 3; with the part RESAMPLE, the bytes of a pixel of whatever dtype and number of channels.
        scales: int64 (N,), 1, 2, 4 or 8: how many times smaller than what the windows are meant for JPEGs are decoded,
            and raw pixels are.
        windows: int64 (V, N, 9), as `resize_window` takes them; those of images that are decoded are overwritten.
        interpolations: int64 (V,), of `resample_taps`.
        targets: int64 (V, TARGET_COLUMNS): the address of what is made of each image n, one after another; H and W of
            the window; the address of the pixel around images, or 0; the bytes of a result; and, as
            `run_image_functions` takes them, what each image goes through next, with memory between. Without functions
            windows are the results.
        keys: uint64 (N,), one per image.
        scratch: as long as the largest image is, decoded (height * width * C), except that raw ones take none.
        row: twice C times the width of the widest image, and 1.
        begin: the position of the first image that is decoded.

    Returns:
        -1, or the position of the first image from `begin` on that is not decoded: a JPEG that is left to TurboJPEG, or
        what is damaged. Those behind it are not decoded either.
    """
    windows, targets = unowned(windows), unowned(targets)
    box, region = np.empty(4, dtype=np.int64), np.empty(REGION_LENGTH, dtype=np.int64)
    for n in range(begin, len(offsets)):
        if offsets[n] < 0 or sizes[n] < 0 or offsets[n] > len(data) - sizes[n]:
            return n
        _union(windows, n, box)
        address = _decode(
            parts, data.ctypes.data + offsets[n], sizes[n], modes[n], heights[n], widths[n], channels, scales[n], box,
            scratch, region,
        )  # fmt: skip
        if address == 0:
            return n
        pixels = array_at(address, (heights[n] * widths[n] * channels,), scratch)
        for v in range(len(targets)):
            _place(
                parts, targets[v], n, keys[n], pixels, region, windows[v, n], scales[n], interpolations[v], channels,
                row,
            )  # fmt: skip
    return -1
