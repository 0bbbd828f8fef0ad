"""From stored images to pixels of given sizes: decode each image of a chunk once, and resample parts of it."""

import numpy as np
from numba import types

from ffcv_hydra.kernels import jpeg
from ffcv_hydra.kernels.compilation import device_function, kernel
from ffcv_hydra.kernels.finish import finish
from ffcv_hydra.kernels.jpeg_region import (
    EXTRA_BYTES,
    REGION_LEFT,
    REGION_LENGTH,
    REGION_TOP,
    REGION_WIDTH,
    decode_region,
)
from ffcv_hydra.kernels.mask_codec import decode_runs
from ffcv_hydra.kernels.pointers import array_at, unowned
from ffcv_hydra.kernels.resample_taps import NEAREST
from ffcv_hydra.kernels.resize import resize_window

STORED_AS_JPEG, STORED_RAW, STORED_AS_RUNS = 0, 1, 2  # the mode column; the first two are FFCV's

jpeg.register()

_int64s = types.Array(types.int64, 1, "C")


def _signature(pixel):
    return types.int64(
        types.int64, types.Array(types.uint8, 1, "C", readonly=True), _int64s, _int64s,
        types.Array(types.uint8, 1, "C"), _int64s, _int64s, types.int64, types.Array(types.int64, 3, "C"), _int64s,
        types.Array(types.int64, 2, "C"), types.Array(types.uint32, 3, "C"), types.Array(pixel, 1, "C"),
    )  # fmt: skip


@device_function
def _scale(window, interpolation):
    """How many times smaller than it is a JPEG may be decoded for a window: never smaller than the outcome."""
    scale = 1
    if interpolation != NEAREST:
        while scale < 8 and window[2] >= 2 * scale * window[4] and window[3] >= 2 * scale * window[5]:
            scale *= 2
    return scale


@device_function
def _union(windows, n, scales, scale, box):
    """The smallest box around the boxes of image n at one scale: top, left, bottom, right. Whether there is one."""
    found = False
    for v in range(len(windows)):
        if scales[v] == scale:
            top, left = windows[v, n, 0], windows[v, n, 1]
            bottom, right = top + windows[v, n, 2], left + windows[v, n, 3]
            box[0], box[1] = min(box[0], top) if found else top, min(box[1], left) if found else left
            box[2], box[3] = max(box[2], bottom) if found else bottom, max(box[3], right) if found else right
            found = True
    return found


@device_function
def _decode(handle, data, offset, size, mode, height, width, channels, box, scale, small, scratch, region):
    """The address of the pixels of at least a box of one image: in `data` if they lie there as they are needed, else in
    `scratch`.

    0 if it cannot be decoded. `region` is filled as `decode_region` does.
    """
    region[REGION_TOP] = region[REGION_LEFT] = 0
    region[REGION_WIDTH] = width
    if height < 1 or width < 1:
        return 0
    count = height * width * channels
    if mode == STORED_RAW:
        num_bytes = count * scratch.itemsize
        if size < num_bytes:
            return 0
        if scratch.itemsize == 1:
            return data.ctypes.data + offset
        scratch.view(np.uint8)[:num_bytes] = data[offset : offset + num_bytes]  # in the file they may lie unaligned
        return scratch.ctypes.data
    if scratch.itemsize > 1:
        return 0
    if mode == STORED_AS_JPEG:
        good = (
            decode_region(handle, data, offset, size, height, width, channels, box, scale, small, scratch, region) == 0
        )
    elif mode == STORED_AS_RUNS and channels == 1:
        good = decode_runs(data, offset, size, scratch.view(np.uint8)[:count])
    else:
        good = False
    return scratch.ctypes.data if good else 0


@device_function
def _place(target, n, pixels, region, window, scale, interpolation, tables, row):
    """Resample one window of decoded pixels, and write it where a target has its image n."""
    channels = len(tables)
    shape = (target[1], target[2], channels)
    address = target[0] + n * shape[0] * shape[1] * channels * target[3]
    window[0] -= region[REGION_TOP]
    window[1] -= region[REGION_LEFT]
    if target[3] == pixels.itemsize and target[4] == 0:
        image = array_at(address, shape, pixels)
        resize_window(pixels, region[REGION_WIDTH], window, scale, interpolation, row, image)
    else:
        image = array_at(target[5], shape, pixels)
        resize_window(pixels, region[REGION_WIDTH], window, scale, interpolation, row, image)
        finish(image, tables, target[3], target[4] != 0, address)


