"""Whose pixels each operation gives: what `docs/pixels.md` lists, tests hold, and a printed plan says."""

from dataclasses import dataclass

from ffcv_hydra.beton.fields.rgb_image_field import RGBImageField
from ffcv_hydra.kernels.geometry.taps import AREA, BILINEAR
from ffcv_hydra.operations.affine import AffineOperation
from ffcv_hydra.operations.image_decoder import ImageDecoder
from ffcv_hydra.operations.image_decoders import WholeImage
from ffcv_hydra.operations.operation import Operation


@dataclass(frozen=True)
class Promise:
    """What the pixels of an operation equal.

    Attributes:
        equals: whose pixels they are.
        levels: the largest difference, of 255.
        share: of pixels that may be others.
    """

    equals: str
    levels: float
    share: float = 0.0

    @property
    def tolerance(self) -> str:
        """The difference in words."""
        return f"{self.levels:g}" + (f", but for {self.share:.1%} of the pixels" if self.share else "")

    def __str__(self) -> str:
        return f"as {self.equals}, within {self.tolerance} of 255" if self.levels or self.share else f"as {self.equals}"


WARPED = 0.03  # of pixels that two others are equally near to
_AREA = "FFCV's decoder of the same name: OpenCV's INTER_AREA of what TurboJPEG decodes"
_BILINEAR, _NEAREST = "interpolation: bilinear", "interpolation: nearest"

PROMISES: dict[tuple[str, str], Promise] = {
    ("WholeImage", ""): Promise("FFCV's `SimpleRGBImageDecoder`", 0),
    ("RandomResizedCrop", ""): Promise(_AREA, 1),
    ("CenterCrop", ""): Promise(_AREA, 1),
    ("Resize", ""): Promise("OpenCV's `resize` with INTER_AREA", 1),
    ("Resize", _BILINEAR): Promise("torchvision's `resize` with BILINEAR, antialias", 1),
    ("Resize", _NEAREST): Promise("torchvision's `resize` with NEAREST_EXACT", 0),
    ("ResizeShorterSide", _BILINEAR): Promise("torchvision's `resize` and `center_crop`", 1),
    ("RandomCrop", ""): Promise("torchvision's `pad`, and a part of that", 0),
    ("RandomHorizontalFlip", ""): Promise("torchvision's `horizontal_flip`", 0),
    ("RandomVerticalFlip", ""): Promise("torchvision's `vertical_flip`", 0),
    ("RandomTranslate", ""): Promise("FFCV's operation of the same name", 0),
    ("RandomRotation", _BILINEAR): Promise("torchvision's `rotate`", 1),
    ("RandomRotation", _NEAREST): Promise("torchvision's `rotate`", 0, 1e-3),
    ("RandomAffine", _BILINEAR): Promise("torchvision's `affine`", 1),
    ("RandomAffine", _NEAREST): Promise("torchvision's `affine`", 0, 1e-3),
    ("RandomBrightness", ""): Promise("torchvision's `adjust_brightness`", 0),
    ("RandomContrast", ""): Promise("torchvision's `adjust_contrast`", 1),
    ("RandomSaturation", ""): Promise("torchvision's `adjust_saturation`", 1),
    ("RandomHue", ""): Promise("torchvision's `adjust_hue`", 1),
    ("ColorJitter", ""): Promise("torchvision's four adjustments in an order that is drawn; each rounds", 5),
    ("RandomGrayscale", ""): Promise("torchvision's `rgb_to_grayscale`", 0),
    ("RandomSolarize", ""): Promise("torchvision's `solarize`", 0),
    ("RandomPosterize", ""): Promise("torchvision's `posterize`", 0),
    ("RandomEqualize", ""): Promise("torchvision's `equalize`", 0),
    ("RandomAutocontrast", ""): Promise("torchvision's `autocontrast`", 1),
    ("RandomInvert", ""): Promise("torchvision's `invert`", 0),
    ("RandomAdjustSharpness", ""): Promise("torchvision's `adjust_sharpness`", 1),
    ("GaussianBlur", ""): Promise("torchvision's `gaussian_blur`", 1),
    ("Cutout", ""): Promise("FFCV's operation of the same name", 0),
    ("RandomErasing", ""): Promise("torchvision's `erase`", 0),
    ("ChannelDropout", ""): Promise("the image, with a value in some channels", 0),
    ("RandAugment", ""): Promise("torchvision's functions of the same names, one after another", 1, WARPED),
    ("TrivialAugmentWide", ""): Promise("torchvision's functions of the same names", 1, WARPED),
    ("Mixup", ""): Promise("the weighted mean of a pair, rounded", 0.51),
    ("CutMix", ""): Promise("a pair with a box exchanged", 0),
    ("NormalizeImage", ""): Promise("(x - mean) / std in float64, rounded once, as FFCV's", 0),
    ("NormalizeTensor", ""): Promise("torchvision's `normalize`", 0.001),
    ("DivideImage255", ""): Promise("torch's division in the dtype", 0),
    ("ToTorchImage", ""): Promise("`permute(0, 3, 1, 2)`", 0),
    ("ToTensor", ""): Promise("`torch.from_numpy`", 0),
    ("Convert", ""): Promise("torch's `to`", 0),
}
"""By the name of an operation in `ffcv_hydra.operations`, and its setting if they differ by it."""


def promise_of(operation: Operation) -> Promise | None:
    """What the pixels of an operation equal, as it is set; None if that is promised nowhere.

    Args:
        operation: of this package; a decoder must know its field.
    """
    name = type(operation).__name__
    if not type(operation).__module__.startswith("ffcv_hydra.operations."):
        return None
    if isinstance(operation, AffineOperation):
        return PROMISES.get((name, f"interpolation: {operation.interpolation}"))
    if not isinstance(operation, ImageDecoder):
        return PROMISES.get((name, ""))
    is_rgb = isinstance(operation.field, RGBImageField)
    if isinstance(operation, WholeImage) and not is_rgb:
        return Promise("stored", 0)
    setting = {AREA: "", BILINEAR: _BILINEAR}.get(operation.interpolation_code, _NEAREST)
    if isinstance(operation, WholeImage):
        setting = ""
    if operation.dtype.itemsize > 1:
        return None
    promise = PROMISES.get((name, setting)) if is_rgb else None
    promise = promise or PROMISES["Resize", setting]
    if not operation.scaled_decoding:
        return promise
    nearly = "but for JPEGs that scaled_decoding shrinks, 2 levels off on average"
    return Promise(f"{promise.equals}, {nearly}", promise.levels, promise.share)
