"""Brightness, contrast, saturation and hue, changed together."""

import math
from typing import Any

import numpy as np

from ffcv_hydra.kernels.images.changes import change_brightness, change_contrast, change_hue, change_saturation
from ffcv_hydra.kernels.images.jitter import random_jitter
from ffcv_hydra.operations.arguments import interval, is_sequence, number
from ffcv_hydra.operations.image_chain import ImageFunction
from ffcv_hydra.operations.randomly_applied import RandomlyApplied


class ColorJitter(RandomlyApplied):
    """Change brightness, contrast, saturation and hue, each by a random factor, in an order that is random per image.

    As `torchvision.transforms.v2.ColorJitter`, whose pixels it has within a level per change (each one cuts to bytes).

    Args:
        brightness, contrast, saturation: factors are uniform in [max(0, 1 - value), 1 + value], or in [min, max] if
            that is given; None or 0 for no change.
        hue: turns of the colour circle are uniform in [-value, value], or in [min, max]; from -0.5 to 0.5.
        p: probability that an image is changed at all (torchvision has `RandomApply` for that).

    Raises:
        PipelineError: for anything else.
    """

    def __init__(
        self,
        brightness: Any = None,
        contrast: Any = None,
        saturation: Any = None,
        hue: Any = None,
        p: float = 1.0,
    ) -> None:
        super().__init__(p)
        self.brightness = _factors("brightness", brightness)
        self.contrast = _factors("contrast", contrast)
        self.saturation = _factors("saturation", saturation)
        self.hue = _turns(hue)

    def image_functions(self, shape: tuple[int, ...], dtype: np.dtype) -> tuple[ImageFunction, ...]:
        """The one that draws, and makes the changes."""
        changes = change_brightness, change_contrast, change_saturation, change_hue
        bounds = *self.brightness, *self.contrast, *self.saturation, *self.hue
        parameters = self.p, *changes, *map(float, bounds), *shape
        return (ImageFunction(random_jitter, parameters, math.prod(shape), in_place=True),)


def _factors(name: str, value: Any) -> tuple[float, float]:
    if is_sequence(value):
        return interval("ColorJitter", name, value, 0)
    strength = 0.0 if value is None else number("ColorJitter", name, value, 0)
    return max(0.0, 1 - strength), 1 + strength


def _turns(value: Any) -> tuple[float, float]:
    if is_sequence(value):
        return interval("ColorJitter", "hue", value, -0.5, 0.5)
    strength = 0.0 if value is None else number("ColorJitter", "hue", value, 0, 0.5)
    return -strength, strength
