"""What decoding an image is made of: its checksum, the decoding itself, and the resampling.

Decoding and resampling are one kernel, image by image. An image of which two windows are wanted is decoded once, so
what the same window costs a second time is the resampling.
"""

import time
from collections.abc import Callable, Sequence

import numpy as np

from ffcv_hydra.kernels.geometry.taps import NEAREST
from ffcv_hydra.kernels.images.windows import STORED_AS_JPEG
from ffcv_hydra.loader.engine.chunks import chunk_of
from ffcv_hydra.loader.engine.execution import Executor
from ffcv_hydra.loader.plan.node import Node
from ffcv_hydra.operations import FailedSample, ImageDecoder, decode_shared
from ffcv_hydra.operations.base import Scratch

_REPEATS = 3


def decoders_of(nodes: Sequence[Node]) -> list[Node]:
    """The nodes that run as one call, if all of them decode images."""
    decode = all(node.parent is None and isinstance(node.operation, ImageDecoder) for node in nodes)
    return list(nodes) if decode else []


def decoding_shares(
    executor: Executor, decoders: Sequence[Node], samples: np.ndarray, keys: np.ndarray
) -> tuple[float, float, float] | None:
    """Measure what decoding some samples is made of; None if one of them is damaged.

    Args:
        executor: of the loader.
        decoders: that share the decoding.
        samples: int64 (N,), ids.
        keys: uint64 (N,), the samples' keys.

    Returns:
        Three shares of the time, which sum to 1: comparing stored bytes with their checksums; from stored bytes to
        pixels; from pixels to the outputs, with mirroring, values and layout where they are joined to the decoder.
    """
    scratch = Scratch()
    stored = executor.storage.extents(decoders[0].field, samples, scratch.file_for)
    operations = [node.operation for node in decoders if isinstance(node.operation, ImageDecoder)]
    chunks = [chunk_of(node, samples, keys, scratch) for node in decoders]
    targets = [np.empty((len(samples), *node.memory.shape), dtype=node.memory.dtype) for node in decoders]

    def decode(times: int) -> Callable[[], None]:
        return lambda: decode_shared(operations * times, stored, targets * times, chunks * times)

    if stored.first_mismatch(0) is not None:
        return None
    try:
        checksum = _seconds(lambda: stored.first_mismatch(0))
        once, twice = _seconds(decode(1)), _seconds(decode(2))
    except FailedSample:
        return None
    resample = min(once, max(0.0, twice - once))
    total = checksum + once
    return checksum / total, (once - resample) / total, resample / total


def shrinkable_share(decoders: Sequence[Node], samples: np.ndarray, keys: np.ndarray) -> float:
    """The share of some samples whose JPEGs `scaled_decoding` would decode at a fraction of their size; as above."""
    found = np.zeros(len(samples), dtype=np.bool_)
    for node in decoders:
        decoder = node.operation
        assert isinstance(decoder, ImageDecoder)
        if decoder.scaled_decoding or decoder.interpolation_code == NEAREST:
            continue
        heights, widths, modes = decoder.stored(samples)
        kept = decoder.boxes(heights, widths, chunk_of(node, samples, keys, Scratch()).keys)[:, 2:]
        resized = decoder.placements(heights, widths)[..., :2]
        found |= (modes == STORED_AS_JPEG) & (kept >= 2 * resized).all(axis=1)
    return float(found.mean())


def _seconds(action: Callable[[], object]) -> float:
    """The shortest of some calls, of the processor's time."""
    action()  # kernels are compiled, buffers are allocated
    found = []
    for _ in range(_REPEATS):
        began = time.thread_time()
        action()
        found.append(time.thread_time() - began)
    return min(found)
