"""Which nodes of a step run as one call: image functions in a chain, every other operation by itself."""

import numpy as np

from ffcv_hydra.beton import Beton
from ffcv_hydra.kernels.memory.image_chain import copy_image
from ffcv_hydra.loader.plan.node import Node
from ffcv_hydra.loader.plan.step import Link, Step
from ffcv_hydra.operations import ImageDecoder
from ffcv_hydra.operations.image_chain import ImageFunction, ImageFunctionOperation, parameter_block


def links_of(step: Step, beton: Beton) -> tuple[Link, ...]:
    """The links of a step of chunks, in their order.

    Args:
        step: whose nodes are of the kind CHUNK.
        beton: that decoders read.
    """
    decoders = tuple(node for node in step.nodes if node.parent is None)
    links = [_link_of_decoders(decoders, beton)] if decoders else []
    for node in step.nodes[len(decoders) :]:
        if not isinstance(node.operation, ImageFunctionOperation):
            links.append(Link((node,)))
            continue
        assert node.parent is not None
        before = node.parent.state  # foreign code's memory may be of another shape than what it returns
        function = node.operation.image_function(tuple(before.shape), np.dtype(before.dtype)), node.stream or ()
        last = links.pop() if links and links[-1].functions is not None else Link((), ())
        links.append(Link((*last.nodes, node), (*(last.functions or ()), function), last.stored_bytes))
    return tuple(_with_a_function(link) for link in links)


def _with_a_function(link: Link) -> Link:
    """A copy is what is left to do where images are stored as they are wanted."""
    if link.functions != ():
        return link
    copy = ImageFunction(copy_image, parameter_block(link.stored_bytes), link.stored_bytes, random=False)
    return Link(link.nodes, ((copy, ()),), link.stored_bytes)


def _link_of_decoders(decoders: tuple[Node, ...], beton: Beton) -> Link:
    """With functions, maybe none, if all images of the field are stored as the decoder makes them."""
    operation = decoders[0].operation
    if len(decoders) > 1 or not isinstance(operation, ImageDecoder):
        return Link(decoders)
    extents = beton.extents(decoders[0].field)
    assert extents is not None
    if not operation.is_stored_as_made(extents[1]):
        return Link(decoders)
    streams = iter(node.stream for node in decoders[0].fused[1:] if node.stream is not None)
    functions = operation.image_functions()
    folded = tuple((function, next(streams) if function.random else ()) for function in functions)
    return Link(decoders, folded, int(extents[1].min()))
