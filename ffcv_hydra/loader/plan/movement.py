"""What moves the pixels of images, and which fields hold places in them: masks, boxes, points.

Of operations that are not the project's it is known from their names, from what they turn a sample into, or from an
attribute `geometric` that says it. Knows nodes, modules and fields; nothing of which outputs belong together.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from ffcv import transforms
from ffcv.fields.base import Field
from ffcv.fields.rgb_image import RandomResizedCropRGBImageDecoder, SimpleRGBImageDecoder
from ffcv.pipeline.operation import Operation
from ffcv.pipeline.state import State
from torch import nn

from ffcv_hydra.beton import TextField
from ffcv_hydra.beton.fields.image_fields import is_image
from ffcv_hydra.loader.plan.modules import Probe, probe
from ffcv_hydra.loader.plan.plan import Node, torch_dtype
from ffcv_hydra.operations import ChunkOperation, ImageDecoder, MixingOperation, replacement_of
from ffcv_hydra.operations.auto_augment import AutoAugmentation
from ffcv_hydra.ordering.identity import describe

_MOVE_PIXELS_ALONE = (
    AutoAugmentation,
    MixingOperation,
    transforms.ImageMixup,
    transforms.RandomHorizontalFlip,
    transforms.RandomResizedCrop,
    transforms.RandomTranslate,
    RandomResizedCropRGBImageDecoder,
)
# Modules, of torchvision and of others that call theirs so, that change values where they are.
_KEEP_PLACES = frozenset({
    "ColorJiggle", "ColorJitter", "GaussianBlur", "GaussianNoise", "JPEG", "RandomAdjustSharpness",
    "RandomAutocontrast", "RandomBrightness", "RandomChannelPermutation", "RandomChannelShuffle",
    "RandomContrast", "RandomEqualize", "RandomErasing", "RandomGamma", "RandomGaussianBlur",
    "RandomGaussianNoise", "RandomGrayscale", "RandomHue", "RandomInvert", "RandomJPEG",
    "RandomPhotometricDistort", "RandomPosterize", "RandomSaturation", "RandomSharpness", "RandomSolarize",
    "ConvertImageDtype", "Dropout", "Grayscale", "Identity", "Normalize", "RGB", "ToDtype", "ToPureTensor",
})  # fmt: skip
_CHANNELS = 4  # at most: where the last axis of a tensor is longer, images are (C, H, W)
_CONTAINERS = frozenset({"Compose", "RandomApply", "RandomChoice", "RandomOrder", "Sequential"})
# Attributes of modules and of FFCV's operations that do not say where pixels go.
_NOT_OF_PLACES = frozenset({
    "antialias", "dtype", "field", "fill", "inplace", "interpolation", "memory_read", "metadata",
    "padding_mode", "training",
})  # fmt: skip
# Last words of the names of fields that hold places.
_PLACES = frozenset({
    "bbox", "bboxes", "box", "boxes", "keypoint", "keypoints", "landmark", "landmarks", "mask", "masks",
    "point", "points", "polygon", "polygons",
})  # fmt: skip


@dataclass(frozen=True)
class Move:
    """What an operation does to places in an image; two that are equal do the same.

    Attributes:
        text: the operation and what decides where pixels go.
        draws: what is drawn from, for a random one: nothing else that draws from the same is needed to agree.
        alone: why nothing can follow it, with the way out; None if something can.
    """

    text: str
    draws: Any = None
    alone: str | None = None


def moves_of(node: Node | None) -> list[Move]:
    """What is done to places by the operations up to a node, from the decoder on."""
    found: list[Move] = []
    while node is not None:
        move = _move_of(node)
        found += [] if move is None else [move]
        node = node.parent
    return found[::-1]


def _move_of(node: Node) -> Move | None:
    operation: Any = node.operation
    name = f"{type(operation).__module__}.{node.name}"
    if node.found is not None:
        assert isinstance(operation, nn.Module) and node.parent is not None
        return move_of_module(operation, node.parent.state, node.found, node)
    if isinstance(operation, _MOVE_PIXELS_ALONE):
        return Move(node.name, node, f"cannot follow what {name} does; leave it out")
    if node.parent is None and not hasattr(operation, "geometric"):  # one of FFCV's decoders
        if type(operation) is SimpleRGBImageDecoder or not is_image(operation.field):
            return None
        decoder, operation = operation, replacement_of(operation, [])
        operation.accept_field(decoder.field)
        operation.accept_globals(decoder.metadata, decoder.memory_read)
    if getattr(operation, "geometric", False):
        is_still = isinstance(operation, ImageDecoder) and _keeps_all_as_stored(operation)
        return None if is_still else Move(_with_arguments(operation), node.stream)
    is_known = hasattr(operation, "geometric") or type(operation).__module__.split(".")[0] in ("ffcv", "ffcv_hydra")
    if is_known or node.parent is None or _keeps_sides(node.parent.state, tuple(node.state.shape)):
        return None
    return Move(_with_arguments(operation))


def move_of_module(module: nn.Module, before: State, found: Probe | None, place: object) -> Move | None:
    """What a torch module does to places in images.

    Args:
        module: one with an attribute `geometric` says whether it moves pixels.
        before: the state of its input.
        found: what a dry run showed; None if it failed.
        place: where it runs; at each one it draws for itself.
    """
    declared = getattr(module, "geometric", None)
    is_random = found is None or found.random
    if declared is None and found is not None and not is_random:
        declared = not _keeps_sides(before, found.shape)
    if declared is False or (declared is None and changes_values_alone(module)):
        return None
    if not is_random:
        return Move(_with_arguments(module))
    name = type(module).__name__
    reason = (
        f"cannot follow the torch module {name}, which draws for itself; use one of ffcv_hydra.operations, or give a "
        "list for the whole batch in pipeline.device; if it moves no pixels, let its class say geometric = False"
    )
    return Move(name, place, reason)


def moves_of_modules(modules: list[nn.Module], before: State) -> list[Move]:
    """What torch modules one after another do to places in images of the state `before`."""
    found: list[Move] = []
    for module in modules:
        try:
            shown = probe(module, tuple(before.shape), torch_dtype(before.dtype), torch.device("cpu"))
        except Exception:  # on another device, or in its turn, it may work
            shown = None
        move = move_of_module(module, before, shown, object())
        found += [] if move is None else [move]
        if shown is not None:
            before = replace(before, shape=shown.shape, dtype=shown.dtype)
    return found


def changes_values_alone(module: nn.Module) -> bool:
    """Whether a module, and each that it is made of, is known to change values where they are, or to draw nothing."""
    name = type(module).__name__
    if name not in _CONTAINERS:
        return getattr(module, "geometric", name not in _KEEP_PLACES) is False
    return all(map(changes_values_alone, getattr(module, "transforms", None) or module.children()))


def holds_places(name: str, field: Field, is_stored_outside: bool) -> bool:
    """Whether a field holds places in an image: as its `holds_places` says, or by its name.

    Args:
        name: of the field.
        field: of any class.
        is_stored_outside: of the metadata; otherwise it is a number.
    """
    declared = getattr(field, "holds_places", None)
    if declared is not None:
        return bool(declared)
    shape = tuple(getattr(field, "shape", ()))
    is_flat = len(shape) == 1 and shape[0] not in (2, 4)  # a mask of attention, for example
    is_named = not _PLACES.isdisjoint(name.lower().split("_")[-1:])
    return is_named and is_stored_outside and not is_flat and not isinstance(field, TextField)


def _keeps_all_as_stored(decoder: ImageDecoder) -> bool:
    if decoder.random:
        return False
    heights, widths = (decoder.metadata[side].astype(np.int64) for side in ("height", "width"))
    if heights.size == 0 or heights.min() != heights.max() or widths.min() != widths.max():
        return False
    height, width = heights[:1], widths[:1]
    box, placed = decoder.boxes(height, width, None), decoder.placements(height, width)
    size = (int(height[0]), int(width[0]))
    return (*np.ravel(box), *np.ravel(placed)) == (0, 0, *size, *size, 0, 0) and decoder.output_size == size


def _keeps_sides(before: State, after: tuple[int, ...]) -> bool:
    """Whether height and width of images are the first or the last axes after an operation, too."""
    shape = tuple(before.shape)
    if len(shape) < 2 or len(after) < 2:
        return True
    is_last = isinstance(before.dtype, torch.dtype) and not shape[-1] <= _CHANNELS < shape[0]
    return (shape[-2:] if is_last else shape[:2]) in (after[:2], after[-2:])


def _with_arguments(operation: Operation | nn.Module) -> str:
    """The operation with what decides where pixels go."""
    if isinstance(operation, ChunkOperation):
        arguments = {name: getattr(operation, name) for name in operation.joint_parameters}
    else:
        values = {name: value for name, value in vars(operation).items() if not name.startswith("_")}
        arguments = {name: describe(value) or value for name, value in values.items() if name not in _NOT_OF_PLACES}
    return f"{type(operation).__name__}({', '.join(f'{name}={value}' for name, value in arguments.items())})"
