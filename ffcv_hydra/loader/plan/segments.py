"""Which nodes of a step run as one call: image functions in a chain, every other operation by itself.

Knows nodes and operations; nothing of batches, files or threads.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ffcv_hydra.kernels.compiling.compilation import Kernel
from ffcv_hydra.kernels.memory.checksum import first_mismatch
from ffcv_hydra.kernels.memory.image_chain import copy_image, run_image_chain
from ffcv_hydra.loader.plan.plan import Kind, Node, Step
from ffcv_hydra.operations import ChunkDecoder, ImageDecoder
from ffcv_hydra.operations.image_chain import ImageChain, ImageFunction, ImageFunctionOperation, parameter_block

_Link = tuple[ImageFunction, tuple[int, ...]]


@dataclass(eq=False)
class Segment:
    """Nodes that run as one call.

    Attributes:
        nodes: at least one; decoders of one field, or nodes each of which feeds the next.
        links: the image functions of all of them, each with what is folded into keys for it; None if it has others.
        stored_bytes: of each image, if the first function reads stored images themselves.
    """

    nodes: list[Node]
    links: list[_Link] | None = None
    stored_bytes: int = 0

    @cached_property
    def reads_file(self) -> bool:
        """Whether it begins with decoders of what is stored outside the metadata."""
        operation = self.nodes[0].operation
        return self.nodes[0].parent is None and isinstance(operation, ChunkDecoder) and operation.reads_file

    @cached_property
    def in_place(self) -> bool:
        """Whether what it makes may be written over what it is made of."""
        if self.links is not None:
            return all(function.in_place for function, _ in self.links)
        operation: Any = self.nodes[0].operation
        return operation.in_place

    @property
    def kernels(self) -> tuple[Kernel, ...]:
        """What it certainly calls: those that take longest to compile first."""
        if self.links is not None:
            return (run_image_chain, *(function.kernel for function, _ in self.links))
        operations: list[Any] = [node.operation for node in self.nodes]
        checks = (first_mismatch,) if self.reads_file else ()
        return (*(kernel for operation in operations for kernel in operation.kernels), *checks)

    @cached_property
    def chain(self) -> ImageChain:
        """The links, compiled; only of a segment that has some."""
        assert self.links is not None
        return ImageChain([function for function, _ in self.links], [parts for _, parts in self.links])


def segments_of(step: Step, sizes_of: Callable[[str], np.ndarray]) -> list[Segment]:
    """The segments of a step of chunks, in their order.

    Args:
        step: whose nodes are of the kind CHUNK.
        sizes_of: gives the stored bytes of each sample, 64-bit integers (num_samples,), of a field of images.
    """
    assert step.kind is Kind.CHUNK
    decoders = [node for node in step.nodes if node.parent is None]
    segments = [_segment_of_decoders(decoders, sizes_of)] if decoders else []
    for node in step.nodes[len(decoders) :]:
        if not isinstance(node.operation, ImageFunctionOperation):
            segments.append(Segment([node]))
            continue
        assert node.parent is not None
        before = node.parent.state  # foreign code's memory may be of another shape than what it returns
        link = node.operation.image_function(tuple(before.shape), np.dtype(before.dtype)), node.stream or ()
        if segments and segments[-1].links is not None:
            segments[-1].nodes.append(node)
            segments[-1].links.append(link)
        else:
            segments.append(Segment([node], [link]))
    for segment in segments:
        if segment.links == []:
            copy = parameter_block(segment.stored_bytes)
            segment.links.append((ImageFunction(copy_image, copy, segment.stored_bytes, random=False), ()))
    return segments


def _segment_of_decoders(decoders: list[Node], sizes_of: Callable[[str], np.ndarray]) -> Segment:
    """With links, maybe none, if all images of the field are stored as the decoder makes them."""
    operation = decoders[0].operation
    if len(decoders) > 1 or not isinstance(operation, ImageDecoder):
        return Segment(decoders)
    sizes = sizes_of(decoders[0].field)
    if not operation.is_stored_as_made(sizes):
        return Segment(decoders)
    streams = iter(node.stream for node in decoders[0].fused[1:] if node.stream is not None)
    functions = operation.image_functions()
    links: list[_Link] = [(function, next(streams) if function.random else ()) for function in functions]
    return Segment(decoders, links, int(sizes[0]))
