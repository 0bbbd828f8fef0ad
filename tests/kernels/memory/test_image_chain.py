"""Chains of functions of single images, on functions that show what they were given."""

import numpy as np
import pytest
import xxhash

from ffcv_hydra.kernels.compiling.pointers import bytes_at, int64s_at
from ffcv_hydra.kernels.memory.image_chain import image_function
from ffcv_hydra.kernels.random.generator import fold, key_of
from ffcv_hydra.operations.base import Scratch
from ffcv_hydra.operations.image_chain import ImageChain, ImageFunction, images_of, stored_images

KEYS = fold(key_of(5), np.arange(40, dtype=np.uint64))


@image_function
def add(source, target, key, parameters):
    values = int64s_at(parameters, 2)
    given, result = bytes_at(source, values[0]), bytes_at(target, values[0])
    for i in range(values[0]):
        result[i] = given[i] + np.uint8(values[1])
    return 0


@image_function
def write_key(source, target, key, parameters):
    int64s_at(target, 1)[0] = key
    return 0


def adding(value: int, size: int, in_place: bool = False) -> ImageFunction:
    return ImageFunction(add, (size, value), size, bool(in_place))


def chain(*functions: ImageFunction) -> ImageChain:
    return ImageChain([(function, ()) for function in functions], 0)


def images(count: int, size: int) -> np.ndarray:
    return np.random.default_rng(size).integers(0, 256, (count, size), dtype=np.uint8)


@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 40])
@pytest.mark.parametrize("in_place", [(0, 0, 0, 0), (1, 1, 1, 1), (0, 1, 0, 1), (1, 0, 1, 0)])
def test_each_function_gets_what_the_one_before_it_gives(count, in_place):
    source, target = images(count, 50), np.zeros((count, 50), dtype=np.uint8)
    functions = [adding(value, 50, here) for value, here in zip((1, 10, 100, 30), in_place, strict=True)]
    before = source.copy()
    made = chain(*functions).run(images_of(source), np.arange(count), KEYS[:count], target, Scratch())
    assert made == count
    assert np.array_equal(target, source + np.uint8(141))
    assert np.array_equal(source, before)


def test_images_that_all_functions_change_in_place_may_be_their_own_target():
    source = images(9, 50)
    expected = source + np.uint8(3)
    chain(adding(1, 50, True), adding(2, 50, True)).run(images_of(source), np.arange(9), KEYS[:9], source, Scratch())
    assert np.array_equal(source, expected)


def test_keys_are_folded_as_fold_does_it():
    function = ImageFunction(write_key, (), 8)
    for parts in ((), (3,), (3, 2**64 - 1, 1)):
        target = np.empty(40, dtype=np.uint64)
        ImageChain([(function, (7,)), (function, parts)], 8).run(
            images_of(images(40, 8)), np.arange(40), KEYS, target.reshape(40, 1), Scratch()
        )
        assert np.array_equal(target, fold(KEYS, *parts) if parts else KEYS)


@pytest.mark.parametrize("size", [0, 1, 31, 32, 33, 95, 1000])
def test_stored_images_are_found_by_offset_and_compared_with_their_checksums(size):
    data = np.random.default_rng(0).integers(0, 256, 5000, dtype=np.uint8)
    offsets = np.random.default_rng(1).integers(0, 5000 - size + 1, 60).astype(np.uint64)
    stored = [data[int(begin) : int(begin) + size] for begin in offsets]
    checksums = np.repeat(np.array([xxhash.xxh64_intdigest(image) for image in stored], dtype=np.uint64), 2)
    samples = np.random.default_rng(2).permutation(60)[:40]
    target = np.zeros((40, size), dtype=np.uint8)
    source = stored_images(data, size, offsets, checksums[::2])
    run = chain(adding(1, size)).run
    assert run(source, samples, KEYS, target, Scratch()) == 40
    assert np.array_equal(target, np.stack(stored)[samples] + np.uint8(1))
    for wrong in (0, 5, 8, 23, 39):
        checksums[2 * samples[wrong]] ^= np.uint64(1)
        target[:] = 0
        assert run(source, samples, KEYS, target, Scratch()) == wrong
        assert np.array_equal(target[:wrong], np.stack(stored)[samples[:wrong]] + np.uint8(1))
        assert not target[wrong:].any()
        checksums[2 * samples[wrong]] ^= np.uint64(1)


@pytest.mark.parametrize("offset", [-1, 91, 2**62])
def test_an_image_that_does_not_lie_within_the_data_ends_the_chain(offset):
    offsets = np.array([0, 90, offset, 5], dtype=np.int64)
    source, target = stored_images(images(1, 100)[0], 10, offsets, None), np.zeros((4, 10), dtype=np.uint8)
    assert chain(adding(0, 10)).run(source, np.arange(4), KEYS[:4], target, Scratch()) == 2


def test_a_target_that_does_not_fit_is_refused():
    with pytest.raises(TypeError, match="50 bytes per image"):
        chain(adding(0, 50)).run(images_of(images(4, 50)), np.arange(4), KEYS[:4], np.zeros((4, 49)), Scratch())
