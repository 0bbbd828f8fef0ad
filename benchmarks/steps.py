"""What is done to images, as data: single operations, and the recipes that are made of them.

The contenders of `benchmarks.contenders.transforms` have a table from the names of steps to what they call.
"""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Step:
    """One transform of an image.

    Attributes:
        name: under which contenders know it.
        arguments: what they are given.
        p: the probability that an image goes through it.
    """

    name: str
    arguments: dict[str, Any] = field(default_factory=dict)
    p: float = 1.0


@dataclass(frozen=True)
class View:
    """A random-resized crop, and what becomes of it.

    Attributes:
        steps: in their order.
        scale: area of the crop, as a share of the image's.
        size: height and width, in pixels.
        count: how many are made of each image.
    """

    steps: tuple[Step, ...]
    scale: tuple[float, float] = (0.08, 1.0)
    size: int = 224
    count: int = 1


@dataclass(frozen=True)
class Recipe:
    """What is made of each photograph.

    Attributes:
        views: of the image.
        mask: whether a mask goes through the same crop and flip as the only view.
    """

    views: tuple[View, ...]
    mask: bool = False


def _step(name: str, /, p: float = 1.0, **arguments: Any) -> Step:
    return Step(name, arguments, p)


JITTER = {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4}
AFFINE = {"degrees": 15, "translate": 0.1, "scale": (0.9, 1.1), "shear": 10}
SIGMA = (0.1, 2.0)
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
RAND_AUGMENT, TRIVIAL_AUGMENT_WIDE = _step("rand_augment", num_ops=2, magnitude=9), _step("trivial_augment_wide")

OPERATIONS = {
    "brightness": _step("brightness", strength=0.4),
    "contrast": _step("contrast", strength=0.4),
    "saturation": _step("saturation", strength=0.4),
    "hue": _step("hue", strength=0.1),
    "ColorJitter": _step("jitter", **JITTER, hue=0.1),
    "grayscale": _step("grayscale"),
    "solarize": _step("solarize", threshold=128),
    "posterize": _step("posterize", bits=4),
    "invert": _step("invert"),
    "equalize": _step("equalize"),
    "autocontrast": _step("autocontrast"),
    "sharpness": _step("sharpness", factor=2.0),
    "blur 5": _step("blur", size=5, sigma=SIGMA),
    "blur 23": _step("blur", size=23, sigma=SIGMA),
    "rotation, nearest": _step("rotation", degrees=30, bilinear=False),
    "rotation, bilinear": _step("rotation", degrees=30, bilinear=True),
    "affine, nearest": _step("affine", **AFFINE, bilinear=False),
    "affine, bilinear": _step("affine", **AFFINE, bilinear=True),
    "horizontal flip": _step("horizontal_flip"),
    "vertical flip": _step("vertical_flip"),
    "pad and crop": _step("pad_crop", size=224, padding=4),
    "erasing": _step("erasing", scale=(0.02, 0.33), ratio=(0.3, 3.3)),
    "normalize": _step("normalize", mean=MEAN, std=STD),
    "RandAugment": RAND_AUGMENT,
    "TrivialAugmentWide": TRIVIAL_AUGMENT_WIDE,
}

FLIP = _step("horizontal_flip", p=0.5)
GRAY = _step("grayscale", p=0.2)
# Chen et al., https://arxiv.org/abs/2002.05709, appendix A, with strength 1
SIMCLR = (
    FLIP,
    _step("jitter", p=0.8, brightness=0.8, contrast=0.8, saturation=0.8, hue=0.2),
    GRAY,
    _step("blur", p=0.5, size=23, sigma=SIGMA),
)
# Caron et al., https://arxiv.org/abs/2104.14294, with the window of DINOv2's blur, where DINO has Pillow's
DINO = (FLIP, _step("jitter", p=0.8, brightness=0.4, contrast=0.4, saturation=0.2, hue=0.1), GRAY)
DINO_BLUR = {"size": 9, "sigma": SIGMA}
GLOBAL, LOCAL = (0.4, 1.0), (0.05, 0.4)

RECIPES = {
    "ColorJitter": Recipe((View((FLIP, _step("jitter", **JITTER))),)),
    "SimCLR": Recipe((View(SIMCLR, count=2),)),
    "DINO": Recipe(
        (
            View((*DINO, _step("blur", **DINO_BLUR)), GLOBAL),
            View((*DINO, _step("blur", p=0.1, **DINO_BLUR), _step("solarize", p=0.2, threshold=128)), GLOBAL),
            View((*DINO, _step("blur", p=0.5, **DINO_BLUR)), LOCAL, size=96, count=6),
        )
    ),
    "RandAugment": Recipe((View((FLIP, RAND_AUGMENT)),)),
    "TrivialAugmentWide": Recipe((View((FLIP, TRIVIAL_AUGMENT_WIDE)),)),
    "segmentation": Recipe((View((FLIP, _step("jitter", **JITTER)), (0.25, 1.0)),), mask=True),
}
