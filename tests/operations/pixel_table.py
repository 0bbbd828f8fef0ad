"""What the pixels of every public operation equal, as a list that is tried and that `docs/pixels.md` is printed from.

`python -m tests.operations.pixel_table` prints it anew.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from itertools import permutations
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np
import torch
from ffcv.fields.rgb_image import SimpleRGBImageDecoder
from ffcv.libffcv import resize_crop
from ffcv.pipeline.state import State
from PIL import Image
from sklearn.datasets import load_sample_images
from torchvision.transforms import v2
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as F

from ffcv_hydra import operations as o
from ffcv_hydra.beton import write_beton
from ffcv_hydra.kernels.random.generator import fold, key_of
from ffcv_hydra.loader import Loader
from ffcv_hydra.operations.base import Scratch
from ffcv_hydra.operations.promises import PROMISES, WARPED, Promise
from tests.kernels.changing import changed
from tests.kernels.images.test_auto_augment import MAGNITUDES, NAMES, applied

DOCS = Path(__file__).parents[2] / "docs" / "pixels.md"
BEGIN, END = "<!-- printed by `make pixel-table` -->\n", "<!-- end of what is printed -->\n"
HEIGHT, WIDTH = 214, 320
# shrinking by 1 to 12 and by odd and even factors, enlarging, and one along one axis and the other along the other
SIZES = [(214, 320), (213, 319), (107, 160), (71, 100), (30, 40), (18, 27), (300, 500), (300, 200), (428, 640)]
STORED = {
    "raw": {"write_mode": "raw"},
    "JPEG with index": {"write_mode": "jpg", "random_access": True},
    "FFCV's JPEG": {"write_mode": "jpg", "random_access": False},  # FFCV knows no index
}
DECODED = "raw, JPEG with index, FFCV's JPEG; alone, and fused with flip, normalisation and layout"
ARRAYS = "arrays"
TENSORS = "tensors; fused with the decoder"


@dataclass(frozen=True)
class Row:
    """What the pixels of an operation equal.

    Attributes:
        name: of the operation, in `ffcv_hydra.operations`.
        ways: on which they were made and compared.
        difference: measures it, but for the share of pixels that may be others.
        setting: of the operation.
        remark: on what is compared.
    """

    name: str
    ways: str
    difference: Callable[[], float] = field(repr=False)
    setting: str = ""
    remark: str = ""

    @property
    def promise(self) -> Promise:
        """What is compared with."""
        return PROMISES[self.name, self.setting]


def photographs() -> list[np.ndarray]:
    """A photograph with fine lines, noise, and one-pixel stripes."""
    photograph = cv2.resize(load_sample_images().images[0], (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
    noise = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    stripes = np.broadcast_to(np.arange(WIDTH, dtype=np.uint8)[None, :, None] % 2 * 255, noise.shape)
    return [photograph, noise, np.ascontiguousarray(stripes)]


@cache
def folder() -> TemporaryDirectory:
    return TemporaryDirectory()


@cache
def beton(way: str) -> Path:
    path = Path(folder().name) / f"{way}.beton"
    write_beton([(Image.fromarray(image),) for image in photographs()], path, {"image": STORED[way]}, num_workers=0)
    return path


def load(way: str, *pipeline: Any, **options: Any) -> np.ndarray:
    loader = Loader(beton(way), 3, pipelines={"image": list(pipeline)}, num_workers=1, **options)
    return next(iter(loader))[0].numpy()


@cache
def whole(way: str) -> np.ndarray:
    """As FFCV's own decoder makes them."""
    return load(way, SimpleRGBImageDecoder(), o.ToTensor(), replace_ffcv_operations=False)


def largest(found: np.ndarray, expected: np.ndarray, share: float = 0.0) -> float:
    """The largest difference, but for a share of pixels."""
    error = np.abs(found.astype(np.float64) - expected)
    return float(np.quantile(error.max(-1), 1 - share, method="lower"))


