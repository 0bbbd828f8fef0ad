"""Errors of this package that are also the built-in ones that FFCV raises, which programs may catch."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

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
        raise _both(type(error), also)(str(error)).with_traceback(error.__traceback__) from error.__cause__


def _both(kind: type[FFCVHydraError], also: tuple[type[Exception], ...]) -> type[FFCVHydraError]:
    return type(kind.__name__, (kind, *also), {"__module__": kind.__module__, "__doc__": kind.__doc__})
