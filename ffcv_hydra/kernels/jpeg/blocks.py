"""The blocks of an MCU: what each is read with, and where its coefficients and its samples are.

Blocks are transformed by two; of an odd number, the last one goes with one that no component has.
"""

from ffcv_hydra.kernels.compiling.compilation import device_function, innermost_function
from ffcv_hydra.kernels.compiling.pointers import bytes_at
from ffcv_hydra.kernels.jpeg.entropy import BLOCK_SLOTS, PAIRS
from ffcv_hydra.kernels.jpeg.huffman import IS_DEFINED, NUM_TABLES, TABLE_LENGTH
from ffcv_hydra.kernels.jpeg.idct import COEFFICIENTS, inverse_transform
from ffcv_hydra.kernels.jpeg.markers import (
    COMPONENT_FIELDS,
    COMPONENTS,
    FIRST_COMPONENT,
    MAX_BLOCKS,
    MAX_COMPONENTS,
    MCU_WIDTH,
)
from ffcv_hydra.kernels.jpeg.strip import PLANES, STRIDES
from ffcv_hydra.kernels.jpeg.tables import PAIRS_AT, TABLES_AT

# int64 (BLOCK_LENGTH,) for each block of an MCU: its component, the addresses of what it is read with, of its
# coefficients, of its samples in the strip's first MCU, how far on they are in the next one and in the next row, and
# how many there are in each direction
BLOCK_LENGTH = 10
(COMPONENT, DC, AC, PAIRS_OF_AC, QUANTISERS, AT, ORIGIN, STEP, STRIDE, SIZE) = range(BLOCK_LENGTH)

_SIDE = 8  # coefficients in each direction

# the memory, in bytes: quantisers of `tables`, coefficients of an MCU, samples of no component
COEFFICIENTS_AT = 2 * 2 * MAX_COMPONENTS * COEFFICIENTS
_BESIDE_AT = COEFFICIENTS_AT + 2 * MAX_BLOCKS * BLOCK_SLOTS
BLOCKS_BYTES = _BESIDE_AT + COEFFICIENTS


@device_function
def list_blocks(header, strip, tables, memory, blocks):
    """Fill in a row per block of an MCU, and one more if their number is odd.

    Args:
        header: of `parse_jpeg`, perhaps `scale_header`'s.
        strip: of `place_planes`.
        tables: the address of what `prepare_tables` fills.
        memory: the address of BLOCKS_BYTES bytes, with the quantisers.
        blocks: int64 (MAX_BLOCKS, BLOCK_LENGTH), filled.

    Returns:
        How many blocks an MCU has, 0 if a table is not there.
    """
    count, coefficients = 0, memory + COEFFICIENTS_AT
    pairs, tables = tables + PAIRS_AT, tables + TABLES_AT
    for c in range(header[COMPONENTS]):
        at = FIRST_COMPONENT + COMPONENT_FIELDS * c
        numbers = (header[at + 2], NUM_TABLES // 2 + header[at + 3])
        size = min(_SIDE, header[MCU_WIDTH] // header[at])
        for i in range(header[at] * header[at + 1]):
            block = blocks[count]
            block[COMPONENT], block[SIZE] = c, size
            block[DC], block[AC] = tables + 4 * TABLE_LENGTH * numbers[0], tables + 4 * TABLE_LENGTH * numbers[1]
            block[PAIRS_OF_AC] = pairs + 8 * PAIRS * header[at + 3]
            block[QUANTISERS] = memory + 2 * COEFFICIENTS * (c if size == _SIDE else MAX_COMPONENTS + c)
            block[AT] = coefficients + 2 * BLOCK_SLOTS * count
            across, down = i % header[at], i // header[at]
            block[STRIDE] = strip[STRIDES + c]
            block[ORIGIN] = strip[PLANES + c] + block[STRIDE] * (1 + size * down) + size * across
            block[STEP] = size * header[at]
            count += 1
            for number in numbers:
                if bytes_at(tables + 4 * (TABLE_LENGTH * number + IS_DEFINED), 1)[0] == 0:
                    return 0
    if count % 2 == 1:
        for i in range(BLOCK_LENGTH):
            blocks[count, i] = blocks[count - 1, i]
        blocks[count, AT] = coefficients + 2 * BLOCK_SLOTS * count
        blocks[count, ORIGIN], blocks[count, STEP], blocks[count, STRIDE] = memory + _BESIDE_AT, 0, _SIDE
    return count


@innermost_function
def pair_of_blocks(blocks, one, column):
    """Addresses of a pair's coefficients, quantisers and samples in an MCU of the strip, and bytes from row to row."""
    other = one + 1  # whole rows of `blocks` would have their references counted, each time
    return (
        (blocks[one, AT], blocks[other, AT]),
        (blocks[one, QUANTISERS], blocks[other, QUANTISERS]),
        (blocks[one, ORIGIN] + column * blocks[one, STEP], blocks[other, ORIGIN] + column * blocks[other, STEP]),
        (blocks[one, STRIDE], blocks[other, STRIDE]),
    )


@innermost_function
def transform(blocks, count, column):
    """Turn the coefficients of an MCU into samples in the strip; zeros afterwards."""
    for one in range(0, count, 2):
        coefficients, quantisers, targets, strides = pair_of_blocks(blocks, one, column)
        inverse_transform(coefficients, quantisers, targets, strides)
