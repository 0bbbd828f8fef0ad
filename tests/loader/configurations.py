"""Every kind of pipeline and order, and what drives each through the promises that all loaders make."""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torchvision.transforms import v2

from ffcv_hydra import operations
from ffcv_hydra.beton import BoundingBoxesField, GrayscaleImageField, MaskField, RaggedArrayField
from ffcv_hydra.loader import Loader
from ffcv_hydra.operations import (
    CenterCrop,
    ChunkOperation,
    MixedTargets,
    NormalizeImage,
    RandomHorizontalFlip,
    RandomResizedCrop,
    Resize,
    ToTensor,
    ToTorchImage,
)
from ffcv_hydra.ordering import ClassBalanced, QuasiRandom, Random, Sequential, Weighted
from ffcv_hydra.pipeline import FieldPipeline

FIELDS = {
    "image": None,
    "mask": MaskField(),
    "depth": GrayscaleImageField(bits=16),
    "label": None,
    "boxes": RaggedArrayField("float32", [4]),
    "text": None,
}
NUM_SAMPLES = 48


class Scenes:
    """Images of different sizes with everything that a field exists for."""

    def __len__(self) -> int:
        return NUM_SAMPLES

    def __getitem__(self, index: int):
        random = np.random.default_rng(index)
        height, width = (int(side) for side in random.integers(40, 64, 2))
        coarse = Image.fromarray(random.integers(0, 256, (5, 6, 3), dtype=np.uint8))
        image = coarse.resize((width, height), Image.Resampling.BICUBIC)
        mask = np.asarray(image)[:, :, 0] // 64
        depth = np.asarray(image)[:, :, 1].astype(np.uint16) * 250
        boxes = random.random((index % 4, 4), dtype=np.float32)
        return image, mask, depth, index % 5, boxes, f"sample {index}"


PLACES = "places.beton"  # beside that of `Scenes`
PLACES_FIELDS = {
    "image": None,
    "boxes": BoundingBoxesField("xywh"),
    "labels": RaggedArrayField("int64", follows="boxes"),
}


