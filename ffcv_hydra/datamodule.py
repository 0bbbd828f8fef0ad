"""The loaders of all stages, for Lightning: `FFCVDataModule`."""

import atexit
import inspect
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytorch_lightning as pl
from pytorch_lightning.trainer.states import TrainerFn

from ffcv_hydra import trainer_facts
from ffcv_hydra.collection.shards import opened
from ffcv_hydra.cores import usable_cores
from ffcv_hydra.device_transforms import DeviceTransforms, DeviceTransformSpec
from ffcv_hydra.errors import LoaderError
from ffcv_hydra.kernels.random.generator import key_of, key_of_name
from ffcv_hydra.lightning_copies_internals import OfEveryLightning
from ffcv_hydra.lightning_internals import begun_batches, go_on_where_it_ended
from ffcv_hydra.loader import Loader
from ffcv_hydra.loader.plan.mixing import check_evaluated
from ffcv_hydra.loader.plan.plan import Picture
from ffcv_hydra.loader_options import OPTIONS, SIZES, STAGE_OPTIONS, takes_stage_options
from ffcv_hydra.nearest import nearest
from ffcv_hydra.ordering.options import OrderOption
from ffcv_hydra.pipeline import FFCVPipelineManager
from ffcv_hydra.stages import STAGES
from ffcv_hydra.torch_internals import leave_ranks


