"""Random erasing: a box of each image painted over (Zhong et al., arXiv:1708.04896)."""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from ffcv.pipeline.allocation_query import AllocationQuery
from ffcv.pipeline.state import State

from ffcv_hydra.errors import PipelineError
from ffcv_hydra.kernels.erase import draw_erased_boxes, erase, erase_with_noise
from ffcv_hydra.operations.arguments import interval, number
from ffcv_hydra.operations.base import Chunk
from ffcv_hydra.operations.image_operation import ImageOperation
from ffcv_hydra.operations.pixels import as_bytes, check_colour, colour, colour_bytes


class RandomErasing(ImageOperation):
    """Paint a random box of each image over with probability `p`, as `torchvision.transforms.v2.RandomErasing`.

    Takes images (N, H, W, C) of any dtype.

    Args:
        p: probability of a box.
        scale: [smallest, largest] area of the box, as a share of the image's.
        ratio: [smallest, largest] height / width of the box.
        value: a number, a list of one per channel, or "random" for uint8 images: each value of the box drawn on its
            own, uniform in 0 to 255 (torchvision draws from a normal distribution, which fits normalised images).
    """

    random: ClassVar[bool] = True
    in_place: ClassVar[bool] = True
    dtypes: ClassVar[tuple[Any, ...]] = ()
    channels: ClassVar[tuple[int, ...]] = ()

    def __init__(
        self,
        p: float = 0.5,
        scale: Sequence[float] = (0.02, 0.33),
        ratio: Sequence[float] = (0.3, 3.3),
        value: float | Sequence[float] | str = 0,
    ) -> None:
        super().__init__()
        self.p = number("RandomErasing", "p", p, 0, 1)
        self.scale = interval("RandomErasing", "scale", scale, low=0, high=1)
        self.ratio = interval("RandomErasing", "ratio", ratio, low=0, above=True)
        if isinstance(value, str) and value != "random":
            raise PipelineError(f"RandomErasing: value is a number, a list of one per channel, or random; got {value}")
        self.value = None if isinstance(value, str) else colour("RandomErasing", "value", value)

    def declare_state_and_memory(self, previous_state: State) -> tuple[State, AllocationQuery]:
        """The previous state, and memory for a copy.

        Raises:
            PipelineError: the images cannot hold `value`.
        """
        declared = super().declare_state_and_memory(previous_state)
        if self.value is not None:
            check_colour("value", self.value, previous_state)
        elif np.dtype(previous_state.dtype) != np.uint8:
            raise PipelineError(f"value random takes uint8 images; got {previous_state.dtype}; put it earlier")
        return declared

    def run(self, source: np.ndarray, target: np.ndarray, chunk: Chunk) -> None:
        """Fill `target` with the images of `source` and their boxes."""
        count, height, width, _ = source.shape
        boxes = np.empty((count, 4), dtype=np.int64)
        draw_erased_boxes(chunk.keys, self.p, np.array(self.scale), np.array(self.ratio), height, width, boxes)
        if self.value is None:
            erase_with_noise(boxes, chunk.keys, source, target)
        else:
            erase(boxes, colour_bytes(self.value, source), as_bytes(source), as_bytes(target))
