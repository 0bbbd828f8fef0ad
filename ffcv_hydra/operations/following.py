"""Decoders of boxes, points and polygons that lie on images, and go with them where operations move these."""

import copy
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np

from ffcv_hydra.beton.fields.places import BOX_FORMATS, BoundingBoxesField, KeypointsField, PlacesField, PolygonsField
from ffcv_hydra.kernels.compiling.compilation import Kernel
from ffcv_hydra.kernels.geometry.places import HEADER, follow_boxes, follow_points
from ffcv_hydra.kernels.memory.gather import gather
from ffcv_hydra.operations.arguments import number
from ffcv_hydra.operations.base import Chunk, ChunkDecoder, Extents
from ffcv_hydra.operations.image_decoder import ImageDecoder
from ffcv_hydra.operations.operation import Operation, State

_ANYWHERE = np.empty((0, 4), dtype=np.int64)


class Moves(NamedTuple):
    """What kernels take of all that moves the images of a chunk, S maps one after another.

    Attributes:
        matrices: float64 (S, N, 2, 3).
        sizes: int64 (S + 1, N, 2), heights and widths of the images before and after each map.
        centres: int64 (N, 4) or (0, 4), as `follow_boxes` takes them.
    """

    matrices: np.ndarray
    sizes: np.ndarray
    centres: np.ndarray


class PlacesDecoder(ChunkDecoder):
    """Base: rows uint8 (N, B), as `kernels.geometry.places` has them, for `ToTensor` and `SplitPrefixed`.

    Attributes:
        decoder: of the images; None if there are none to follow.
        moves: the operations that move the images, from the decoder on, whose keys are the chunk's `fused_keys`.
    """

    decoder: ImageDecoder | None = None
    moves: tuple[Operation, ...] = ()

    def following(self, decoder: ImageDecoder, moves: Sequence[Operation]) -> Self:
        """A copy for the places in images that `decoder` decodes and `moves` move."""
        other = copy.copy(self)
        other.decoder, other.moves = decoder, tuple(moves)
        return other

    def result(self, before: State) -> tuple[tuple[int, ...], Any]:
        """uint8, with room for the largest number of items."""
        longest = int(self.metadata["size"].max(initial=0)) // self.field.item_bytes
        words = HEADER + longest * (self.field.item_bytes // 4 + 1)
        return (4 * words + -4 * words % 16,), np.dtype(np.uint8)

    def run(self, source: Extents, target: np.ndarray, chunk: Chunk) -> None:
        """Fill `target`, uint8 (N, B)."""
        gather(source.data, source.offsets, source.sizes, target, 4 * HEADER)
        prefixes = target.view(np.int64)
        prefixes[:, 0] = source.sizes // self.field.item_bytes
        prefixes[:, 1] = 0
        self.move(self._moves(chunk), target.view(np.float32), target.view(np.int32))

    @abstractmethod
    def move(self, moves: Moves, rows: np.ndarray, indices: np.ndarray) -> None:
        """Run the kernel, which is given all of this."""

    def _moves(self, chunk: Chunk) -> Moves:
        count, centres = len(chunk.samples), None
        if self.decoder is None:
            return Moves(np.empty((0, count, 2, 3)), np.empty((0, count, 2), dtype=np.int64), _ANYWHERE)
        heights, widths, _ = self.decoder.stored(chunk.samples)
        keys = iter(chunk.fused_keys)
        matrices, sizes = [], [np.stack([heights, widths], axis=1)]
        for move in self.moves:
            looks = {"boxes": chunk.boxes} if isinstance(move, ImageDecoder) else {}
            maps = move.maps(heights, widths, next(keys) if move.random else None, **looks)
            assert maps is not None  # or it would not be followed
            steps, heights, widths = maps[:3]
            steps = steps if steps.ndim == 4 else steps[None]
            matrices.append(steps)
            sizes += [np.stack([heights, widths], axis=1)] * len(steps)
            centres = maps.centres if centres is None else centres
        return Moves(np.concatenate(matrices), np.stack(sizes), _ANYWHERE if centres is None else centres)


class FollowedBoxes(PlacesDecoder):
    """Boxes as x1, y1, x2, y2 in pixels of the image as it is delivered: the default of `BoundingBoxesField`.

    They go through all that moves the image of their batch, or that `joint_with` names; what becomes of a box is the
    smallest box around its moved corners, clipped to the image. A box of which nothing is left is dropped, and so are
    its items in fields that follow. Behind come `ToTensor` and `SplitPrefixed`, also unasked.

    Args:
        min_area: pixels that are left of a box that is kept.
        min_visibility: the share of its area, once it is moved, that clipping must leave: from 0 to 1.
        min_side: pixels that its shorter side must have.
    """

    field_types = (BoundingBoxesField,)

    def __init__(self, min_area: float = 0, min_visibility: float = 0, min_side: float = 0) -> None:
        super().__init__()
        self.min_area = number("FollowedBoxes", "min_area", min_area, 0)
        self.min_visibility = number("FollowedBoxes", "min_visibility", min_visibility, 0, 1)
        self.min_side = number("FollowedBoxes", "min_side", min_side, 0)

    @property
    def kernels(self) -> tuple[Kernel, ...]:
        """The one that moves boxes, and that of their bytes."""
        return follow_boxes, gather

    def move(self, moves: Moves, rows: np.ndarray, indices: np.ndarray) -> None:
        """Move, clip and drop boxes."""
        least = np.array([self.min_area, self.min_side, self.min_visibility])
        follow_boxes(*moves, BOX_FORMATS.index(self.field.format), least, rows, indices)


class FollowedPoints(PlacesDecoder):
    """Points and polygons in pixels of the image as it is delivered: the default of `KeypointsField`, `PolygonsField`.

    Points that come to lie outside of the image get visibility 0 and stay; corners of polygons stay where they are
    moved to. Where the image is mirrored, pairs of points that the field calls `mirrored` change places.
    """

    field_types: ClassVar[tuple[type[PlacesField], ...]] = (KeypointsField, PolygonsField)

    @property
    def kernels(self) -> tuple[Kernel, ...]:
        """The one that moves points, and that of their bytes."""
        return follow_points, gather

    def move(self, moves: Moves, rows: np.ndarray, indices: np.ndarray) -> None:
        """Move points."""
        is_labelled = isinstance(self.field, KeypointsField)
        num_points, pairs = (self.field.num_points, self.field.mirrored) if is_labelled else (1, [])
        mirrored = np.array(pairs, dtype=np.int64).reshape(-1, 2)
        follow_points(moves.matrices, moves.sizes, num_points, mirrored, 0 if is_labelled else 1, rows, indices)
