"""Several betons read at once, each with a share of every batch: the value that says so."""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ffcv_hydra.collection.paths import Paths, located
from ffcv_hydra.errors import LoaderError
from ffcv_hydra.urls import shown

Share = float | Sequence[float]


@dataclass(frozen=True, init=False)
class Mixture:
    """Betons, or folders of sharded ones, and how much of each batch comes from each.

    A batch has as many samples of each member as its share says, rounded so that what is rounded off here is made up
    for in one of the next batches. A member that is through begins anew, in another order and with new augmentations;
    one that is not goes on in the next epoch where it was.

    Args:
        shares: by path; numbers in any unit, `{"a.beton": 0.7, "b.beton": 0.3}`, or for some a list of them by epoch,
            whose last one holds for all later epochs.
        epoch_size: samples in an epoch; by default as many as the members have together.

    Attributes:
        paths: of the members, absolute, or their URLs.
        shares: of each member, by epoch.

    Raises:
        LoaderError: a share is no number, is negative, or all are zero in an epoch; or `epoch_size` is out of range.
    """

    paths: tuple[Path | str, ...]
    shares: tuple[tuple[float, ...], ...]
    epoch_size: int | None

    def __init__(self, shares: Mapping[str | os.PathLike[str], Share], epoch_size: int | None = None) -> None:
        if not shares:
            raise LoaderError("Mixture: there are no members; give a share for each beton, as {'a.beton': 0.7}")
        found = tuple(_numbers(path, share) for path, share in shares.items())
        if epoch_size is not None and (type(epoch_size) is not int or epoch_size < 1):
            raise LoaderError(f"Mixture: epoch_size is a number of samples from 1 on; got {epoch_size!r}")
        paths = [located(path) for path in shares]
        if len(set(paths)) < len(paths):
            twice = next(path for path in paths if paths.count(path) > 1)
            raise LoaderError(f"Mixture: {shown(twice)} is there twice")
        for name, value in (("paths", tuple(paths)), ("shares", found), ("epoch_size", epoch_size)):
            object.__setattr__(self, name, value)
        for epoch in range(max(map(len, found))):
            if not self.shares_in(epoch).any():
                raise LoaderError(f"Mixture: all shares are zero in epoch {epoch}")

    def at(self, paths: Sequence[Path]) -> Mixture:
        """The same mixture, whose members are at other paths."""
        other = copy.copy(self)
        object.__setattr__(other, "paths", tuple(paths))
        return other

    def shares_in(self, epoch: int) -> np.ndarray:
        """float64 (num_members,): the shares in an epoch, which are 1 together, or all zero."""
        shares = np.array([of_one[min(epoch, len(of_one) - 1)] for of_one in self.shares])
        return shares / (shares.sum() or 1.0)


def _numbers(path: str | os.PathLike[str], share: Share) -> tuple[float, ...]:
    numbers = []
    for number in share if isinstance(share, (list, tuple)) else [share]:
        if (
            not isinstance(number, (int, float, np.number))
            or isinstance(number, bool)
            or not 0 <= number < float("inf")
        ):
            raise LoaderError(f"Mixture: the share of {shown(path)} is {number!r}; use a number from 0 on")
        numbers.append(float(number))
    if not numbers:
        raise LoaderError(f"Mixture: the list of shares of {shown(path)} is empty")
    return tuple(numbers)


Readable = Paths | Mixture  # what loaders read
