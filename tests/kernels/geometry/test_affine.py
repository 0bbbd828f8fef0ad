import numpy as np
import pytest
import torch
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional

from ffcv_hydra.kernels.compiling.compilation import kernel
from ffcv_hydra.kernels.geometry.affine import inverse_affine_matrix
from ffcv_hydra.kernels.images.changes import map_bilinear, map_nearest
from tests.kernels.changing import changed


@kernel("void(float64[::1], float64[::1])")
def compose(parameters, matrix):
    angle, x, y, scale, shear_x, shear_y = parameters
    inverse_affine_matrix(angle, x, y, scale, shear_x, shear_y, 0.0, 0.0, matrix)


def random_parameters(count: int) -> np.ndarray:
    random = np.random.default_rng(0)
    low = [-180, -9, -9, 0.3, -40, -40]
    parameters = random.uniform(low, [180, 9, 9, 3, 40, 40], (count, 6))
    parameters[:, 1:3] = np.rint(parameters[:, 1:3])
    return parameters


def warped(image: np.ndarray, parameters: np.ndarray, fill: int, bilinear: bool) -> np.ndarray:
    return mapped(image, parameters, np.full(image.shape[2], fill, dtype=np.uint8), bilinear)


def mapped(image: np.ndarray, parameters: np.ndarray, fill: np.ndarray, bilinear: bool) -> np.ndarray:
    matrix = np.empty(6)
    compose(parameters, matrix)
    return changed(map_bilinear if bilinear else map_nearest, image, *matrix, further=(fill.ctypes.data,))


def by_torchvision(image: np.ndarray, parameters: np.ndarray, fill: int | None, mode: InterpolationMode) -> np.ndarray:
    angle, x, y, scale, *shear = parameters.tolist()
    tensor = torch.from_numpy(image).permute(2, 0, 1)
    return functional.affine(tensor, angle, [x, y], scale, shear, mode, fill).permute(1, 2, 0).numpy()


def test_nearest_is_torchvisions_but_for_one_pixel_in_ten_thousand(pictures):
    different = total = 0
    for position, parameters in enumerate(random_parameters(200)):
        image = pictures[position % len(pictures)]
        expected = by_torchvision(image, parameters, 77, InterpolationMode.NEAREST)
        different += (warped(image, parameters, 77, False) != expected).any(2).sum()
        total += expected[..., 0].size
    assert different <= total / 10_000  # float32 there and float64 here round differently half way between pixels


def test_bilinear_is_within_a_level_of_torchvisions(pictures):
    for position, parameters in enumerate(random_parameters(200)):
        image = pictures[position % len(pictures)]
        expected = by_torchvision(image, parameters, None, InterpolationMode.BILINEAR)
        assert abs(warped(image, parameters, 0, True).astype(int) - expected).max() <= 1


def test_bilinear_blends_with_the_fill_once(pictures):
    for position, parameters in enumerate(random_parameters(30)):
        image = pictures[position % len(pictures)]
        black = by_torchvision(image.astype(np.float32), parameters, None, InterpolationMode.BILINEAR)
        inside = by_torchvision(np.ones_like(image, np.float32), parameters, None, InterpolationMode.BILINEAR)
        expected = black + 200 * (1 - inside)
        assert abs(warped(image, parameters, 200, True) - expected).max() <= 1
        flat = np.full_like(image, 200)
        assert np.array_equal(warped(flat, parameters, 200, True), flat)


@pytest.mark.parametrize("bilinear", [False, True])
def test_nothing_behind_the_images_is_read_or_written(pictures, place_before_guard_page, bilinear):
    for position, parameters in enumerate([*random_parameters(100), np.eye(6)[3]]):
        image = pictures[position % len(pictures)]
        expected = warped(image, parameters, 5, bilinear)
        guarded = place_before_guard_page(image.tobytes()).reshape(image.shape)
        assert np.array_equal(warped(guarded, parameters, 5, bilinear), expected)
        target = place_before_guard_page(bytes(image.size)).reshape(image.shape)
        matrix, fill = np.empty(6), np.full(image.shape[2], 5, dtype=np.uint8)
        compose(parameters, matrix)
        sizes = np.array([*image.shape, fill.ctypes.data])
        change = map_bilinear if bilinear else map_nearest
        change(image.ctypes.data, target.ctypes.data, sizes.ctypes.data, matrix.ctypes.data)
        assert np.array_equal(target, expected)


def test_rows_are_shifted_by_whole_pixels_and_half_ones_to_even_places(pictures):
    for picture in pictures:
        height, width, _ = picture.shape
        for shift in (-2, 0, 1, width - 1, width):
            expected = np.full_like(picture, 9)
            begin, stop = max(0, shift), min(width, width + shift)
            expected[:, begin:stop] = picture[:, begin - shift : stop - shift]
            assert np.array_equal(warped(picture, np.array([0, shift, 0, 1.0, 0, 0]), 9, False), expected)
        # the matrix takes this to x + 0.5: every second pixel twice
        columns = np.rint(np.arange(width) + 0.5).astype(int)
        expected = np.where((columns < width)[None, :, None], picture[:, columns % width], 9)
        assert np.array_equal(warped(picture, np.array([0, -0.5, 0, 1.0, 0, 0]), 9, False), expected)


@pytest.mark.parametrize("bilinear", [False, True])
@pytest.mark.parametrize("angle, turns", [(0, 0), (90, -1), (180, 2), (-90, 1), (270, 1)])
def test_right_angles_lose_nothing(pictures, bilinear, angle, turns):
    for picture in pictures:
        side = min(picture.shape[:2])
        image = np.ascontiguousarray(picture[:side, :side])
        found = warped(image, np.array([angle, 0, 0, 1.0, 0, 0]), 99, bilinear)
        assert np.array_equal(found, np.rot90(image, turns))


def test_nearest_moves_the_bytes_of_other_dtypes(pictures):
    parameters = random_parameters(1)
    for picture in pictures:
        deep = picture.astype(np.float32) * 1.5
        fill = np.full(deep.shape[2], 1.5, dtype=np.float32).view(np.uint8)
        found = mapped(deep.view(np.uint8), parameters[0], fill, False).view(np.float32)
        assert np.array_equal(found, warped(picture, parameters[0], 1, False).astype(np.float32) * 1.5)


@pytest.mark.parametrize("bilinear", [False, True])
@pytest.mark.parametrize("shape", [(3000, 8, 3), (8, 3000, 3), (2000, 600, 1)])
@pytest.mark.parametrize("quarters", [1, -1, 2])
def test_a_slope_of_next_to_nothing_far_outside_of_the_image(shape, quarters, bilinear):
    image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    turned = np.rot90(image, quarters)  # counter-clockwise
    height, width = np.minimum(shape, turned.shape)[:2]

    def middle(of):
        top, left = (of.shape[0] - height) // 2, (of.shape[1] - width) // 2
        return of[top : top + height, left : left + width]

    expected = np.full(shape, 7, dtype=np.uint8)
    middle(expected)[:] = middle(turned)
    found = warped(image, np.array([-90.0 * quarters, 0, 0, 1, 0, 0]), 7, bilinear)
    assert (found != expected).mean() < 0.01  # those on the border may blend with what is beyond it
