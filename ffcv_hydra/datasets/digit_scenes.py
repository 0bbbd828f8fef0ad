"""Scenes with handwritten digits and the mask of what is where: segmentation without a download."""

from __future__ import annotations

import numpy as np
from PIL import Image

from ffcv_hydra.datasets.digits import SPLITS, Digits

ATTEMPTS = 12  # to place a digit; those that would fall on an earlier one are left out
SCALE = (0.3, 0.45)  # height of a digit, as a share of the scene's
DARK, BRIGHT = (0, 100), (160, 256)  # grey levels of the background and of the digits, per channel
NOISE = 8.0  # standard deviation of the background, in grey levels


class DigitScenes:
    """scikit-learn's handwritten digits in random colours, places and sizes on noisy gradients, with class masks.

    An item is (PIL RGB image, uint8 (size, size) mask): 0 is background, 1 to 10 are the digits 0 to 9, which do not
    overlap. Splits are made of different digits, those of `Digits`, so that none is seen in two of them.

    Args:
        split: `train`, `val` or `test`.
        num_scenes: Length of the dataset.
        size: Height and width of a scene, in pixels.
        seed: Draws the digits' split and the scenes.

    Raises:
        ConfigError: for another split.
    """

    is_constant = True
    classes = ("background", *"0123456789")

    def __init__(self, split: str, num_scenes: int = 1000, size: int = 64, seed: int = 0) -> None:
        self._digits = Digits(split, size=8, seed=seed)
        self.split = split
        self.num_scenes = num_scenes
        self.size = size
        self.seed = seed

    def __len__(self) -> int:
        return self.num_scenes

    def __getitem__(self, index: int) -> tuple[Image.Image, np.ndarray]:
        if not 0 <= index < self.num_scenes:
            raise IndexError(f"index {index} is not in a dataset of {self.num_scenes} scenes")
        random = np.random.default_rng([self.seed, SPLITS.index(self.split), index])
        pixels = _background(self.size, random)
        mask = np.zeros((self.size, self.size), dtype=np.uint8)
        for _ in range(ATTEMPTS):
            digit, label = self._digits[int(random.integers(len(self._digits)))]
            _paste(digit.convert("L"), label + 1, pixels, mask, random)
        return Image.fromarray(np.clip(np.round(pixels), 0, 255).astype(np.uint8)), mask


def _background(size: int, random: np.random.Generator) -> np.ndarray:
    """float64 (size, size, 3): a gradient between two dark colours in a random direction, with noise on it."""
    angle = random.uniform(0, 2 * np.pi)
    along = np.linspace(-0.5, 0.5, size)
    place = 0.5 + (np.cos(angle) * along[None, :] + np.sin(angle) * along[:, None]) / np.sqrt(2)
    first, second = random.integers(*DARK, (2, 3))
    return first + (second - first) * place[..., None] + random.normal(0, NOISE, (size, size, 3))


def _paste(
    digit: Image.Image, class_id: int, pixels: np.ndarray, mask: np.ndarray, random: np.random.Generator
) -> None:
    """Draw a digit, white on black, at a random place of `pixels` and of `mask`, if that place is free."""
    side = round(len(mask) * random.uniform(*SCALE))
    ink = np.asarray(digit.resize((side, side), Image.Resampling.BICUBIC), dtype=np.float64) / 255
    top, left = random.integers(0, len(mask) - side + 1, 2)
    part = np.s_[top : top + side, left : left + side]
    if mask[part].any():
        return
    pixels[part] += ink[..., None] * (random.integers(*BRIGHT, 3) - pixels[part])
    mask[part][ink > 0.4] = class_id
