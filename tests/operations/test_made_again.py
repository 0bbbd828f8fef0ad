"""Operations made once more from their attributes: the same ones, unless something impossible was set."""

import inspect
import math

import numpy as np
import pytest

from ffcv_hydra import operations as o
from ffcv_hydra.errors import PipelineError
from ffcv_hydra.operations.convert import View
from ffcv_hydra.operations.made_again import made_again
from ffcv_hydra.operations.operation import Operation
from tests.loader.configurations import RANDOM_OPERATIONS

OTHERS = [
    o.CenterCrop(24, 0.5), o.Resize([20, 24]), o.ResizeShorterSide(30, 24), o.WholeImage(), o.LetterBox(9),
    o.RandomZoomOut(8, [1, 2], 0.3), o.RandomShortestSide([3, 4], 9), o.ToTensor(), o.Cutout(3),
    o.NormalizeImage([120.0] * 3, [60.0] * 3, "float16"), o.ToTorchImage(False), o.Convert("float16"), o.Squeeze(1, 2),
    o.DivideImage255("float16"), o.ToDevice("cpu", False), o.RandomAffine(5, (0.1, 0.2), (0.5, 2), (1, 2, 3, 4)),
    o.GaussianBlur([3, 5], 1.5, 0.5), o.ColorJitter(0.4, (0.5, 2), 0, 0.1, 0.8), o.RandomErasing(value="random"),
]  # fmt: skip


def attributes(operation):
    return {name: repr(value) for name, value in vars(operation).items()}


@pytest.mark.parametrize(
    "operation", [*(make() for make in RANDOM_OPERATIONS.values()), *OTHERS], ids=lambda o: type(o).__name__
)
def test_what_was_not_changed_is_the_same(operation):
    again = made_again(operation)
    assert again is not operation and type(again) is type(operation)
    assert attributes(again) == attributes(operation)


@pytest.mark.parametrize(
    ("operation", "name", "value", "message"),
    [
        (o.RandomHorizontalFlip(), "p", 7, "RandomHorizontalFlip: p is a number, at least 0, at most 1; got 7"),
        (o.RandomHorizontalFlip(), "p", math.nan, "got nan"),
        (o.RandomHorizontalFlip(), "p", "x", "got x"),
        (o.RandomResizedCrop(8), "scale", (5, 1), r"RandomResizedCrop: scale is \[smallest, largest\], above 0"),
        (o.RandomResizedCrop(8), "scale", (0, 0), r"got \(0, 0\)"),
        (o.RandomResizedCrop(8), "scale", 7, "scale is a list of 2 numbers; got 7"),
        (o.GaussianBlur(3), "kernel_size", 4, "kernel_size is an odd number"),
        (o.Cutout(3), "crop_size", -1, "crop_size is a number of pixels"),
        (o.Mixup(), "alpha", 0, "alpha is a number above 0"),
    ],
)
def test_what_is_impossible_is_refused_as_by_the_constructor(operation, name, value, message):
    setattr(operation, name, value)
    with pytest.raises(PipelineError, match=message):
        made_again(operation)


def test_what_is_derived_follows():
    normalize, blur = o.NormalizeImage([100.0], [50.0]), o.GaussianBlur(3)
    normalize.mean, blur.kernel_size = [0.0], 5
    assert np.array_equal(made_again(normalize).table, o.NormalizeImage([0.0], [50.0]).table)
    assert made_again(blur).kernel_width == 5


class Scaled(o.RandomInvert):
    """A user's: an attribute is not what the constructor takes."""

    def __init__(self, percent):
        super().__init__(percent / 100)
        self.percent = percent / 100


def test_an_operation_of_a_user_is_copied_as_it_is():
    assert attributes(made_again(Scaled(50))) == attributes(Scaled(50))


# for parameters without a default, by name
ARGUMENTS = {
    "min_size": 8,
    "size": [8, 8], "shorter_side": 9, "std": [1.0], "mean": [0.0], "dtype": "float32", "num_classes": 3,
    "degrees": 5, "kernel_size": 3, "sharpness_factor": 2.0, "bits": 4, "threshold": 9, "crop_size": 3,
    "padding": 2, "magnitude": 0.3, "alpha": 1.0,
}  # fmt: skip
KINDS = [
    kind
    for kind in [*vars(o).values(), View]
    if inspect.isclass(kind) and issubclass(kind, Operation) and not inspect.isabstract(kind)
]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_kind_of_operation_has_the_attributes_that_it_is_made_of(kind):
    parameters = inspect.signature(kind).parameters.values()
    needed = [one.name for one in parameters if one.default is one.empty and one.kind is one.POSITIONAL_OR_KEYWORD]
    operation = kind(**{name: ARGUMENTS[name] for name in needed})
    again = made_again(operation)
    assert type(again) is kind
    assert vars(again).keys() == vars(operation).keys()
