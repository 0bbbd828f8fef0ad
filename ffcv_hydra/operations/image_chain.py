"""Operations that work on one image after another, and chains of them that run as one call.

An operation that gives an `ImageFunction` needs no code for chunks. A chain knows functions and addresses, and nothing
of files, threads or pipelines.
"""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ffcv_hydra.kernels.compiling.compilation import Kernel
from ffcv_hydra.kernels.memory import image_chain
from ffcv_hydra.kernels.memory.image_chain import run_image_chain
from ffcv_hydra.operations.base import Chunk, ChunkOperation, Scratch


class ImageFunction(NamedTuple):
    """What an operation does to one image.

    Attributes:
        kernel: made by `kernels.image_chain.image_function`.
        parameters: what it takes: integers, floats, arrays and kernels; of those it gets the addresses.
        result_bytes: of the image that it makes.
        in_place: whether that may be written over the image that it is made of.
    """

    kernel: Kernel
    parameters: tuple[Any, ...]
    result_bytes: int
    in_place: bool = False

    @property
    def kernels(self) -> tuple[Kernel, ...]:
        """What it may call."""
        return (self.kernel, *(value for value in self.parameters if isinstance(value, Kernel)))

    def block(self) -> np.ndarray:
        """int64 (P,): the parameters as its kernel takes them, floats by their bits. Its kernels are compiled."""
        block = np.empty(len(self.parameters), dtype=np.int64)
        for position, value in enumerate(self.parameters):
            if isinstance(value, float):
                block.view(np.float64)[position] = value
            elif isinstance(value, np.ndarray):
                block[position] = value.ctypes.data
            else:
                block[position] = value.address if isinstance(value, Kernel) else value
        return block


class ImageFunctionOperation(ChunkOperation):
    """Base of the operations that do the same to each image (H, W, ...), by image functions."""

    @abstractmethod
    def image_functions(self, shape: tuple[int, ...], dtype: np.dtype) -> tuple[ImageFunction, ...]:
        """The functions for images of a shape and dtype, which draw from the same key."""

    def run(self, source: np.ndarray, target: np.ndarray, chunk: Chunk) -> None:
        """Fill `target` (N, ...) from `source` (N, ...)."""
        functions = self.image_functions(source.shape[1:], source.dtype)
        keys = np.zeros(len(source), dtype=np.uint64) if chunk.keys is None else chunk.keys
        chain = ImageChain([(function, ()) for function in functions], source.nbytes // max(1, len(source)))
        chain.run(images_of(source), np.arange(len(source)), keys, target, chunk.scratch)


@dataclass(frozen=True)
class ImageSource:
    """Where a chain finds images of one size.

    Attributes:
        described: int64, as `run_image_chain` takes it.
        owned: the arrays whose addresses it holds.
    """

    described: np.ndarray
    owned: tuple[np.ndarray | None, ...]


def stored_images(data: np.ndarray, image_bytes: int, offsets: np.ndarray, checksums: np.ndarray | None) -> ImageSource:
    """Images of `image_bytes` that lie at `offsets`, 64-bit integers (N,), in uint8 `data`, with uint64 checksums."""
    parts = [data.ctypes.data, len(data), image_bytes, offsets.ctypes.data, offsets.strides[0], 0, 0]
    if checksums is not None:
        parts[image_chain.CHECKSUMS :] = checksums.ctypes.data, checksums.strides[0]
    return ImageSource(np.array(parts, dtype=np.int64), (data, offsets, checksums))


def images_of(array: np.ndarray) -> ImageSource:
    """The images of a contiguous array (N, ...)."""
    image_bytes = array.nbytes // max(1, len(array))
    offsets = np.arange(len(array)) * image_bytes
    return stored_images(array.reshape(-1).view(np.uint8), image_bytes, offsets, None)


class ImageChain:
    """Image functions, each of which takes what the one before it gives.

    Args:
        functions: each with up to three integers in [0, 2**64) that are folded into the images' keys for it.
        image_bytes: of an image that the first one takes.

    Attributes:
        result_bytes: of an image that the last one makes.
        between_bytes: memory that an image on its way takes, twice.
    """

    def __init__(self, functions: Sequence[tuple[ImageFunction, tuple[int, ...]]], image_bytes: int) -> None:
        self._functions = tuple(functions)
        self._blocks = [function.block() for function, _ in functions]
        self._rows = np.zeros((len(functions), image_chain.FUNCTION_COLUMNS), dtype=np.int64)
        self.result_bytes = functions[-1][0].result_bytes if functions else image_bytes
        self.between_bytes, destination = image_bytes, image_chain.TO_TARGET
        for position in reversed(range(len(functions))):
            function, parts = functions[position]
            folded = np.array(parts, dtype=np.uint64).view(np.int64)
            if destination != image_chain.TO_TARGET:
                self.between_bytes = max(self.between_bytes, function.result_bytes)
                destination = image_chain.TO_SOURCE if function.in_place else image_chain.TO_OTHER
            address, parameters = function.kernel.address, self._blocks[position].ctypes.data
            first = image_chain.FIRST_PART
            self._rows[position, :first] = address, parameters, destination, len(folded)
            self._rows[position, first : first + len(folded)] = folded
            if not function.in_place:
                destination = image_chain.TO_OTHER
        self.between_bytes += -self.between_bytes % 64  # so that the second one is aligned as the first
        self._is_in_place = all(function.in_place for function, _ in functions)

    @property
    def described(self) -> tuple[int, int, bool]:
        """The address of its functions, their number, and whether all work in place."""
        return self._rows.ctypes.data, len(self._rows), self._is_in_place

    def check(self, target: np.ndarray, count: int) -> None:
        """Compare a target with what it is to hold: kernels trust its address.

        Raises:
            TypeError: it is not contiguous, or of another size.
        """
        if target.nbytes != count * self.result_bytes or not target.flags.c_contiguous:
            raise TypeError(f"the target must be contiguous and have {self.result_bytes} bytes per image")

    def run(
        self, source: ImageSource, samples: np.ndarray, keys: np.ndarray, target: np.ndarray, scratch: Scratch
    ) -> int:
        """Fill `target` (N, ...), contiguous, from the images at places `samples`, int64 (N,), of `source`.

        Args:
            source: where the images are.
            samples: int64 (N,).
            keys: uint64 (N,), one per image.
            target: (N, ...), contiguous. If all functions work in place, it may be what `source` describes.
            scratch: of the calling thread.

        Returns:
            How many images were made: N, or the position of the first one whose bytes are damaged.

        Raises:
            TypeError: `target` is of another size.
        """
        self.check(target, len(samples))
        first = scratch.buffer("images", 2 * self.between_bytes).ctypes.data
        between = np.array([first, first + self.between_bytes])
        return run_image_chain(
            source.described, samples, keys, self._rows, between, target.ctypes.data, self.result_bytes
        )
