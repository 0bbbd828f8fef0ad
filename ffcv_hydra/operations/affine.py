"""Random affine maps of images: rotation, translation, scale and shear."""

import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from ffcv_hydra.errors import PipelineError
from ffcv_hydra.kernels.images.array_changes import map_bilinear_float32, map_bilinear_int16, map_bilinear_uint16
from ffcv_hydra.kernels.images.changes import map_bilinear, map_nearest
from ffcv_hydra.kernels.images.random_affine import draw_affine_maps, random_affine
from ffcv_hydra.operations.arguments import interval, numbers, one_of, symmetric_interval
from ffcv_hydra.operations.image_chain import ImageFunction
from ffcv_hydra.operations.image_operation import FillingOperation
from ffcv_hydra.operations.maps import Maps
from ffcv_hydra.operations.operation import State
from ffcv_hydra.operations.pixels import pixel_sizes, row_of

_BILINEAR = {
    np.uint8: map_bilinear,
    np.uint16: map_bilinear_uint16,
    np.int16: map_bilinear_int16,
    np.float32: map_bilinear_float32,
}
_NOTHING = (0.0, 0.0)


class AffineOperation(FillingOperation):
    """Base: maps each image about its middle, with parameters drawn uniformly.

    Args:
        interpolation: "nearest", for images of any dtype and for masks; or "bilinear", for uint8, uint16, int16 and
            float32 images.
        fill: what lies outside of the image, in levels: a number, or a list of one per channel.
    """

    geometric = True

    def __init__(self, interpolation: str = "nearest", fill: float | Sequence[float] = 0) -> None:
        super().__init__(fill)
        self.interpolation = one_of(type(self).__name__, "interpolation", interpolation, ("nearest", "bilinear"))

    @abstractmethod
    def ranges(self) -> np.ndarray:
        """float64 (4, 2): smallest and largest clockwise angle, scale, and shears along x and y, in degrees."""

    def largest_shifts(self, height: int, width: int) -> tuple[float, float]:
        """How far images of that size are moved at most, horizontally and vertically, in pixels."""
        return 0.0, 0.0

    def result(self, before: State) -> tuple[tuple[int, ...], Any]:
        """The same shape and dtype.

        Raises:
            PipelineError: bilinear interpolation of a dtype that has none, images of 2 GiB or more, or a fill that the
                images cannot hold.
        """
        result = super().result(before)
        if self.interpolation == "bilinear" and np.dtype(before.dtype).type not in _BILINEAR:
            known = ", ".join(np.dtype(dtype).name for dtype in _BILINEAR)
            raise PipelineError(f"interpolation bilinear takes images of {known}; got {before.dtype}; use nearest")
        if math.prod(pixel_sizes(before.shape, np.dtype(before.dtype))) >= 2**31:  # kernels count in 32 bits
            raise PipelineError(f"takes images of less than 2 GiB; got {before.dtype} {before.shape}")
        return result

    def maps(self, heights: np.ndarray, widths: np.ndarray, keys: np.ndarray | None) -> Maps:
        """The maps that images are read by, the other way round; the images are of one size."""
        height, width = (int(sides[0]) if len(sides) else 0 for sides in (heights, widths))
        matrices = np.empty((len(heights), 2, 3))
        draw_affine_maps(keys, np.array(self._bounds(height, width)), heights, widths, matrices)
        return Maps(matrices, heights, widths)

    def _bounds(self, height: int, width: int) -> tuple[float, ...]:
        return *self.ranges().ravel().tolist(), *self.largest_shifts(height, width)

    def image_functions(self, shape: tuple[int, ...], dtype: np.dtype) -> tuple[ImageFunction, ...]:
        """The one that draws, and maps."""
        sizes, fill = pixel_sizes(shape, dtype), row_of(self.fill, 1, shape[2], dtype)
        change = _BILINEAR[np.dtype(dtype).type] if self.interpolation == "bilinear" else map_nearest
        return (ImageFunction(random_affine, (change, *self._bounds(*sizes[:2]), *sizes, fill), math.prod(sizes)),)