def of_decoder(make: Callable[[tuple[int, int]], Any], reference: Callable[..., np.ndarray]) -> Callable[[], float]:
    """The largest difference over ways and sizes."""

    def difference() -> float:
        worst = 0.0
        for way in STORED:
            for size in SIZES:
                expected = np.stack([reference(image, size) for image in whole(way)])
                alone = load(way, make(size), o.ToTensor())
                fused = load(
                    way, make(size), o.RandomHorizontalFlip(1), o.ToTensor(), o.ToTorchImage(), o.DivideImage255()
                )
                fused = 255 * fused.transpose(0, 2, 3, 1)[:, :, ::-1].astype(np.float64)
                worst = max(worst, largest(alone, expected), largest(np.rint(fused), expected))
                assert np.abs(fused - np.rint(fused)).max() < 1e-4
        return worst

    return difference


def area(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """FFCV's `resize_crop`, which is OpenCV's INTER_AREA."""
    target = np.empty((*size, 3), dtype=np.uint8)
    source = np.ascontiguousarray(image)
    resize_crop(source, 0, source.shape[0], 0, source.shape[1], target)
    return target


def center(image: np.ndarray, ratio: float = 0.875) -> np.ndarray:
    side = int(ratio * min(image.shape[:2]))
    top, left = (image.shape[0] - side) // 2, (image.shape[1] - side) // 2
    return image[top : top + side, left : left + side]


def as_torchvision(function: Callable[..., torch.Tensor], *arguments: Any, **options: Any) -> Callable:
    """A function of torchvision as one of an array (H, W, C) or (N, H, W, C)."""

    def call(images: np.ndarray) -> np.ndarray:
        tensor = torch.from_numpy(np.ascontiguousarray(np.moveaxis(images, -1, -3)))
        return np.moveaxis(function(tensor, *arguments, **options).numpy(), -3, -1)

    return call


def resized(mode: InterpolationMode) -> Callable[..., np.ndarray]:
    return lambda image, size: as_torchvision(F.resize, list(size), mode, antialias=True)(image)


def shorter_side(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return as_torchvision(F.center_crop, list(size))(as_torchvision(F.resize, [150], antialias=True)(image))


def random_whole(size: tuple[int, int]) -> Any:
    return o.RandomResizedCrop(size, scale=(1, 1), ratio=(WIDTH / HEIGHT, WIDTH / HEIGHT))


def run(operation: Any, images: np.ndarray | None = None) -> np.ndarray:
    """What an operation makes of arrays."""
    source = np.stack(photographs()) if images is None else images
    state = State(True, torch.device("cpu"), source.shape[1:], source.dtype)
    memory = operation.declare_state_and_memory(state)[1]
    target = np.empty((len(source), *memory.shape), dtype=memory.dtype)
    keys = fold(key_of(3), np.arange(len(source), dtype=np.uint64)) if operation.random else None
    operation.run(source, target, o.Chunk(np.arange(len(source)), keys, Scratch()))
    return target


def of_arrays(operation: Any, reference: Callable[[np.ndarray], np.ndarray], share: float = 0.0) -> Callable[[], float]:
    """The largest difference, but for a share of pixels that may be others."""

    def difference() -> float:
        return largest(run(operation), reference(np.stack(photographs())), share)

    return difference


def of_factor(operation: Any, function: Callable[..., torch.Tensor], factors: tuple[float, ...]) -> Callable[[], float]:
    def difference() -> float:
        source, worst = np.stack(photographs()), 0.0
        for factor in factors:
            found = np.stack([changed(operation.change, image, factor) for image in source])
            worst = max(worst, largest(found, as_torchvision(function, factor)(source)))
        return worst

    return difference


def jitter() -> float:
    """The difference to the nearest of the 24 orders."""
    source = np.ascontiguousarray(np.stack(photographs())[:, :40, :50])
    found = run(o.ColorJitter([1.3, 1.3], [0.6, 0.6], [1.5, 1.5], [0.1, 0.1]), source)
    steps = [(F.adjust_brightness, 1.3), (F.adjust_contrast, 0.6), (F.adjust_saturation, 1.5), (F.adjust_hue, 0.1)]
    nearest = [math.inf] * 3
    for order in permutations(steps):
        expected = source
        for function, factor in order:
            expected = as_torchvision(function, factor)(expected)
        nearest = [min(one, largest(a, b)) for one, a, b in zip(nearest, found, expected, strict=True)]
    return max(nearest)


def painted(operation: Any, colour: tuple[int, ...]) -> float:
    """How far what is changed is from the colour."""
    found, source = run(operation), np.stack(photographs())
    changed = (found != source).any(-1)
    assert changed.any()
    return largest(found[changed], np.array(colour))


def dropped() -> float:
    """How far what is changed is from one channel of a colour, and the rest from what it was."""
    found, source = run(o.ChannelDropout(1, 1, [1, 2, 3])), np.stack(photographs())
    expected = source.copy()
    channels = (found != source).any((1, 2))
    assert (channels.sum(1) == 1).all()
    for image, channel in enumerate(channels.argmax(1)):
        expected[image, ..., channel] = channel + 1
    return largest(found, expected)


def translated() -> float:
    source = np.stack(photographs())
    padded = np.pad(source, ((0, 0), (3, 3), (3, 3), (0, 0)))
    found = run(o.RandomTranslate(3))
    offsets = [(y, x) for y in range(7) for x in range(7)]
    return max(
        min(largest(moved, one[y : y + HEIGHT, x : x + WIDTH]) for y, x in offsets)
        for moved, one in zip(found, padded, strict=True)
    )


def mixed() -> float:
    source = np.stack(photographs()[:2])
    operation = o.Mixup(0.4)
    weight = operation.weights(fold(key_of(3), np.arange(1, dtype=np.uint64)), (HEIGHT, WIDTH))[0]
    return largest(run(operation, source), weight * source + (1 - weight) * source[::-1])


def exchanged() -> float:
    source = np.stack(photographs()[:2])
    found = run(o.CutMix(1.0), source)
    kept = (found == source).all((0, 3))
    assert not kept.all()
    return largest(found, np.where(kept[None, :, :, None], source, source[::-1]))


def of_tensors(operation: Any, reference: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[], float]:
    """In levels, alone and in the loader, where it is fused."""

    def difference() -> float:
        tensor = torch.from_numpy(np.stack(photographs())).permute(0, 3, 1, 2)
        expected = reference(tensor).numpy().astype(np.float64)
        alone = operation.generate_code()(tensor, None).numpy()
        fused = load("raw", o.WholeImage(), o.ToTensor(), o.ToTorchImage(), operation)
        return 255 * max(largest(alone, expected), largest(fused, expected))

    return difference


MEAN, STD = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]


def normalized() -> float:
    expected = ((np.stack(photographs()) - np.array(MEAN)) / np.array(STD)).astype(np.float32)
    operation = o.NormalizeImage(MEAN, STD)
    fused = load("JPEG with index", o.WholeImage(), operation, o.ToTensor())
    of_jpeg = ((whole("JPEG with index") - np.array(MEAN)) / np.array(STD)).astype(np.float32)
    return 255 * max(largest(run(operation), expected), largest(fused, of_jpeg))


@cache
def policy() -> float:
    """Of each function on its own, through what torchvision does not publish."""
    worst = 0.0
    for name in NAMES:
        for magnitude in MAGNITUDES[name]:
            function = as_torchvision(
                v2.RandAugment(fill=0)._apply_image_or_video_transform, name, magnitude, interpolation=NEAREST, fill={}
            )
            for image in photographs():
                found = applied(image, [NAMES.index(name)], [magnitude])
                worst = max(worst, largest(found, function(image), WARPED))
    return worst


NEAREST, BILINEAR = InterpolationMode.NEAREST, InterpolationMode.BILINEAR
FACTORS = (0.0, 0.3, 0.77, 1.3, 2.5)
ROWS = [
    Row("WholeImage", DECODED.replace("; alone", " (fastdct); alone"),
        of_decoder(lambda _: o.WholeImage(), lambda image, _: image)),
    Row("RandomResizedCrop", DECODED, of_decoder(random_whole, area)),
    Row("CenterCrop", DECODED,
        of_decoder(lambda size: o.CenterCrop(size, 0.875), lambda image, size: area(center(image), size))),
    Row("Resize", DECODED, of_decoder(o.Resize, area)),
    Row("Resize", DECODED,
        of_decoder(lambda size: o.Resize(size, "bilinear"), resized(BILINEAR)), "interpolation: bilinear"),
    Row("Resize", DECODED,
        of_decoder(lambda size: o.Resize(size, "nearest"), resized(InterpolationMode.NEAREST_EXACT)),
        "interpolation: nearest"),
    Row("ResizeShorterSide", DECODED,
        of_decoder(lambda size: o.ResizeShorterSide(150, size, "bilinear"), shorter_side), "interpolation: bilinear"),
    Row("RandomCrop", ARRAYS,
        of_arrays(o.RandomCrop([HEIGHT + 8, WIDTH + 8], 4, padding_mode="reflect"),
                  as_torchvision(F.pad, [4, 4, 4, 4], padding_mode="reflect"))),
    Row("RandomHorizontalFlip", f"{ARRAYS}; fused with the decoder",
        of_arrays(o.RandomHorizontalFlip(1), as_torchvision(F.horizontal_flip))),
    Row("RandomVerticalFlip", ARRAYS,
        of_arrays(o.RandomVerticalFlip(1), as_torchvision(F.vertical_flip))),
    Row("RandomTranslate", ARRAYS, translated),
    Row("RandomRotation", ARRAYS,
        of_arrays(o.RandomRotation([31.3, 31.3], "bilinear"), as_torchvision(F.rotate, 31.3, BILINEAR)),
        "interpolation: bilinear"),
    Row("RandomRotation", ARRAYS,
        of_arrays(o.RandomRotation([31.3, 31.3]), as_torchvision(F.rotate, 31.3, NEAREST), 1e-3),
        "interpolation: nearest"),
    Row("RandomAffine", ARRAYS,
        of_arrays(o.RandomAffine([20, 20], None, [0.8, 0.8], [11, 11, -7, -7], "bilinear"),
                  as_torchvision(F.affine, 20, [0, 0], 0.8, [11, -7], BILINEAR)),
        "interpolation: bilinear"),
    Row("RandomAffine", ARRAYS,
        of_arrays(o.RandomAffine([20, 20], None, [0.8, 0.8], [11, 11, -7, -7]),
                  as_torchvision(F.affine, 20, [0, 0], 0.8, [11, -7], NEAREST), 1e-3),
        "interpolation: nearest"),
    Row("RandomBrightness", ARRAYS,
        of_factor(o.RandomBrightness(1), F.adjust_brightness, FACTORS)),
    Row("RandomContrast", ARRAYS,
        of_factor(o.RandomContrast(1), F.adjust_contrast, FACTORS)),
    Row("RandomSaturation", ARRAYS,
        of_factor(o.RandomSaturation(1), F.adjust_saturation, FACTORS)),
    Row("RandomHue", ARRAYS,
        of_factor(o.RandomHue(0.5), F.adjust_hue, (-0.5, -0.1, 0.05, 0.25, 0.5))),
    Row("ColorJitter", ARRAYS, jitter),
    Row("RandomGrayscale", ARRAYS,
        of_arrays(o.RandomGrayscale(1), as_torchvision(F.rgb_to_grayscale, 3))),
    Row("RandomSolarize", ARRAYS,
        of_arrays(o.RandomSolarize(128, 1), as_torchvision(F.solarize, 128))),
    Row("RandomPosterize", ARRAYS,
        of_arrays(o.RandomPosterize(3, 1), as_torchvision(F.posterize, 3))),
    Row("RandomEqualize", ARRAYS,
        of_arrays(o.RandomEqualize(1), as_torchvision(F.equalize))),
    Row("RandomAutocontrast", ARRAYS,
        of_arrays(o.RandomAutocontrast(1), as_torchvision(F.autocontrast))),
    Row("RandomInvert", ARRAYS, of_arrays(o.RandomInvert(1), as_torchvision(F.invert))),
    Row("RandomAdjustSharpness", ARRAYS,
        of_arrays(o.RandomAdjustSharpness(2, 1), as_torchvision(F.adjust_sharpness, 2.0))),
    Row("GaussianBlur", ARRAYS,
        of_arrays(o.GaussianBlur([23, 5], [2, 2]), as_torchvision(F.gaussian_blur, [23, 5], [2.0, 2.0]))),
    Row("Cutout", ARRAYS, lambda: painted(o.Cutout(20, [1, 2, 3]), (1, 2, 3))),
    Row("RandomErasing", ARRAYS,
        lambda: painted(o.RandomErasing(1, value=[1, 2, 3]), (1, 2, 3))),
    Row("ChannelDropout", ARRAYS, dropped),
    Row("RandAugment", ARRAYS, policy,
        remark="each of them; warps by `nearest`"),
    Row("TrivialAugmentWide", ARRAYS, policy,
        remark="warps by `nearest`"),
    Row("Mixup", ARRAYS, mixed),
    Row("CutMix", ARRAYS, exchanged),
    Row("NormalizeImage",
        f"{ARRAYS}; fused with the decoder", normalized),
    Row("NormalizeTensor", TENSORS,
        of_tensors(o.NormalizeTensor(MEAN, STD), lambda images: F.normalize(images.float(), MEAN, STD))),
    Row("DivideImage255", TENSORS,
        of_tensors(o.DivideImage255(), lambda images: images.float() / 255)),
    Row("ToTorchImage", "fused with the decoder, and not",
        lambda: largest(load("raw", o.WholeImage(), o.ToTensor(), o.ToTorchImage(False)).transpose(0, 2, 3, 1),
                        np.stack(photographs()))),
    Row("ToTensor", ARRAYS,
        lambda: largest(load("raw", o.WholeImage(), o.RandomVerticalFlip(0), o.ToTensor()), np.stack(photographs()))),
    Row("Convert", "tensors",
        lambda: largest(load("raw", o.WholeImage(), o.ToTensor(), o.Convert("float32")), np.stack(photographs()))),
]  # fmt: skip
# what makes no pixels, or leaves them alone
OTHERS = {
    "AllocationQuery", "ArrayDecoder", "BytesDecoder", "Chunk", "ChunkDecoder", "ChunkOperation", "Extents",
    "FailedSample", "FollowedBoxes", "FollowedPoints", "FollowedPolygons", "ImageDecoder", "ImageOperation",
    "KeptItems", "Maps", "LetterBox", "MixedTargets", "MixingOperation", "Mosaic", "Operation", "PaddedArray",
    "PaddedBytes", "PlacesDecoder", "PrefixedDecoder", "RandomIoUCrop", "RandomShortestSide", "RandomZoomOut",
    "RandomlyApplied", "ScalarDecoder", "SizedDecoder", "SplitPrefixed", "Squeeze",
    "State", "ToDevice", "ToList", "to_targets", "decode_shared", "default_decoder", "default_operations",
}  # fmt: skip


def printed() -> str:
    """The table in Markdown."""
    lines = ["| operation | its pixels equal | within levels of 255 | compared on |", "|---|---|---|---|"]
    for row in ROWS:
        setting = row.setting or row.remark
        name = f"`{row.name}`" + (f" ({setting})" if setting else "")
        lines.append(f"| {name} | {row.promise.equals} | {row.promise.tolerance} | {row.ways} |")
    return "\n".join(lines) + "\n"


def in_docs() -> tuple[str, str, str]:
    """What stands in the page before the table, the table, and what stands behind it."""
    before, rest = DOCS.read_text().split(BEGIN)
    table, after = rest.split(END)
    return before, table, after


if __name__ == "__main__":
    before, _, after = in_docs()
    DOCS.write_text(before + BEGIN + printed() + END + after)
