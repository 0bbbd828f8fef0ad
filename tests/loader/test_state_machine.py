"""Loaders, their passes and a data module, driven through random sequences of everything that one can do to them.

What comes is compared with a model that knows only what a fresh loader with one thread gives for an epoch.
STATE_MACHINE_EXAMPLES says how many sequences are tried; `make state-machine` sets it to 20,000.
"""

import copy
import functools
import gc
import os
import pickle
import shutil
import tempfile
import threading
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from ffcv_hydra.beton import write_beton
from ffcv_hydra.beton.fields.rgb_image_field import RGBImageField
from ffcv_hydra.datamodule import FFCVDataModule
from ffcv_hydra.errors import BetonError, LoaderError
from ffcv_hydra.loader import Loader
from ffcv_hydra.operations import RandomHorizontalFlip, RandomResizedCrop, ToTensor, ToTorchImage
from ffcv_hydra.ordering import QuasiRandom, Random, Sequential
from ffcv_hydra.pipeline import FFCVPipelineManager
from tests.loader.configurations import digests
from tests.loader.forked import in_child
from tests.loader.test_loader import threads_end

EXAMPLES = int(os.environ.get("STATE_MACHINE_EXAMPLES", "100"))
MOST_AT_ONCE = 1000  # sequences: more run by several processes, and what a failure has found is told soon
NUM_SAMPLES, MOST = 23, 4
ORDERINGS = {"random": Random(), "sequential": Sequential(), "quasi": QuasiRandom(1)}
COPIES = {"copy": copy.copy, "deepcopy": copy.deepcopy, "pickle": lambda one: pickle.loads(pickle.dumps(one))}
numbers = st.integers(0, 99)  # one of what there is, modulo


class Samples:
    def __len__(self):
        return NUM_SAMPLES

    def __getitem__(self, index):
        image = np.random.default_rng(index).integers(0, 256, (9, 8, 3), dtype=np.uint8)
        return image, index, np.full(2, index, np.float32)


@dataclass(frozen=True)
class Growing:
    """Sizes by epoch."""

    first: int

    def __call__(self, epoch: int) -> int:
        return self.first + epoch % 3


class OneOf:
    """Samples whose label leaves another rest."""

    def __init__(self, rest: int) -> None:
        self.rest = rest

    def __call__(self, label: Any) -> bool:
        return int(label) % 3 != self.rest


def pipelines() -> dict[str, Any]:
    return {"image": [RandomResizedCrop(5), RandomHorizontalFlip(), ToTensor(), ToTorchImage()]}


@dataclass(frozen=True)
class Kind:
    """What decides which batches come in an epoch."""

    ordering: str
    batch_size: int
    drop_last: bool
    indices: tuple[int, ...] = tuple(range(NUM_SAMPLES))
    sizes: Growing | None = None

    def make(self, path: Path, **options: Any) -> Loader:
        loader = Loader(
            path,
            self.batch_size,
            pipelines=pipelines(),
            ordering=ORDERINGS[self.ordering],
            drop_last=self.drop_last,
            indices=self.indices,
            seed=7,
            **options,
        )
        if self.sizes is not None:
            loader.set_output_size("image", self.sizes)
        return loader


@functools.lru_cache(maxsize=100_000)
def expected(kind: Kind, epoch: int) -> list[str]:
    """One digest per batch."""
    loader = kind.make(Machine.source, num_workers=1, batches_ahead=1)
    loader.sampler.set_epoch(epoch)
    return digests(loader)


@dataclass
class Modelled:
    """A loader, and what it must do next."""

    loader: Loader
    kind: Kind
    epoch: int = 0
    epoch_set: int = 0
    delivered: tuple[int, int] = (0, 0)
    goes_on: bool = False
    ahead: dict[int, int] = field(default_factory=dict)
    set_with_pass: int = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch_set, self.epoch = epoch, self.ahead.get(epoch, epoch)

    def begin(self) -> tuple[int, int]:
        first = self.delivered[1] if self.goes_on and self.delivered[0] == self.epoch else 0
        self.goes_on, self.ahead, self.set_with_pass = False, {}, self.epoch_set
        self.delivered = (self.epoch, first)
        return self.delivered

    def state(self) -> dict[str, int]:
        return {"epoch": self.delivered[0], "batches": self.delivered[1], "epoch_set": self.set_with_pass}

    def load(self, state: dict[str, int]) -> None:
        epoch, batches, self.set_with_pass = state["epoch"], state["batches"], state["epoch_set"]
        self.delivered, self.goes_on = (epoch, batches), True
        self.epoch_set, self.ahead = self.set_with_pass, {self.set_with_pass: epoch}
        self.epoch = epoch + (batches >= len(self.loader))


