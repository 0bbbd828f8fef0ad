"""A loader as a `torch.utils.data.DataLoader`, for loops that take nothing else: accelerate's, Fabric's, timm's.

Such a loop may make a DataLoader of its own from ours, with other batches: it keeps the dataset and asks this one for
positions in the order. The dataset serves any of them, and prepares those ahead that the next requests will be for.
"""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch

from ffcv_hydra.errors import LoaderError
from ffcv_hydra.loader import Loader
from ffcv_hydra.loader.iteration import Pass, Passes
from ffcv_hydra.loader.notices import tell_of_ranks
from ffcv_hydra.loader.plan.node import Node


def as_dataloader(loader: Loader, collate_fn: Callable[[tuple[Any, ...]], Any] | None = None) -> "LoaderDataLoader":
    """A DataLoader whose batches are the loader's, prepared by the loader's threads.

    Whoever splits DataLoaders over ranks (`accelerate.Accelerator.prepare`, `Fabric.setup_dataloaders`) splits this
    one, too. Its epoch is `loader.sampler`'s, which `sampler.set_epoch` sets and a complete pass moves on.

    Args:
        loader: of all samples; its pipelines give tensors.
        collate_fn: what becomes of a batch, which is a tuple with one entry per output: a dictionary, for
            Hugging Face's `Trainer`. By default it stays as it is.

    Raises:
        LoaderError: the loader has a part of the samples only, which would be split twice, or is FFCV's, or none.
    """
    if not isinstance(loader, Loader):
        raise LoaderError(f"as_dataloader takes an ffcv_hydra.Loader; got one of the class {type(loader).__name__}")
    if not callable(loader.state_dict):
        raise LoaderError(
            "as_dataloader: only the passes of a loader with FFCV's arguments know its order; iterate over that loader "
            "itself, or give an ffcv_hydra.Loader"
        )
    if loader.world_size > 1:
        raise LoaderError(
            f"as_dataloader: the loader reads the part of rank {loader.rank} of {loader.world_size}, which a loop that "
            "takes a DataLoader would split again; give it a loader of all samples, or iterate over the loader itself"
        )
    samples = Samples(loader)
    return LoaderDataLoader(
        samples,
        loader.batch_size,
        sampler=Order(samples),
        drop_last=loader.drop_last,
        collate_fn=partial(_collated, collate_fn or tuple),
    )


def _collated(collate_fn: Callable[[tuple[Any, ...]], Any], batch: "Batch") -> Any:
    return collate_fn(batch.outputs)


class Batch(Sequence[tuple[Any, ...]]):
    """The samples of a batch one by one, as torch collates them; our DataLoaders take the whole outputs.

    Args:
        outputs: one array, tensor (N, ...) or list of N per output, or all its views in a list.
        have_views: which of them.
    """

    def __init__(self, outputs: tuple[Any, ...], have_views: Sequence[bool]) -> None:
        self.outputs, self._have_views = outputs, have_views

    def __len__(self) -> int:
        first = self.outputs[0][0] if self._have_views[0] else self.outputs[0]
        return len(first[0] if hasattr(first, "_fields") else first)

    def __getitem__(self, place: Any) -> tuple[Any, ...]:
        return tuple(
            [_row(view, place) for view in output] if has_views else _row(output, place)
            for output, has_views in zip(self.outputs, self._have_views, strict=True)
        )


def _row(output: Any, place: int) -> Any:
    if hasattr(output, "_fields"):  # padded: an array and its lengths
        return type(output)(*(part[place] for part in output))
    return output[place]


