"""numba's array types, kept as they are meant while kernels are compiled.

numba has one object per type in a process. FFCV's own `Loader` marks some of them as read-only, `uint8[::1]` among
them, and so spoils them for everybody: kernels that write such arrays no longer compile. FFCV relies on the mark, so it
is taken off for a moment only, and put back. The mark is part of a type's hash, so nothing that is kept by types may be
looked up meanwhile: a garbage collection that finds one of FFCV's functions would, when it cleans up after it.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from numba import types
from numba.core.compiler_lock import global_compiler_lock
from numba.core.types.abstract import _typecache  # type: ignore[attr-defined]


def _is_spoiled(type_: Any) -> bool:
    # the name is made with the type, and says what it was made as
    return isinstance(type_, types.Array) and not type_.mutable and not type_.name.startswith("readonly")


@contextmanager
def unspoiled_types() -> Iterator[None]:
    """Array types that were made writeable are writeable inside; no other thread compiles meanwhile."""
    with global_compiler_lock:
        collects = gc.isenabled()
        gc.disable()
        spoiled = [type_ for reference in list(_typecache.values()) if _is_spoiled(type_ := reference())]
        for type_ in spoiled:
            type_.mutable = True
        try:
            yield
        finally:
            for type_ in spoiled:
                type_.mutable = False
            if collects:
                gc.enable()
