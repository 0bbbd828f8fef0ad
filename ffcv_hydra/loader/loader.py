"""Iterates batches of a beton: the same batches on every run, in order, valid for as long as they are held."""

import functools
from collections import ChainMap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ffcv_hydra.beton.fields.base import Field
from ffcv_hydra.collection.mixture import Mixture, Readable, named
from ffcv_hydra.collection.shards import members_of, opened
from ffcv_hydra.cores import usable_cores
from ffcv_hydra.errors import LoaderError, PipelineError
from ffcv_hydra.loader.engine.epoch_order import EpochOrder
from ffcv_hydra.loader.engine.indices import chosen_ids
from ffcv_hydra.loader.engine.storage import Storage
from ffcv_hydra.loader.identity import identities
from ffcv_hydra.loader.iteration import Pass, Passes
from ffcv_hydra.loader.notices import tell_of_left_out, tell_of_ranks
from ffcv_hydra.loader.one_sample import as_stored, check_alone, outputs_by_name
from ffcv_hydra.loader.plan.plan import Plan
from ffcv_hydra.loader.position import Position
from ffcv_hydra.loader.sampler import InOrderSampler, Sampler
from ffcv_hydra.loader_options import MOST_THREADS, OPTIONS, LoaderOptions
from ffcv_hydra.ordering import Sequential, as_ordering, split_over_ranks
from ffcv_hydra.ordering.mixed import Mixed
from ffcv_hydra.ordering.options import OrderOption
from ffcv_hydra.pipeline import Pipeline

_EVERYTHING = {"ordering": OrderOption.SEQUENTIAL, "drop_last": False, "rank": 0, "world_size": 1}


