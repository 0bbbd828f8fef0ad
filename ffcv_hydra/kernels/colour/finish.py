"""The last touch to an image that has just been decoded: its bytes become other values, its channels apart.

float32 values that lie on a line, but for the rounding of each, are computed, to the bit; others are looked up.
"""

import numpy as np

from ffcv_hydra.kernels.compiling.compilation import device_function
from ffcv_hydra.kernels.compiling.pointers import array_at, bytes_at, int64s_at
from ffcv_hydra.kernels.memory.copies import copy_bytes
from ffcv_hydra.kernels.memory.image_chain import image_function

# of the line that a channel's values lie on: the level that is taken for zero, slope and offset, and what is added to
# these two; a slope of 0 says that there is none
LINE_LENGTH = 5


@device_function
def _place_bytes(image, plane, channels, target):
    """Put channels first, each of `plane` values."""
    if channels == 3:
        red, green, blue = target[:plane], target[plane : 2 * plane], target[2 * plane :]
        for i in range(plane):
            red[i], green[i], blue[i] = image[3 * i], image[3 * i + 1], image[3 * i + 2]
    else:
        for c in range(channels):
            for i in range(plane):
                target[c * plane + i] = image[i * channels + c]


@device_function
def _look_up(image, height, width, channels, tables, channels_first, target):
    kind = target.dtype.type
    pixel_step = np.uint64(1 if channels_first else channels)
    channel_step = np.uint64(height * width if channels_first else 1)
    for y in range(height):
        row = image[y * width * channels : (y + 1) * width * channels]
        for c in range(np.uint64(channels)):
            table = tables[c]
            at = c * channel_step + np.uint64(y * width) * pixel_step
            for x in range(np.uint64(width)):
                target[at + x * pixel_step] = kind(table[np.uint64(row[x * np.uint64(channels) + c])])


@device_function
def _on_line(level, zero, slope, offset, slope_rest, offset_rest):
    x = np.float32(level) - zero
    return (x * slope + offset) + (x * slope_rest + offset_rest)


@device_function
def _compute_planes(image, plane, lines, target):
    """The values of three channels, one after the other."""
    red, green, blue = target[:plane], target[plane : 2 * plane], target[2 * plane :]
    zero_r, slope_r, offset_r, slope_rest_r, offset_rest_r = lines[0]
    zero_g, slope_g, offset_g, slope_rest_g, offset_rest_g = lines[1]
    zero_b, slope_b, offset_b, slope_rest_b, offset_rest_b = lines[2]
    for i in range(plane):
        red[i] = _on_line(image[3 * i], zero_r, slope_r, offset_r, slope_rest_r, offset_rest_r)
        green[i] = _on_line(image[3 * i + 1], zero_g, slope_g, offset_g, slope_rest_g, offset_rest_g)
        blue[i] = _on_line(image[3 * i + 2], zero_b, slope_b, offset_b, slope_rest_b, offset_rest_b)


@device_function
def _compute(image, height, length, channels, lines, target):
    """The values of channels side by side, in rows of `length` values."""
    repeated = np.empty((LINE_LENGTH, length), dtype=np.float32)
    for x in range(length):
        for number in range(LINE_LENGTH):
            repeated[number, x] = lines[x % channels, number]
    zero, slope, offset, slope_rest, offset_rest = repeated[0], repeated[1], repeated[2], repeated[3], repeated[4]
    for y in range(height):
        row, values = image[y * length : (y + 1) * length], target[y * length : (y + 1) * length]
        for x in range(length):
            values[x] = _on_line(row[x], zero[x], slope[x], offset[x], slope_rest[x], offset_rest[x])


@image_function
def finish_image(source, target, key, parameters):
    """Write an image in its final form.

    Parameters: height, width and channels, of bytes; the address of uint64 (channels, 256), the bits of each byte's
    value per channel, which are not looked at for bytes; that of float32 (channels, LINE_LENGTH), the lines on which
    they lie if they are float32, or zeros; bytes of a value of the outcome: 2, 4 or 8, or 1, which leaves the bytes as
    they are; and 1 to write (C, H, W), 0 for (H, W, C).
    """
    values = int64s_at(parameters, 7)
    height, width, channels, value_bytes = values[0], values[1], values[2], values[5]
    count, first = height * width * channels, values[6] != 0 and channels > 1
    pixels, bits = bytes_at(source, count), array_at(values[3], (channels, 256), np.empty(0, dtype=np.uint64))
    lines = array_at(values[4], (channels, LINE_LENGTH), np.empty(0, dtype=np.float32))
    on_lines = True
    for c in range(channels):
        on_lines = on_lines and lines[c, 1] != 0
    if value_bytes == 1 and first:
        _place_bytes(pixels, height * width, channels, bytes_at(target, count))
    elif value_bytes == 1:
        copy_bytes(target, source, count)
    elif on_lines and channels == 3 and first:
        _compute_planes(pixels, height * width, lines, array_at(target, (count,), lines))
    elif on_lines and not first:
        _compute(pixels, height, width * channels, channels, lines, array_at(target, (count,), lines))
    elif value_bytes == 2:
        halves = array_at(target, (count,), np.empty(0, dtype=np.uint16))
        _look_up(pixels, height, width, channels, bits, first, halves)
    elif value_bytes == 4:
        words = array_at(target, (count,), np.empty(0, dtype=np.uint32))
        _look_up(pixels, height, width, channels, bits, first, words)
    else:
        _look_up(pixels, height, width, channels, bits, first, array_at(target, (count,), bits))
    return 0
