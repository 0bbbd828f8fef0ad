"""The options of a loader: `Loader`, the data module and `conf/loader` take these and no others.

A new one is a field here, an argument of `Loader`, whose docstring says what it means, and a line of
`conf/loader/default.yaml`; a test compares the three. The data module and the config's schema follow.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from typing import Any, Literal, get_args

from ffcv_hydra.errors import LoaderError
from ffcv_hydra.stages import STAGES

MOST_THREADS = 1024


@dataclass(frozen=True)
class Option:
    """What an option may be.

    Attributes:
        kind: `int`, `bool`, or a `Literal` with the words to choose from.
        text: what it must be, for errors.
        is_in_range: of a value of that kind.
        may_be_open: whether None leaves it to whoever makes the loader.
        default: what it is if nothing is said; None where it may be open.
    """

    kind: Any
    text: str
    is_in_range: Callable[[Any], bool]
    may_be_open: bool = False
    default: Any = None

    def check(self, name: str, value: Any) -> None:
        """Raise `LoaderError` unless the option, here called `name`, may be `value`."""
        if value is None and self.may_be_open:
            return
        is_of_kind = type(value) is self.kind if isinstance(self.kind, type) else value in get_args(self.kind)
        if not is_of_kind or not self.is_in_range(value):
            raise LoaderError(f"{name} must be {self.text}; got {value!r}")


def _option(text: str, is_in_range: Callable[[Any], bool] = lambda value: True, default: Any = MISSING) -> Any:
    return field(default=default, metadata={"text": text, "is_in_range": is_in_range})


def _count(default: Any = MISSING) -> Any:
    return _option("a whole number of at least 1", lambda value: value >= 1, default)


def _switch(default: bool) -> Any:
    return _option("true or false", default=default)


@dataclass(frozen=True, kw_only=True)
class LoaderOptions:
    """How batches are read, whatever is read; `Loader` says what each option means, and raises `LoaderError`."""

    batch_size: int = _count()
    seed: int = _option("a whole number of at least 0 and below 2**64", lambda value: 0 <= value < 2**64, 0)
    num_workers: int = _option(
        f"a whole number of threads from 1 to {MOST_THREADS}, or -1 for one per usable core",
        lambda value: value == -1 or 1 <= value <= MOST_THREADS,
        -1,
    )
    os_cache: bool = _switch(True)
    batches_ahead: int = _count(3)
    drop_last: bool = _switch(False)
    on_error: Literal["raise", "skip", "zero"] = _option("raise, skip or zero", default="raise")
    replace_ffcv_operations: bool = _switch(True)

    def __post_init__(self) -> None:
        for name, option in OPTIONS.items():
            option.check(name, getattr(self, name))


OPTIONS: Mapping[str, Option] = {
    one.name: Option(one.type, **one.metadata, default=one.default) for one in fields(LoaderOptions)
}

SIZES = ("global_batch_size", "batch_size")
"""What says how large a batch is, over all ranks or per rank; the first one that is given decides."""

_OPEN = (*SIZES, "seed", "drop_last")  # may be None for all stages: the data module finds them

STAGE_OPTIONS: Mapping[str, Option] = {
    f"{prefix}{name}": replace(option, may_be_open=True, default=None) if prefix or name in _OPEN else option
    for prefix in ("", *(f"{stage}_" for stage in STAGES))
    for name, option in {"global_batch_size": OPTIONS["batch_size"], **OPTIONS}.items()
}
"""Those of several loaders, each for all stages and, unless it is None, for one alone: `drop_last`, `val_drop_last`."""


def takes_stage_options(function: Any) -> None:
    """Have the signature of a function that ends with **options name each of `STAGE_OPTIONS`, with type and default."""
    signature = inspect.signature(function)
    *parameters, _ = signature.parameters.values()
    for name, option in STAGE_OPTIONS.items():
        if name not in signature.parameters:
            kind = option.kind | None if option.may_be_open else option.kind
            keyword = inspect.Parameter.KEYWORD_ONLY
            parameters.append(inspect.Parameter(name, keyword, default=option.default, annotation=kind))
    function.__signature__ = signature.replace(parameters=parameters)
