"""From the images of a batch to what a network takes."""

import torch
from torch import Tensor


def unit_images(images: Tensor, dtype: torch.dtype | str) -> Tensor:
    """Return images as floats of `dtype`.

    `uint8` images are scaled from [0, 255] to [0, 1]; others are taken to be scaled already (by `DivideImage255` or a
    normalisation in the pipeline) and only change their dtype. Any shape.
    """
    assert isinstance(dtype, torch.dtype)  # modules declare theirs as a string, too
    if images.dtype == torch.uint8:
        return images.to(dtype) / 255
    return images.to(dtype)
