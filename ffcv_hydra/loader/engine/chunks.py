"""What an operation is given of a chunk: the samples, and the keys that are its own."""

from collections.abc import Mapping

import numpy as np

from ffcv_hydra.kernels.random.generator import fold
from ffcv_hydra.loader.plan.node import Node
from ffcv_hydra.operations import Chunk, Extents
from ffcv_hydra.operations.base import Scratch

_NOTHING: Mapping[str, Extents] = {}


def chunk_of(
    node: Node, samples: np.ndarray, keys: np.ndarray, scratch: Scratch, read: Mapping[str, Extents] = _NOTHING
) -> Chunk:
    """The chunk that a node's operation is given.

    Args:
        node: a chunk operation's.
        samples: int64 (N,), ids.
        keys: uint64 (N,), the samples' keys.
        scratch: of the calling thread.
        read: by field, where what is stored of the samples lies: at least the boxes that the node looks at.
    """
    boxes = None if node.looks_at is None else read[node.looks_at]
    fused_keys = tuple(fold(keys, *part.stream) for part in node.fused[1:] if part.stream is not None)
    return Chunk(samples, keys_of(node, keys), scratch, fused_keys, boxes)


def keys_of(node: Node, keys: np.ndarray) -> np.ndarray | None:
    """uint64 (N,): a node's keys, made of the samples' ones; None if it is not random."""
    return None if node.stream is None else fold(keys, *node.stream)
