"""What moves the pixels of images, and which fields hold places in them: masks, boxes, points.

Operations and modules that are neither the project's nor FFCV's nor known by their names say it by an attribute
`geometric`; of modules that draw nothing it is found out. Knows nodes, modules and fields; nothing of which outputs
belong together.
"""

from dataclasses import dataclass, replace
from inspect import isabstract
from typing import Any

import numpy as np
import torch
from torch import nn

from ffcv_hydra.beton import TextField
from ffcv_hydra.beton.fields.base import Field
from ffcv_hydra.beton.fields.image_fields import is_image
from ffcv_hydra.loader.plan.modules import Probe, probe
from ffcv_hydra.loader.plan.node import Node, with_parents
from ffcv_hydra.loader.plan.stillness import keeps_places
from ffcv_hydra.loader.plan.torch_module import TorchModule
from ffcv_hydra.operations import ChunkOperation, ImageDecoder
from ffcv_hydra.operations.dtypes import torch_dtype
from ffcv_hydra.operations.operation import Operation, State
from ffcv_hydra.ordering.identity import describe

# Modules, of torchvision and of others that call theirs so, that change values where they are.
_KEEP_PLACES = frozenset({
    "ColorJiggle", "ColorJitter", "GaussianBlur", "GaussianNoise", "JPEG", "RandomAdjustSharpness",
    "RandomAutocontrast", "RandomBrightness", "RandomChannelPermutation", "RandomChannelShuffle",
    "RandomContrast", "RandomEqualize", "RandomErasing", "RandomGamma", "RandomGaussianBlur",
    "RandomGaussianNoise", "RandomGrayscale", "RandomHue", "RandomInvert", "RandomJPEG",
    "RandomPhotometricDistort", "RandomPosterize", "RandomSaturation", "RandomSharpness", "RandomSolarize",
    "ConvertImageDtype", "Dropout", "Grayscale", "Identity", "Normalize", "RGB", "ToDtype", "ToPureTensor",
})  # fmt: skip
_DOUBT = "if it moves no pixels, let its class say geometric = False"
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
        doubt: what to do if it moves no pixels after all; empty where it certainly does.
    """

    text: str
    draws: Any = None
    alone: str | None = None
    doubt: str = ""

    def __str__(self) -> str:
        return f"{self.text} ({self.doubt})" if self.doubt else self.text


def moves_of(node: Node) -> list[Move]:
    """What is done to places by the operations up to a node, from the decoder on."""
    return [move for one in reversed(with_parents(node)) if (move := move_of(one)) is not None]


def move_of(node: Node) -> Move | None:
    """What a node's operation does to places in images; None if it leaves them."""
    operation = node.operation
    if isinstance(operation, TorchModule):
        assert node.parent is not None
        return move_of_module(operation.module, node.parent.state, operation.found, node)
    if operation.follows_nothing:
        return Move(node.name, node, f"cannot follow what {operation.full_name} does; leave it out")
    if node.parent is None and not isinstance(operation, ChunkOperation):
        if not is_image(operation.field):
            return None
        decoder, operation = operation, operation.equivalent([])
        operation.accept_field(decoder.field)
        operation.accept_globals(decoder.metadata, decoder.memory_read)
    if operation.geometric:
        is_still = isinstance(operation, ImageDecoder) and _keeps_all_as_stored(operation)
        return None if is_still else Move(_with_arguments(operation), node.stream)
    if _is_known(operation) or (node.parent is None and not is_image(operation.field)):
        return None
    alone = (
        f"cannot follow {operation.full_name}, which does not say whether it moves pixels; let its class say "
        "geometric = False, or True if it moves them without a draw"
    )
    return Move(node.name, node, alone, _DOUBT)


def _is_known(operation: Operation) -> bool:
    """Whether an operation is one of this package's, or says `geometric`, other than by an abstract base."""
    if operation.geometric is None or "geometric" in vars(operation):
        return operation.geometric is not None
    kinds = (kind for kind in type(operation).__mro__ if not isabstract(kind))
    return type(operation).__module__.startswith("ffcv_hydra.") or any("geometric" in vars(kind) for kind in kinds)


def move_of_module(module: nn.Module, before: State, found: Probe | None, place: object) -> Move | None:
    """What a torch module does to places in images.

    Args:
        module: one with an attribute `geometric` says whether it moves pixels.
        before: the state of its input.
        found: what a dry run showed; None if it failed.
        place: where it runs; at each one it draws for itself.
    """
    moves, doubt, draws = getattr(module, "geometric", None), "", found is None or found.random
    if moves is None and (found is None or draws or _keeps_sides(before, found.shape)):
        moves = not (changes_values_alone(module) or (not draws and _is_still(module, before)))
        doubt = "" if type(module).__module__.startswith("torchvision.transforms.") else _DOUBT
    if moves is False:
        return None
    if not draws:
        return Move(_with_arguments(TorchModule(module)), doubt=doubt)
    name = type(module).__name__
    reason = (
        f"cannot follow the torch module {name}, which draws for itself; use one of ffcv_hydra.operations, or give a "
        f"list for the whole batch in pipeline.device; {_DOUBT}"
    )
    return Move(name, place, reason, doubt)


def _is_still(module: nn.Module, before: State) -> bool:
    shape, dtype = tuple(before.shape), torch_dtype(before.dtype)
    return len(shape) < 2 or keeps_places(module, shape, dtype, torch.device(before.device), _sides_are_last(before))


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
    if field.holds_places is not None:
        return bool(field.holds_places)
    shape = tuple(getattr(field, "shape", ()))
    is_flat = len(shape) == 1 and shape[0] not in (2, 4)  # a mask of attention, for example
    is_named = not _PLACES.isdisjoint(name.lower().split("_")[-1:])
    return is_named and is_stored_outside and not is_flat and not isinstance(field, TextField)


def _keeps_all_as_stored(decoder: ImageDecoder) -> bool:
    if decoder.random:
        return False
    heights, widths = decoder.metadata["height"], decoder.metadata["width"]
    if len(heights) == 0 or heights.min() != heights.max() or widths.min() != widths.max():
        return False
    height, width = (np.array([sides.min()], dtype=np.int64) for sides in (heights, widths))
    box, placed = decoder.boxes(height, width, None), decoder.placements(height, width)
    size = (int(height[0]), int(width[0]))
    return (*np.ravel(box), *np.ravel(placed)) == (0, 0, *size, *size, 0, 0) and decoder.output_size == size


def _keeps_sides(before: State, after: tuple[int, ...]) -> bool:
    """Whether height and width of images are the first or the last axes after an operation, too."""
    shape = tuple(before.shape)
    if len(shape) < 2 or len(after) < 2:
        return True
    return (shape[-2:] if _sides_are_last(before) else shape[:2]) in (after[:2], after[-2:])


def _sides_are_last(state: State) -> bool:
    return isinstance(state.dtype, torch.dtype) and not state.shape[-1] <= _CHANNELS < state.shape[0]


def _with_arguments(operation: Operation) -> str:
    """The operation with what decides where pixels go."""
    given = operation.arguments().items()
    values = {name: value for name, value in given if not name.startswith("_") and name not in _NOT_OF_PLACES}
    arguments = (f"{name}={_shown(value)}" for name, value in values.items())
    return f"{operation.name}({', '.join(arguments)})"


def _shown(value: Any) -> Any:
    """By its content, whatever it is; plain values as they are written."""
    return value if isinstance(value, list | tuple) else describe(value) or value
