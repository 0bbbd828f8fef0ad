"""What an evaluation's pipeline does to pictures, in numbers that any program can follow: `preprocessing.json`."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from ffcv_hydra.beton.fields.rgb_image_field import RGBImageField
from ffcv_hydra.errors import PipelineError
from ffcv_hydra.loader import Loader
from ffcv_hydra.loader.plan.node import Node, with_parents
from ffcv_hydra.operations import (
    CenterCrop,
    Convert,
    ImageDecoder,
    LetterBox,
    Resize,
    ResizeShorterSide,
    ToDevice,
    ToTensor,
    WholeImage,
)
from ffcv_hydra.operations.dtypes import torch_dtype
from ffcv_hydra.operations.operation import Layout

DTYPES = (torch.uint8, torch.float16, torch.float32, torch.float64)
"""Of images that NumPy and ONNX know, too."""


def describe(loader: Loader) -> dict[str, Any]:
    """What is done to a picture, RGB with levels of 0 to 255, until it is the first output of a loader.

    Returns:
        Plain values, in the order in which they are applied: `crop`: the side of the central square that is kept, as a
        share of the shorter side, null for the whole picture; `resize`: `size` (height, width) or `shorter_side`, then
        `center_crop` (height, width), or `letter_box` (height, width) with `fill` around, and `filter`; null for none;
        levels are rounded; `mean` and `std`, in levels: (x - mean) / std; `layout`, NCHW or NHWC; `dtype`; `shape` of
        one image.

    Raises:
        PipelineError: an operation of the pipeline has no such description; names it.
    """
    output = loader.output_names[0]
    ends = loader.plan.ends(output)
    if len(ends) > 1:
        raise _error(output, "a list of views", "let one evaluation output be one tensor")
    first, *others = _in_order(ends[0])
    described, state = _decoding(output, first), ends[0].state
    mean, std, layout = np.zeros(3), np.ones(3), "NHWC"
    for node in others:
        operation = node.operation
        constants = None if operation.random else operation.as_normalization()
        if constants is not None:  # ((x - mean) / std - m) / s is (x - (mean + m * std)) / (std * s)
            mean, std = mean + np.array(constants[0]) * std, std * np.array(constants[1])
        elif operation.as_layout() in (Layout.CHANNELS_FIRST, Layout.CHANNELS_LAST):
            layout = "NCHW"
        elif not isinstance(operation, ToTensor | Convert | ToDevice):
            raise _error(output, node.name, "is neither (x - mean) / std nor a change of dtype or layout")
    dtype = torch_dtype(state.dtype)
    if dtype not in DTYPES:
        raise _error(output, str(dtype).removeprefix("torch."), "is no dtype that NumPy and ONNX have, too")
    return {
        "picture": "RGB",
        **described,
        "mean": [float(f"{value:.9g}") for value in mean],
        "std": [float(f"{value:.9g}") for value in std],
        "layout": layout,
        "dtype": str(dtype).removeprefix("torch."),
        "shape": list(state.shape),
    }


def _in_order(end: Node) -> Iterator[Node]:
    """The operations from the decoder on, as they were before they were joined."""
    for node in reversed(with_parents(end)):
        yield from node.fused or (node,)


def _decoding(output: str, node: Node) -> dict[str, Any]:
    decoder: Any = node.operation
    if not isinstance(decoder, ImageDecoder) or not isinstance(decoder.field, RGBImageField):
        raise _error(output, node.name, "decodes no RGB images of 8 bits")
    if decoder.scaled_decoding:
        raise _error(output, f"{node.name} with scaled_decoding", "has pixels of its own; leave that out")
    resize: dict[str, Any]
    if isinstance(decoder, WholeImage):
        return {"crop": None, "resize": None}
    if isinstance(decoder, CenterCrop):
        crop, resize = decoder.ratio, {"size": list(decoder.size)}
    elif isinstance(decoder, Resize):
        crop, resize = None, {"size": list(decoder.size)}
    elif isinstance(decoder, ResizeShorterSide):
        crop, resize = None, {"shorter_side": decoder.shorter_side, "center_crop": list(decoder.size)}
    elif isinstance(decoder, LetterBox):
        fill = np.broadcast_to(decoder.fill, 3).astype(int).tolist()
        crop, resize = None, {"letter_box": list(decoder.size), "fill": fill}
    else:
        known = "CenterCrop, LetterBox, Resize, ResizeShorterSide and WholeImage are"
        raise _error(output, node.name, f"is not for evaluations: {known}")
    return {"crop": crop, "resize": {**resize, "filter": decoder.interpolation}}


def _error(output: str, what: str, reason: str) -> PipelineError:
    return PipelineError(f"pipeline.val.{output} cannot be exported: {what} {reason}")
