"""What stands for an ordering: an `OrderOption`, an `Ordering`, or what another library calls one."""

from typing import Any

from ffcv_hydra.errors import LoaderError
from ffcv_hydra.foreign import adapted
from ffcv_hydra.ordering.base import Ordering
from ffcv_hydra.ordering.options import OrderOption
from ffcv_hydra.ordering.orders import QuasiRandom, Random, Sequential

_OPTIONS: dict[OrderOption, type[Ordering]] = {
    OrderOption.SEQUENTIAL: Sequential,
    OrderOption.RANDOM: Random,
    OrderOption.QUASI_RANDOM: QuasiRandom,
}


def as_ordering(ordering: Any) -> Ordering:
    """The `Ordering` that an `OrderOption`, its name, or an FFCV `OrderOption` or `TraversalOrder` class stands for.

    Raises:
        LoaderError: for anything else.
    """
    if isinstance(ordering, str) and ordering.upper() in OrderOption.__members__:
        ordering = OrderOption[ordering.upper()]
    found = adapted(ordering)
    if isinstance(found, Ordering):
        return found
    if isinstance(found, OrderOption):
        return _OPTIONS[found]()
    raise LoaderError(
        "ordering must be sequential, random or quasi_random, an OrderOption, an ffcv_hydra Ordering or an FFCV "
        f"TraversalOrder class; got {ordering!r}"
    )
