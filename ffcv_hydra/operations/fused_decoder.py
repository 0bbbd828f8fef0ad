"""Image decoders that also do what comes right after them, while the image is in the processor's cache."""

from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import torch

from ffcv_hydra.kernels.colour.finish import finish
from ffcv_hydra.kernels.compiling.compilation import Kernel
from ffcv_hydra.kernels.random.draws import draw_chosen
from ffcv_hydra.operations.base import Chunk
from ffcv_hydra.operations.flip import RandomHorizontalFlip
from ffcv_hydra.operations.image_chain import ImageFunction
from ffcv_hydra.operations.image_decoder import ImageDecoder
from ffcv_hydra.operations.normalize import finish_function, table_bits
from ffcv_hydra.operations.operation import AllocationQuery, State


class FusedDecoder(ImageDecoder):
    """A decoder, mirroring, a function of single values, and the layout, in one pass; made by the loader, not by users.

    Args:
        decoder: knows its field and metadata already.
        flip: the probability that an image is mirrored, drawn from the first of the chunk's `fused_keys`; None: never.
        table: torch tensor (256, C), float32 or float16: what each byte becomes; None for the bytes themselves.
        channels_first: whether the output is (C, H, W).
    """

    random: ClassVar[bool] = True

    def __init__(
        self,
        decoder: ImageDecoder,
        flip: float | None = None,
        table: torch.Tensor | None = None,
        channels_first: bool = False,
    ) -> None:
        super().__init__(decoder.interpolation, decoder.scaled_decoding)
        self.accept_field(decoder.field)
        self.accept_globals(decoder.metadata, decoder.memory_read)
        self.decoder = decoder
        self.flip = None if flip is None else RandomHorizontalFlip(flip)
        self.table = None if table is None else np.ascontiguousarray(table.numpy().T)
        self.channels_first = channels_first

    @property
    def kernels(self) -> tuple[Kernel, ...]:
        """The decoder's, and those of what comes after it."""
        is_finished, is_mirrored = self.table is not None or self.channels_first, self.flip is not None
        return (*self.decoder.kernels, *(finish,) * is_finished, *(draw_chosen,) * is_mirrored)

    @property
    def output_size(self) -> tuple[int, int]:
        """Height and width of the output, in pixels."""
        return self.decoder.output_size

    def boxes(self, heights: np.ndarray, widths: np.ndarray, keys: np.ndarray | None) -> np.ndarray:
        """int64 (N, 4): the decoder's."""
        return self.decoder.boxes(heights, widths, keys)

    def placements(self, heights: np.ndarray, widths: np.ndarray) -> np.ndarray:
        """int64 (N, 4) or (4,): the decoder's."""
        return self.decoder.placements(heights, widths)

    def is_stored_as_made(self, sizes: np.ndarray) -> bool:
        """Whether the decoder finds all images stored as what it makes of them."""
        return self.decoder.is_stored_as_made(sizes)

    def image_functions(self) -> list[ImageFunction]:
        """Mirroring, then the table and the layout."""
        shape, functions = (*self.output_size, self.channels), []
        if self.flip is not None:
            functions.append(self.flip.image_function(shape, self.dtype))
        if self.table is not None or self.channels_first:
            functions.append(finish_function(shape, self.table, self.channels_first))
        return functions

    @property
    def result_dtype(self) -> np.dtype:
        """Of the output."""
        return self.dtype if self.table is None else self.table.dtype

    def mirrored(self, chunk: Chunk) -> Any:
        """Which images are mirrored: False, or bool (N,)."""
        if self.flip is None:
            return False
        mirrored = np.empty(len(chunk.samples), dtype=np.bool_)
        draw_chosen(chunk.fused_keys[0], self.flip.p, mirrored)
        return mirrored

    def value_bits(self) -> np.ndarray:
        """uint32 (C, 256): the bits of what each byte becomes, per channel."""
        return table_bits(self.table, self.channels)

    def fill_with_zeros(self, target: np.ndarray) -> None:
        """Fill one image with what black pixels become."""
        channels = target if self.channels_first else target.transpose(2, 0, 1)
        channels[...] = 0 if self.table is None else self.table[:, 0, None, None]

    def declare_state_and_memory(self, previous_state: State) -> tuple[State, AllocationQuery]:
        """The state after the operation, and the memory for it."""
        height, width = self.output_size
        shape = (self.channels, height, width) if self.channels_first else (height, width, self.channels)
        dtype = self.result_dtype
        return replace(previous_state, jit_mode=True, shape=shape, dtype=dtype), AllocationQuery(shape, dtype)
