"""OpenCV's functions on arrays (H, W, 3): what a careful user writes by hand."""

import random
from collections.abc import Callable

import cv2
import numpy as np

from benchmarks.steps import Step

PACKAGES = ("opencv-python",)
cv2.setNumThreads(0)
Image = np.ndarray
LEVELS = np.arange(256)
INTERPOLATIONS = (cv2.INTER_NEAREST, cv2.INTER_LINEAR)


def _factor(strength: float) -> float:
    return random.uniform(1 - strength, 1 + strength)


def _brightness(image: Image, strength: float) -> Image:
    return cv2.convertScaleAbs(image, alpha=_factor(strength))


def _contrast(image: Image, strength: float) -> Image:
    factor, mean = _factor(strength), cv2.mean(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY))[0]
    return cv2.addWeighted(image, factor, image, 0, (1 - factor) * mean)


def _grayscale(image: Image) -> Image:
    return cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)


def _saturation(image: Image, strength: float) -> Image:
    factor = _factor(strength)
    return cv2.addWeighted(image, factor, _grayscale(image), 1 - factor, 0)


def _hue(image: Image, strength: float) -> Image:
    turned = cv2.cvtColor(image, cv2.COLOR_RGB2HSV_FULL)
    turned[..., 0] += np.uint8(round(255 * random.uniform(-strength, strength)) % 256)
    return cv2.cvtColor(turned, cv2.COLOR_HSV2RGB_FULL)


JITTER = {"brightness": _brightness, "contrast": _contrast, "saturation": _saturation, "hue": _hue}


def _jitter(image: Image, **strengths: float) -> Image:
    for name in random.sample(list(strengths), len(strengths)):
        image = JITTER[name](image, strengths[name])
    return image


def _solarize(image: Image, threshold: int) -> Image:
    return cv2.bitwise_xor(image, cv2.compare(image, (threshold,) * 3, cv2.CMP_GE))


def _posterize(image: Image, bits: int) -> Image:
    return cv2.bitwise_and(image, (256 - 2 ** (8 - bits),) * 3)


def _equalize(image: Image) -> Image:
    return cv2.merge([cv2.equalizeHist(channel) for channel in cv2.split(image)])


def _autocontrast(image: Image) -> Image:
    stretched = []
    for channel in cv2.split(image):
        low, high, _, _ = cv2.minMaxLoc(channel)
        scale = 255 / (high - low) if high > low else 1
        stretched.append(cv2.convertScaleAbs(channel, alpha=scale, beta=-low * scale))
    return cv2.merge(stretched)


def _sharpness(image: Image, factor: float) -> Image:
    kernel = np.full((3, 3), (1 - factor) / 13, dtype=np.float32)
    kernel[1, 1] = factor + 5 * (1 - factor) / 13
    return cv2.filter2D(image, -1, kernel)


def _blur(image: Image, size: int, sigma: tuple[float, float]) -> Image:
    return cv2.GaussianBlur(image, (size, size), random.uniform(*sigma), borderType=cv2.BORDER_REFLECT_101)


def _rotation(image: Image, degrees: float, bilinear: bool) -> Image:
    height, width = image.shape[:2]
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), random.uniform(-degrees, degrees), 1)
    return cv2.warpAffine(image, matrix, (width, height), flags=INTERPOLATIONS[bilinear])


def _affine(
    image: Image, degrees: float, translate: float, scale: tuple[float, float], shear: float, bilinear: bool
) -> Image:
    height, width = image.shape[:2]
    middle, angle = ((width - 1) / 2, (height - 1) / 2), random.uniform(-degrees, degrees)
    matrix = cv2.getRotationMatrix2D(middle, angle, random.uniform(*scale))
    slope = np.tan(np.radians(random.uniform(-shear, shear)))
    matrix = matrix @ np.array([[1, slope, -slope * middle[1]], [0, 1, 0], [0, 0, 1]])
    matrix[:, 2] += [random.uniform(-translate, translate) * side for side in (width, height)]
    return cv2.warpAffine(image, matrix, (width, height), flags=INTERPOLATIONS[bilinear])


def _pad_crop(image: Image, size: int, padding: int) -> Image:
    padded = cv2.copyMakeBorder(image, padding, padding, padding, padding, cv2.BORDER_CONSTANT)
    top, left = (random.randint(0, side - size) for side in padded.shape[:2])
    return padded[top : top + size, left : left + size].copy()


def _erasing(image: Image, scale: tuple[float, float], ratio: tuple[float, float]) -> Image:
    erased, (height, width) = image.copy(), image.shape[:2]
    for _ in range(10):
        area, aspect = height * width * random.uniform(*scale), np.exp(random.uniform(*np.log(ratio)))
        rows, columns = round((area * aspect) ** 0.5), round((area / aspect) ** 0.5)
        if rows < height and columns < width:
            top, left = random.randint(0, height - rows), random.randint(0, width - columns)
            erased[top : top + rows, left : left + columns] = 0
            break
    return erased


def _normalize(image: Image, mean: tuple[float, ...], std: tuple[float, ...]) -> Image:
    return cv2.LUT(image, ((LEVELS[:, None] / 255 - mean) / std).astype(np.float32)[None])


STEPS: dict[str, Callable[..., Image]] = {
    **JITTER,
    "jitter": _jitter,
    "grayscale": _grayscale,
    "solarize": _solarize,
    "posterize": _posterize,
    "invert": cv2.bitwise_not,
    "equalize": _equalize,
    "autocontrast": _autocontrast,
    "sharpness": _sharpness,
    "blur": _blur,
    "rotation": _rotation,
    "affine": _affine,
    "horizontal_flip": lambda image: cv2.flip(image, 1),
    "vertical_flip": lambda image: cv2.flip(image, 0),
    "pad_crop": _pad_crop,
    "erasing": _erasing,
    "normalize": _normalize,
}


def transform(step: Step, images: np.ndarray) -> Callable[[], list[np.ndarray]]:
    """A call that transforms each of the images, uint8 (N, H, W, 3)."""
    operation = STEPS[step.name]
    return lambda: [operation(image, **step.arguments) for image in images]
