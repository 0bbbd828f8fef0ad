"""Operations on images one image after another: what one gives is in the processor's cache when the next reads it.

An image function does one operation to one image. It is compiled by itself and called at its address, so that a chain
of any of them is no new code; what it needs to know beside the image's random key is a block of parameters.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import types

from ffcv_hydra.kernels.compiling.compilation import Kernel, device_function, kernel
from ffcv_hydra.kernels.compiling.pointers import call_address, int64s_at, uint64_at
from ffcv_hydra.kernels.memory.checksum import GROUP, group_xxh64
from ffcv_hydra.kernels.memory.copies import copy_bytes, prefetch
from ffcv_hydra.kernels.random.generator import mixed_in, premixed

# the columns of `functions`
FUNCTION_COLUMNS = 7
FUNCTION, PARAMETERS, DESTINATION, NUM_PARTS, FIRST_PART = range(5)

# where a function's result goes: to one of the two images in `between`, the one where its source is not; to its
# source, if that is one of these; or to the target
TO_OTHER, TO_SOURCE, TO_TARGET = range(3)

# the places in `source`
SOURCE_LENGTH = 7
DATA, DATA_BYTES, IMAGE_BYTES, OFFSETS, OFFSET_STEP, CHECKSUMS, CHECKSUM_STEP = range(SOURCE_LENGTH)

_PREFETCHED = 4096  # bytes of the next result; further on the processor has found out by itself


def image_function(function: Callable[..., Any]) -> Kernel:
    """Make a `Kernel` of a function (source, target, key, parameters): addresses of images, a key, of a block of int64.

    It writes the whole image at `target`, and returns 0; or it writes nothing and returns `source`, if that is the
    outcome.
    """
    return kernel(types.int64(*[types.int64] * 4))(function)


@device_function
def _find(source, samples, begin, addresses):
    """Fill in the addresses of a group of images, the last one again for those that are not there.

    Returns:
        How many of them there are, up to the first one that does not lie within the data.
    """
    count = min(GROUP, len(samples) - begin)
    for n in range(count):
        offset = np.int64(uint64_at(source[OFFSETS] + samples[begin + n] * source[OFFSET_STEP]))
        if offset < 0 or offset > source[DATA_BYTES] - source[IMAGE_BYTES]:
            count = n
            break
        addresses[n] = source[DATA] + offset
    for n in range(count, GROUP):
        addresses[n] = addresses[max(count - 1, 0)]
    return count


@device_function
def _num_intact(source, samples, begin, count, addresses, lanes, checksums):
    """How many images of a group there are before the first one that differs from its checksum."""
    group_xxh64(addresses, source[IMAGE_BYTES], lanes, checksums)
    for n in range(count):
        if checksums[n] != uint64_at(source[CHECKSUMS] + samples[begin + n] * source[CHECKSUM_STEP]):
            return n
    return count


@device_function
def _premixed_parts(functions):
    """uint64 (F, 3): what is folded into the key for each function."""
    parts = np.empty((len(functions), FUNCTION_COLUMNS - FIRST_PART), dtype=np.uint64)
    for i in range(len(functions)):
        for part in range(FUNCTION_COLUMNS - FIRST_PART):
            parts[i, part] = premixed(np.uint64(functions[i, FIRST_PART + part]))
    return parts


@device_function
def _run_functions(functions, parts, address, place, key, between, target, target_bytes):
    """Let one image go through the functions, and write it; `place` is where it is in `between`, or -1."""
    for i in range(len(functions)):  # a row as an array would have its references counted, for each image
        folded = key
        for part in range(functions[i, NUM_PARTS]):
            folded = mixed_in(folded, parts[i, part])
        result, other = target, np.int64(-1)
        if functions[i, DESTINATION] != TO_TARGET:
            other = place if functions[i, DESTINATION] == TO_SOURCE and place >= 0 else np.int64(place == 0)
            result = between[other]
        arguments = (address, result, np.int64(folded), functions[i, PARAMETERS])
        if call_address(functions[i, FUNCTION], arguments) == 0:  # type: ignore[call-arg]
            address, place = result, other
    if address != target:
        copy_bytes(target, address, target_bytes)


@kernel(types.int64(*[types.int64] * 8))
def run_image_functions(functions, count, address, key, between, between_bytes, target, target_bytes):
    """Let one image go through a chain.

    Args:
        functions: the address of int64 (count, FUNCTION_COLUMNS), as `run_image_chain` takes them.
        address: of the image; `between` or `target`, or elsewhere if no function works in place.
        key: of the image.
        between: the address of twice `between_bytes` for an image on its way.
        target: the address of the result.
        target_bytes: of the result.

    Returns:
        0.
    """
    rows = int64s_at(functions, (count, FUNCTION_COLUMNS))
    places = np.array([between, between + between_bytes])
    place = np.int64(0 if address == between else -1)
    _run_functions(rows, _premixed_parts(rows), address, place, np.uint64(key), places, target, target_bytes)
    return 0


@kernel("int64(int64[::1], int64[::1], uint64[::1], int64[:, ::1], int64[::1], int64, int64)")
def run_image_chain(source, samples, keys, functions, between, target, target_bytes):
    """Let images go through a chain of image functions, each after its stored bytes are compared with their checksum.

    Args:
        source: int64 (SOURCE_LENGTH,): the address of the data that holds the images, its length in bytes, the bytes
            of an image; the address of uint64 offsets into the data, by sample, and how many bytes are from one to the
            next; and the same of uint64 checksums, whose address is 0 if there are none.
        samples: int64 (N,), which images to take.
        keys: uint64 (N,), one per image.
        functions: int64 (F, FUNCTION_COLUMNS), a row for each: its address, that of its parameters, where its result
            goes (TO_OTHER, TO_SOURCE, or TO_TARGET), how many integers are folded into the key before it gets it, and
            these, up to three.
        between: int64 (2,), addresses of memory for an image on its way.
        target: the address of the results, one after another.
        target_bytes: of a result.

    Returns:
        How many images went through: N, or the position of the first one whose bytes are damaged.
    """
    groups, lanes = np.empty((2, GROUP), dtype=np.int64), np.empty((GROUP, 4), dtype=np.uint64)
    checksums = np.empty(GROUP, dtype=np.uint64)
    parts = _premixed_parts(functions)
    total, ahead = len(samples), min(target_bytes, _PREFETCHED)
    upcoming = _find(source, samples, 0, groups[0]) if total > 0 else 0
    for begin in range(0, total, GROUP):
        count, addresses, following = upcoming, groups[begin // GROUP % 2], groups[(begin // GROUP + 1) % 2]
        upcoming = _find(source, samples, begin + GROUP, following) if begin + GROUP < total else 0
        if count > 0 and source[CHECKSUMS] != 0:
            count = _num_intact(source, samples, begin, count, addresses, lanes, checksums)
        # Only both ends of each image, but all at once: what takes long is to find the pages, and that overlaps.
        for n in range(upcoming):
            prefetch(following[n], 1)
            prefetch(following[n] + source[IMAGE_BYTES] - 1, 1)
        for n in range(count):
            image = target + (begin + n) * target_bytes
            prefetch(image + target_bytes, ahead)
            _run_functions(functions, parts, addresses[n], np.int64(-1), keys[begin + n], between, image, target_bytes)
        if count < min(GROUP, total - begin):
            return begin + count
    return total
