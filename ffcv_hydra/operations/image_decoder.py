"""Base of the image decoders: which part of an image is kept, and how it is resampled to the output's size."""

from __future__ import annotations

import copy
import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np

from ffcv_hydra.beton.fields.base import Field
from ffcv_hydra.beton.fields.image_fields import MaskField, OwnImageField, ReadBox
from ffcv_hydra.beton.fields.places import BoundingBoxesField
from ffcv_hydra.beton.fields.rgb_image_field import RGBImageField
from ffcv_hydra.kernels.compiling.compilation import Kernel
from ffcv_hydra.kernels.geometry.taps import AREA, BILINEAR, NEAREST
from ffcv_hydra.kernels.images.windows import STORED_AS_JPEG, TARGET_COLUMNS
from ffcv_hydra.kernels.random.draws import draw_chosen
from ffcv_hydra.operations.arguments import one_of
from ffcv_hydra.operations.base import Chunk, ChunkDecoder, Extents
from ffcv_hydra.operations.flip import RandomHorizontalFlip
from ffcv_hydra.operations.image_chain import ImageChain
from ffcv_hydra.operations.maps import Maps, upright
from ffcv_hydra.operations.operation import State
from ffcv_hydra.operations.shared_decoding import decode_views, kernels_for
from ffcv_hydra.operations.views import StoredImages, Views

INTERPOLATIONS = {"area": AREA, "bilinear": BILINEAR, "nearest": NEAREST}
_ANYWHERE = np.array([-(1 << 40), -(1 << 40), 1 << 41, 1 << 41])  # a part that all boxes have their centres in
_FACTORS = (2, 4, 8)  # that JPEGs are decoded smaller by


def interpolation_code(interpolation: str, field: Field) -> int:
    """The kernels' number of the interpolation that is used for a field's images: for masks always `nearest`."""
    return NEAREST if isinstance(field, MaskField) else INTERPOLATIONS[interpolation]


class Parts(NamedTuple):
    """What is kept of N images, and where it is put.

    Attributes:
        boxes: int64 (N, 4): top, left, height, width of the part of each image that is kept.
        placements: int64 (N, 4), or (4,) for all: height and width that each box is resized to, and top and left of the
            output in that.
        keeps_centred: whether boxes whose centres are not in the parts are dropped, but where the part is all.
    """

    boxes: np.ndarray
    placements: np.ndarray
    keeps_centred: bool = False


