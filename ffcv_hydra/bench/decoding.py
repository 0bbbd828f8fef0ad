"""What decoding is made of: finding and reading stored bytes, comparing them, decoding images, and resampling these.

Decoding and resampling are one kernel, image by image. An image of which two windows are wanted is decoded once, so
what the same window costs a second time is the resampling.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from ffcv_hydra.bench.measuring import least
from ffcv_hydra.kernels.geometry.taps import NEAREST
from ffcv_hydra.kernels.images.windows import STORED_AS_JPEG
from ffcv_hydra.loader.engine.chunks import chunk_of
from ffcv_hydra.loader.engine.storage import Storage
from ffcv_hydra.loader.plan.node import Node
from ffcv_hydra.loader.plan.step import Link
from ffcv_hydra.operations import Extents, FailedSample, ImageDecoder, decode_shared
from ffcv_hydra.operations.base import Scratch


def label(node: Node) -> str:
    """What the part is called that a node is."""
    return f"{node.output}: {node.name}"


def decoding_parts(
    storage: Storage, link: Link, samples: np.ndarray, keys: np.ndarray, seconds: float
) -> dict[str, float]:
    """Measure what decoding some samples is made of.

    Args:
        storage: of the loader.
        link: begins with decoders of what is stored outside the metadata.
        samples: int64 (N,), ids.
        keys: uint64 (N,), the samples' keys.
        seconds: what its decoders take.

    Returns:
        Seconds by part; under a decoder's own label is all that it does to decoded pixels.
    """
    decoders = [node for node in link.nodes if node.parent is None]
    field, scratch = decoders[0].field, Scratch()
    stored = storage.extents(field, samples, scratch.file_for)
    actions: dict[str, Callable[[], object]] = {"reading": lambda: storage.extents(field, samples, scratch.file_for)}
    if stored.checksums is not None:
        actions["comparing checksums"] = lambda: stored.first_mismatch(0)
    parts = {f"{field}: {name}": took for name, took in zip(actions, _seconds(actions.values()), strict=True)}
    rest, shares = max(0.0, seconds - sum(parts.values())), [1 / len(decoders)] * len(decoders)
    if not link.is_stored and all(isinstance(node.operation, ImageDecoder) for node in decoders):
        read = {field: stored} | storage.looked_at(link.looked_at, samples, scratch)
        shares = _resampling(decoders, read, samples, keys) or shares
        parts[f"{field}: decoding"] = rest * (1 - sum(shares))
    for node, share in zip(decoders, shares, strict=True):
        parts[label(node)] = parts.get(label(node), 0.0) + rest * share
    return parts


def _resampling(
    decoders: Sequence[Node], read: Mapping[str, Extents], samples: np.ndarray, keys: np.ndarray
) -> list[float] | None:
    """Which share of the time of decoders each of them takes from decoded pixels on; None if a sample is damaged."""
    scratch, everything = Scratch(), []
    for node in decoders:
        target = np.empty((len(samples), *node.memory.shape), dtype=node.memory.dtype)
        everything.append((node.operation, target, chunk_of(node, samples, keys, scratch, read)))

    def decode(*further: Any) -> None:
        operations, targets, chunks = zip(*everything, *further, strict=True)
        decode_shared(operations, read[decoders[0].field], targets, chunks)

    try:
        once, *more = _seconds([decode, *(partial(decode, one) for one in everything)])
    except FailedSample:
        return None
    shares = [max(0.0, seconds / once - 1) for seconds in more]
    return [share / max(1.0, sum(shares)) for share in shares]


def shrinkable_share(storage: Storage, decoders: Sequence[Node], samples: np.ndarray, keys: np.ndarray) -> float:
    """The share of some samples whose JPEGs `scaled_decoding` would decode at a fraction of their size; as above."""
    found, scratch = np.zeros(len(samples), dtype=np.bool_), Scratch()
    read = storage.looked_at([node.looks_at for node in decoders if node.looks_at is not None], samples, scratch)
    for node in decoders:
        decoder = node.operation
        if not isinstance(decoder, ImageDecoder) or decoder.scaled_decoding or decoder.interpolation_code == NEAREST:
            continue
        heights, widths, modes = decoder.stored(samples)
        chunk = chunk_of(node, samples, keys, scratch, read)
        parts = decoder.parts(heights, widths, chunk.keys, chunk.boxes)
        kept, resized = parts.boxes[:, 2:], parts.placements[..., :2]
        found |= (modes == STORED_AS_JPEG) & (kept >= 2 * resized).all(axis=1)
    return float(found.mean())


def _seconds(actions: Iterable[Callable[[], object]]) -> list[float]:
    """The least of the processor's time that each action takes."""

    def taken(action: Callable[[], object]) -> float:
        began = time.thread_time()
        action()
        return time.thread_time() - began

    return least([partial(taken, action) for action in actions])
