"""This project's operations, as the loader's threads call them; as a loader, its own."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.contenders import ours
from benchmarks.photo_dataset import MaskedDataset
from benchmarks.photos import masks
from benchmarks.steps import RECIPES, Step, View
from benchmarks.work import Epochs, Work, made
from ffcv_hydra import Loader, operations
from ffcv_hydra.beton import write_beton
from ffcv_hydra.operations import State
from ffcv_hydra.operations.base import Scratch
from ffcv_hydra.operations.image_chain import ImageChain, ImageFunctionOperation, images_of
from ffcv_hydra.ordering.options import OrderOption

PACKAGES = ("ffcv_hydra",)
KEYS = 64  # sets of them
MOVING = ("horizontal_flip",)
INTERPOLATIONS = ("nearest", "bilinear")


def _scaled(values: tuple[float, ...]) -> list[float]:
    return [255 * value for value in values]


STEPS: dict[str, Callable[..., ImageFunctionOperation]] = {
    "brightness": lambda strength, p: operations.RandomBrightness(strength, p),
    "contrast": lambda strength, p: operations.RandomContrast(strength, p),
    "saturation": lambda strength, p: operations.RandomSaturation(strength, p),
    "hue": lambda strength, p: operations.RandomHue(strength, p),
    "jitter": operations.ColorJitter,
    "grayscale": operations.RandomGrayscale,
    "solarize": operations.RandomSolarize,
    "posterize": operations.RandomPosterize,
    "invert": operations.RandomInvert,
    "equalize": operations.RandomEqualize,
    "autocontrast": operations.RandomAutocontrast,
    "sharpness": lambda factor, p: operations.RandomAdjustSharpness(factor, p),
    "blur": lambda size, sigma, p: operations.GaussianBlur(size, sigma, p),
    "rotation": lambda degrees, bilinear, p: operations.RandomRotation(degrees, INTERPOLATIONS[bilinear]),
    "affine": lambda degrees, translate, scale, shear, bilinear, p: operations.RandomAffine(
        degrees, (translate, translate), scale, shear, INTERPOLATIONS[bilinear]
    ),
    "horizontal_flip": operations.RandomHorizontalFlip,
    "vertical_flip": operations.RandomVerticalFlip,
    "pad_crop": lambda size, padding, p: operations.RandomCrop(size, padding),
    "erasing": operations.RandomErasing,
    "normalize": lambda mean, std, p: operations.NormalizeImage(_scaled(mean), _scaled(std), np.float32),
    "rand_augment": lambda num_ops, magnitude, p: operations.RandAugment(num_ops, magnitude),
    "trivial_augment_wide": lambda p: operations.TrivialAugmentWide(),
}


def transform(step: Step, images: np.ndarray) -> Callable[[], np.ndarray]:
    """A call that transforms all of the images, uint8 (N, H, W, 3), with other keys each time."""
    operation = STEPS[step.name](**step.arguments, p=step.p)
    shape, dtype = operation.result(State(True, torch.device("cpu"), images.shape[1:], images.dtype))
    functions = operation.image_functions(images.shape[1:], images.dtype)
    chain = ImageChain([(function, ()) for function in functions], images[0].nbytes)
    source, target = images_of(images), np.empty((len(images), *shape), dtype=dtype)
    scratch, samples = Scratch(), np.arange(len(images))
    keys = itertools.cycle(np.random.default_rng(0).integers(2**63, size=(KEYS, len(images)), dtype=np.uint64))

    def run() -> np.ndarray:
        chain.run(source, samples, next(keys), target, scratch)
        return target

    return run


def batches(work: Work) -> Epochs:
    """Epochs of the loader."""
    recipe = RECIPES[work.name]
    pipelines: dict[str, Any] = {"image": "disabled"} | ({} if recipe.mask else {"label": "disabled"})
    for number, view in enumerate(recipe.views):
        pipelines[f"view {number}"] = {"source": "image", "views": view.count, "operations": _operations(view)}
    if recipe.mask:
        (view,) = recipe.views
        moving = View(tuple(step for step in view.steps if step.name in MOVING), view.scale, view.size)
        pipelines["mask"] = {"joint_with": "view 0", "views": 1, "operations": _operations(moving)}
    path = made(f"ours-masked-{work.count}.beton", lambda path: _write(work, path)) if recipe.mask else ours.beton(work)
    loader = Loader(
        path,
        work.batch_size,
        pipelines=pipelines,
        ordering=OrderOption.RANDOM,
        num_workers=work.workers,
        drop_last=True,
    )

    order = [loader.output_names.index(name) for name in pipelines if pipelines[name] != "disabled"]

    def epoch() -> Iterator[tuple[torch.Tensor, ...]]:
        for batch in loader:
            views = [view for place in order for view in batch[place]]
            yield tuple(view.squeeze(1) if view.shape[1] == 1 else view for view in views)

    return Epochs(epoch)


def _operations(view: View) -> list[Any]:
    crop = operations.RandomResizedCrop(view.size, view.scale)
    steps = [STEPS[step.name](**step.arguments, p=step.p) for step in view.steps]
    return [crop, *steps, operations.ToTensor(), operations.ToTorchImage()]


def _write(work: Work, path: Path) -> None:
    dataset = MaskedDataset(work.paths(), masks(work.photos) * work.copies)
    write_beton(dataset, path, {"image": None, "mask": None}, num_workers=work.workers, progress=False)
