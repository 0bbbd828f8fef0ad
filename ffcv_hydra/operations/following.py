"""Decoders of boxes, points and polygons that lie on images, and go with them where operations move these."""

import copy
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, NamedTuple, Self

import numpy as np

from ffcv_hydra.beton.fields.places import BOX_FORMATS, BoundingBoxesField, KeypointsField, PolygonsField
from ffcv_hydra.errors import PipelineError
from ffcv_hydra.kernels.compiling.compilation import Kernel
from ffcv_hydra.kernels.geometry.places import HEADER, follow_boxes, follow_points
from ffcv_hydra.kernels.geometry.polygons import follow_polygons
from ffcv_hydra.kernels.memory.gather import gather
from ffcv_hydra.operations.arguments import number
from ffcv_hydra.operations.base import Chunk, ChunkDecoder, Extents
from ffcv_hydra.operations.image_decoder import ImageDecoder
from ffcv_hydra.operations.maps import spread
from ffcv_hydra.operations.operation import Operation, State

_ADDED = 8  # corners of clipped polygons, also where few are stored


class Moves(NamedTuple):
    """What kernels take of all that moves the images of a chunk: S maps of K images, one after another.

    Attributes:
        sources: int64 (K, N), the samples whose images are put into that of each.
        matrices: float64 (S, K, N, 2, 3).
        windows: float64 (S + 1, K, N, 4), or (0, K, N, 4) where there are no images, as `follow_boxes` takes them.
        centres: int64 (K, N, 4) or (0, N, 4), as `follow_boxes` takes them.
    """

    sources: np.ndarray
    matrices: np.ndarray
    windows: np.ndarray
    centres: np.ndarray


