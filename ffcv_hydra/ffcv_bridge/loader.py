"""FFCV's `Loader`, by this package's."""

import copy
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from operator import index
from typing import Any, NoReturn

import numpy as np
from ffcv.fields import Field
from ffcv.loader import OrderOption
from ffcv.loader.loader import DEFAULT_OS_CACHE, ORDER_MAP
from ffcv.memory_managers import MemoryManager, OSCacheManager, ProcessCacheManager
from ffcv.pipeline import PipelineSpec
from ffcv.pipeline.operation import Operation
from ffcv.traversal_order.base import TraversalOrder

from ffcv_hydra import loader as engine
from ffcv_hydra.collection.shards import opened
from ffcv_hydra.ffcv_bridge.adapting import adapt
from ffcv_hydra.ffcv_bridge.both_errors import also_built_in
from ffcv_hydra.ffcv_bridge.orders import GivenOrder, PagewiseOrder
from ffcv_hydra.ffcv_bridge.reader import Reader
from ffcv_hydra.loader.engine.epoch_order import EpochOrder
from ffcv_hydra.loader.iteration import Pass, Passes
from ffcv_hydra.loader.notices import tell_of_whole_reads
from ffcv_hydra.loader.sampler import Sampler
from ffcv_hydra.ordering.ranks import RankBatches
from ffcv_hydra.pipeline import DISABLED, FieldPipeline

_INSTEAD = {
    "graph": "print(loader.plan) shows what runs",
    "pipelines": "set attributes of the operations that you gave, or make another loader",
    "field_name_to_f_ix": "list(loader.reader.handlers) has the fields in their order",
}
# attributes that a copy has from its own file
_OF_FILE = {"reader", "memory_manager", "passes", "pipeline_specs", "pictures", "_arguments", "_beton", "_position"}


