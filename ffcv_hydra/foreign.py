"""Where classes of other libraries become this package's own. Knows their names alone, until one is met."""

from importlib import import_module
from importlib.util import find_spec
from typing import Any

_BRIDGES = {"ffcv": "ffcv_hydra.ffcv_bridge"}  # by the first part of a class's module


INSTALL_FFCV = "pip install 'ffcv_hydra[ffcv]'"


def advice_for_unknown_classes() -> str:
    """What to say of a class that has to be named, if one of FFCV's kind could not be: nothing where FFCV is there."""
    return "" if find_spec("ffcv") else f"; if it is derived from FFCV's, {INSTALL_FFCV} first"


def adapted(thing: Any) -> Any:
    """`thing`, an object or a class, or what of this package's kind stands for it.

    It is another library's if its class, or one that this is derived from, comes from there.
    """
    bridge = _bridge_of(thing)
    return thing if bridge is None else import_module(bridge).adapt(thing)


def is_foreign(thing: Any) -> bool:
    """Whether `thing` is of another library that there is a bridge to."""
    return _bridge_of(thing) is not None


def _bridge_of(thing: Any) -> str | None:
    kind = thing if isinstance(thing, type) else type(thing)
    found = (_BRIDGES.get(base.__module__.partition(".")[0]) for base in kind.__mro__)
    return next((bridge for bridge in found if bridge is not None), None)
