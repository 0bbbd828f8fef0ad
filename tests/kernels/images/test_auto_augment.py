import numpy as np
import pytest
from scipy import stats
from torchvision.transforms import v2

from ffcv_hydra.kernels.compiling.compilation import Kernel, kernel
from ffcv_hydra.kernels.images import auto_augment
from ffcv_hydra.kernels.images.auto_augment import apply_operation, draw_operation
from ffcv_hydra.kernels.random.generator import fold, key_of
from ffcv_hydra.operations.auto_augment import CHANGES

KEYS = fold(key_of(9), np.arange(30_000, dtype=np.uint64))
SIGNED = np.isin(np.arange(14), range(auto_augment.SHEAR_X, auto_augment.SHARPNESS + 1))
# torchvision's names, in our order
NAMES = [
    "Identity", "ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate", "Brightness", "Color", "Contrast",
    "Sharpness", "Posterize", "Solarize", "AutoContrast", "Equalize",
]  # fmt: skip


@kernel("void(uint64[::1], int64, float64[::1], int64, int64[:, ::1], float64[:, ::1])")
def draw(keys, magnitude_bin, magnitudes, bins, operations, chosen):
    for n in range(len(keys)):
        for i in range(operations.shape[1]):
            operations[n, i], chosen[n, i] = draw_operation(keys[n], i, magnitude_bin, magnitudes, bins)


@kernel("int64(int64, float64, int64[::1], int64, int64, int64)")
def apply(operation, magnitude, changes, source, target, sizes):
    return apply_operation(operation, magnitude, changes, source, target, sizes)


def drawn(magnitude_bin: int, length: int) -> tuple[np.ndarray, np.ndarray]:
    magnitudes = 1 + np.arange(14 * 5, dtype=float).reshape(14, 5)
    operations, chosen = np.empty((len(KEYS), length), dtype=np.int64), np.empty((len(KEYS), length))
    draw(KEYS, magnitude_bin, magnitudes.ravel(), 5, operations, chosen)
    assert np.array_equal((np.abs(chosen) - 1) // 5, operations)  # each magnitude is of the operation's own
    return operations, chosen


def test_operations_are_equally_likely_and_independent():
    operations, _ = drawn(2, 3)
    for i in range(3):
        assert stats.chisquare(np.bincount(operations[:, i], minlength=14)).pvalue > 1e-4
    for i, j in ((0, 1), (1, 2), (0, 2)):
        pairs = np.bincount(operations[:, i] * 14 + operations[:, j], minlength=14 * 14)
        assert stats.chisquare(pairs).pvalue > 1e-4


def test_signs_are_fair_where_there_are_any():
    operations, chosen = drawn(2, 2)
    signed = SIGNED[operations]
    assert (chosen[~signed] > 0).all()
    assert abs((chosen[signed] < 0).mean() - 0.5) < 5 * 0.5 / np.sqrt(signed.sum())


def test_the_bin_is_the_one_asked_for_or_any_with_equal_probability():
    assert ((np.abs(drawn(2, 1)[1]) - 1) % 5 == 2).all()
    operations, chosen = drawn(-1, 1)
    bins = ((np.abs(chosen) - 1) % 5).astype(int)
    assert stats.chisquare(np.bincount((operations * 5 + bins).ravel(), minlength=14 * 5)).pvalue > 1e-4


def applied(picture: np.ndarray, operations: list[int], magnitudes: list[float], fill: int = 0) -> np.ndarray:
    color = np.full(picture.shape[2], fill, dtype=np.uint8)
    sizes = np.array([*picture.shape, color.ctypes.data])
    changes = np.array([change.address if isinstance(change, Kernel) else change for change in CHANGES])
    for operation, magnitude in zip(operations, magnitudes, strict=True):
        source, target = picture, np.empty_like(picture)
        found = apply(operation, magnitude, changes, source.ctypes.data, target.ctypes.data, sizes.ctypes.data)
        assert found == (source.ctypes.data if operation == auto_augment.IDENTITY else 0)
        picture = source if found else target
    return picture


MAGNITUDES = {
    "ShearX": [0.31, -0.99], "ShearY": [0.29, -0.5], "TranslateX": [7.9, -3.2], "TranslateY": [5, -2.9],
    "Rotate": [13.1, -101.3], "Brightness": [0.4, -0.9], "Color": [0.4, -0.9], "Contrast": [0.4, -0.9],
    "Sharpness": [0.9, -0.5], "Posterize": [2, 7], "Solarize": [0.3, 1], "AutoContrast": [0], "Equalize": [0],
    "Identity": [0],
}  # fmt: skip


@pytest.mark.parametrize("fill", [0, 130])
@pytest.mark.parametrize("name", NAMES)
def test_each_operation_is_torchvisions(pictures, as_torchvision, name, fill):
    # the reference is not public, but it is what says which function stands for which operation
    reference = v2.RandAugment(fill=fill)
    different = total = 0
    for picture in pictures:
        for magnitude in MAGNITUDES[name]:
            found = applied(picture, [NAMES.index(name)], [magnitude], fill)
            expected = as_torchvision(
                lambda tensor, magnitude=magnitude: reference._apply_image_or_video_transform(
                    tensor, name, magnitude, interpolation="nearest", fill=reference._fill
                ),
                picture,
            )
            error = np.abs(found.astype(int) - expected)
            if name not in ("ShearX", "ShearY", "Rotate"):
                assert error.max() <= 1
            different, total = different + np.count_nonzero(error), total + error.size
    # warps: where two pixels are equally near, float32 and float64 may choose differently; colours: at a factor of 0.1
    # every tenth sum is an integer, and rounding decides on which side of it
    assert different <= 0.05 * total


def test_names_are_those_of_the_constants():
    for index, name in enumerate(NAMES):
        constant = "".join("_" + c if c.isupper() else c for c in name).upper().strip("_")
        assert getattr(auto_augment, constant) == index


def test_operations_follow_one_another(pictures):
    for picture in pictures:
        inverted = applied(picture, [auto_augment.SOLARIZE], [0.0])
        assert np.array_equal(inverted, 255 - picture)
        both = applied(picture, [auto_augment.SOLARIZE, auto_augment.POSTERIZE], [0.0, 3.0])
        assert np.array_equal(both, inverted & 0b11100000)
        assert np.array_equal(applied(picture, [], []), picture)