@device_function
def _decode_windows(
    handle,
    data,
    offsets,
    sizes,
    modes,
    heights,
    widths,
    channels,
    windows,
    interpolations,
    targets,
    tables,
    scratch,
    row,
):
    windows, targets, tables = unowned(windows), unowned(targets), unowned(tables)
    small = np.empty(sizes.max() + EXTRA_BYTES, dtype=np.uint8)
    box, region = np.empty(4, dtype=np.int64), np.empty(REGION_LENGTH, dtype=np.int64)
    scales = np.ones(len(targets), dtype=np.int64)
    for n in range(len(offsets)):
        height, width = heights[n], widths[n]
        if modes[n] == STORED_AS_JPEG:
            for v in range(len(targets)):
                scales[v] = _scale(windows[v, n], interpolations[v])
        else:
            scales[:] = 1
        for scale in (1, 2, 4, 8):  # what a window is made of must not depend on the other windows
            if not _union(windows, n, scales, scale, box):
                continue
            address = _decode(
                handle,
                data,
                offsets[n],
                sizes[n],
                modes[n],
                height,
                width,
                channels,
                box,
                scale,
                small,
                scratch,
                region,
            )
            if address == 0:
                return n
            pixels = array_at(address, (height * width * channels,), scratch)
            for v in range(len(targets)):
                if scales[v] == scale:
                    _place(targets[v], n, pixels, region, windows[v, n], scale, interpolations[v], tables[v], row)
    return -1


@kernel(_signature(types.uint8))
def decode_windows_8(
    handle, data, offsets, sizes, modes, heights, widths, channels, windows, interpolations, targets, tables, scratch
):
    """Decode N stored images of 8 bits, each once, and resample V windows of each.

    Args:
        handle: of a `jpeg.Decompressor` of this thread.
        data: uint8, the file or a part of it.
        offsets, sizes: int64 (N,), where each image lies in `data`, in bytes.
        modes: uint8 (N,), `STORED_AS_JPEG`, `STORED_RAW` for pixels (height, width, C), `STORED_AS_RUNS` for masks.
        heights, widths: int64 (N,), of the whole images.
        channels: C, 1 or 3.
        windows: int64 (V, N, 9), as `resize_window` takes them; overwritten.
        interpolations: int64 (V,), of `resample_taps`.
        targets: int64 (V, 6), of each array (N, H, W, C) or (N, C, H, W) that is written: address, H, W, bytes per
            value, whether channels come first, and the address of H * W * C bytes for use on the way, which an array
            (N, H, W, C) of the stored dtype takes none of.
        tables: uint32 (V, C, 256), as `finish` takes them, for arrays of another dtype than the stored one.
        scratch: of the dtype of the targets, as long as the largest image is, decoded (height * width * C), except that
            raw pixels of 8 bits take none.

    Returns:
        -1, or the position of the first image that could not be decoded.
    """
    row = np.zeros(channels * widths.max() + 1, dtype=np.float32)
    return _decode_windows(
        handle,
        data,
        offsets,
        sizes,
        modes,
        heights,
        widths,
        channels,
        windows,
        interpolations,
        targets,
        tables,
        scratch,
        row,
    )


@kernel(_signature(types.uint16))
def decode_windows_16(
    handle, data, offsets, sizes, modes, heights, widths, channels, windows, interpolations, targets, tables, scratch
):
    """Like `decode_windows_8` for images of 16 bits, which are stored raw."""
    row = np.zeros(channels * widths.max() + 1, dtype=np.float64)  # float32 could round 65535 up, and beyond uint16
    return _decode_windows(
        handle,
        data,
        offsets,
        sizes,
        modes,
        heights,
        widths,
        channels,
        windows,
        interpolations,
        targets,
        tables,
        scratch,
        row,
    )