class Loader:
    """Batches of a beton, as tuples with one tensor (or array) per field.

    Args:
        path: the beton, the folder of a sharded one, a list of these, which are read one after another as one, or a
            `Mixture`, which gives each a share of every batch.
        batch_size: samples per batch and rank.
        pipelines: the operations of each field, by field name or in the order of the file's fields; None for the
            field's default ones, 'disabled' to leave it out. Other names are further outputs, given as a mapping
            or a `FieldPipeline` with a source.
        ordering: `sequential`, `random`, `quasi_random`, an `ffcv_hydra.ordering.Ordering`, or an FFCV `OrderOption`
            or `TraversalOrder` class.
        indices: ids of the samples to use, a boolean mask, or a callable that takes the number of samples in the file
            and gives either; all samples by default.
        seed: of the order and of every random operation.
        num_workers: threads, from 1 on; one per usable core by default (-1).
        os_cache: map the file and rely on the page cache, or read exactly what each chunk needs.
        batches_ahead: how many batches may be prepared before they are asked for.
        on_error: what becomes of a sample whose stored data is damaged. 'raise': an error; 'skip': it is left out, and
            the batch is shorter; 'zero': its field is zeros. `failed_samples` says which ones were met. A batch that
            'skip' leaves empty is left out, too, or, with `drop_last`, replaced by the nearest one before it: a
            trainer and other ranks count on `len()` batches. Several ranks without `drop_last` get an error then.
        replace_ffcv_operations: put the project's operations for FFCV's where they mean the same.
        drop_last: leave out the last batch if it is not full. Without, every sample comes exactly once over all ranks.
        rank, world_size: which part of each global batch to give.
        custom_fields: field classes by field name, for types that FFCV does not know.

    Attributes:
        members: the ids of the samples of each path.

    Raises:
        BetonError: if the file cannot be used.
        PipelineError: if a pipeline does not fit the file.
        LoaderError: for options out of range, or fewer samples than ranks or than one global batch.

    The epoch is set by `loader.sampler.set_epoch`, as Lightning does, and moves on by itself after a complete pass. It
    is read, as are a state to resume from and the operations' attributes, when the first batch is asked for: a size or
    a probability that is set between two epochs (`decoder.output_size = (160, 160)`) holds from the next pass on.

    A loader can be copied and pickled, to be read in another process: the copy opens the file again, and has the epoch
    and the sizes. It goes on where this one is about to, by `load_state_dict`; of a pass that has begun it has nothing,
    and begins its epoch. So can it be used after a fork, and by several threads, which share a pass's batches.
    """

    def __init__(
        self,
        path: Readable,
        batch_size: int,
        *,
        pipelines: Mapping[str, Pipeline] | Sequence[Pipeline] | None = None,
        ordering: Any = OrderOption.SEQUENTIAL,
        indices: Sequence[int] | np.ndarray | Callable[[int], Any] | None = None,
        seed: int = 0,
        num_workers: int = -1,
        os_cache: bool = True,
        batches_ahead: int = 3,
        drop_last: bool = False,
        on_error: str = "raise",
        replace_ffcv_operations: bool = True,
        rank: int = 0,
        world_size: int = 1,
        custom_fields: Mapping[str, type[Field]] | None = None,
    ) -> None:
        arguments = {**locals()}
        del arguments["self"]
        options = LoaderOptions(**{name: arguments[name] for name in OPTIONS})
        if num_workers == -1:
            options = replace(options, num_workers=min(usable_cores(), MOST_THREADS))
        if not 0 <= rank < world_size:
            raise LoaderError(f"rank must be in [0, {world_size}); got {rank}")
        self.batch_size, self.global_batch_size = batch_size, batch_size * world_size
        self.seed, self.num_workers, self.batches_ahead = seed, options.num_workers, batches_ahead
        self.rank, self.world_size, self.drop_last = rank, world_size, drop_last

        self._beton = opened(path, custom_fields)
        here = members_of(self._beton)
        self.members = dict(zip(named(path), here.values(), strict=True))
        # absolute, and on this machine, to be read again wherever the process is then
        self._arguments = {**arguments, "path": path.at(list(here)) if isinstance(path, Mixture) else list(here)}
        of_epoch, (chosen, members) = as_ordering(ordering), chosen_ids(path, self._beton, indices, custom_fields)
        if isinstance(path, Mixture) and path.shares:
            of_epoch = Mixed(path, members, of_epoch, self.global_batch_size, drop_last)
        order = EpochOrder(self._beton, chosen, of_epoch, seed)
        self.num_samples = len(order)
        self.sampler = InOrderSampler() if isinstance(order.ordering, Sequential) else Sampler()
        filled = path.fill_values if isinstance(path, Mixture) else {}
        self._position = Position(*identities(order, filled, self.global_batch_size, drop_last))
        split = split_over_ranks(self.num_samples, batch_size, world_size, rank, drop_last)
        storage = Storage(self._beton, os_cache)
        self.passes = Passes(storage, order, split, self.sampler, self._position, pipelines or {}, options, world_size)
        self.output_names = tuple(self.plan.outputs)
        if rank == 0:
            tell_of_left_out(self._beton, pipelines)
        self.pictures = self.plan.pictures

    @property
    def indices(self) -> np.ndarray:
        """int64: the ids of the samples that are read; made when it is asked for, if they are all."""
        return self.passes.order.sample_set.indices

    # Lightning reads it when it asks whether a loader shuffles
    batch_sampler = None

    def __len__(self) -> int:
        return len(self.passes.split)

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        tell_of_ranks(self)
        return Pass(self.passes)

    def __reduce__(self) -> tuple[Any, ...]:
        arguments = dict(self._arguments)
        if callable(arguments["indices"]):
            chosen = self.passes.order.sample_set.chosen
            arguments["indices"] = None if isinstance(chosen, range) else chosen
        state = {
            "sampler": vars(self.sampler),
            "position": self._position,
            "sizes": dict(self.passes.sizes),
            "failures": self.passes.failures.__getstate__(),
        }
        return functools.partial(type(self), **arguments), (), state

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self.sampler).update(state["sampler"])
        self._position.follow(state["position"])
        self.passes.sizes = dict(state["sizes"])
        self.passes.failures.__setstate__(state["failures"])

    def peek(self) -> tuple[Any, ...] | None:
        """The batch that the epoch begins with, for a look: no pass has begun by it; None if there is none."""
        look = Pass(self.passes.elsewhere(self.sampler.epoch))
        try:
            return next(look, None)
        finally:
            look.end()

    def sample(self, sample: int, epoch: int | None = None) -> dict[str, Any]:
        """What the outputs are of one sample, by name, without the batch's axis or padding; for a look, nothing counts.

        Args:
            sample: its id.
            epoch: as augmented in this epoch, when it comes first in it; operations that mix it with others leave it
                alone. By default each field as it is stored, without this loader's pipelines.

        Raises:
            IndexError: there is no such sample.
            LoaderError: an operation needs its neighbours, as `Mosaic` does.
        """
        check_alone(self._beton, self.plan, sample, epoch)
        path = self._arguments["path"]
        alone = _EVERYTHING | {"indices": [sample], "num_workers": 1, "on_error": "raise"}
        if isinstance(path, Mixture):
            alone["path"] = path.in_turn()
        if epoch is None:
            alone["pipelines"] = as_stored(self._beton, sample)
        other = self.with_options(**alone)
        other.sampler.set_epoch(epoch or 0)
        batch = other.peek()
        assert batch is not None  # the sample is there
        return outputs_by_name(other.plan, batch)

    def sample_ids(self, batch_index: int) -> np.ndarray:
        """int64: the ids of this rank's batch `batch_index` in the current epoch."""
        epoch, given = self.passes.given
        if epoch == self.sampler.epoch and batch_index < len(given):
            batch_index = given[batch_index]
        ids = self.passes.order.ids(self.sampler.epoch, self.passes.split.batch(batch_index))
        return ids[~np.isin(ids, self.failed_samples)] if self._arguments["on_error"] == "skip" else ids

    def stored_numbers(self, field: str) -> np.ndarray | None:
        """The values of all samples, (num_samples,), of a field of whole numbers; None for one of another kind.

        They are in the order of `indices`. Raises `BetonError` if there is no such field.
        """
        values = self._beton.field_metadata(field)
        is_number = values.dtype.kind == "i" and values.ndim == 1
        return np.array(self.passes.order.sample_set.of(values)) if is_number else None

    def frequencies(self) -> np.ndarray | None:
        """How often each sample, in the order of `stored_numbers`, comes in an epoch, on the mean: float64.

        None if that changes with the epoch, as a mixture's shares may.
        """
        return self.passes.order.ordering.frequencies(self.passes.order.sample_set)

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """What the source calls its classes, by number; None if it does not, or those of a mixture contradict.

        Raises `BetonError` if the file's manifest is damaged.
        """
        return self._beton.class_names

    def sample_name(self, sample: int) -> str | None:
        """What the source calls the item of a sample, by its id, such as a path below a folder; None without names.

        It is read when it is asked for. Raises `BetonError` if the file's manifest is damaged, and `IndexError` if
        there is no such sample.
        """
        return self._beton.sample_name(sample)

    @property
    def plan(self) -> Plan:
        """What the last pass did to every batch; what was set since holds from the next one on. `print` shows it."""
        return self.passes.executor.plan

    @property
    def seconds_waited(self) -> float:
        """How long batches have been waited for so far, that of the beginning of passes included."""
        return self.passes.seconds_waited

    @property
    def failed_samples(self) -> list[int]:
        """The ids of the damaged samples that this rank has met so far, sorted; with `on_error` other than 'raise'."""
        return self.passes.failures.samples()

    def set_output_size(self, output: str, size: Callable[[int], int | Sequence[int]]) -> None:
        """Change the size that images are decoded to from epoch to epoch; kernels are not compiled anew for it.

        Args:
            output: whose decoder takes a size; outputs that are joint with it follow.
            size: gives (height, width) in pixels, or one number for both, of an epoch. A pure function, so that a run
                that is resumed goes on with the sizes it had.

        Raises:
            PipelineError: if there is no such output, or its decoder has one size only.
        """
        self.passes.set_size(output, size)

    def filter(self, output: str, condition: Callable[[Any], bool]) -> "Loader":
        """A loader of the samples that fulfil a condition: the same ones on every rank, of the same epoch and sizes.

        Args:
            output: the name of the field, or of another output, to look at.
            condition: is given one sample of it, as this loader's pipeline for it makes it; all views, if it has some.

        Raises:
            PipelineError: if there is no such output.
            LoaderError: if too few samples are left.
        """
        path = self._arguments["path"]
        if isinstance(path, Mixture) and path.shares:
            raise LoaderError("filter: a mixture reads all samples of its members; filter loaders of these")
        self._check_output(output)
        whole = self.with_options(**_EVERYTHING)
        place = whole.output_names.index(output)
        kept = (
            sample_id
            for index, batch in enumerate(Pass(whole.passes))  # by every rank, as it should be
            for sample_id, sample in zip(whole.sample_ids(index).tolist(), _samples(batch[place]), strict=True)
            if condition(sample)
        )
        return self.with_options(indices=np.fromiter(kept, dtype=np.int64))

    def _check_output(self, output: str) -> None:
        if output not in self.output_names:
            known = ", ".join(self.output_names)
            raise PipelineError(f"filter: {self._beton.path} gives no output '{output}'; it gives {known}")

    def with_options(self, **arguments: Any) -> "Loader":
        """The same loader with other arguments, such as another `batch_size`, at the beginning of the epoch.

        It follows the sizes that are set here by `set_output_size`, also later, until it gets its own.
        """
        other = type(self)(**{**self._arguments, **arguments})
        other.sampler.set_epoch(self.sampler.epoch)
        other.passes.sizes = ChainMap({}, self.passes.sizes)
        return other

    def state_dict(self) -> dict[str, Any]:
        """How far the last pass came: plain values, the same on every rank."""
        return self._position.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state`: the next pass over its epoch begins at the batch after the last delivered one.

        Raises:
            LoaderError: if the state is of other data, another order or another global batch size; says which.
        """
        try:
            epoch, epoch_set = self._position.load_state_dict(state)
        except LoaderError as error:
            raise LoaderError(f"{self._beton.path}: {error}") from None
        self.sampler.go_on(epoch, epoch_set, is_over=state["batches"] >= len(self))


def _samples(output: Any) -> Iterable[Any]:
    """The samples of an output, each with all its views if it has some."""
    return zip(*output, strict=True) if isinstance(output, list) else output