@dataclass
class ModelledPass:
    of: Modelled
    running: Any
    batches: list[str] | None = None  # that are to come; None before the first one is asked for
    epoch: int = 0
    epoch_set: int = 0
    over: bool = False

    def begin(self) -> None:
        if self.batches is None and not self.over:
            self.epoch, first = self.of.begin()
            self.epoch_set = self.of.set_with_pass
            self.batches = expected(self.of.kind, self.epoch)[first:]

    def next(self) -> str | None:
        """The digest of the next batch; None at the end."""
        self.begin()
        if self.over:
            return None
        assert self.batches is not None
        if not self.batches:
            self.over = True
            if self.of.epoch == self.epoch:
                self.of.epoch += 1
            return None
        self.of.delivered = (self.epoch, len(expected(self.of.kind, self.epoch)) - len(self.batches) + 1)
        self.of.set_with_pass = self.epoch_set
        found, self.batches = self.batches[0], self.batches[1:]
        return found


class Machine(RuleBasedStateMachine):
    source: ClassVar[Path]

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(dir=self.source.parent))
        self.path = self.folder / "samples.beton"
        shutil.copyfile(self.source, self.path)
        self.size = self.path.stat().st_size
        self.loaders: list[Modelled] = []
        self.passes: list[ModelledPass] = []
        self.states: list[tuple[Kind, dict[str, Any], dict[str, int]]] = []
        self.held: list[tuple[Any, str]] = []

    def teardown(self) -> None:
        self.held_batches_are_as_they_were()
        self.loaders, self.passes, self.held = [], [], []
        gc.collect()
        assert threads_end()
        shutil.rmtree(self.folder)

    @property
    def is_changed(self) -> bool:
        return self.path.stat().st_size != self.size

    def keep(self, loader: Modelled) -> None:
        self.loaders = [*self.loaders, loader][-MOST:]

    def one(self, number: int) -> Modelled:
        return self.loaders[number % len(self.loaders)]

    # -- loaders

    @initialize(
        ordering=st.sampled_from(sorted(ORDERINGS)),
        batch_size=st.sampled_from([4, 5]),
        drop_last=st.booleans(),
        num_workers=st.integers(1, 3),
        os_cache=st.booleans(),
        batches_ahead=st.integers(1, 3),
    )
    def make(self, ordering, batch_size, drop_last, **options):
        kind = Kind(ordering, batch_size, drop_last)
        self.keep(Modelled(kind.make(self.path, **options), kind))

    @rule(number=numbers, how=st.sampled_from(sorted(COPIES)))
    @precondition(lambda self: not self.is_changed)
    def copy_loader(self, number, how):
        one = self.one(number)
        self.keep(replace(one, loader=COPIES[how](one.loader), ahead=dict(one.ahead)))

    @rule(number=numbers, rest=st.integers(0, 2))
    @precondition(lambda self: not self.is_changed)
    def filter(self, number, rest):
        one = self.one(number)
        left = tuple(index for index in one.kind.indices if index % 3 != rest)
        if len(left) < (one.kind.batch_size if one.kind.drop_last else 1):
            with pytest.raises(LoaderError, match="are fewer than"):
                one.loader.filter("label", OneOf(rest))
            return
        kind = replace(one.kind, indices=left)
        found = one.loader.filter("label", OneOf(rest))
        self.keep(Modelled(found, kind, epoch=one.epoch, epoch_set=one.epoch))

    @rule(number=numbers, epoch=st.integers(0, 3))
    def set_epoch(self, number, epoch):
        one = self.one(number)
        one.loader.sampler.set_epoch(epoch)
        one.set_epoch(epoch)

    @rule(number=numbers, first=st.integers(3, 5))
    def set_output_size(self, number, first):
        one = self.one(number)
        one.loader.set_output_size("image", Growing(first))
        one.kind = replace(one.kind, sizes=Growing(first))

    @rule(number=numbers)
    def save_state(self, number):
        one = self.one(number)
        state = pickle.loads(pickle.dumps(one.loader.state_dict()))
        self.states.append((replace(one.kind, sizes=None), state, one.state()))

    @rule(number=numbers, which=numbers)
    @precondition(lambda self: self.states)
    def load_state(self, number, which):
        one, (kind, state, modelled) = self.one(number), self.states[which % len(self.states)]
        if kind != replace(one.kind, sizes=None):
            with pytest.raises(LoaderError, match="the checkpoint was made with another"):
                one.loader.load_state_dict(state)
            return
        one.loader.load_state_dict(state)
        one.load(modelled)

    @rule(number=numbers)
    @precondition(lambda self: len(self.loaders) > 1)
    def delete_loader(self, number):
        del self.loaders[number % len(self.loaders)]

    # -- passes

    @rule(number=numbers)
    def begin(self, number):
        one = self.one(number)
        self.passes = [*self.passes, ModelledPass(one, iter(one.loader))][-MOST:]

    @rule(number=numbers, count=st.integers(1, 7), holds=st.booleans())
    @precondition(lambda self: self.passes)
    def take(self, number, count, holds):
        one = self.passes[number % len(self.passes)]
        for _ in range(count):
            if self.is_changed and self.may_fail(one):
                return
            wanted, batch = one.next(), next(one.running, None)
            assert (None if batch is None else digests([batch])[0]) == wanted
            if holds and batch is not None:
                self.held = [*self.held, (batch, wanted)][-MOST:]

    def may_fail(self, one: ModelledPass) -> bool:
        """Of a file that has changed, a pass is not begun, and one under way gives the right batch or an error."""
        if one.over:
            return False
        if one.batches is None:
            with pytest.raises(BetonError, match="changed"):
                next(one.running)
            one.of.begin()
            return True
        try:
            batch = next(one.running, None)
        except BetonError:
            one.over = True
            return True
        assert (None if batch is None else digests([batch])[0]) == one.next()
        return True

    @rule(number=numbers, threads=st.integers(2, 3), count=st.integers(1, 3))
    @precondition(lambda self: self.passes and not self.is_changed)
    def take_in_threads(self, number, threads, count):
        one = self.passes[number % len(self.passes)]
        found: list[str] = []

        def take() -> None:
            for _ in range(count):
                batch = next(one.running, None)
                found.append("" if batch is None else digests([batch])[0])

        working = [threading.Thread(target=take) for _ in range(threads)]
        for thread in working:
            thread.start()
        for thread in working:
            thread.join()
        assert sorted(found) == sorted(one.next() or "" for _ in range(threads * count))

    @rule(number=numbers, in_cycle=st.booleans())
    @precondition(lambda self: self.passes)
    def abandon(self, number, in_cycle):
        one = self.passes.pop(number % len(self.passes))
        if in_cycle:
            cycle: list[Any] = [one.running]
            cycle.append(cycle)

    @rule(number=numbers, how=st.sampled_from(sorted(COPIES)))
    @precondition(lambda self: self.passes)
    def copy_pass(self, number, how):
        with pytest.raises(LoaderError, match="a pass cannot be copied"):
            COPIES[how](self.passes[number % len(self.passes)].running)

    @rule()
    def collect(self):
        gc.collect()

    @invariant()
    def held_batches_are_as_they_were(self):
        assert digests(batch for batch, _ in self.held) == [digest for _, digest in self.held]

    @invariant()
    def loaders_are_where_they_must_be(self):
        for one in self.loaders:
            state = one.loader.state_dict()
            assert {name: state[name] for name in one.state()} == one.state()
            assert one.loader.sampler.epoch == one.epoch

    # -- the file

    @rule()
    @precondition(lambda self: not self.is_changed)
    def change_file(self):
        with open(self.path, "ab") as file:
            file.write(b"more")

    @rule()
    @precondition(lambda self: self.is_changed)
    def restore_file(self):
        os.truncate(self.path, self.size)

    # -- a forked child does one thing

    @rule(number=numbers)
    @precondition(lambda self: self.passes)
    def next_in_child(self, number):
        one = self.passes[number % len(self.passes)]
        found = in_child(lambda: None if (batch := next(one.running, None)) is None else digests([batch])[0])
        if one.over:
            assert found is None
        elif one.batches is not None:
            assert found.startswith("LoaderError: this pass over")
        elif self.is_changed:
            assert found.startswith("BetonError")
        else:
            assert found == ModelledPass(copy.copy(one.of), None).next()

    @rule(number=numbers, how=st.sampled_from(["pass", *sorted(COPIES)]))
    @precondition(lambda self: not self.is_changed)
    def pass_in_child(self, number, how):
        one = self.one(number)
        found = in_child(lambda: digests(COPIES.get(how, lambda loader: loader)(one.loader)))
        wanted = ModelledPass(copy.copy(one), None)
        wanted.begin()
        assert found == wanted.batches

    @rule()
    @precondition(lambda self: self.passes)
    def collect_in_child(self):
        def collect():
            self.passes.clear()
            self.loaders.clear()
            gc.collect()
            return threads_end()

        assert in_child(collect)

    # -- a data module, as a trainer uses it

    @rule(
        epoch=st.integers(0, 2),
        count=st.integers(0, 5),
        how=st.sampled_from(["anew", *sorted(COPIES)]),
        num_workers=st.integers(1, 2),
    )
    @precondition(lambda self: not self.is_changed)
    def train_and_resume(self, epoch, count, how, num_workers):
        kind = Kind("random", 4, True)

        def module() -> FFCVDataModule:
            manager = FFCVPipelineManager(self.path, pipelines(), Random(), indices=kind.indices)
            return FFCVDataModule(4, num_workers, train_manager=manager, seed=7)

        def train_loader(of: FFCVDataModule) -> Loader:
            state = SimpleNamespace(fn=None, stage=None)
            of.trainer = SimpleNamespace(  # type: ignore[assignment]
                state=state, global_rank=0, world_size=1, num_devices=1, overfit_batches=0.0, limit_train_batches=1.0
            )
            loader = of.train_dataloader()
            loader.sampler.set_epoch(epoch)
            return loader

        trained = module()
        running = iter(train_loader(trained))
        assert digests(next(running) for _ in range(count)) == expected(kind, epoch)[:count]
        state = pickle.loads(pickle.dumps(trained.state_dict())) if count else None
        resumed = module() if how == "anew" else COPIES[how](trained)
        if state is not None:
            resumed.load_state_dict(state)
        loader = train_loader(resumed)
        one = Modelled(loader, kind)
        if state is not None:
            one.load({"epoch": epoch, "batches": count, "epoch_set": epoch})
        one.set_epoch(epoch)
        wanted = ModelledPass(one, None)
        wanted.begin()
        first = next(iter(loader), None)
        assert (None if first is None else digests([first])) == (wanted.batches[:1] or None)
        one.delivered = one.delivered[0], one.delivered[1] + (first is not None)
        if first is None:
            wanted.next()
        self.keep(one)


@pytest.mark.slow
@pytest.mark.timeout(max(600, 4 * MOST_AT_ONCE))
@pytest.mark.parametrize("part", range(-(-EXAMPLES // MOST_AT_ONCE)))
def test_any_sequence_gives_what_must_come(tmp_path, part):
    Machine.source = tmp_path / "samples.beton"
    fields = {"image": RGBImageField("raw"), "label": None, "array": None}
    write_beton(Samples(), Machine.source, fields, num_workers=0)
    expected.cache_clear()
    for ordering in ORDERINGS:
        expected(Kind(ordering, 4, drop_last=True), 0)  # compiles what a child would need more than its 10 s for
    gc.collect()
    gc.freeze()  # collections look at what is made from now on only, and so take less than a second each
    try:
        run_state_machine_as_test(
            Machine,
            settings=settings(
                max_examples=min(EXAMPLES, MOST_AT_ONCE),
                stateful_step_count=15,
                derandomize="STATE_MACHINE_EXAMPLES" not in os.environ,
                database=None,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
    finally:
        gc.unfreeze()
