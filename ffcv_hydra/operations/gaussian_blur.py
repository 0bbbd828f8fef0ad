"""Gaussian blur of random strength."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from ffcv_hydra.errors import PipelineError
from ffcv_hydra.kernels.compiling.compilation import Kernel
from ffcv_hydra.kernels.images.array_changes import blur_float32, blur_int16, blur_uint16
from ffcv_hydra.kernels.images.changes import blur
from ffcv_hydra.operations.arguments import interval, is_sequence
from ffcv_hydra.operations.image_operation import ARRAY_DTYPES
from ffcv_hydra.operations.operation import State
from ffcv_hydra.operations.randomly_applied import RandomlyApplied


class GaussianBlur(RandomlyApplied):
    """Blur each image with a standard deviation that is uniform in a range, with probability `p`.

    Takes images (N, H, W, C) of `ARRAY_DTYPES` and any channels. As `torchvision.transforms.v2.GaussianBlur` (within
    one level; the border is mirrored), which always blurs.

    Args:
        kernel_size: of the window, odd, in pixels; [width, height], or one number for both.
        sigma: [min, max] of the standard deviation, in pixels, or one number.
        p: the probability; 0.5 in SimCLR's recipe.

    Raises:
        PipelineError: for even sizes, a sigma that is not above 0, or a p that is no probability; when the pipeline is
            built, also if half of the window does not fit into the image.
    """

    change = blur
    changes: ClassVar[Mapping[Any, Kernel]] = {
        np.uint8: blur, np.uint16: blur_uint16, np.int16: blur_int16, np.float32: blur_float32
    }  # fmt: skip
    dtypes = ARRAY_DTYPES
    channels = ()

    def __init__(
        self, kernel_size: int | Sequence[int], sigma: float | Sequence[float] = (0.1, 2.0), p: float = 1.0
    ) -> None:
        super().__init__(p)
        sizes = tuple(kernel_size) if isinstance(kernel_size, Sequence) else (kernel_size, kernel_size)
        if len(sizes) != 2 or not all(isinstance(size, int) and size > 0 and size % 2 == 1 for size in sizes):
            raise PipelineError(
                f"GaussianBlur: kernel_size is an odd number of pixels or [width, height]; got {kernel_size!r}"
            )
        self.kernel_size = self.kernel_width, self.kernel_height = sizes
        bounds = sigma if is_sequence(sigma) else (sigma, sigma)
        self.amounts = self.sigma = interval("GaussianBlur", "sigma", bounds, 0, above=True)
        self.further_sizes = self.kernel_height, self.kernel_width

    def result(self, before: State) -> tuple[tuple[int, ...], Any]:
        """The same shape and dtype.

        Raises:
            PipelineError: for anything but images of more than half the window in each direction.
        """
        result = super().result(before)
        height, width, _ = before.shape
        if self.kernel_height // 2 >= height or self.kernel_width // 2 >= width:
            window = f"{self.kernel_width} x {self.kernel_height}"
            raise PipelineError(
                f"a window of {window} is too large for images of {width} x {height} (width x height); "
                "kernel_size is less than twice the image's"
            )
        return result
