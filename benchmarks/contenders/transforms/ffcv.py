"""FFCV's loader with its colour operations, in their order; it has them for the recipe ColorJitter alone."""

from collections.abc import Callable

from ffcv.fields.rgb_image import RandomResizedCropRGBImageDecoder
from ffcv.loader import Loader, OrderOption
from ffcv.pipeline.operation import Operation
from ffcv.transforms import (
    RandomBrightness,
    RandomContrast,
    RandomHorizontalFlip,
    RandomSaturation,
    ToTensor,
    ToTorchImage,
)

from benchmarks.contenders import stock_ffcv
from benchmarks.steps import RECIPES
from benchmarks.work import Epochs, Work

PACKAGES = ("ffcv",)
STEPS: dict[str, Callable[..., list[Operation]]] = {
    "horizontal_flip": lambda p: [RandomHorizontalFlip(p)],
    "jitter": lambda brightness, contrast, saturation, p: [
        RandomBrightness(brightness, p),
        RandomContrast(contrast, p),
        RandomSaturation(saturation, p),
    ],
}


def batches(work: Work) -> Epochs:
    """Epochs of the loader."""
    (view,) = RECIPES[work.name].views
    operations = [one for step in view.steps for one in STEPS[step.name](**step.arguments, p=step.p)]
    loader = Loader(
        str(stock_ffcv.beton(work)),
        work.batch_size,
        num_workers=work.workers,
        os_cache=True,
        order=OrderOption.RANDOM,
        drop_last=True,
        pipelines={
            "image": [
                RandomResizedCropRGBImageDecoder((view.size, view.size), view.scale),
                *operations,
                ToTensor(),
                ToTorchImage(),
            ],
            "label": None,
        },
    )
    return Epochs(lambda: (tuple(batch) for batch in loader))
