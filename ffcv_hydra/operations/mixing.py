"""Mixup (Zhang et al., arXiv:1710.09412), CutMix (Yun et al., arXiv:1905.04899), and the targets that go with them.

Samples 2j and 2j + 1 of the order are a pair and are mixed into each other; a last one without a partner stays as it
is. What is drawn for a pair comes from the key of its first sample, so images and targets find the same shares.
"""

import copy
from abc import abstractmethod
from numbers import Real
from typing import Any, ClassVar

import numpy as np

from ffcv_hydra.errors import PipelineError
from ffcv_hydra.kernels.images.mix import draw_mixed_boxes, draw_weights, exchange_boxes, mixup_bytes, mixup_floats
from ffcv_hydra.operations.base import Chunk, ChunkOperation, FailedSample
from ffcv_hydra.operations.image_operation import ImageOperation
from ffcv_hydra.operations.operation import State
from ffcv_hydra.operations.pixels import as_bytes


class MixingOperation(ImageOperation):
    """Base of the operations that mix images 2j and 2j + 1; takes uint8 or float32 images (N, H, W, C).

    Args:
        alpha: of the Beta(alpha, alpha) distribution that shares are drawn from; 1 is uniform, less is more extreme.
    """

    random: ClassVar[bool] = True
    follows_nothing: ClassVar[bool] = True
    group_size: ClassVar[int] = 2
    mixed_targets: ClassVar[str | None] = "MixedTargets"
    dtypes: ClassVar[tuple[Any, ...]] = (np.uint8, np.float32)
    channels: ClassVar[tuple[int, ...]] = ()

    def __init__(self, alpha: float = 1.0) -> None:
        super().__init__()
        if not isinstance(alpha, Real) or not 0 < alpha < np.inf:
            raise PipelineError(f"{type(self).__name__}: alpha is a number above 0; got {alpha}")
        self.alpha: float = float(alpha)

    @abstractmethod
    def weights(self, keys: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
        """The share that each image of a pair keeps of itself.

        Args:
            keys: uint64 (P,), of the pairs: those of their first samples.
            shape: height and width of the images.

        Returns:
            float64 (P,), in [0, 1].
        """


class Mixup(MixingOperation):
    """Blend the images of a pair: w times the image and 1 - w times its partner, w ~ Beta(alpha, alpha).

    Takes uint8 images, whose mean is rounded, or float32 ones (N, H, W, C).

    Args:
        alpha: above 0; 0.2 is usual for ImageNet.
    """

    keeps_classes: ClassVar[bool] = False

    def weights(self, keys: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
        """float64 (P,): the share that each image of a pair keeps of itself."""
        weights = np.empty(len(keys))
        draw_weights(keys, self.alpha, weights)
        return weights

    def run(self, source: np.ndarray, target: np.ndarray, chunk: Chunk) -> None:
        """Fill `target` with the mixed images of `source`."""
        count, height, width, _ = source.shape
        weights = self.weights(pair_keys(chunk), (height, width))
        mix = mixup_bytes if source.dtype == np.uint8 else mixup_floats
        mix(weights, source.reshape(count, -1), target.reshape(count, -1))


class CutMix(MixingOperation):
    """Exchange a box between the images of a pair; it covers 1 - w of them, w ~ Beta(alpha, alpha), unless it is cut.

    Takes uint8 or float32 images (N, H, W, C). Boxes are distributed as those of `torchvision.transforms.v2.CutMix`.

    Args:
        alpha: above 0; 1 is usual.
    """

    def weights(self, keys: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
        """float64 (P,): the share of its own pixels that each image of a pair keeps."""
        boxes = self._boxes(keys, shape)
        return 1 - boxes[:, 2] * boxes[:, 3] / (shape[0] * shape[1])

    def run(self, source: np.ndarray, target: np.ndarray, chunk: Chunk) -> None:
        """Fill `target` with the mixed images of `source`."""
        _, height, width, _ = source.shape
        exchange_boxes(self._boxes(pair_keys(chunk), (height, width)), as_bytes(source), as_bytes(target))

    def _boxes(self, keys: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
        boxes = np.empty((len(keys), 4), dtype=np.int64)
        draw_mixed_boxes(keys, self.alpha, *shape, boxes)
        return boxes


class MixedTargets(ChunkOperation):
    """Turn labels into the targets of mixed images: the shares of each class, which sum to 1.

    Takes integer labels (N, 1) or (N,), and gives float32 (N, num_classes). It stands in the label's pipeline, which
    says which output's mixing it follows:

        label: {joint_with: image, operations: [{_target_: ffcv_hydra.operations.MixedTargets, num_classes: 10}]}

    Args:
        num_classes: labels are from 0 to num_classes - 1.

    Attributes:
        mixing, mixing_shape: the operation that mixes the images, and their height and width.
    """

    random: ClassVar[bool] = True

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        if not isinstance(num_classes, int) or num_classes < 1:
            raise PipelineError(f"MixedTargets: num_classes is a number from 1 on; got {num_classes}")
        self.num_classes = num_classes
        self.mixing: MixingOperation | None = None
        self.mixing_shape = (0, 0)

    def following(self, mixing: MixingOperation, shape: tuple[int, int]) -> "MixedTargets":
        """A copy for images of height and width `shape` that `mixing` mixes; it must be given that one's keys."""
        other = copy.copy(self)
        other.mixing, other.mixing_shape = mixing, shape
        return other

    def result(self, before: State) -> tuple[tuple[int, ...], Any]:
        """float32 (num_classes,).

        Raises:
            PipelineError: for anything but one integer per sample.
        """
        shape, dtype = tuple(before.shape), before.dtype
        if shape not in ((), (1,)) or not np.issubdtype(np.dtype(dtype), np.integer):
            raise PipelineError(f"takes one integer label per sample; got {dtype} {shape}")
        return (self.num_classes,), np.dtype(np.float32)

    def run(self, source: np.ndarray, target: np.ndarray, chunk: Chunk) -> None:
        """Fill `target` (N, num_classes).

        Raises:
            FailedSample: a label is no class.
            PipelineError: no operation that mixes was found for it.
        """
        if self.mixing is None:
            raise PipelineError("MixedTargets: no Mixup or CutMix to follow; name the image's output in joint_with")
        labels = source.reshape(-1).astype(np.int64)
        wrong = np.flatnonzero((labels < 0) | (labels >= self.num_classes))
        if len(wrong):
            classes = f"num_classes is {self.num_classes}, so labels are 0 to {self.num_classes - 1}"
            raise FailedSample(int(wrong[0]), f"label {labels[wrong[0]]} is no class: {classes}")
        keys = pair_keys(chunk)
        mixed = 2 * len(keys)
        share = np.ones(len(labels), dtype=np.float32)
        share[:mixed] = np.repeat(self.mixing.weights(keys, self.mixing_shape), 2)
        rows = np.arange(len(labels))
        target[:] = 0
        target[rows, labels] = share
        partners = labels[:mixed].reshape(-1, 2)[:, ::-1].reshape(-1)
        target[rows[:mixed], partners] += 1 - share[:mixed]  # added, as both labels may be the same


def pair_keys(chunk: Chunk) -> np.ndarray:
    """uint64 (P,): the key of each pair of the chunk, its first sample's."""
    assert chunk.keys is not None
    return np.ascontiguousarray(chunk.keys[: len(chunk.keys) // 2 * 2 : 2])
