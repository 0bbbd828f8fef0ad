"""Operations as their owners set them, checked as on the day they were made."""

import copy
import functools
import inspect
from typing import Any

from ffcv_hydra.operations.operation import Operation


def made_again(operation: Operation) -> Operation:
    """A copy of an operation; one of this package is made by its constructor, from attributes named as its arguments.

    So what was set since, `flip.p = 0.2` between two epochs, is checked, and what was derived from it follows.

    Raises:
        PipelineError: the constructor's, of what is impossible.
    """
    again = copy.copy(operation)
    kind = type(operation)
    if kind.__module__.startswith("ffcv_hydra."):
        arguments: list[Any] = []
        for name, is_many in _arguments_of(kind):
            value = getattr(operation, name)
            arguments += value if is_many else [value]
        vars(again).update(vars(kind(*arguments)))
    return again


@functools.cache
def _arguments_of(kind: type) -> list[tuple[str, bool]]:
    """The constructor's arguments, and whether each stands for any number of them."""
    parameters = inspect.signature(kind).parameters.values()
    return [(parameter.name, parameter.kind is parameter.VAR_POSITIONAL) for parameter in parameters]
