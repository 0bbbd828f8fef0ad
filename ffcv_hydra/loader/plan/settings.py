"""What the operations of pipelines are set to, to notice what its owner changes between two epochs.

FFCV's programs resize progressively by `decoder.output_size = (160, 160)`. A plan holds copies of operations, so it is
built again when what they were copied from is no longer the same.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ffcv_hydra.beton import Beton
from ffcv_hydra.foreign import is_foreign
from ffcv_hydra.loader.plan.request import request
from ffcv_hydra.operations.operation import Operation
from ffcv_hydra.pipeline import Pipeline


def settings_of(pipelines: Mapping[str, Pipeline] | Sequence[Pipeline], beton: Beton) -> list[Any]:
    """All attributes of all operations, as values that are equal as long as nothing is changed.

    Torch modules are used as they are, so that what is changed in them needs no look.
    """
    return [
        (one.output, [_comparable(operation) for operation in one.operations or ()])
        for one in request(pipelines, beton)
    ]


def _comparable(value: Any) -> Any:
    if isinstance(value, Operation) or is_foreign(value):
        return id(value), [(name, _comparable(held)) for name, held in vars(value).items()]
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes()
    if isinstance(value, list | tuple):
        return [_comparable(item) for item in value]
    if isinstance(value, bool | int | float | str | bytes | np.generic):
        return repr(value)  # two NaNs are the same setting
    return id(value)
