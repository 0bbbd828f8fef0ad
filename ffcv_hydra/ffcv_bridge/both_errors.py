"""Errors of this package that are also the built-in ones that FFCV raises, which programs may catch."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ffcv_hydra.errors import FFCVHydraError


@contextmanager
def also_built_in(path: str | os.PathLike[str] | None = None) -> Iterator[None]:
    """Raise an error of this package as one that is a `TypeError`, `ValueError` and `AssertionError`, too.

    Where something has to be at `path` and is not, it is a `FileNotFoundError` instead.
    """
    try:
        yield
    except FFCVHydraError as error:
        is_missing = path is not None and not os.path.exists(path)
        also = (FileNotFoundError,) if is_missing else (TypeError, ValueError, AssertionError)
        both = _both(type(error), also, error.args, vars(error))
        raise both.with_traceback(error.__traceback__) from error.__cause__


def _both(
    kind: type[FFCVHydraError], also: tuple[type[Exception], ...], args: tuple[Any, ...], state: dict[str, Any]
) -> FFCVHydraError:
    """An error of a class that is made for it, which is why it has to say how it is unpickled."""
    members = {
        "__module__": kind.__module__,
        "__doc__": kind.__doc__,
        "__reduce__": lambda self: (_both, (kind, also, self.args, vars(self))),
    }
    both = type(kind.__name__, (kind, *also), members)
    error = both.__new__(both, *args)
    vars(error).update(state)
    return error
