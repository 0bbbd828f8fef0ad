"""albumentations' transforms of arrays (H, W, 3); as a loader, torch's, and OpenCV as the decoder."""

import math
import os
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import torch

from benchmarks.contenders.transforms import data_loader
from benchmarks.steps import Step, View
from benchmarks.work import Epochs, Work

os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # else importing it asks the network
import albumentations as A  # noqa: E402

PACKAGES = ("albumentations", "opencv-python")
SAME = (1.0, 1.0)
INTERPOLATIONS = (cv2.INTER_NEAREST, cv2.INTER_LINEAR)
cv2.setNumThreads(0)


def _jitter(
    brightness: float = 0, contrast: float = 0, saturation: float = 0, hue: float = 0, p: float = 1
) -> A.BasicTransform:
    factors = [(1 - strength, 1 + strength) for strength in (brightness, contrast, saturation)]
    return A.ColorJitter(*factors, (-hue, hue), p=p)


def _affine(
    degrees: float, translate: float, scale: tuple[float, float], shear: float, bilinear: bool, p: float
) -> A.BasicTransform:
    x_shear = {"x": (-shear, shear), "y": (0, 0)}
    shift = (-translate, translate)
    return A.Affine(scale, shift, None, (-degrees, degrees), x_shear, INTERPOLATIONS[bilinear], p=p)


def _automatic(slope: float, pixels: float, degrees: float, change: float, bits: int, threshold: float) -> list:
    """torchvision's operations; a magnitude that has either sign is drawn from all between, which costs the same."""
    factors, shear = (1 - change, 1 + change), math.degrees(math.atan(slope))
    nearest = {"interpolation": INTERPOLATIONS[0], "p": 1}
    shift = (-round(pixels), round(pixels))
    return [
        A.NoOp(p=1),
        A.Affine(shear={"x": (-shear, shear), "y": (0, 0)}, **nearest),
        A.Affine(shear={"x": (0, 0), "y": (-shear, shear)}, **nearest),
        A.Affine(translate_px={"x": shift, "y": (0, 0)}, **nearest),
        A.Affine(translate_px={"x": (0, 0), "y": shift}, **nearest),
        A.Rotate((-degrees, degrees), **nearest),
        A.ColorJitter(factors, SAME, SAME, (0, 0), p=1),
        A.ColorJitter(SAME, SAME, factors, (0, 0), p=1),
        A.ColorJitter(SAME, factors, SAME, (0, 0), p=1),
        A.Sharpen((0, change / 13), SAME, p=1),
        A.Posterize((8 - bits, 8), p=1),
        A.Solarize((threshold, 1), p=1),
        A.AutoContrast(method="pil", p=1),
        A.Equalize(p=1),
    ]


def _rand_augment(num_ops: int, magnitude: int, p: float) -> A.BaseCompose:
    share = magnitude / 30
    operations = _automatic(0.3 * share, 150 / 331 * 224 * share, 30 * share, 0.9 * share, round(4 * share), 1 - share)
    return A.SomeOf(operations, num_ops, replace=True, p=p)


STEPS: dict[str, Callable[..., A.BasicTransform | A.BaseCompose]] = {
    "brightness": lambda strength, p: _jitter(brightness=strength, p=p),
    "contrast": lambda strength, p: _jitter(contrast=strength, p=p),
    "saturation": lambda strength, p: _jitter(saturation=strength, p=p),
    "hue": lambda strength, p: _jitter(hue=strength, p=p),
    "jitter": _jitter,
    "grayscale": A.ToGray,
    "solarize": lambda threshold, p: A.Solarize((threshold / 255, threshold / 255), p),
    "posterize": lambda bits, p: A.Posterize(bits, p),
    "invert": A.InvertImg,
    "equalize": A.Equalize,
    "autocontrast": lambda p: A.AutoContrast(method="pil", p=p),
    "sharpness": lambda factor, p: A.Sharpen(((factor - 1) / 13,) * 2, SAME, kernel_size=3, p=p),
    "blur": lambda size, sigma, p: A.GaussianBlur(size, sigma, p),
    "rotation": lambda degrees, bilinear, p: A.Rotate((-degrees, degrees), INTERPOLATIONS[bilinear], p=p),
    "affine": _affine,
    "horizontal_flip": A.HorizontalFlip,
    "vertical_flip": A.VerticalFlip,
    "pad_crop": lambda size, padding, p: A.Compose([A.Pad(padding, p=p), A.RandomCrop(size, size, p=p)]),
    "erasing": lambda scale, ratio, p: A.Erasing(scale, ratio, p=p),
    "normalize": A.Normalize,
    "rand_augment": _rand_augment,
    "trivial_augment_wide": lambda p: A.OneOf(_automatic(0.99, 32, 135, 0.99, 6, 0), p),
}


def transform(step: Step, images: np.ndarray) -> Callable[[], list[np.ndarray]]:
    """A call that transforms each of the images, uint8 (N, H, W, 3)."""
    operation = STEPS[step.name](**step.arguments, p=step.p)
    return lambda: [operation(image=image)["image"] for image in images]


def batches(work: Work) -> Epochs:
    """Epochs of the loader."""
    return data_loader.batches(work, data_loader.Samples(work, decode, decode_mask, augment))


def augment(view: View, mask: bool) -> Callable[..., list[torch.Tensor]]:
    """What `data_loader.Samples` wants."""
    crop = A.RandomResizedCrop((view.size, view.size), view.scale, interpolation=cv2.INTER_AREA)
    steps = A.Compose([crop, *(STEPS[step.name](**step.arguments, p=step.p) for step in view.steps)])
    names = ("image", "mask") if mask else ("image",)

    def run(*images: np.ndarray) -> list[torch.Tensor]:
        made = steps(**dict(zip(names, images, strict=True)))
        return [torch.from_numpy(made[name]) for name in names]

    return run


def decode(jpeg: bytes) -> Any:
    """uint8 (H, W, 3)."""
    return cv2.imdecode(np.frombuffer(jpeg, dtype=np.uint8), cv2.IMREAD_COLOR_RGB)


def decode_mask(png: bytes) -> Any:
    """uint8 (H, W)."""
    return cv2.imdecode(np.frombuffer(png, dtype=np.uint8), cv2.IMREAD_GRAYSCALE)
