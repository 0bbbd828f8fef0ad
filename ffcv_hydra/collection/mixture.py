"""Several betons read at once, each with a share of every batch: the value that says so."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np

from ffcv_hydra.collection.paths import Paths, located
from ffcv_hydra.errors import BetonError, LoaderError
from ffcv_hydra.urls import shown

Share = float | Sequence[float]


@dataclass(frozen=True, init=False)
class Mixture:
    """Betons, or folders of sharded ones, and how much of each batch comes from each.

    A batch has as many samples of each member as its share says, rounded so that what is rounded off here is made up
    for in one of the next batches. A member that is through begins anew, in another order and with new augmentations;
    one that is not goes on in the next epoch where it was.

    What is read are the fields that all members have, and those that have a fill value. Fields that only some have are
    left out; a pipeline that names one is refused.

    Args:
        shares: by path; numbers in any unit, `{"a.beton": 0.7, "b.beton": 0.3}`, or for some a list of them by epoch,
            whose last one holds for all later epochs. Or a list of paths, whose samples come once each, as those of a
            list of betons do.
        epoch_size: samples in an epoch; by default as many as the members have together.
        fill_values: by field, the whole number or float that samples of members have which lack the field.
        indices: by path, which of a member's samples are read, as `Loader` takes it; by default all.

    Attributes:
        paths: of the members, absolute, or their URLs.
        shares: of each member, by epoch; none if each sample comes once.
        indices: of each member.

    Raises:
        LoaderError: a share is no number, is negative, or all are zero in an epoch; `epoch_size` or a fill value is out
            of range; `indices` are of no member.
    """

    paths: tuple[Path | str, ...]
    shares: tuple[tuple[float, ...], ...]
    epoch_size: int | None
    fill_values: dict[str, float]
    indices: tuple[Any, ...]

    def __init__(
        self,
        shares: Mapping[str | os.PathLike[str], Share] | Sequence[str | os.PathLike[str]],
        epoch_size: int | None = None,
        *,
        fill_values: Mapping[str, float] | None = None,
        indices: Mapping[str | os.PathLike[str], Any] | None = None,
    ) -> None:
        if not shares:
            raise LoaderError("Mixture: there are no members; give a share for each beton, as {'a.beton': 0.7}")
        found = tuple(_numbers(path, share) for path, share in shares.items()) if isinstance(shares, Mapping) else ()
        if epoch_size is not None and not found:
            raise LoaderError("Mixture: epoch_size is for shares; each sample of a list of betons comes once")
        if epoch_size is not None and (type(epoch_size) is not int or epoch_size < 1):
            raise LoaderError(f"Mixture: epoch_size is a number of samples from 1 on; got {epoch_size!r}")
        paths = [located(path) for path in shares]
        if len(set(paths)) < len(paths):
            twice = next(path for path in paths if paths.count(path) > 1)
            raise LoaderError(f"Mixture: {shown(twice)} is there twice")
        for field, number in (fill_values or {}).items():
            if not _is_number(number):
                raise LoaderError(f"Mixture: the fill value of field '{field}' is {number!r}; use a number")
        of_members = {located(path): chosen for path, chosen in (indices or {}).items()}
        if unknown := of_members.keys() - set(paths):
            raise LoaderError(f"Mixture: indices are given of {shown(unknown.pop())}, which is no member")
        for name, value in {
            "paths": tuple(paths),
            "shares": found,
            "epoch_size": epoch_size,
            "fill_values": dict(fill_values or {}),
            "indices": tuple(of_members.get(path) for path in paths),
        }.items():
            object.__setattr__(self, name, value)
        for epoch in range(max(map(len, found), default=0)):
            if not self.shares_in(epoch).any():
                raise LoaderError(f"Mixture: all shares are zero in epoch {epoch}")

    def at(self, paths: Sequence[Path]) -> Mixture:
        """The same mixture, whose members are at other paths."""
        return self._with(paths=tuple(paths))

    def in_turn(self) -> Mixture:
        """The samples of the members without their shares, once each."""
        return self._with(shares=(), epoch_size=None)

    def _with(self, **values: Any) -> Mixture:
        other = copy.copy(self)
        for name, value in values.items():
            object.__setattr__(other, name, value)
        return other

    def shares_in(self, epoch: int) -> np.ndarray:
        """float64 (num_members,): the shares in an epoch, which are 1 together, or all zero."""
        shares = np.array([of_one[min(epoch, len(of_one) - 1)] for of_one in self.shares])
        return shares / (shares.sum() or 1.0)


def _numbers(path: str | os.PathLike[str], share: Share) -> tuple[float, ...]:
    numbers = []
    for number in share if isinstance(share, (list, tuple)) else [share]:
        if not _is_number(number) or not 0 <= number < float("inf"):
            raise LoaderError(f"Mixture: the share of {shown(path)} is {number!r}; use a number from 0 on")
        numbers.append(float(number))
    if not numbers:
        raise LoaderError(f"Mixture: the list of shares of {shown(path)} is empty")
    return tuple(numbers)


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, (int, float, np.number)) and not isinstance(value, bool)


Readable = Paths | Mixture  # what loaders read


def named(path: Readable) -> list[Path | str]:
    """The paths and URLs that are to be opened. Raises `BetonError` if there are none, or one twice."""
    if isinstance(path, Mixture):
        return list(path.paths)
    if isinstance(path, Mapping):
        raise BetonError("shares of betons are given as ffcv_hydra.Mixture({path: share, ...}), not as a mapping")
    if not isinstance(path, (str, os.PathLike, Iterable)):
        raise BetonError(f"betons are named by a path, a URL or a list of these; got {path!r}")
    found = [located(one) for one in ([path] if isinstance(path, (str, os.PathLike)) else path)]
    if not found:
        raise BetonError("a list of betons is empty; name at least one")
    twice = next((one for one in found if found.count(one) > 1), None)
    if twice is not None:
        raise BetonError(f"{shown(twice)} is listed twice; for samples to come more often, use a Mixture")
    return found
