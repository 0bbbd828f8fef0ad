"""Tables of floats as straight lines that a kernel computes, to the bit, faster than it looks the values up."""

import functools
from collections.abc import Iterator

import numpy as np

from ffcv_hydra.kernels.colour.finish import LINE_LENGTH

_LEVELS = np.arange(256.0)
_MANTISSA = 24  # bits of a float32
_STEPS = 100  # of a search that leaves two thirds of a span in each


def table_lines(table: np.ndarray) -> np.ndarray:
    """float32 (C, LINE_LENGTH): `table_line` of each channel of a table (C, 256); zeros for dtypes but float32."""
    if table.dtype != np.float32:
        return np.zeros((len(table), LINE_LENGTH), dtype=np.float32)
    return np.stack([_line(values.tobytes()) for values in table])


@functools.cache
def _line(values: bytes) -> np.ndarray:
    return table_line(np.frombuffer(values, dtype=np.float32))


def table_line(values: np.ndarray) -> np.ndarray:
    """The line on which the values of the bytes 0 to 255 lie, as `kernels.colour.finish` takes it.

    A value is rounded from the line's once, so that the line is one of those that go through all intervals which are
    rounded to the values. Slope and offset are parted: what the upper parts give is exact in float32.

    Args:
        values: float32 (256,).

    Returns:
        float32 (LINE_LENGTH,): the level that is taken for zero, and slope, offset, and what is added to these two.
        Zeros if what the kernel would compute is not the values to the bit.
    """
    zero = int(np.abs(values).argmin())
    if np.isfinite(values).all() and values[0] != values[255]:
        slope, offset = _through(values.astype(np.float64), _LEVELS - zero)
        largest = max(abs(slope) * 255, float(np.abs(values).max()))
        unit = 2.0 ** (np.floor(np.log2(largest)) + 1 - _MANTISSA)
        line = np.array([zero, *_parted(slope, unit), *_parted(offset, unit)], dtype=np.float32)
        line = line[[0, 1, 3, 2, 4]]
        x = _LEVELS.astype(np.float32) - line[0]
        found = (x * line[1] + line[2]) + (x * line[3] + line[4])
        if np.array_equal(found.view(np.uint32), values.view(np.uint32)):
            return line
    return np.zeros(LINE_LENGTH, dtype=np.float32)


def _parted(number: float, unit: float) -> Iterator[float]:
    upper = np.rint(number / unit) * unit
    yield upper
    yield number - upper


def _through(values: np.ndarray, x: np.ndarray) -> tuple[float, float]:
    """Slope and offset of the line that is furthest inside of the intervals around the values."""
    half = np.spacing(np.abs(values).astype(np.float32)).astype(np.float64) / 2
    low, high = values - half, values + half
    if values[x == 0] == 0:  # through this point, since its interval is next to nothing
        x, low, high = x[x != 0], low[x != 0] / x[x != 0], high[x != 0] / x[x != 0]
        return float(np.minimum(low, high).max() + np.maximum(low, high).min()) / 2, 0.0

    def room(slope: float) -> float:
        return (high - slope * x).min() - (low - slope * x).max()

    least, most = (low[255] - high[0]) / 255, (high[255] - low[0]) / 255
    for _ in range(_STEPS):
        one, other = (2 * least + most) / 3, (least + 2 * most) / 3
        least, most = (one, most) if room(one) < room(other) else (least, other)
    slope = (least + most) / 2
    return slope, ((high - slope * x).min() + (low - slope * x).max()) / 2
