"""Scenes with handwritten digits and what is where in them: segmentation, detection and points without a download."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from ffcv_hydra.datasets.digits import SPLITS, Digits
from ffcv_hydra.errors import ConfigError

ATTEMPTS = 12  # to place a digit; those that would fall on an earlier one are left out
TARGETS = ("mask", "boxes", "labels", "points")
POINTS = ("top", "left", "bottom", "right", "centre")
INK = 0.4  # share of a digit's colour from which on a pixel is part of it
DARK, BRIGHT = (0, 100), (160, 256)  # grey levels of the background and of the digits, per channel
NOISE = 8.0  # standard deviation of the background, in grey levels


class DigitScenes:
    """scikit-learn's handwritten digits in random colours, places and sizes on noisy gradients, with what is where.

    An item is a PIL RGB image, followed by the targets that are asked for, with digits in the order of their drawing:

    | target | is |
    |---|---|
    | `mask` | uint8 (size, size): 0 is background, 1 to 10 are the digits 0 to 9, which do not overlap |
    | `boxes` | float32 (n, 4): left, top, right and bottom of the digits' ink in pixels; pixel i covers [i, i + 1) |
    | `labels` | int64 (n,): the digits' classes, by number in `classes` |
    | `points` | float32 (n, 5, 2): x and y of the middles of the ink's top, left, bottom and right, and of its centre |

    Splits are made of different digits, those of `Digits`, so that none is seen in two of them.

    Args:
        split: `train`, `val` or `test`.
        num_scenes: Length of the dataset.
        size: Height and width of a scene, in pixels.
        seed: Draws the digits' split and the scenes.
        targets: What an item has beside the image, in this order.
        scale: Height of a digit with its margins, as a share of the scene's; from, to.
        most: How many digits a scene may have.

    Attributes:
        classes: the digits, behind `background` if there is a mask.

    Raises:
        ConfigError: for another split, or an unknown target.
    """

    is_constant = True

    def __init__(
        self,
        split: str,
        num_scenes: int = 1000,
        size: int = 64,
        seed: int = 0,
        targets: Sequence[str] = ("mask",),
        scale: tuple[float, float] = (0.3, 0.45),
        most: int = ATTEMPTS,
    ) -> None:
        unknown = [target for target in targets if target not in TARGETS]
        if unknown:
            raise ConfigError(f"DigitScenes has no target {unknown[0]!r}; use some of {', '.join(TARGETS)}")
        self._digits = Digits(split, size=8, seed=seed)
        self.split = split
        self.num_scenes = num_scenes
        self.size = size
        self.seed = seed
        self.targets = targets
        self.scale = scale
        self.most = most
        self.classes = (*(["background"] if "mask" in targets else []), *self._digits.classes)

    def __len__(self) -> int:
        return self.num_scenes

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        if not 0 <= index < self.num_scenes:
            raise IndexError(f"index {index} is not in a dataset of {self.num_scenes} scenes")
        random = np.random.default_rng([self.seed, SPLITS.index(self.split), index])
        pixels = _background(self.size, random)
        mask = np.zeros((self.size, self.size), dtype=np.uint8)
        inks, labels = [], []
        for _ in range(ATTEMPTS):
            digit, label = self._digits[int(random.integers(len(self._digits)))]
            ink = _paste(digit.convert("L"), label + 1, self.scale, pixels, mask, random)
            if ink is not None:
                inks.append(ink)
                labels.append(label + ("mask" in self.targets))
            if len(inks) == self.most:
                break
        found: dict[str, np.ndarray] = {
            "mask": mask,
            "boxes": np.array([_box(ink) for ink in inks], dtype=np.float32),
            "labels": np.array(labels, dtype=np.int64),
            "points": np.array([_points(ink) for ink in inks], dtype=np.float32),
        }
        image = Image.fromarray(np.clip(np.round(pixels), 0, 255).astype(np.uint8))
        return (image, *(found[target] for target in self.targets))


def _background(size: int, random: np.random.Generator) -> np.ndarray:
    """float64 (size, size, 3): a gradient between two dark colours in a random direction, with noise on it."""
    angle = random.uniform(0, 2 * np.pi)
    along = np.linspace(-0.5, 0.5, size)
    place = 0.5 + (np.cos(angle) * along[None, :] + np.sin(angle) * along[:, None]) / np.sqrt(2)
    first, second = random.integers(*DARK, (2, 3))
    return first + (second - first) * place[..., None] + random.normal(0, NOISE, (size, size, 3))


def _paste(
    digit: Image.Image,
    class_id: int,
    scale: tuple[float, float],
    pixels: np.ndarray,
    mask: np.ndarray,
    random: np.random.Generator,
) -> np.ndarray | None:
    """Draw a digit, white on black, at a random place of `pixels` and of `mask`, if that place is free.

    Returns:
        int64 (k, 2): x and y of the pixels of its ink; None if the place is not free.
    """
    side = round(len(mask) * random.uniform(*scale))
    ink = np.asarray(digit.resize((side, side), Image.Resampling.BICUBIC), dtype=np.float64) / 255
    top, left = random.integers(0, len(mask) - side + 1, 2)
    part = np.s_[top : top + side, left : left + side]
    if mask[part].any():
        return None
    pixels[part] += ink[..., None] * (random.integers(*BRIGHT, 3) - pixels[part])
    mask[part][ink > INK] = class_id
    return np.argwhere((ink > INK).T) + (left, top)


def _box(ink: np.ndarray) -> list[int]:
    """Left, top, right and bottom around pixels (k, 2)."""
    return [*ink.min(axis=0), *ink.max(axis=0) + 1]


def _points(ink: np.ndarray) -> list[np.ndarray]:
    """The `POINTS` of pixels (k, 2), each (2,): of those at an edge of the box around them, the middle."""
    (left, top), (right, bottom) = ink.min(axis=0), ink.max(axis=0)
    x, y = ink.T
    edges = (y == top, x == left, y == bottom, x == right, slice(None))
    return [ink[edge].mean(axis=0) + 0.5 for edge in edges]
