"""torch's DataLoader on JPEG files, and on masks, for the libraries that have none."""

from collections.abc import Callable
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from benchmarks.photos import masks
from benchmarks.steps import RECIPES, View
from benchmarks.work import Epochs, Work

Decode = Callable[[bytes], Any]


class Samples(Dataset):
    """The views of photographs, uint8 (3, H, W) or (H, W, 3), and of their masks, if the recipe has any.

    Args:
        work: a recipe.
        decode, decode_mask: make an image of the bytes of a file.
        augment: makes of a view a function of an image, and of a mask if there is one, that gives these as tensors.
    """

    def __init__(
        self, work: Work, decode: Decode, decode_mask: Decode, augment: Callable[[View, bool], Callable[..., Any]]
    ) -> None:
        recipe = RECIPES[work.name]
        self.paths, self.decode, self.decode_mask = work.paths(), decode, decode_mask
        self.masks = masks(work.photos) * work.copies if recipe.mask else []
        self.views = [augment(view, recipe.mask) for view in recipe.views for _ in range(view.count)]

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> list[torch.Tensor]:
        images = [self.decode(self.paths[index].read_bytes())]
        if self.masks:
            images.append(self.decode_mask(self.masks[index].read_bytes()))
        return [tensor for view in self.views for tensor in view(*images)]


def batches(work: Work, samples: Samples) -> Epochs:
    """Epochs of the loader."""
    loader = DataLoader(
        samples, work.batch_size, shuffle=True, num_workers=work.workers, drop_last=True, persistent_workers=True
    )
    return Epochs(lambda: (tuple(map(_as_torch_images, batch)) for batch in loader))


def _as_torch_images(batch: torch.Tensor) -> torch.Tensor:
    return batch.permute(0, 3, 1, 2) if batch.shape[-1] == 3 else batch