class ScenesWithPlaces:
    """Small images of different sizes with up to three boxes, as `PLACES_FIELDS` has them."""

    def __len__(self) -> int:
        return NUM_SAMPLES

    def __getitem__(self, index: int):
        random = np.random.default_rng(index)
        width, height = (int(side) for side in random.integers(24, 40, 2))
        coarse = Image.fromarray(random.integers(0, 256, (4, 3, 3), dtype=np.uint8))
        corners = random.integers(0, [width // 2, height // 2], (index % 4, 2))
        boxes = np.concatenate([corners, random.integers(4, 13, (index % 4, 2))], axis=1)
        return coarse.resize((width, height), Image.Resampling.BICUBIC), boxes, np.arange(len(boxes)) + index


RANDOM_OPERATIONS: dict[str, Callable[[], ChunkOperation]] = {
    "ChannelDropout": lambda: operations.ChannelDropout(),
    "ColorJitter": lambda: operations.ColorJitter(0.4, 0.4, 0.4, 0.1),
    "CutMix": lambda: operations.CutMix(1.0),
    "Cutout": lambda: operations.Cutout(8),
    "GaussianBlur": lambda: operations.GaussianBlur(5, [0.1, 2.0]),
    "MixedTargets": lambda: MixedTargets(5),
    "Mixup": lambda: operations.Mixup(0.4),
    "Mosaic": lambda: operations.Mosaic(28, fill=114),
    "RandAugment": lambda: operations.RandAugment(),
    "RandomAdjustSharpness": lambda: operations.RandomAdjustSharpness(2.0),
    "RandomAffine": lambda: operations.RandomAffine(30, [0.1, 0.1], [0.8, 1.2], 10),
    "RandomAutocontrast": lambda: operations.RandomAutocontrast(),
    "RandomBrightness": lambda: operations.RandomBrightness(0.5),
    "RandomContrast": lambda: operations.RandomContrast(0.5),
    "RandomCrop": lambda: operations.RandomCrop(24, padding=4),
    "RandomEqualize": lambda: operations.RandomEqualize(),
    "RandomErasing": lambda: operations.RandomErasing(),
    "RandomGrayscale": lambda: operations.RandomGrayscale(0.5),
    "RandomHorizontalFlip": lambda: operations.RandomHorizontalFlip(),
    "RandomHue": lambda: operations.RandomHue(0.3),
    "RandomInvert": lambda: operations.RandomInvert(),
    "RandomIoUCrop": lambda: operations.RandomIoUCrop(24),
    "RandomPosterize": lambda: operations.RandomPosterize(3),
    "RandomResizedCrop": lambda: operations.RandomResizedCrop(24),
    "RandomRotation": lambda: operations.RandomRotation(30),
    "RandomSaturation": lambda: operations.RandomSaturation(0.5),
    "RandomShortestSide": lambda: operations.RandomShortestSide([20, 24, 30], 30),
    "RandomSolarize": lambda: operations.RandomSolarize(100),
    "RandomTranslate": lambda: operations.RandomTranslate(4),
    "RandomVerticalFlip": lambda: operations.RandomVerticalFlip(),
    "RandomZoomOut": lambda: operations.RandomZoomOut(24),
    "TrivialAugmentWide": lambda: operations.TrivialAugmentWide(),
}

STAY = {"boxes": FieldPipeline(joint_with="disabled")}  # as they were in the whole image
WITH_PLACES = {"Mosaic", "RandomIoUCrop"}
ONLY_IMAGE = {"mask": "disabled", "depth": "disabled", "boxes": "disabled", "text": "disabled"}


def pipelines_with(name: str) -> dict[str, Any]:
    """Pipelines with one random operation after a deterministic decoder, if it is none itself."""
    operation = RANDOM_OPERATIONS[name]()
    if name in WITH_PLACES:
        decoder = [] if operation.is_decoder else [operations.LetterBox(24)]
        return {"image": [*decoder, operation, RandomHorizontalFlip(), ToTensor()]}
    if name == "MixedTargets":
        label = FieldPipeline([operation, ToTensor()], joint_with="image")
        return ONLY_IMAGE | {"image": [CenterCrop(24), operations.CutMix(), ToTensor()], "label": label}
    decoder = [] if operation.is_decoder else [CenterCrop(24)]
    label = FieldPipeline(joint_with="disabled")  # of whole images, also where these are mixed
    return ONLY_IMAGE | {"image": [*decoder, operation, ToTensor(), ToTorchImage()], "label": label}


def everything() -> dict[str, Any]:
    """Joint outputs, 16 bits, a torch module that draws for each sample, and padded fields."""
    crop, flip = RandomResizedCrop(24), RandomHorizontalFlip()
    return {
        "image": [
            crop,
            flip,
            NormalizeImage([120.0] * 3, [60.0] * 3),
            ToTensor(),
            ToTorchImage(),
            v2.RandomErasing(p=0.5),
        ],
        "mask": FieldPipeline([RandomResizedCrop(24), RandomHorizontalFlip(), ToTensor()], joint_with="image"),
        "depth": FieldPipeline([RandomResizedCrop(24), RandomHorizontalFlip(), ToTensor()], joint_with="image"),
    } | STAY


def views() -> dict[str, Any]:
    """Two global and three local views, decoded once."""
    return ONLY_IMAGE | {
        "image": [Resize([20, 20]), ToTensor()],
        "large": FieldPipeline([RandomResizedCrop(24), RandomHorizontalFlip(), ToTensor()], source="image", views=2),
        "small": FieldPipeline([RandomResizedCrop(12), operations.RandomInvert(), ToTensor()], source="image", views=3),
    }


ORDERINGS = {
    "sequential": Sequential,
    "random": Random,
    "quasi_random": lambda: QuasiRandom(2),
    "weighted": lambda: Weighted("label"),
    "class_balanced": ClassBalanced,
}

CONFIGURATIONS: dict[str, Callable[[], dict[str, Any]]] = {
    **{name: (lambda name=name: {"pipelines": pipelines_with(name)}) for name in RANDOM_OPERATIONS},
    **{
        name: (lambda ordering=ordering: {"pipelines": everything(), "ordering": ordering()})
        for name, ordering in ORDERINGS.items()
    },
    "default": lambda: {
        "pipelines": {"image": [CenterCrop(16)], "mask": [CenterCrop(16)], "depth": [CenterCrop(16)]} | STAY
    },
    "views": lambda: {"pipelines": views()},
}


def make(beton: Any, name: str, batch_size: int = 8, **options: Any) -> Loader:
    """The loader of a configuration, of the beton of `Scenes` or, for some, of the one beside it."""
    beton = Path(beton).with_name(PLACES) if name in WITH_PLACES else beton
    chosen = {"ordering": Random(), "num_workers": 2, "drop_last": True, "seed": 3}
    return Loader(beton, batch_size, **{**chosen, **CONFIGURATIONS[name](), **options})


def of_chunks(loader: Loader, size: int) -> Loader:
    """The loader, with tasks of `size` samples, or of a few more where that would tear groups apart."""
    size += -size % loader.plan.group_size
    for step in loader.plan.steps:
        if step.chunk_size is not None:
            vars(step)["chunk_size"] = size  # a frozen dataclass keeps its attributes there
    return loader


def leaves(output: Any) -> Iterator[torch.Tensor | np.ndarray]:
    """The arrays of a batch or of one of its outputs."""
    if isinstance(output, (tuple, list)):
        for part in output:
            yield from leaves(part)
    else:
        yield output


def digests(batches: Any) -> list[str]:
    """One hash per batch, of the dtypes, shapes and bytes of all its arrays."""
    found = []
    for batch in batches:
        digest = hashlib.sha256()
        for leaf in leaves(batch):
            array = np.ascontiguousarray(leaf)
            digest.update(f"{array.dtype}{array.shape}".encode())
            digest.update(array.tobytes())
        found.append(digest.hexdigest())
    return found


def joined(parts: list[Any]) -> Any:
    """One batch of the batches that the ranks got at the same time."""
    if isinstance(parts[0], (tuple, list)):
        return [joined(list(column)) for column in zip(*parts, strict=True)]
    return np.concatenate([np.asarray(part) for part in parts])


def check_resume(loader: Loader, same: Loader, batches: int, epoch: int = 1) -> None:
    """Stop `loader` after some batches of an epoch, and let `same` go on from its state.

    What comes then, to the end of the epoch and in the next one, must be what comes without a stop.
    """
    loader.sampler.set_epoch(epoch)
    expected = digests(loader)
    following = digests(loader)
    loader.sampler.set_epoch(epoch)
    running = iter(loader)
    for _ in range(batches):
        next(running)
    same.load_state_dict(loader.state_dict())
    assert digests(same) == expected[batches:]
    assert digests(same) == following
