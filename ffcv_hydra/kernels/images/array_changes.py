"""Changes as those of `changes`, of images of any number of channels and of more dtypes than bytes.

Values are computed in float32; those of integers are cut to the dtype's range. Each kernel is of one dtype, so that
nobody compiles what is not used. None works in place.
"""

import numpy as np

from ffcv_hydra.kernels.colour.blur import mirrored
from ffcv_hydra.kernels.compiling.compilation import device_function
from ffcv_hydra.kernels.compiling.pointers import array_at, float64s_at, int64s_at
from ffcv_hydra.kernels.geometry.resample import within
from ffcv_hydra.kernels.images.changes import change
from ffcv_hydra.kernels.memory.image_chain import image_function

_LUMINANCE = (0.2989, 0.587, 0.114)
_UINT8, _UINT16, _INT16, _FLOAT32 = (np.empty(0, kind) for kind in (np.uint8, np.uint16, np.int16, np.float32))
_OF_UINT8, _OF_UINT16, _OF_INT16, _NO_LIMITS = (0.0, 255.0), (0.0, 65535.0), (-32768.0, 32767.0), (0.0, 0.0)


@device_function
def _levels(pixels, levels):
    """The mean of each channel of pixels (P, C); of three channels, that of their luminance in all of them."""
    for i in range(len(pixels)):
        for c in range(len(levels)):
            levels[c] += np.float64(pixels[i, c])
    if len(levels) == 3:
        levels[:] = _LUMINANCE[0] * levels[0] + _LUMINANCE[1] * levels[1] + _LUMINANCE[2] * levels[2]
    levels /= len(pixels)


@device_function
def _blend(source, target, sizes, amounts, like, limits):
    """Move values away from 0, or from the mean if what is behind the sizes is 1, by a factor; integers are cut."""
    values, factor, (low, high) = int64s_at(sizes, 4), float64s_at(amounts, 1)[0], limits
    shape, kind = (values[0] * values[1], values[2]), like.dtype.type
    before, after, levels = array_at(source, shape, like), array_at(target, shape, like), np.zeros(values[2])
    if values[3] != 0:
        _levels(before, levels)
    share, others = np.float32(factor), ((1.0 - factor) * levels).astype(np.float32)
    least, most = np.float32(low), np.float32(high)
    for i in range(len(before)):
        for c in range(len(others)):
            value = share * np.float32(before[i, c]) + others[c]
            after[i, c] = kind(min(max(value, least), most) if low < high else value)
    return 0


