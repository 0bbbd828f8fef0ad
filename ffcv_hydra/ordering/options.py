"""The orders that have a name of their own, as FFCV's `OrderOption` has them."""

from enum import Enum, auto


class OrderOption(Enum):
    """Short for `Sequential()`, `Random()` and `QuasiRandom()`."""

    SEQUENTIAL = auto()
    RANDOM = auto()
    QUASI_RANDOM = auto()