class Samples(torch.utils.data.Dataset):
    """The samples of a loader by their positions in the order of the epoch that was begun last.

    Args:
        loader: of all samples.
    """

    def __init__(self, loader: Loader) -> None:
        self.loader = loader
        self.epoch = loader.sampler.epoch
        self.first_batch = 0  # of the epoch, behind those that were delivered before
        self.is_counted = False  # by the DataLoader that has the state
        self.are_skipped = False  # by it, the first batches of the epoch that it is about to begin
        self._goes_on, self._epoch_0 = False, 0
        self._is_ordered = False  # an `Order` asks, and begins epochs
        self._last: np.ndarray | None = None
        self._ahead: tuple[Ahead, Passes, Pass] | None = None
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return self.loader.num_samples

    def __getitem__(self, position: int) -> tuple[Any, ...]:
        """The outputs of one sample."""
        if not -len(self) <= position < len(self):
            raise IndexError(f"position {position} of {len(self)}")
        ids = self.loader.passes.order.ids(self.epoch, np.array([position % len(self)]))
        return tuple(self.loader.sample(int(ids[0]), self.epoch).values())

    def __getitems__(self, positions: Sequence[int]) -> Batch:
        """The batch of the samples at some positions, no more than the loader's batch size.

        Raises:
            LoaderError: there are more, neighbours that operations mix are not all there, or all samples are damaged.
        """
        wanted = np.array(positions, dtype=np.int64)
        self._check(wanted)
        with self._lock:
            if self._ahead is None or not self._ahead[0].comes_next(wanted):
                self._begin(wanted)
            assert self._ahead is not None
            expected, passes, passing = self._ahead
            self._ahead, self._last = None, wanted  # what fails is begun anew
            batch = next(passing, None)
            self.loader.passes.seconds_waited = passes.seconds_waited
            places = passes.given[1]  # of the batches, where damaged samples are skipped
            if batch is None or (places and places[-1] != expected.given and not self.loader.drop_last):
                raise LoaderError(
                    f"{passes.path}: every sample of a batch is damaged, which whoever counts len() batches cannot "
                    "leave out: use on_error=zero, drop_last=true, or indices without these samples"
                )
            expected.given += 1
            self._ahead = expected, passes, passing
        return Batch(batch, [not isinstance(delivered, Node) for delivered in passes.executor.plan.outputs.values()])

    @property
    def is_asked(self) -> bool:
        """Whether there were requests in this epoch."""
        return self._last is not None

    def begin(self, epoch: int, first_batch: int) -> None:
        """Let the requests from now on be for the order of an epoch, from one of its batches on."""
        with self._lock:
            self._end()
            self.epoch, self.first_batch = epoch, first_batch
            self._last, self.is_counted, self.are_skipped, self._is_ordered = None, False, False, True

    def set_epoch(self, epoch: int) -> None:
        """Let the next epoch be this one; behind `go_on`, 0 is the one that is gone on with, 1 the next, and so on.

        Fabric counts the passes that there were in this process. Requests that no `Order` asks for are of it at once.
        """
        sampler = self.loader.sampler
        if self._goes_on:
            self._goes_on, self._epoch_0 = False, sampler.epoch if epoch == 0 else 0
        sampler.set_epoch(self._epoch_0 + epoch)
        if not self._is_ordered:
            with self._lock:
                self._end()
                self.epoch = sampler.epoch

    def go_on(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`; raises `LoaderError` if it is of another loader."""
        self.loader.load_state_dict(dict(state))
        self._goes_on = True

    def _begin(self, wanted: np.ndarray) -> None:
        """Begin a pass over what is wanted, and over what will be if requests go on as they do."""
        is_split = torch.distributed.is_available() and torch.distributed.is_initialized()
        world_size = torch.distributed.get_world_size() if is_split else 1
        is_next = self._last is not None and len(self._last) == len(wanted)
        shifts = np.unique(wanted - self._last) if is_next else [world_size * len(wanted)]
        shift = int(shifts[0]) if len(shifts) == 1 else 0
        self._end()
        expected = Ahead(wanted, shift, len(self))
        passes = self.loader.passes.elsewhere(self.epoch, expected)  # type: ignore[arg-type]
        self._ahead = expected, passes, Pass(passes)

    def _end(self) -> None:
        if self._ahead is not None:
            self._ahead[-1].end()
        self._ahead = None

    def _check(self, wanted: np.ndarray) -> None:
        size, mixing = self.loader.batch_size, self.loader.plan.mixing
        if not 0 < len(wanted) <= size:
            raise LoaderError(f"a batch of {len(wanted)} samples was asked for; the loader's batch size is {size}")
        if mixing and (wanted[0] % size or (np.diff(wanted) != 1).any()):
            raise LoaderError(
                f"pipeline of '{mixing[0].output}': {mixing[0].name} mixes neighbours in the order, which the loop "
                "that took the DataLoader tears apart; mix on the device, or use the loader's own rank and world_size"
            )

    def __getstate__(self) -> dict[str, Any]:
        return {"loader": self.loader, "epoch": self.epoch}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["loader"])  # type: ignore[misc]
        self.epoch = state["epoch"]


@dataclass
class Ahead:
    """The batches of a pass if each lies as far behind the one before as the second behind the first.

    Attributes:
        first: int64 (N,), the positions of the first one.
        shift: how far that is.
        count: how many positions there are.
        given: how many batches were taken.
    """

    first: np.ndarray
    shift: int
    count: int
    given: int = 0

    @property
    def batch_size(self) -> int:
        """Samples per batch."""
        return len(self.first)

    def __len__(self) -> int:
        return 1 + max(0, self.count - 1 - int(self.first.min())) // self.shift if self.shift > 0 else 1

    def batch(self, index: int) -> np.ndarray:
        """int64: the positions of batch `index`."""
        positions = self.first + index * self.shift
        return positions[positions < self.count]

    def comes_next(self, positions: np.ndarray) -> bool:
        """Whether these are the positions of the next batch."""
        return self.given < len(self) and np.array_equal(self.batch(self.given), positions)


class Order(torch.utils.data.Sampler):
    """The positions of an epoch one by one: the order itself is the dataset's.

    Those of batches that a state has as delivered are left out, unless whoever asks skips them.

    Args:
        samples: at these positions.
    """

    def __init__(self, samples: Samples) -> None:
        self.samples = samples

    def set_epoch(self, epoch: int) -> None:
        """Let the next pass be over this epoch, see `Samples.set_epoch`."""
        self.samples.set_epoch(epoch)

    def __len__(self) -> int:
        return len(self.samples)

    def __iter__(self) -> Iterator[int]:
        samples, loader = self.samples, self.samples.loader
        epoch, epoch_set = loader.sampler.begin()
        first = loader.passes.position.begin(epoch, len(loader), epoch_set)
        are_skipped = samples.are_skipped
        samples.begin(epoch, first)
        yield from range(0 if are_skipped else first * loader.batch_size, len(self))
        if loader.sampler.epoch == epoch:
            loader.sampler.epoch = epoch + 1


class LoaderDataLoader(torch.utils.data.DataLoader):
    """A DataLoader of `Samples`, with a state. Made by `as_dataloader`, and by Fabric for a rank's part."""

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        samples: Samples = self.dataset  # type: ignore[assignment]
        loader = samples.loader
        num_ranks = getattr(self.sampler, "num_replicas", 1)
        if num_ranks == 1:  # accelerate asks for the samples by DataLoaders of its own
            tell_of_ranks(loader, "let accelerate's prepare or Fabric's setup_dataloaders split the DataLoader")
        samples.are_skipped = True  # for the sampler of a rank's part wants as many positions in every epoch
        for step, positions in enumerate(self.batch_sampler, 1):  # type: ignore[arg-type]
            if samples.first_batch % num_ranks and samples.first_batch < len(loader):
                raise LoaderError(
                    f"the state to go on from is of {samples.first_batch} batches of {loader.batch_size} samples, which"
                    f" are no whole number of steps of {num_ranks} ranks; begin anew, or at a state of as many ranks"
                )
            batches = step * num_ranks if step < len(self) else len(loader)  # what is left is no step of all ranks
            if batches <= samples.first_batch:
                continue
            global_batch = num_ranks * loader.batch_size
            are_next = step == len(self) or all(position // global_batch == step - 1 for position in positions)
            if samples.first_batch and not are_next:
                raise LoaderError(f"the state to go on from is of another order than a {type(self.sampler).__name__}'s")
            batch = self.collate_fn(samples.__getitems__(positions))  # type: ignore[arg-type]
            samples.is_counted = are_next
            if are_next:
                loader.passes.position.delivered(samples.epoch, batches, loader.sampler.epoch_set)
            yield batch

    def state_dict(self) -> dict[str, Any]:
        """How far the epoch is; a state of the loader, which can go on with it too.

        Raises:
            LoaderError: a DataLoader that was made from this one gives the batches, perhaps ahead of its loop, or a
                sampler shuffles them.
        """
        samples: Samples = self.dataset  # type: ignore[assignment]
        if samples.is_asked and not samples.is_counted:
            raise LoaderError(
                "state_dict: the batches are given by a DataLoader that was made from this one, or in another order; "
                "accelerate goes on with skip_first_batches and set_epoch, Lightning's Trainer with the loader itself"
            )
        return samples.loader.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`.

        Raises:
            LoaderError: the state is of other data, another order or another batch size; says which.
        """
        self.dataset.go_on(state)  # type: ignore[attr-defined]