class ImageDecoder(ChunkDecoder):
    """Base: decodes each image and resamples one box of it, to the field's dtype and channels.

    Attributes:
        flip: what mirrors images while they are resampled, by the last of the chunk's `fused_keys`; None: nothing.
        looks_at_boxes: whether the stored boxes in the images say which part is kept.
        looks_at: the name of their field, if there is one that is to be looked at.

    Args:
        interpolation: `area`: OpenCV's INTER_AREA, which FFCV uses: the mean of the covered pixels, so that they become
            squares where the image grows. `bilinear`: as torchvision's, antialiased. `nearest`: as torchvision's
            NEAREST_EXACT. Masks are always resampled by `nearest`: a mean of class ids is no class id.
        scaled_decoding: whether a JPEG whose part is at least 2, 4 or 8 times as high and as wide as the output is
            decoded at that fraction of its size, and only then resampled by `area` or `bilinear`: faster for
            photographs much larger than the output. The mean of so many pixels is another filter, which jumps at these
            factors: for scikit-learn's two photographs (quality 90), shrunk by 2 to 16, `area` is 2.1 levels off on
            average and 66 at most, `bilinear` 1.6 and 44.
    """

    field_types = (RGBImageField, OwnImageField)
    geometric = True
    looks_at_boxes: ClassVar[bool] = False
    looks_at: str | None = None
    flip: RandomHorizontalFlip | None = None

    def __init__(self, interpolation: str = "area", scaled_decoding: bool = False) -> None:
        super().__init__()
        self.interpolation = one_of(type(self).__name__, "interpolation", interpolation, INTERPOLATIONS)
        self.scaled_decoding = scaled_decoding

    def with_flip(self, p: float) -> Self:
        """A copy that mirrors images, too, with that probability."""
        other = copy.copy(self)
        other.flip = RandomHorizontalFlip(p)
        return other

    def stored(self, samples: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """int64 (N,) heights and widths, and uint8 (N,) modes, of the images with ids `samples`, int64 (N,)."""
        rows = self.metadata[samples]
        return rows["height"].astype(np.int64), rows["width"].astype(np.int64), np.ascontiguousarray(rows["mode"])

    @property
    @abstractmethod
    def output_size(self) -> tuple[int, int]:
        """Height and width of the output, in pixels."""

    def boxes(self, heights: np.ndarray, widths: np.ndarray, keys: np.ndarray | None) -> np.ndarray:
        """int64 (N, 4): top, left, height, width of the part of each image that is kept; the whole by default."""
        zeros = np.zeros_like(heights)
        return np.stack([zeros, zeros, heights, widths], axis=1)

    def placements(self, heights: np.ndarray, widths: np.ndarray) -> np.ndarray:
        """int64 (N, 4): height and width that each box is resized to, and top and left of the output in that.

        One that is the same for all is (4,). By default a box is resized to the output's size.
        """
        return np.array([*self.output_size, 0, 0], dtype=np.int64)

    def looking_at(self, name: str, field: BoundingBoxesField) -> Self:
        """A copy for stored boxes of the field of that name; itself if it looks at none."""
        return self

    def parts(
        self, heights: np.ndarray, widths: np.ndarray, keys: np.ndarray | None, boxes: Extents | None = None
    ) -> Parts:
        """`boxes` and `placements`, for what draws both, or looks at the stored boxes in the images."""
        return Parts(self.boxes(heights, widths, keys), self.placements(heights, widths))

    def maps(
        self, heights: np.ndarray, widths: np.ndarray, keys: np.ndarray | None, boxes: Extents | None = None
    ) -> Maps:
        """Those of the parts that are kept, without the flip."""
        parts = self.parts(heights, widths, keys, boxes)
        top, left, height, width = parts.boxes.T
        high, wide, above, before = parts.placements.T
        scale_x, scale_y = wide / np.maximum(width, 1), high / np.maximum(height, 1)
        matrices = upright(scale_x, scale_y, -(left * scale_x + before), -(top * scale_y + above))
        centres = None
        if parts.keeps_centred:
            is_whole = (height == heights) & (width == widths)
            centres = np.where(is_whole[:, None], _ANYWHERE, parts.boxes)
        heights, widths = (np.full_like(heights, side) for side in self.output_size)
        return Maps(matrices, heights, widths, centres)

    @property
    def channels(self) -> int:
        """Of the field's images."""
        return self.field.channels if isinstance(self.field, OwnImageField) else 3

    @property
    def dtype(self) -> np.dtype:
        """Of the field's pixels."""
        return self.field.dtype if isinstance(self.field, OwnImageField) else np.dtype(np.uint8)

    @property
    def read_box(self) -> ReadBox | None:
        """What reads a part of a stored image; None if kernels do."""
        return self.field.read_box if isinstance(self.field, OwnImageField) else None

    @property
    def tile(self) -> int:
        """The side of tiles that kernels read, in pixels; 0 if there are none."""
        return self.field.kernel_tile if isinstance(self.field, OwnImageField) else 0

    @property
    def around(self) -> np.ndarray | None:
        """The pixel (1, C) around images that do not fill the output; None for zeros."""
        return None

    @property
    def checks_itself(self) -> bool:
        """Whether decoding finds damage in what it reads of an image, so that the rest need not be looked at."""
        return isinstance(self.field, OwnImageField) and self.field.checks_itself

    def is_stored_as_made(self, sizes: np.ndarray) -> bool:
        """Whether all images are stored as pixels, and these are what is made of them but for the flip.

        Args:
            sizes: 64-bit integers (num_samples,), the stored bytes of each image.
        """
        return False

    def mirrored(self, chunk: Chunk) -> Any:
        """Which images are mirrored once they are resampled: False, or bool (N,)."""
        if self.flip is None:
            return False
        mirrored = np.empty(len(chunk.samples), dtype=np.bool_)
        draw_chosen(chunk.fused_keys[-1], self.flip.p, mirrored)
        return mirrored

    @property
    def interpolation_code(self) -> int:
        """The kernels' number of the interpolation that is used."""
        return interpolation_code(self.interpolation, self.field)

    @property
    def kernels(self) -> tuple[Kernel, ...]:
        """Those of the decoding, and those of what comes after it."""
        modes = self.metadata["mode"]
        stored, is_boxes = range(modes.min(), modes.max() + 1), self.read_box is not None
        decoding = kernels_for(self.dtype, self.channels, stored, self.interpolation_code, is_boxes, self.tile)
        return (*decoding, *(draw_chosen,) * (self.flip is not None))

    def result(self, before: State) -> tuple[tuple[int, ...], Any]:
        """(H, W, C) of the field's dtype."""
        return (*self.output_size, self.channels), self.dtype

    @property
    def image_bytes(self) -> int:
        """Of an image of the output."""
        return math.prod(self.output_size) * self.channels * self.dtype.itemsize

    def run(self, source: Extents, target: np.ndarray, chunk: Chunk) -> None:
        """Decode the chunk's images into `target` (N, H, W, C)."""
        decode_shared([self], source, [target], [chunk])

    def windows(self, images: StoredImages, chunk: Chunk) -> np.ndarray:
        """int64 (N, 9): what is wanted of each image, as `Views` has it."""
        windows = np.empty((len(images.offsets), 9), dtype=np.int64)
        parts = self.parts(images.heights, images.widths, chunk.keys, chunk.boxes)
        windows[:, :4], windows[:, 4:8] = parts.boxes, parts.placements
        windows[:, 8] = self.mirrored(chunk)
        return windows

    def scales(self, images: StoredImages, windows: np.ndarray) -> np.ndarray:
        """int64 (N,): how many times smaller than it is each image is decoded: never smaller than the outcome.

        Args:
            images: the stored ones.
            windows: int64 (N, 9), of them.
        """
        scales = np.ones(len(windows), dtype=np.int64)
        if self.scaled_decoding and self.interpolation_code != NEAREST:
            for factor in _FACTORS:
                is_enough = (windows[:, 2] >= factor * windows[:, 4]) & (windows[:, 3] >= factor * windows[:, 5])
                scales[(images.modes == STORED_AS_JPEG) & is_enough] = factor
        return scales


def decode_shared(
    decoders: Sequence[ImageDecoder],
    source: Extents,
    targets: Sequence[np.ndarray],
    chunks: Sequence[Chunk],
    chains: Sequence[ImageChain] | None = None,
    keys: np.ndarray | None = None,
) -> None:
    """Decode each image once, and give each decoder its part of it; the same as if each ran alone.

    Args:
        decoders: of one field of one file.
        source: where the stored images lie.
        targets: per decoder the array (N, ...) that it, or its chain, fills.
        chunks: per decoder the samples, which are the same for all, and its keys.
        chains: per decoder what each of its images goes through next; nothing by default.
        keys: uint64 (N,), of the samples, which the chains take.

    Raises:
        FailedSample: if an image cannot be decoded.
        TypeError: if a target does not fit.
    """
    if len(source.offsets) == 0:
        return
    one, scratch = decoders[0], chunks[0].scratch
    heights, widths, modes = one.stored(chunks[0].samples)
    keys = np.zeros(len(heights), dtype=np.uint64) if keys is None else keys
    stored = StoredImages(
        source.data, source.offsets, source.sizes, modes, heights, widths, keys, one.channels, one.dtype, one.read_box,
        one.tile,
    )  # fmt: skip
    chains = [ImageChain((), decoder.image_bytes) for decoder in decoders] if chains is None else chains
    between = max(chain.between_bytes for chain in chains)
    memory = scratch.buffer("images", 2 * between).ctypes.data, between
    rows = np.empty((len(decoders), TARGET_COLUMNS), dtype=np.int64)
    around = [decoder.around for decoder in decoders]
    fills = [0 if pixel is None else pixel.ctypes.data for pixel in around]
    for row, decoder, chain, target, fill in zip(rows, decoders, chains, targets, fills, strict=True):
        chain.check(target, len(heights))
        row[:] = target.ctypes.data, *decoder.output_size, fill, chain.result_bytes, *chain.described, *memory
    windows = [decoder.windows(stored, chunk) for decoder, chunk in zip(decoders, chunks, strict=True)]
    scales = [decoder.scales(stored, wanted) for decoder, wanted in zip(decoders, windows, strict=True)]
    codes = [decoder.interpolation_code for decoder in decoders]
    decode_views(stored, Views(np.stack(windows), np.array(codes), np.stack(scales), rows), scratch)