class Loader(engine.Loader):
    """Batches of a beton, with FFCV's arguments, defaults and attributes; docs/coming-from-ffcv.md lists them.

    The batches, the threads and what becomes of errors are this package's. Each rank reads what FFCV's traversal orders
    give to it, with the duplicates that fill up an epoch.

    Raises:
        BetonError, PipelineError, LoaderError: as this package's loader; they are the built-in errors, too, that FFCV
            raises there.
    """

    indices: Any = None  # an array, in the place of a property
    # FFCV's has none, and what an order of somebody's own has come to cannot be saved; by None Lightning knows it
    state_dict = load_state_dict = None  # type: ignore[assignment]

    def __init__(
        self,
        fname: str,
        batch_size: int,
        num_workers: int = -1,
        os_cache: bool = DEFAULT_OS_CACHE,
        order: Any = OrderOption.SEQUENTIAL,
        distributed: bool = False,
        seed: int | None = None,
        indices: Sequence[int] | np.ndarray | None = None,
        pipelines: Mapping[str, Sequence[Any] | PipelineSpec | None] = {},  # noqa: B006  (as FFCV has it)
        custom_fields: Mapping[str, type[Field]] = {},  # noqa: B006
        drop_last: bool = True,
        batches_ahead: int = 3,
        recompile: bool = False,
    ) -> None:
        arguments = {**locals()}
        del arguments["self"], arguments["__class__"]
        if seed is None:
            is_shared = distributed and order == OrderOption.RANDOM
            seed = 0 if is_shared else np.random.randint(0, np.iinfo("int32").max)
        self._args = {**arguments, "seed": seed}
        self.fname, self.distributed, self.recompile = fname, distributed, recompile
        with also_built_in(fname):
            self.reader = _read(fname, custom_fields)
            chosen = None if indices is None else np.array(indices)
            self.indices = np.arange(self.reader.num_samples, dtype="uint64") if chosen is None else chosen
            if chosen is not None and chosen.dtype == bool:
                self.indices = np.flatnonzero(chosen)
            self.pipeline_specs = _specs(pipelines, self.reader.handlers)
            super().__init__(
                fname,
                index(batch_size),
                pipelines=_pipelines(self.pipeline_specs, self.reader.handlers),
                indices=chosen if len(self.indices) else None,  # no samples are no batches, and no error
                seed=index(seed),
                num_workers=index(num_workers) if num_workers >= 1 else -1,
                os_cache=bool(os_cache),
                batches_ahead=max(1, index(batches_ahead)),
                custom_fields=custom_fields,
            )
        if order != OrderOption.SEQUENTIAL:
            self.sampler = self.passes.sampler = Sampler()
        if not len(self.indices):
            self.num_samples, ordering = 0, self.passes.order.ordering
            self.passes.order = EpochOrder(self._beton, np.empty(0, dtype=np.int64), ordering, self.seed)
        self.drop_last = drop_last
        self.traversal_order = self._order_of(order)
        self.first_traversal_order = self.next_traversal_order()

    def _order_of(self, order: Any) -> TraversalOrder:
        if order == OrderOption.QUASI_RANDOM:
            return PagewiseOrder(self)
        if order in ORDER_MAP:
            return ORDER_MAP[order](self)
        if isinstance(order, TraversalOrder):
            return order
        if callable(order):
            return order(self)
        raise ValueError(f"order is an OrderOption or a class derived from TraversalOrder; got {order!r}")

    @property
    def next_epoch(self) -> int:
        """Of the next pass; each `iter` counts it up."""
        return self.sampler.epoch

    @next_epoch.setter
    def next_epoch(self, epoch: int) -> None:
        self.sampler.set_epoch(epoch)

    def next_traversal_order(self) -> Any:
        """The ids of the next pass, of which the first `len(self) * batch_size` are read."""
        return self.traversal_order.sample_order(self.next_epoch)

    def __len__(self) -> int:
        whole, rest = divmod(len(self.first_traversal_order), self.batch_size)
        return whole + (rest > 0 and not self.drop_last)

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        if not self.distributed and isinstance(self._args["order"], OrderOption):  # others may split it themselves
            tell_of_whole_reads("give distributed=True where the loader is made, once there are ranks")
        return self._next_pass()

    def _next_pass(self) -> "EpochIterator":
        ids = self.next_traversal_order()[: len(self) * self.batch_size]
        self.next_epoch += 1
        return EpochIterator(self, ids)

    def _begin(self, ids: np.ndarray) -> Passes:
        """Let the pass over these ids be the one that was begun last: of the epoch before `next_epoch`."""
        passes = replace(self.passes) if self.recompile else copy.copy(self.passes)  # made again, or shared
        passes.sampler = copy.copy(self.sampler)
        passes.sampler.set_epoch(max(0, self.next_epoch - 1))
        by_pages = isinstance(self.traversal_order, PagewiseOrder)
        chosen = passes.order.sample_set.chosen
        passes.order = EpochOrder(self._beton, chosen, GivenOrder(ids, by_pages), self.seed)
        whole, rest = divmod(len(ids), self.batch_size)
        last = (np.arange(len(ids) - rest, len(ids)),) if rest else ()
        passes.split = RankBatches(0, self.batch_size, self.batch_size, whole, last)
        self.passes = passes
        return passes

    def _ahead(self) -> "Loader":
        """A copy that has begun the next pass, by which this one's order has not been asked."""
        other = copy.copy(self)
        other.traversal_order = copy.deepcopy(self.traversal_order, {id(self): other})
        Loader._next_pass(other)
        return other

    def peek(self) -> tuple[Any, ...] | None:
        """The batch that the next pass begins with, for a look: no pass has begun by it; None if there is none."""
        look = Pass(self._ahead().passes)
        try:
            return next(look, None)
        finally:
            look.end()

    def sample(self, sample: int, epoch: int | None = None) -> dict[str, Any]:
        """What the outputs are of one sample, by name, as `ffcv_hydra.Loader.sample` gives them."""
        whole = engine.Loader(**self._arguments)
        whole.passes.sizes = dict(self.passes.sizes)
        return whole.sample(sample, epoch)

    def sample_ids(self, batch_index: int) -> np.ndarray:
        """int64: the ids of batch `batch_index` of the pass that was begun last; of the next one, if none was."""
        has_begun = isinstance(self.passes.order.ordering, GivenOrder)
        return engine.Loader.sample_ids(self if has_begun else self._ahead(), batch_index)

    def with_options(self, **arguments: Any) -> "Loader":
        """The same loader with others of FFCV's arguments, such as another `batch_size`, in the same epoch."""
        other = Loader(**{**self._args, **arguments})
        other.next_epoch = self.next_epoch
        other.passes.sizes = dict(self.passes.sizes)
        return other

    def filter(self, field_name: str, condition: Callable[[Any], bool]) -> "Loader":
        """A loader of those samples of this one whose field, as its pipeline makes it, fulfils a condition.

        Raises `PipelineError` if there is no such field.
        """
        with also_built_in():
            self._check_output(field_name)
        given = self._args["pipelines"]
        pipelines = {**dict.fromkeys([*self.reader.handlers, *given]), field_name: given.get(field_name, ())}
        in_order = {"order": OrderOption.SEQUENTIAL, "distributed": False, "drop_last": False}
        whole = Loader(**{**self._args, **in_order, "pipelines": pipelines})
        samples = chain.from_iterable(batch for (batch,) in whole._next_pass())
        of_ids = zip(whole.indices.tolist(), samples, strict=True)
        kept = [sample_id for sample_id, sample in of_ids if condition(sample)]
        return Loader(**{**self._args, "indices": np.array(kept, dtype=np.int64)})

    @property
    def code(self) -> Any:
        """What runs a batch: another object once it was made again."""
        return self.passes.executor

    def generate_code(self) -> None:
        """Make all again that runs a batch."""
        self.passes = replace(self.passes)

    @functools.cached_property
    def memory_manager(self) -> MemoryManager:
        """FFCV's, for traversal orders that ask which pages samples are in; nothing is read by it."""
        return (OSCacheManager if self._args["os_cache"] else ProcessCacheManager)(self.reader)

    def __reduce__(self) -> tuple[Any, ...]:
        own = {name: value for name, value in vars(self).items() if name not in _OF_FILE}
        own["sampler"] = copy.copy(self.sampler)
        # the order, which may have a state, is among its own, and not made and asked once more
        arguments = {**self._args, "order": OrderOption.SEQUENTIAL, "distributed": False}
        state = {"own": own, "sizes": self.passes.sizes, "position": self._position}
        return _made_again, (type(self), arguments), state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._position.follow(state["position"])  # if the file is still the same
        vars(self).update(state["own"])
        self.passes.sampler, self.passes.sizes = self.sampler, dict(state["sizes"])

    def __getattr__(self, name: str) -> NoReturn:
        instead = f" of FFCV's: {_INSTEAD[name]}" if name in _INSTEAD else ""
        raise AttributeError(f"{type(self).__name__} has no attribute '{name}'{instead}")