class RandomRotation(AffineOperation):
    """Turn each image about its middle and keep its size, as `torchvision.transforms.v2.RandomRotation` on tensors.

    Takes images (N, H, W, C): of any dtype with nearest interpolation.

    Args:
        degrees: [smallest, largest] counter-clockwise angle, or one number x for [-x, x].
        interpolation: "nearest" or "bilinear".
        fill: what lies outside of the image, in levels: a number, or a list of one per channel.
    """

    joint_parameters: ClassVar[tuple[str, ...]] = ("degrees",)

    def __init__(
        self,
        degrees: float | Sequence[float],
        interpolation: str = "nearest",
        fill: float | Sequence[float] = 0,
    ) -> None:
        super().__init__(interpolation, fill)
        self.degrees = symmetric_interval("RandomRotation", "degrees", degrees)

    def ranges(self) -> np.ndarray:
        """float64 (4, 2): smallest and largest clockwise angle, and a scale and shears that change nothing."""
        return np.array([(-self.degrees[1], -self.degrees[0]), (1.0, 1.0), (0.0, 0.0), (0.0, 0.0)])


class RandomAffine(AffineOperation):
    """Rotate, translate, scale and shear each image, as `torchvision.transforms.v2.RandomAffine` on tensors.

    Takes images (N, H, W, C): of any dtype with nearest interpolation.

    Args:
        degrees: [smallest, largest] clockwise angle, or one number x for [-x, x].
        translate: [horizontally, vertically]: the largest shift, either way, as a share of width and height; none by
            default.
        scale: [smallest, largest] factor; none by default.
        shear: [smallest, largest] angle along x in degrees, one number x for [-x, x], or four for both axes; none by
            default.
        interpolation: "nearest" or "bilinear".
        fill: what lies outside of the image, in levels: a number, or a list of one per channel.
    """

    joint_parameters: ClassVar[tuple[str, ...]] = ("degrees", "translate", "scale", "shear")

    def __init__(
        self,
        degrees: float | Sequence[float],
        translate: Sequence[float] | None = None,
        scale: Sequence[float] | None = None,
        shear: float | Sequence[float] | None = None,
        interpolation: str = "nearest",
        fill: float | Sequence[float] = 0,
    ) -> None:
        super().__init__(interpolation, fill)
        self.degrees = symmetric_interval("RandomAffine", "degrees", degrees)
        self.translate = _NOTHING if translate is None else numbers("RandomAffine", "translate", translate, 2)
        if not all(0 <= share <= 1 for share in self.translate):
            raise PipelineError(f"RandomAffine: translate is two shares from 0 to 1; got {translate}")
        self.scale = (1.0, 1.0) if scale is None else interval("RandomAffine", "scale", scale, low=0, above=True)
        self.shear = (*_NOTHING, *_NOTHING) if shear is None else _shears(shear)

    def ranges(self) -> np.ndarray:
        """float64 (4, 2): smallest and largest clockwise angle, scale, and shears along x and y, in degrees."""
        return np.array([self.degrees, self.scale, self.shear[:2], self.shear[2:]])

    def largest_shifts(self, height: int, width: int) -> tuple[float, float]:
        """How far images of that size are moved at most, horizontally and vertically, in pixels."""
        return self.translate[0] * width, self.translate[1] * height


def _shears(shear: Any) -> tuple[float, ...]:
    """Smallest and largest along x, and along y."""
    if isinstance(shear, Sequence) and len(shear) == 4:
        along_x, along_y = interval("RandomAffine", "shear", shear[:2]), interval("RandomAffine", "shear", shear[2:])
    else:
        along_x, along_y = symmetric_interval("RandomAffine", "shear", shear), _NOTHING
    if not all(-90 < angle < 90 for angle in (*along_x, *along_y)):
        raise PipelineError(f"RandomAffine: shear is in degrees between -90 and 90; got {shear}")
    return (*along_x, *along_y)