class PlacesDecoder(ChunkDecoder):
    """Base: rows uint8 (N, B), as `kernels.geometry.places` has them, for `ToTensor` and `SplitPrefixed`.

    Attributes:
        decoder: of the images; None if there are none to follow.
        moves: the operations that move the images, from the decoder on, whose keys are the chunk's `fused_keys`.
        is_beside: whether the rows are read beside boxes, whose indices say which items are kept.
    """

    decoder: ImageDecoder | None = None
    moves: tuple[Operation, ...] = ()
    is_beside = False

    def following(self, decoder: ImageDecoder, moves: Sequence[Operation], is_beside: bool = False) -> Self:
        """A copy for the places in images that `decoder` decodes and `moves` move; maybe beside boxes."""
        other = copy.copy(self)
        other.decoder, other.moves, other.is_beside = decoder, tuple(moves), is_beside
        other.group_sizes = tuple(move.group_size for move in moves if move.group_size > 1)
        return other

    def result(self, before: State) -> tuple[tuple[int, ...], Any]:
        """uint8, with room for the largest number of items."""
        words = HEADER + self.num_sources * self._longest * (self.field.item_bytes // 4 + 1)
        return (4 * words + -4 * words % 16,), np.dtype(np.uint8)

    @property
    def _longest(self) -> int:
        return int(self.metadata["size"].max(initial=0)) // self.field.item_bytes

    def run(self, source: Extents, target: np.ndarray, chunk: Chunk) -> None:
        """Fill `target`, uint8 (N, B)."""
        count, num_bytes = len(target), max(1, self._longest) * self.field.item_bytes
        stored = chunk.scratch.buffer("places", count * num_bytes)[: count * num_bytes].reshape(count, num_bytes)
        gather(source.data, source.offsets, source.sizes, stored, 0)
        counts = source.sizes // self.field.item_bytes
        self.move(self._moves(chunk), stored.view(np.float32), counts, target.view(np.float32), target.view(np.int32))

    @abstractmethod
    def move(self, moves: Moves, stored: np.ndarray, counts: np.ndarray, rows: np.ndarray, indices: np.ndarray) -> None:
        """Run the kernel, which is given all of this."""

    def _moves(self, chunk: Chunk) -> Moves:
        sources, centres = np.arange(len(chunk.samples))[None], np.empty((0, len(chunk.samples), 4), dtype=np.int64)
        if self.decoder is None:
            return Moves(sources, np.empty((0, *sources.shape, 2, 3)), np.empty((0, *sources.shape, 4)), centres)
        heights, widths, _ = self.decoder.stored(chunk.samples)
        keys = iter(chunk.fused_keys)
        matrices, windows = [], [_windows(heights, widths)[None]]
        for move in self.moves:
            looks = {"boxes": chunk.boxes} if isinstance(move, ImageDecoder) else {}
            maps = move.maps(heights, widths, next(keys) if move.random else None, **looks)
            assert maps is not None  # or it would not be followed
            heights, widths, count = maps.heights, maps.widths, len(sources)
            if maps.centres is not None:
                centres = maps.centres[None]
            if maps.sources is None:
                steps = maps.matrices if maps.matrices.ndim == 4 else maps.matrices[None]
                seen = np.broadcast_to(_windows(heights, widths), (count, len(heights), 4))
                matrices += [np.broadcast_to(step, (count, *step.shape)) for step in steps]
                windows += [seen] * len(steps)
                continue
            if maps.windows is None:
                raise PipelineError(f"{move.full_name}: maps of several images say their windows, too")
            sources, centres = (spread(known, maps.sources) for known in (sources, centres))
            matrices, windows = ([spread(known, maps.sources) for known in of_maps] for of_maps in (matrices, windows))
            matrices.append(np.repeat(maps.matrices, count, axis=0))
            windows.append(np.repeat(maps.windows, count, axis=0))
        return Moves(sources, np.stack(matrices), np.stack(windows), centres)


def _windows(heights: np.ndarray, widths: np.ndarray) -> np.ndarray:
    """float64 (N, 4): left, top, right, bottom of whole images."""
    zeros = np.zeros(len(heights))
    return np.stack([zeros, zeros, widths, heights], axis=1)


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

    def move(self, moves: Moves, stored: np.ndarray, counts: np.ndarray, rows: np.ndarray, indices: np.ndarray) -> None:
        """Move, clip and drop boxes."""
        least = np.array([self.min_area, self.min_side, self.min_visibility])
        follow_boxes(*moves, BOX_FORMATS.index(self.field.format), least, stored, counts, rows, indices)


class FollowedPoints(PlacesDecoder):
    """Points in pixels of the image as it is delivered: the default of `KeypointsField`.

    Those that come to lie outside of the image get visibility 0 and stay. Where the image is mirrored, pairs of points
    that the field calls `mirrored` change places.
    """

    field_types = (KeypointsField,)

    @property
    def kernels(self) -> tuple[Kernel, ...]:
        """The one that moves points, and that of their bytes."""
        return follow_points, gather

    def move(self, moves: Moves, stored: np.ndarray, counts: np.ndarray, rows: np.ndarray, indices: np.ndarray) -> None:
        """Move points."""
        mirrored = np.array(self.field.mirrored, dtype=np.int64).reshape(-1, 2)
        follow_points(*moves[:3], self.field.num_points, mirrored, self.is_beside, stored, counts, rows, indices)


class FollowedPolygons(PlacesDecoder):
    """Polygons in pixels of the image as it is delivered: the default of `PolygonsField`.

    They are clipped to the image, which may add corners: there is room for twice as many as a sample of the file has at
    most, and some. Polygons of which nothing is left are dropped.
    """

    field_types = (PolygonsField,)

    @property
    def kernels(self) -> tuple[Kernel, ...]:
        """The one that moves polygons, and that of their bytes."""
        return follow_polygons, gather

    def result(self, before: State) -> tuple[tuple[int, ...], Any]:
        """uint8, with room for corners that clipping adds."""
        size = (2 * self.num_sources * self._longest + _ADDED) * self.field.item_bytes
        return (4 * HEADER + size + -size % 16,), np.dtype(np.uint8)

    def move(self, moves: Moves, stored: np.ndarray, counts: np.ndarray, rows: np.ndarray, indices: np.ndarray) -> None:
        """Move and clip polygons."""
        follow_polygons(*moves[:3], self.field.item_shape[0], self.is_beside, stored, counts, rows, indices)
