"""The samples of one row of MCUs, as planes, and how they become rows of pixels.

Chroma of half the height is interpolated between rows of samples, so the last row of a strip waits for the next strip:
each plane has one row on top of its own, the last one of the strip before.
"""

from ffcv_hydra.kernels.compiling.compilation import device_function, inlined_function, innermost_function
from ffcv_hydra.kernels.jpeg.colour import PIXELS, convert_row, repeat_row, sum_rows
from ffcv_hydra.kernels.jpeg.markers import COMPONENTS, HEIGHT, MAX_H, MAX_V, MCU_HEIGHT, MCU_WIDTH, WIDTH
from ffcv_hydra.kernels.memory.copies import copy_bytes

# int64 (STRIP_LENGTH,): how a box lies in the image, in MCUs (from `TOP`, `LEFT` up to `BOTTOM`, `RIGHT`) and in
# pixels, and where each component's plane is and how long its rows are, in bytes
STRIP_LENGTH = 17
(
    TOP, BOTTOM, LEFT, RIGHT,
    FIRST_ROW, END_ROW, FIRST_COLUMN, END_COLUMN,
    NEXT_ROW,  # which row of pixels is made next
    CHROMA_WIDTH, CHROMA_HEIGHT,  # of the whole image, in samples
    PLANES,  # the address of the first component's plane; those of the others follow
) = range(12)  # fmt: skip
STRIDES = PLANES + 3

_EVEN_2, _ODD_2 = 8, 7  # what is added to 16 times chroma before it is divided, for even and odd pixels
_EVEN_1, _ODD_1 = 4, 8  # where it has the image's height


@device_function
def _chroma_rows(header):
    """How many samples a block of chroma is high, and as many wide."""
    return header[MCU_HEIGHT] // header[MAX_V]


