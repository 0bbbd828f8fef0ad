"""Four images in one, as YOLO's detectors are trained with (Bochkovskiy et al., arXiv:2004.10934)."""

from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np

from ffcv_hydra.errors import PipelineError
from ffcv_hydra.kernels.compiling.compilation import Kernel
from ffcv_hydra.kernels.geometry.mosaic import put_together
from ffcv_hydra.kernels.geometry.taps import NEAREST
from ffcv_hydra.kernels.random.draws import draw_uniforms
from ffcv_hydra.operations.arguments import interval, one_of, size_pair
from ffcv_hydra.operations.base import Chunk
from ffcv_hydra.operations.image_decoder import INTERPOLATIONS, interpolation_code
from ffcv_hydra.operations.image_operation import ARRAY_DTYPES, ImageOperation
from ffcv_hydra.operations.maps import Maps, turned, upright
from ffcv_hydra.operations.operation import State
from ffcv_hydra.operations.pixels import as_bytes, check_colour, colour, row_of
from ffcv_hydra.operations.shared_decoding import resampling_parts

_IS_BEHIND = np.array([[[0, 0]], [[0, 1]], [[1, 0]], [[1, 1]]], dtype=bool)  # the centre: vertically, horizontally


class _Placed(NamedTuple):
    """Where four images are put in each of N outcomes, in pixels.

    Attributes:
        sizes: int64 (4, N, 2), heights and widths of the resized images.
        corners: int64 (4, N, 2), top and left of each, which may be negative.
        begin, end: int64 (4, N, 2): top and left, bottom and right of what can be seen of each.
    """

    sizes: np.ndarray
    corners: np.ndarray
    begin: np.ndarray
    end: np.ndarray


class Mosaic(ImageOperation):
    """Put four images around a centre that is drawn, each resized by a factor that is drawn, with a corner on it.

    Samples 4j to 4j + 3 of the order are a group. Each of them becomes an image of all four, by draws of its own: with
    itself in the upper left, and those behind it, in turn, in the upper right, lower left and lower right. What lies
    beyond the edges is cut off. Boxes, points and polygons of all four come along, and what follows boxes.

    Takes images (N, H, W, C) of uint8, uint16, int16 or float32; with `nearest`, and masks, of any dtype.

    Args:
        size: (height, width) of the outcome in pixels, or one number for both; by default as the images.
        centre: range of the centre's place, as a share of the outcome's height, and of its width.
        scale: range of the factors by which images are resized: uniform, one for each.
        interpolation: `area`, `bilinear` (antialiased) or `nearest`; for masks always `nearest`.
        fill: what no image covers, in levels: a number, or a list of one per channel.
    """

    random: ClassVar[bool] = True
    geometric = True
    group_size: ClassVar[int] = 4
    joint_parameters: ClassVar[tuple[str, ...]] = ("size", "centre", "scale")
    dtypes: ClassVar[tuple[Any, ...]] = ()
    channels: ClassVar[tuple[int, ...]] = ()

    def __init__(
        self,
        size: int | Sequence[int] | None = None,
        centre: Sequence[float] = (0.25, 0.75),
        scale: Sequence[float] = (0.5, 1.0),
        interpolation: str = "bilinear",
        fill: float | Sequence[float] = 0,
    ) -> None:
        super().__init__()
        self.size = None if size is None else size_pair("Mosaic", size)
        self.centre = interval("Mosaic", "centre", centre, 0, 1)
        self.scale = interval("Mosaic", "scale", scale, 0, above=True)
        self.interpolation = one_of("Mosaic", "interpolation", interpolation, INTERPOLATIONS)
        self.fill = colour("Mosaic", "fill", fill)

    @property
    def interpolation_code(self) -> int:
        """The kernels' number of the interpolation that is used."""
        return interpolation_code(self.interpolation, self.field)

    def result(self, before: State) -> tuple[tuple[int, ...], Any]:
        """The size of the outcome, with channels, and the same dtype.

        Raises:
            PipelineError: these are no images, or of a dtype that is not interpolated, or they cannot hold `fill`.
        """
        shape, dtype = super().result(before)
        check_colour("fill", self.fill, before)
        if self.interpolation_code != NEAREST and np.dtype(dtype).type not in ARRAY_DTYPES:
            known = ", ".join(np.dtype(known).name for known in ARRAY_DTYPES)
            raise PipelineError(f"interpolation {self.interpolation} takes images of {known}; got {dtype}; use nearest")
        return (*(self.size or shape[:2]), shape[2]), dtype

    @property
    def kernels(self) -> tuple[Kernel, ...]:
        """The one that puts images together, and the one that draws."""
        return put_together, draw_uniforms

    def maps(self, heights: np.ndarray, widths: np.ndarray, keys: np.ndarray | None) -> Maps:
        """Those of the four images of each outcome, and in which part of it each can be seen."""
        before = np.stack([heights, widths], axis=1)
        after = before if self.size is None else np.broadcast_to(self.size, before.shape)
        placed = self._placed(before, after, keys)
        scales, shifts = (values.reshape(-1, 2).T for values in (placed.sizes / before, placed.corners))
        matrices = upright(scales[1], scales[0], shifts[1], shifts[0]).reshape(4, -1, 2, 3)
        seen = np.concatenate([placed.begin[..., ::-1], placed.end[..., ::-1]], axis=-1)
        heights, widths = np.ascontiguousarray(after.T)
        return Maps(matrices, heights, widths, sources=turned(len(heights), self.group_size), windows=seen)

    def _placed(self, before: np.ndarray, after: np.ndarray, keys: np.ndarray | None) -> _Placed:
        """By draws 0 and 1, the centre, and 2 to 5, the factors; from heights and widths, int64 (N, 2) each."""
        assert keys is not None
        drawn = np.empty((len(keys), 6))
        draw_uniforms(keys, drawn)
        (first, last), (least, most) = self.centre, self.scale
        centres = (after * (first + (last - first) * drawn[:, :2])).astype(np.int64)
        factors = least + (most - least) * drawn[:, 2:].T[..., None]
        sizes = np.maximum(1, np.rint(before * factors)).astype(np.int64)
        corners = np.where(_IS_BEHIND, centres, centres - sizes)
        return _Placed(sizes, corners, np.maximum(corners, 0), np.minimum(corners + sizes, after))

    def run(self, source: np.ndarray, target: np.ndarray, chunk: Chunk) -> None:
        """Fill `target` with the outcomes of images `source`."""
        count, height, width, channels = source.shape
        before, after = (np.broadcast_to(images.shape[1:3], (count, 2)) for images in (source, target))
        placed = self._placed(before, after, chunk.keys)
        windows, places = (np.zeros((4, count, columns), dtype=np.int64) for columns in (9, 4))
        windows[..., 2:4], windows[..., 4:6] = before, placed.sizes
        windows[..., 6:8] = placed.begin - placed.corners
        places[..., :2], places[..., 2:] = placed.begin, placed.end - placed.begin
        row = chunk.scratch.buffer("row", 8 * (channels * width + 1)).view(np.float32)
        put_together(
            resampling_parts(source.dtype, channels),
            source.reshape(count, -1).view(np.uint8),
            width,
            turned(count, self.group_size),
            windows,
            places,
            self.interpolation_code,
            row_of(self.fill, target.shape[2], channels, target.dtype).view(np.uint8).reshape(-1),
            row,
            chunk.scratch.buffer("part", target.nbytes // max(1, count)),
            as_bytes(target),
        )
