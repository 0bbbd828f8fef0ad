import inspect

import pytest

import ffcv_hydra.operations as operations
from ffcv_hydra.operations.made_again import made_again
from ffcv_hydra.operations.operation import Operation
from ffcv_hydra.operations.view import View

ARGUMENTS = {
    "size": [8, 8], "shorter_side": 9, "std": [1.0], "mean": [0.0], "dtype": "float32", "num_classes": 3,
    "degrees": 5, "kernel_size": 3, "sharpness_factor": 2.0, "bits": 4, "threshold": 9, "crop_size": 3,
    "padding": 2, "magnitude": 0.3, "alpha": 1.0,
}  # fmt: skip
KINDS = [
    kind
    for kind in [*vars(operations).values(), View]
    if inspect.isclass(kind) and issubclass(kind, Operation) and not inspect.isabstract(kind)
]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_operation_is_made_again_from_its_attributes(kind):
    parameters = inspect.signature(kind).parameters.values()
    needed = [one.name for one in parameters if one.default is one.empty and one.kind is one.POSITIONAL_OR_KEYWORD]
    operation = kind(**{name: ARGUMENTS[name] for name in needed})
    again = made_again(operation)
    assert type(again) is kind
    assert vars(again).keys() == vars(operation).keys()