@device_function
def _covered(begin, end, factor, limit, block):
    """From which MCU up to which one chroma is needed for pixels from `begin` up to `end`."""
    margin = factor - 1  # samples that are interpolated with
    last = min(limit - 1, (end - 1) // factor + margin)
    return max(0, begin // factor - margin) // block, last // block + 1


@device_function
def lay_out(header, box, strip):
    """Note which MCUs and which rows and columns of pixels a box needs; the columns from an even one on.

    Args:
        header: of `parse_jpeg`; of one component, or of three of which the first has the factors 1 x 1, 2 x 1 or 2 x 2.
        box: int64 (4,): top, left, bottom, right, inside the image.
        strip: int64 (STRIP_LENGTH,), filled, except for the planes.
    """
    h, v = header[MAX_H], header[MAX_V]
    strip[CHROMA_WIDTH], strip[CHROMA_HEIGHT] = (header[WIDTH] + h - 1) // h, (header[HEIGHT] + v - 1) // v
    strip[FIRST_ROW], strip[END_ROW] = box[0], box[2]
    strip[FIRST_COLUMN], strip[END_COLUMN] = box[1] // h * h, box[3]
    strip[NEXT_ROW] = box[0]
    block = _chroma_rows(header)
    strip[TOP], strip[BOTTOM] = _covered(box[0], box[2], v, strip[CHROMA_HEIGHT], block)
    strip[LEFT], strip[RIGHT] = _covered(box[1], box[3], h, strip[CHROMA_WIDTH], block)


@device_function
def _plane_rows(header, component):
    return (header[MCU_HEIGHT] if component == 0 else _chroma_rows(header)) + 1


@device_function
def _plane_width(header, strip, component):
    return (strip[RIGHT] - strip[LEFT]) * (header[MCU_WIDTH] if component == 0 else _chroma_rows(header))


@device_function
def _planes_bytes(header, strip):
    total = PIXELS
    for c in range(header[COMPONENTS]):
        total += _plane_rows(header, c) * _plane_width(header, strip, c)
    return total


@device_function
def _sums_bytes(strip):
    return strip[END_COLUMN] - strip[FIRST_COLUMN] + 4 * PIXELS


@device_function
def strip_bytes(header, strip):
    """How much memory a strip takes: the planes, and what is needed to make pixels of them."""
    return _planes_bytes(header, strip) + 3 * PIXELS + 2 * _sums_bytes(strip)


@device_function
def place_planes(header, address, strip):
    """Note where the planes are, in `strip_bytes` bytes from an address on."""
    for c in range(header[COMPONENTS]):
        width = _plane_width(header, strip, c)
        strip[PLANES + c], strip[STRIDES + c] = address, width
        address += _plane_rows(header, c) * width


@innermost_function
def _chroma(strip, component, near, far, row, count, block, sums):
    """Sum two rows of chroma samples, which are counted in the whole image, for `count` samples from one before."""
    stride = strip[STRIDES + component]
    begin = strip[PLANES + component] + stride * (1 - row * block) - strip[LEFT] * block
    first = strip[FIRST_COLUMN] // 2 - 1
    sum_rows(begin + near * stride, begin + far * stride, first, count, strip[CHROMA_WIDTH], sums)


@innermost_function
def _show_row(header, strip, y, row, sums, target):
    luma = strip[PLANES] + strip[STRIDES] * (y - row * header[MCU_HEIGHT] + 1)
    luma += strip[FIRST_COLUMN] - strip[LEFT] * header[MCU_WIDTH]
    width = strip[END_COLUMN] - strip[FIRST_COLUMN]
    block, rest = _chroma_rows(header), sums
    halved, even, odd = header[MAX_H] == 2, _EVEN_1, _ODD_1
    if halved:
        near = far = y // header[MAX_V]
        if header[MAX_V] == 2:
            far = min(max(0, near + 2 * (y & 1) - 1), strip[CHROMA_HEIGHT] - 1)
            even, odd = _EVEN_2, _ODD_2
        blues, step = sums + 3 * PIXELS, _sums_bytes(strip)
        for c in range(1, 3):
            _chroma(strip, c, near, far, row, (width + 1) // 2 + 2, block, blues + (c - 1) * step)
        reds = blues + step
    else:
        across = strip[STRIDES + 1] * (y - row * block + 1) + strip[FIRST_COLUMN] - strip[LEFT] * block
        blues, reds = strip[PLANES + 1] + across, strip[PLANES + 2] + across
    convert_row(luma, blues, reds, width, halved, even, odd, rest, target)


@inlined_function
def show_rows(header, strip, row, channels, target):
    """Make what rows of pixels can be made once a row of MCUs is there, and keep what the next ones need.

    Args:
        header: of `parse_jpeg`.
        strip: of `lay_out` and `place_planes`; its `NEXT_ROW` goes on.
        row: of MCUs.
        channels: 3 for RGB, 1 for gray.
        target: the address of the box's pixels.
    """
    width = strip[END_COLUMN] - strip[FIRST_COLUMN]
    sums = strip[PLANES] + _planes_bytes(header, strip)
    ready = strip[END_ROW]
    if row + 1 < strip[BOTTOM]:
        ready = min(ready, (row + 1) * header[MCU_HEIGHT] - (header[MAX_V] - 1))
    for y in range(strip[NEXT_ROW], ready):
        to = target + (y - strip[FIRST_ROW]) * width * channels
        if header[COMPONENTS] == 3:
            _show_row(header, strip, y, row, sums, to)
            continue
        luma = strip[PLANES] + strip[STRIDES] * (y - row * header[MCU_HEIGHT] + 1)
        luma += strip[FIRST_COLUMN] - strip[LEFT] * header[MCU_WIDTH]
        if channels == 1:
            copy_bytes(to, luma, width)
        else:
            repeat_row(luma, width, to)
    strip[NEXT_ROW] = max(strip[NEXT_ROW], ready)
    for c in range(header[COMPONENTS]):
        stride = strip[STRIDES + c]
        copy_bytes(strip[PLANES + c], strip[PLANES + c] + stride * (_plane_rows(header, c) - 1), stride)
