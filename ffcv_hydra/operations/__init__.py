"""FFCV operations that configs name. Those on chunks run from the loader's threads and are seeded by sample."""

import ffcv_hydra._ffcv  # noqa: F401  (before anything of FFCV)

from ffcv_hydra.operations.base import Chunk, ChunkDecoder, ChunkOperation, Extents, FailedSample
from ffcv_hydra.operations.basic_decoders import ArrayDecoder, BytesDecoder, ScalarDecoder
from ffcv_hydra.operations.divide import DivideImage255
from ffcv_hydra.operations.flip import RandomHorizontalFlip
from ffcv_hydra.operations.image_decoders import CenterCrop, ImageDecoder, RandomResizedCrop, WholeImage
from ffcv_hydra.operations.padded_bytes import PaddedBytes, PrefixedBytesDecoder, SplitPrefixedBytes
from ffcv_hydra.operations.replacements import replacement_of
from ffcv_hydra.operations.tensors import Squeeze, ToTorchImage

DEFAULT_DECODERS: tuple[type[ChunkDecoder], ...] = (WholeImage, ScalarDecoder, ArrayDecoder, BytesDecoder)

__all__ = [
    "DEFAULT_DECODERS",
    "ArrayDecoder",
    "BytesDecoder",
    "CenterCrop",
    "Chunk",
    "ChunkDecoder",
    "ChunkOperation",
    "DivideImage255",
    "Extents",
    "FailedSample",
    "ImageDecoder",
    "PaddedBytes",
    "PrefixedBytesDecoder",
    "RandomHorizontalFlip",
    "RandomResizedCrop",
    "ScalarDecoder",
    "SplitPrefixedBytes",
    "Squeeze",
    "ToTorchImage",
    "WholeImage",
    "replacement_of",
]
