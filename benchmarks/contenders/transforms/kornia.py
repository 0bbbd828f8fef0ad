"""kornia's augmentations of float tensors (1, 3, H, W) from 0 to 1; as a loader, torch's, and OpenCV as the decoder.

It takes no bytes: those of the operations alone are converted before, and what it makes of a recipe afterwards.
"""

from collections.abc import Callable

import cv2
import kornia.augmentation as K
import numpy as np
import torch
from kornia.augmentation import auto

from benchmarks.contenders.transforms import data_loader
from benchmarks.steps import Step, View
from benchmarks.work import Epochs, Work

PACKAGES = ("kornia", "torch")
UNIT = 255  # how many levels its 1 is


INTERPOLATIONS = ("nearest", "bilinear")

STEPS: dict[str, Callable[..., torch.nn.Module]] = {
    "brightness": lambda strength, p: K.ColorJitter(brightness=strength, p=p),
    "contrast": lambda strength, p: K.ColorJitter(contrast=strength, p=p),
    "saturation": lambda strength, p: K.ColorJitter(saturation=strength, p=p),
    "hue": lambda strength, p: K.ColorJitter(hue=strength, p=p),
    "jitter": K.ColorJitter,
    "grayscale": lambda p: K.RandomGrayscale(p=p),
    "solarize": lambda threshold, p: K.RandomSolarize((threshold / 255, threshold / 255), 0.0, p=p),
    "posterize": lambda bits, p: K.RandomPosterize((float(bits), float(bits)), p=p),
    "invert": lambda p: K.RandomInvert(p=p),
    "equalize": lambda p: K.RandomEqualize(p=p),
    "autocontrast": lambda p: K.RandomAutoContrast(p=p),
    "sharpness": lambda factor, p: K.RandomSharpness((factor, factor), p=p),
    "blur": lambda size, sigma, p: K.RandomGaussianBlur((size, size), sigma, p=p),
    "rotation": lambda degrees, bilinear, p: K.RandomRotation(degrees, INTERPOLATIONS[bilinear], p=p),
    "affine": lambda degrees, translate, scale, shear, bilinear, p: K.RandomAffine(
        degrees, (translate, translate), scale, shear, INTERPOLATIONS[bilinear], p=p
    ),
    "horizontal_flip": lambda p: K.RandomHorizontalFlip(p=p),
    "vertical_flip": lambda p: K.RandomVerticalFlip(p=p),
    "pad_crop": lambda size, padding, p: K.RandomCrop((size, size), padding, p=p, cropping_mode="slice"),
    "erasing": lambda scale, ratio, p: K.RandomErasing(scale, ratio, p=p),
    "normalize": lambda mean, std, p: K.Normalize(mean, std, p=p),
    "rand_augment": lambda num_ops, magnitude, p: auto.RandAugment(num_ops, magnitude),
    "trivial_augment_wide": lambda p: auto.TrivialAugment(),
}


def transform(step: Step, images: np.ndarray) -> Callable[[], list[np.ndarray]]:
    """A call that transforms each of the images, uint8 (N, H, W, 3)."""
    operation = STEPS[step.name](**step.arguments, p=step.p)
    tensors = [_as_floats(image) for image in images]
    return lambda: [operation(tensor)[0].permute(1, 2, 0).numpy() for tensor in tensors]


def batches(work: Work) -> Epochs:
    """Epochs of the loader."""
    return data_loader.batches(work, data_loader.Samples(work, _decode, _decode_mask, _augment))


def _augment(view: View, mask: bool) -> Callable[..., list[torch.Tensor]]:
    crop = K.RandomResizedCrop((view.size, view.size), view.scale, cropping_mode="slice")
    keys = ["input", "mask"] if mask else ["input"]
    steps = [crop, *(STEPS[step.name](**step.arguments, p=step.p) for step in view.steps)]
    sequence = K.AugmentationSequential(*steps, data_keys=keys)

    def run(*images: torch.Tensor) -> list[torch.Tensor]:
        made = sequence(*images)
        return [(255 * tensor[0].squeeze(0)).round().to(torch.uint8) for tensor in (made if mask else [made])]

    return run


def _decode(jpeg: bytes) -> torch.Tensor:
    return _as_floats(cv2.imdecode(np.frombuffer(jpeg, dtype=np.uint8), cv2.IMREAD_COLOR_RGB))


def _decode_mask(png: bytes) -> torch.Tensor:
    return _as_floats(cv2.imdecode(np.frombuffer(png, dtype=np.uint8), cv2.IMREAD_GRAYSCALE)[..., None])


def _as_floats(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(image).permute(2, 0, 1)[None].float().contiguous() / 255