class EpochIterator(Pass):
    """One pass, which can be closed, as FFCV's. A class derived from it may override what is here.

    Args:
        loader: has counted `next_epoch` up.
        order: the ids of the pass.
    """

    def __init__(self, loader: Loader, order: Sequence[int] | np.ndarray) -> None:
        self.loader, self.order = loader, np.asarray(order)
        super().__init__(loader._begin(self.order))

    def __next__(self) -> tuple[Any, ...]:
        number, size = self._batches, self.loader.batch_size
        ids = self.order[number * size : (number + 1) * size]
        if not len(ids):
            return super().__next__()  # which ends it
        return self.run_pipeline(number, ids, number % (self.loader.batches_ahead + 2), None)

    def run_pipeline(self, b_ix: int, batch_indices: np.ndarray, batch_slot: int, cuda_event: None) -> tuple[Any, ...]:
        """The batch with these ids, which is the next one."""
        return super().__next__()

    def close(self) -> None:
        """End it, and wait for its threads."""
        self.end()


def _made_again(kind: type[Loader], arguments: dict[str, Any]) -> Loader:
    loader = Loader(**arguments)  # the constructor of a derived class may take others
    loader.__class__ = kind
    return loader


def _read(fname: str, custom_fields: Mapping[str, type[Field]]) -> Reader:
    try:
        return Reader(fname, custom_fields)
    except Exception:
        opened(fname, custom_fields)  # it says what is wrong
        raise


def _specs(
    pipelines: Mapping[str, Sequence[Any] | PipelineSpec | None], handlers: Mapping[str, Field]
) -> dict[str, PipelineSpec]:
    """What is given for each output, with the decoder that it begins with; without those that are left out."""
    found: dict[str, PipelineSpec] = {}
    for name, given in {**dict.fromkeys(handlers, ()), **pipelines}.items():
        if given is None:
            continue
        if not isinstance(given, PipelineSpec | Sequence):
            raise ValueError(f"the pipeline for '{name}' is a PipelineSpec or a list of operations; got {given!r}")
        spec = copy.copy(given) if isinstance(given, PipelineSpec) else PipelineSpec(name, transforms=list(given))
        kind = handlers[spec.source].get_decoder_class() if spec.source in handlers else ()
        if spec.decoder is None and spec.transforms and isinstance(spec.transforms[0], kind):
            spec.decoder, *spec.transforms = spec.transforms
        if isinstance(spec.decoder, Operation):
            spec.decoder.is_decoder = True  # which need not show in its class
        found[name] = spec
    return found


def _pipelines(specs: Mapping[str, PipelineSpec], handlers: Mapping[str, Field]) -> dict[str, FieldPipeline | str]:
    """Those of this package: of all fields of a file, and of other outputs; none follows another, as in FFCV."""
    of_outputs = {name: replace(adapt(spec), joint_with=DISABLED) for name, spec in specs.items()}
    return {**dict.fromkeys(handlers, DISABLED), **of_outputs}