class FFCVDataModule(pl.LightningDataModule, OfEveryLightning):
    """Builds a loader per stage when it is asked for one, for the trainer's number of ranks.

    Args:
        batch_size: samples per batch and rank.
        num_workers: threads per rank; by default (-1) the usable cores divided by the ranks on this machine.
        is_dist: whether the ranks share the samples; by default the trainer is asked.
        train_manager, val_manager, test_manager, predict_manager: what each stage reads; one without is skipped.
        os_cache: see `Loader`.
        seed: of orders and random operations; by default that of `pl.seed_everything`, or 0.
        prepare: called once per machine before loaders are built, to make what is missing.
        device_transforms: by stage, torch modules that are run on each batch once it is on the device: by output, or a
            list for all outputs together; see `ffcv_hydra.device_transforms`.
        options: those of `Loader`, and `global_batch_size` (instead of batch_size; divided by the number of ranks).
            `drop_last` is for training only by default. Every option, those above included, also takes a stage before
            its name, for that stage only: `train_drop_last`, `val_batch_size`.

    `batch_size` is an attribute, as are the other sizes that were given (`train_batch_size`, `global_batch_size`): the
    next loader that is asked for has the size that it has then, so that `Tuner.scale_batch_size` works.

    Raises:
        LoaderError: for an unknown option or an impossible value, no manager at all, or no batch size.

    Its state is the position in the training data: a checkpoint made in the middle of an epoch goes on at the next
    batch.
    """

    def __init__(
        self,
        batch_size: int | None = None,
        num_workers: int = -1,
        is_dist: bool | None = None,
        train_manager: FFCVPipelineManager | None = None,
        val_manager: FFCVPipelineManager | None = None,
        test_manager: FFCVPipelineManager | None = None,
        predict_manager: FFCVPipelineManager | None = None,
        os_cache: bool = True,
        seed: int | None = None,
        prepare: Callable[[], None] | None = None,
        device_transforms: Mapping[str, DeviceTransformSpec] | None = None,
        **options: Any,
    ) -> None:
        super().__init__()
        self._options = {"num_workers": num_workers, "os_cache": os_cache, "seed": seed, **options}
        _check_options({"batch_size": batch_size, **self._options})
        managers = (train_manager, val_manager, test_manager, predict_manager)
        if not any(managers):
            raise LoaderError("no manager was given: pass train_manager, val_manager, test_manager or predict_manager")
        self.managers = dict(zip(STAGES, managers, strict=True))
        self.is_dist = is_dist
        self.prepare = prepare
        for name in [name for name in options if name.endswith("batch_size")]:
            setattr(self, name, self._options.pop(name))
        self._batch_size = batch_size
        self._device_modules = dict(device_transforms or {})
        for stage in self._device_modules:
            if stage not in STAGES:
                raise LoaderError(f"device_transforms: there is no stage '{stage}'; stages are {', '.join(STAGES)}")
        self._device_transforms: dict[str, DeviceTransforms] = {}
        self._prepared = False
        self._loaders: dict[str, Loader] = {}
        self._made_for: dict[str, tuple[Any, ...]] = {}  # what may change from one trainer to the next
        self._train_state: dict[str, Any] | None = None

    @property
    def batch_size(self) -> int | None:
        """Samples per batch and rank of the stages that have no size of their own.

        Raises:
            LoaderError: when it is set, if another option decides for the training.
        """
        return self._batch_size

    @batch_size.setter
    def batch_size(self, batch_size: int) -> None:
        stage = next(stage for stage in STAGES if self.managers[stage])
        deciding = self._size_option(stage)
        if deciding not in ("batch_size", None):
            raise LoaderError(
                f"batch_size={batch_size} would change nothing: {deciding}={getattr(self, deciding)} decides for "
                f"{stage}; set that (Tuner.scale_batch_size(..., batch_arg_name={deciding!r}))"
            )
        self._batch_size = batch_size

    def __getstate__(self) -> dict[str, Any]:
        """A copy has no trainer before it is given to one."""
        return {**vars(self), "trainer": None}

    def prepare_data(self) -> None:
        """Call `prepare`, once; Lightning does so on one rank per machine, before all others go on."""
        if self.prepare is not None and not self._prepared:
            self.prepare()
            self._prepared = True

    def train_dataloader(self) -> Loader:
        """The loader for training.

        Raises:
            LoaderError: if there is no `train_manager`.
        """
        loader = self._loader("train")
        if self._train_state is not None:
            now = trainer_facts.limits(self.trainer)
            for name, then in self._train_state.get("limits", {}).items():
                if now.get(name, then) != then:
                    raise LoaderError(
                        f"the checkpoint was made with trainer.{name}={then}, now it is {now[name]}: set it back, or "
                        "begin anew"
                    )
            loader.load_state_dict(self._train_state["train"])
            self._train_state = None
        return loader

    def val_dataloader(self) -> Loader | list[Loader]:
        """The loader for validation; nothing without a `val_manager`."""
        return self._loader("val") if self.managers["val"] else []

    def test_dataloader(self) -> Loader:
        """The loader for testing.

        Raises:
            LoaderError: if there is no `test_manager`.
        """
        return self._loader("test")

    def predict_dataloader(self) -> Loader:
        """The loader for prediction.

        Raises:
            LoaderError: if there is no `predict_manager`.
        """
        return self._loader("predict")

    def made(self, loader: Any) -> bool:
        """Whether a loader is one of this module's, which are as the trainer wants them."""
        return any(loader is one for one in self._loaders.values())

    def teardown(self, stage: str) -> None:
        """The trainer has done what it was asked for: let this process end quietly, as Lightning does on GPUs."""
        atexit.unregister(leave_ranks)
        atexit.register(leave_ranks)

    def on_exception(self, exception: BaseException) -> None:
        """Other ranks may be waiting for this one, which then had to wait for them."""
        atexit.unregister(leave_ranks)

    def first_batch(self, stage: str) -> dict[str, Any]:
        """The outputs of the first batch of an epoch, by name; for a look, nothing counts as read."""
        loader = self._loader(stage)
        batch = loader.peek()
        return {} if batch is None else dict(zip(loader.output_names, batch, strict=True))

    def release(self, stage: str) -> None:
        """Let go of a stage's loader, and of the memory of several batches; it is built again when it is wanted."""
        self._loaders.pop(stage, None)

    def changed_on_device(self, stage: str) -> Sequence[str]:
        """The outputs that device transforms change after they were loaded."""
        modules = self._device_modules.get(stage) or {}
        return list(modules) if isinstance(modules, Mapping) else self._loader(stage).output_names

    def pictures(self, stage: str) -> Mapping[str, Picture]:
        """What is known of the outputs of a stage that are images, as the model gets them."""
        loader = self._loader(stage)
        return self._device_transforms[stage].pictures if self._device_modules.get(stage) else loader.pictures

    def stored_numbers(self, stage: str, field: str) -> np.ndarray | None:
        """The values of all samples of a field of whole numbers that is read as it is stored, (N,), else None."""
        manager = self.managers[stage]
        transforms = None if manager is None else manager.pipeline_transforms
        if isinstance(transforms, Mapping) and transforms.get(field) is not None:
            return None
        loader = self._loaders.get(stage)
        return None if loader is None or field not in loader.output_names else loader.stored_numbers(field)

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """What the source of the first stage that has names calls its classes, by number; None if none has.

        Betons are opened for it where there is no loader yet. Raises `BetonError` if one is missing or damaged.
        """
        names = map(self.class_names_of, self.managers)
        return next((found for found in names if found is not None), None)

    def class_names_of(self, stage: str) -> tuple[str, ...] | None:
        """The same of one stage; None if there is nothing to read in it, or its source has no names."""
        if (manager := self.managers[stage]) is None:
            return None
        loader = self._loaders.get(stage)
        return (opened(manager.file_path, manager.custom_fields) if loader is None else loader).class_names

    def class_counts(self, stage: str, num_classes: int) -> np.ndarray | None:
        """How many samples of a stage each class has, float64 (num_classes,), by its batches' second output.

        On the mean of epochs. None if that output is no field of whole
        numbers in [0, num_classes) that is read as it is stored, or the shares change with the epoch.
        """
        loader = self._loader(stage)
        names = loader.output_names
        numbers = self.stored_numbers(stage, names[1]) if len(names) > 1 else None
        if numbers is None or not len(numbers) or numbers.min() < 0 or numbers.max() >= num_classes:
            return None
        often = loader.frequencies()
        return None if often is None else np.bincount(numbers, often, minlength=num_classes)

    def output_names(self, stage: str) -> tuple[str, ...] | None:
        """The names of what the stage's batches hold, in their order; None before there is a loader."""
        loader = self._loaders.get(stage)
        return None if loader is None else loader.output_names

    def failed_samples(self) -> dict[str, list[int]]:
        """The ids of the damaged samples that this rank has met, by stage; stages that met none are left out."""
        return {stage: loader.failed_samples for stage, loader in self._loaders.items() if loader.failed_samples}

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Run the stage's device transforms on the batch, with a key of seed, epoch, batch and rank."""
        stage = trainer_facts.running_stage(self.trainer)
        if self.trainer is None or stage is None or not self._device_modules.get(stage):
            return batch
        loader = self._loaders[stage]
        purpose = key_of_name(f"device transforms/{stage}")
        now = self.trainer.current_epoch, begun_batches(self.trainer, stage)  # the batch that was transferred last
        key = key_of(loader.seed, purpose, *now, loader.rank)
        return self._device_transforms[stage](batch, int(key[0]))

    def state_dict(self) -> dict[str, Any]:
        """The position in the training data and Lightning's limits; plain values, the same on every rank."""
        if "train" in self._loaders:
            return {"train": self._loaders["train"].state_dict(), "limits": trainer_facts.limits(self.trainer)}
        return {} if self._train_state is None else dict(self._train_state)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from `state_dict` when training is begun; a checkpoint that is only evaluated changes nothing.

        Raises:
            LoaderError: then, if the state is of other data, another order or another global batch size, or was made
                under other limits of the trainer.
        """
        if self.trainer is None or self.trainer.state.fn in (None, TrainerFn.FITTING):
            train = state_dict.get("train")
            begun = train is not None and (train["epoch"], train["batches"]) != (0, 0)
            self._train_state = dict(state_dict) if begun else None
            if begun and self.trainer is not None:
                go_on_where_it_ended(self.trainer)

    def _loader(self, stage: str) -> Loader:
        manager = self.managers[stage]
        if manager is None:
            raise LoaderError(f"there is nothing to {stage} on: give the data module a {stage}_manager")
        rank, world_size, local_world_size = trainer_facts.ranks(self.trainer)
        if self.is_dist is False:
            rank, world_size = 0, 1
        batch_size = self._size(stage, world_size)
        overfits = trainer_facts.overfits(self.trainer)
        options = self._options_of(stage, local_world_size)
        made_for = (rank, world_size, batch_size, options["seed"], overfits)
        if stage in self._loaders and self._made_for[stage] == made_for:
            return self._loaders[stage]
        loader = Loader(
            manager.file_path,
            batch_size,
            pipelines=manager.pipeline_transforms,
            ordering=OrderOption.SEQUENTIAL if overfits else manager.ordering,
            indices=manager.indices,
            custom_fields=manager.custom_fields,
            rank=rank,
            world_size=world_size,
            **options,
        )
        if stage != "train":
            check_evaluated(loader.plan, stage)
        self._loaders[stage], self._made_for[stage] = loader, made_for
        if self._device_modules.get(stage):
            modules = self._device_modules[stage]
            self._device_transforms[stage] = DeviceTransforms(stage, modules, loader.output_names, loader.pictures)
        return loader

    def _size(self, stage: str, world_size: int) -> int:
        """Samples per batch and rank."""
        name = self._size_option(stage)
        if name is None:
            raise LoaderError(f"no batch size for {stage}: give batch_size or global_batch_size")
        size: int = getattr(self, name)
        if not name.endswith("global_batch_size"):
            return size
        if size < 1 or size % world_size:
            raise LoaderError(f"{name} {size} cannot be divided by {world_size} ranks")
        return size // world_size

    def _size_option(self, stage: str) -> str | None:
        """The option that decides on the size of the stage's batches: its own one, if there is one."""
        names = [f"{prefix}{name}" for prefix in (f"{stage}_", "") for name in SIZES]
        return next((name for name in names if getattr(self, name, None) is not None), None)

    def _options_of(self, stage: str, local_world_size: int) -> dict[str, Any]:
        """What the stage's loader is told, but for the size of its batches."""
        seed = int(os.environ.get("PL_GLOBAL_SEED", 0))
        options: dict[str, Any] = {"seed": seed, "drop_last": stage == "train"}
        for name in OPTIONS.keys() - SIZES:
            for key in (name, f"{stage}_{name}"):
                if self._options.get(key) is not None:
                    options[name] = self._options[key]
        if options["num_workers"] == -1:
            options["num_workers"] = max(1, usable_cores() // local_world_size)
        return options


def _check_options(options: Mapping[str, Any]) -> None:
    for name, value in options.items():
        if name not in STAGE_OPTIONS:
            match = nearest(name, inspect.signature(FFCVDataModule).parameters)
            advice = f"did you mean '{match}'?" if match else f"options are {', '.join((*SIZES[:1], *OPTIONS))}"
            raise LoaderError(f"FFCVDataModule has no option '{name}'; {advice}")
        STAGE_OPTIONS[name].check(name, value)


# LightningCLI makes arguments of a command line of them, and notebooks complete them
takes_stage_options(FFCVDataModule.__init__)
