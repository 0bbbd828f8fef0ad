"""torchvision's transforms, version 2, of uint8 tensors (3, H, W); as a loader, torch's."""

from collections.abc import Callable

import numpy as np
import torch
from torchvision import tv_tensors
from torchvision.io import ImageReadMode, decode_jpeg, decode_png
from torchvision.transforms import v2

from benchmarks.contenders.transforms import data_loader
from benchmarks.steps import Step, View
from benchmarks.work import Epochs, Work

PACKAGES = ("torch", "torchvision")
INTERPOLATIONS = (v2.InterpolationMode.NEAREST, v2.InterpolationMode.BILINEAR)


def _either(operation: Callable, p: float) -> Callable:
    return operation if p == 1 else v2.RandomApply([operation], p)


STEPS: dict[str, Callable[..., Callable]] = {
    "brightness": lambda strength, p: _either(v2.ColorJitter(brightness=strength), p),
    "contrast": lambda strength, p: _either(v2.ColorJitter(contrast=strength), p),
    "saturation": lambda strength, p: _either(v2.ColorJitter(saturation=strength), p),
    "hue": lambda strength, p: _either(v2.ColorJitter(hue=strength), p),
    "jitter": lambda p, **strengths: _either(v2.ColorJitter(**strengths), p),
    "grayscale": v2.RandomGrayscale,
    "solarize": v2.RandomSolarize,
    "posterize": v2.RandomPosterize,
    "invert": v2.RandomInvert,
    "equalize": v2.RandomEqualize,
    "autocontrast": v2.RandomAutocontrast,
    "sharpness": lambda factor, p: v2.RandomAdjustSharpness(factor, p),
    "blur": lambda size, sigma, p: _either(v2.GaussianBlur(size, sigma), p),
    "rotation": lambda degrees, bilinear, p: v2.RandomRotation(degrees, INTERPOLATIONS[bilinear]),
    "affine": lambda degrees, translate, scale, shear, bilinear, p: v2.RandomAffine(
        degrees, (translate, translate), scale, shear, INTERPOLATIONS[bilinear]
    ),
    "horizontal_flip": v2.RandomHorizontalFlip,
    "vertical_flip": v2.RandomVerticalFlip,
    "pad_crop": lambda size, padding, p: v2.RandomCrop(size, padding),
    "erasing": v2.RandomErasing,
    "normalize": lambda mean, std, p: v2.Compose([v2.ToDtype(torch.float32, scale=True), v2.Normalize(mean, std)]),
    "rand_augment": lambda num_ops, magnitude, p: v2.RandAugment(num_ops, magnitude),
    "trivial_augment_wide": lambda p: v2.TrivialAugmentWide(),
}


def transform(step: Step, images: np.ndarray) -> Callable[[], list[np.ndarray]]:
    """A call that transforms each of the images, uint8 (N, H, W, 3)."""
    operation = STEPS[step.name](**step.arguments, p=step.p)
    tensors = [torch.from_numpy(image).permute(2, 0, 1).contiguous() for image in images]
    return lambda: [operation(tensor).permute(1, 2, 0).numpy() for tensor in tensors]


def batches(work: Work) -> Epochs:
    """Epochs of the loader."""
    return data_loader.batches(work, data_loader.Samples(work, decode, decode_mask, augment))


def augment(view: View, mask: bool) -> Callable[..., list[torch.Tensor]]:
    """What `data_loader.Samples` wants."""
    crop = v2.RandomResizedCrop(view.size, view.scale)
    steps = v2.Compose([crop, *(STEPS[step.name](**step.arguments, p=step.p) for step in view.steps)])

    def run(image: torch.Tensor, *masks: torch.Tensor) -> list[torch.Tensor]:
        if not masks:
            return [steps(image)]
        made = steps(tv_tensors.Image(image), *map(tv_tensors.Mask, masks))
        return [tensor.as_subclass(torch.Tensor) for tensor in made]

    return run


def decode(jpeg: bytes) -> torch.Tensor:
    """uint8 (3, H, W)."""
    return decode_jpeg(as_tensor(jpeg), mode=ImageReadMode.RGB)


def decode_mask(png: bytes) -> torch.Tensor:
    """uint8 (H, W)."""
    return decode_png(as_tensor(png))[0]


def as_tensor(data: bytes) -> torch.Tensor:
    """uint8 (num_bytes,), of the same memory."""
    return torch.from_numpy(np.frombuffer(bytearray(data), dtype=np.uint8))