@device_function
def _weights(size, sigma):
    """Of a Gaussian window, float32 (1 + size // 2,), from the middle on; with both sides they sum up to 1."""
    weights = np.exp(-0.5 * (np.arange(size // 2 + 1) / sigma) ** 2)
    return (weights / (2 * weights.sum() - 1)).astype(np.float32)


@device_function
def _blur(source, target, sizes, amounts, like, limits):
    """Blur; beyond its border the image is mirrored. Behind the sizes: height and width of the window."""
    values, sigma, (low, high) = int64s_at(sizes, 5), float64s_at(amounts, 1)[0], limits
    height, channels, length = values[0], values[2], values[1] * values[2]
    before, after = array_at(source, (height, length), like), array_at(target, (height, length), like)
    down, across = _weights(values[3], sigma), _weights(values[4], sigma)
    margin, kind = (len(across) - 1) * channels, like.dtype.type
    line, result = np.empty(length + 2 * margin, np.float32), np.empty(length, np.float32)
    for y in range(height):
        middle, here = line[margin : margin + length], before[y]
        for x in range(length):
            middle[x] = down[0] * np.float32(here[x])
        for t in range(1, len(down)):
            above, below = before[mirrored(y - t, height)], before[mirrored(y + t, height)]
            for x in range(length):
                middle[x] += down[t] * (np.float32(above[x]) + np.float32(below[x]))
        for x in range(len(across) - 1):
            for c in range(channels):
                line[x * channels + c] = line[2 * margin - x * channels + c]
                line[margin + length + x * channels + c] = line[margin + length - (x + 2) * channels + c]
        for x in range(length):
            result[x] = across[0] * middle[x]
        for t in range(1, len(across)):
            left, right = line[margin - t * channels :], line[margin + t * channels :]
            for x in range(length):
                result[x] += across[t] * (left[x] + right[x])
        for x in range(length):
            after[y, x] = kind(within(result[x], low, high))
    return 0


@device_function
def _map_bilinear(source, target, sizes, amounts, like, limits):
    """As `map_bilinear`: amounts are the matrix; the third size is the bytes of a pixel, the fourth one that fills."""
    values, matrix, (low, high) = int64s_at(sizes, 4), float64s_at(amounts, 6), limits
    height, width, channels, kind = values[0], values[1], values[2] // like.itemsize, like.dtype.type
    shape = (height, width, channels)
    before, after = array_at(source, shape, like), array_at(target, shape, like)
    fill = array_at(values[3], (channels,), like)
    middle_x, middle_y = 0.5 * (width - 1), 0.5 * (height - 1)
    for y in range(height):
        for x in range(width):
            from_x = matrix[0] * (x - middle_x) + matrix[1] * (y - middle_y) + matrix[2] + middle_x
            from_y = matrix[3] * (x - middle_x) + matrix[4] * (y - middle_y) + matrix[5] + middle_y
            if not (-1 < from_x < width and -1 < from_y < height):
                after[y, x] = fill
                continue
            left, top = np.int64(np.floor(from_x)), np.int64(np.floor(from_y))
            share_x, share_y = from_x - left, from_y - top
            for c in range(channels):
                total = 0.0
                for corner in range(4):
                    row, column = top + corner // 2, left + corner % 2
                    weight = (share_y if corner > 1 else 1 - share_y) * (share_x if corner % 2 == 1 else 1 - share_x)
                    is_inside = 0 <= row < height and 0 <= column < width
                    if weight > 0:  # what no data stands for, as NaN, must not spread to where it is not read
                        total += weight * np.float64(before[row, column, c] if is_inside else fill[c])
                after[y, x, c] = kind(within(total, low, high))
    return 0


@device_function
def _normalize(source, target, parameters, like):
    """Write (x - mean) / std as float32. Parameters: pixels, channels, the address of float64 (2, C)."""
    values = int64s_at(parameters, 3)
    shape = (values[0], values[1])
    before, after = array_at(source, shape, like), array_at(target, shape, _FLOAT32)
    constants = float64s_at(values[2], (2, values[1]))
    mean, std = constants[0], constants[1]
    for i in range(len(before)):
        for c in range(len(mean)):
            after[i, c] = np.float32((np.float64(before[i, c]) - mean[c]) / std[c])
    return 0


@change
def blend_uint8(source, target, sizes, amounts):
    """Amount: the factor, at least 0. Behind the sizes: 1 to blend with the mean of each channel, 0 with black."""
    return _blend(source, target, sizes, amounts, _UINT8, _OF_UINT8)


@change
def blend_uint16(source, target, sizes, amounts):
    """As `blend_uint8`."""
    return _blend(source, target, sizes, amounts, _UINT16, _OF_UINT16)


@change
def blend_int16(source, target, sizes, amounts):
    """As `blend_uint8`."""
    return _blend(source, target, sizes, amounts, _INT16, _OF_INT16)


@change
def blend_float32(source, target, sizes, amounts):
    """As `blend_uint8`, without limits."""
    return _blend(source, target, sizes, amounts, _FLOAT32, _NO_LIMITS)


@change
def blur_uint16(source, target, sizes, amounts):
    """As `changes.blur`."""
    return _blur(source, target, sizes, amounts, _UINT16, _OF_UINT16)


@change
def blur_int16(source, target, sizes, amounts):
    """As `changes.blur`."""
    return _blur(source, target, sizes, amounts, _INT16, _OF_INT16)


@change
def blur_float32(source, target, sizes, amounts):
    """As `changes.blur`."""
    return _blur(source, target, sizes, amounts, _FLOAT32, _NO_LIMITS)


@change
def map_bilinear_uint16(source, target, sizes, amounts):
    """As `changes.map_bilinear`."""
    return _map_bilinear(source, target, sizes, amounts, _UINT16, _OF_UINT16)


@change
def map_bilinear_int16(source, target, sizes, amounts):
    """As `changes.map_bilinear`."""
    return _map_bilinear(source, target, sizes, amounts, _INT16, _OF_INT16)


@change
def map_bilinear_float32(source, target, sizes, amounts):
    """As `changes.map_bilinear`."""
    return _map_bilinear(source, target, sizes, amounts, _FLOAT32, _NO_LIMITS)


@image_function
def normalize_uint16(source, target, key, parameters):
    """(x - mean) / std; see `_normalize`."""
    return _normalize(source, target, parameters, _UINT16)


@image_function
def normalize_int16(source, target, key, parameters):
    """(x - mean) / std; see `_normalize`."""
    return _normalize(source, target, parameters, _INT16)


@image_function
def normalize_float32(source, target, key, parameters):
    """(x - mean) / std; see `_normalize`."""
    return _normalize(source, target, parameters, _FLOAT32)
