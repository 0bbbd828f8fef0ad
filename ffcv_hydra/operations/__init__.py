"""The operations that configs name. Those on chunks run from the loader's threads and are seeded by sample."""

from ffcv_hydra.operations.affine import RandomAffine, RandomRotation
from ffcv_hydra.operations.auto_augment import RandAugment, TrivialAugmentWide
from ffcv_hydra.operations.base import Chunk, ChunkDecoder, ChunkOperation, Extents, FailedSample
from ffcv_hydra.operations.basic_decoders import ArrayDecoder, BytesDecoder, ScalarDecoder
from ffcv_hydra.operations.colour import RandomBrightness, RandomContrast, RandomGrayscale, RandomHue, RandomSaturation
from ffcv_hydra.operations.colour_jitter import ColorJitter
from ffcv_hydra.operations.convert import Convert, DivideImage255
from ffcv_hydra.operations.defaults import default_decoder, default_operations
from ffcv_hydra.operations.erasing import Cutout, RandomErasing
from ffcv_hydra.operations.flip import RandomHorizontalFlip, RandomVerticalFlip
from ffcv_hydra.operations.gaussian_blur import GaussianBlur
from ffcv_hydra.operations.image_decoder import ImageDecoder, decode_shared
from ffcv_hydra.operations.image_decoders import (
    CenterCrop,
    RandomResizedCrop,
    Resize,
    ResizeShorterSide,
    SizedDecoder,
    WholeImage,
)
from ffcv_hydra.operations.image_operation import ImageOperation
from ffcv_hydra.operations.mixing import CutMix, MixedTargets, MixingOperation, Mixup
from ffcv_hydra.operations.normalize import NormalizeImage, NormalizeTensor
from ffcv_hydra.operations.operation import AllocationQuery, Operation, State
from ffcv_hydra.operations.padded import PaddedArray, PaddedBytes, PrefixedDecoder, SplitPrefixed
from ffcv_hydra.operations.random_crop import RandomCrop, RandomTranslate
from ffcv_hydra.operations.randomly_applied import RandomlyApplied
from ffcv_hydra.operations.tensors import Squeeze, ToTorchImage
from ffcv_hydra.operations.to_device import ToDevice
from ffcv_hydra.operations.to_tensor import ToTensor
from ffcv_hydra.operations.tones import (
    RandomAdjustSharpness,
    RandomAutocontrast,
    RandomEqualize,
    RandomInvert,
    RandomPosterize,
    RandomSolarize,
)

__all__ = [
    "AllocationQuery",
    "ArrayDecoder",
    "BytesDecoder",
    "CenterCrop",
    "Chunk",
    "ChunkDecoder",
    "ChunkOperation",
    "ColorJitter",
    "Convert",
    "CutMix",
    "Cutout",
    "DivideImage255",
    "Extents",
    "FailedSample",
    "GaussianBlur",
    "ImageDecoder",
    "ImageOperation",
    "MixedTargets",
    "MixingOperation",
    "Mixup",
    "NormalizeImage",
    "NormalizeTensor",
    "Operation",
    "PaddedArray",
    "PaddedBytes",
    "PrefixedDecoder",
    "RandAugment",
    "RandomAdjustSharpness",
    "RandomAffine",
    "RandomAutocontrast",
    "RandomBrightness",
    "RandomContrast",
    "RandomCrop",
    "RandomEqualize",
    "RandomErasing",
    "RandomGrayscale",
    "RandomHorizontalFlip",
    "RandomHue",
    "RandomInvert",
    "RandomPosterize",
    "RandomResizedCrop",
    "RandomRotation",
    "RandomSaturation",
    "RandomSolarize",
    "RandomTranslate",
    "RandomVerticalFlip",
    "RandomlyApplied",
    "Resize",
    "ResizeShorterSide",
    "ScalarDecoder",
    "SizedDecoder",
    "SplitPrefixed",
    "Squeeze",
    "State",
    "ToDevice",
    "ToTensor",
    "ToTorchImage",
    "TrivialAugmentWide",
    "WholeImage",
    "decode_shared",
    "default_decoder",
    "default_operations",
]
