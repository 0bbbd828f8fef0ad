"""The names of `ffcv_pl`, the package before this one, with its arguments, attributes and types of errors."""

import os
import warnings
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from ffcv_hydra import conversion, datamodule, pipeline
from ffcv_hydra.collection.shards import opened
from ffcv_hydra.errors import LoaderError, PipelineError
from ffcv_hydra.loader_options import STAGE_OPTIONS
from ffcv_hydra.operations import DivideImage255
from ffcv_hydra.stages import STAGES

__all__ = ["DivideImage255", "FFCVDataModule", "FFCVPipelineManager", "create_beton_wrapper"]


class NoManagerError(LoaderError, AttributeError):
    """A data module without a manager."""


class PipelineCountError(PipelineError, AttributeError):
    """Not as many pipelines as the file has fields."""


class FFCVPipelineManager(pipeline.FFCVPipelineManager):
    """A beton, its pipelines and its order, for one stage; see `ffcv_hydra.FFCVPipelineManager`."""

    @property
    def pipeline(self) -> Mapping[str, Any]:
        """The operations by the names of the file's fields, without those of which there are none.

        To look at: what is read is set by `pipeline_transforms`.

        Raises:
            PipelineCountError: if there are not as many as fields.
            BetonError: if the file cannot be read.
        """
        given = self.pipeline_transforms or {}
        if not isinstance(given, Mapping):
            names = list(opened(self.file_path, self.custom_fields).fields)
            if len(names) != len(given):
                raise PipelineCountError(
                    f"{self.file_path} has the fields {', '.join(names)}; got {len(given)} pipelines"
                )
            given = dict(zip(names, given, strict=True))
        return MappingProxyType({name: operations for name, operations in given.items() if operations is not None})


def _option(name: str) -> Any:
    """An option of all stages that may be set: the next loaders follow it."""

    def change(self: "FFCVDataModule", value: Any) -> None:
        STAGE_OPTIONS[name].check(name, value)
        self._options[name] = value
        for stage in STAGES:
            self.release(stage)

    return property(lambda self: self._options[name], change)


def _manager(stage: str) -> Any:
    """What a stage reads, which may be set: the next loader follows it."""

    def change(self: "FFCVDataModule", manager: pipeline.FFCVPipelineManager | None) -> None:
        self.managers[stage] = manager and replace(manager, **self._said[stage])
        self.release(stage)

    return property(lambda self: self.managers[stage], change)


class FFCVDataModule(datamodule.FFCVDataModule):
    """The loaders of all stages; what is not said here is said of `ffcv_hydra.FFCVDataModule`.

    Evaluations read every sample; `val_drop_last=True` leaves out the last batch, as `ffcv_pl` did unasked.

    Args:
        kwargs: `STAGE_indices` and `STAGE_custom_fields`, for a manager that says nothing of them, and the options of
            `ffcv_hydra.FFCVDataModule`. Others are told by a warning, and not used.

    Raises:
        NoManagerError: an `AttributeError`, if there is no manager.
    """

    num_workers, os_cache, seed = map(_option, ("num_workers", "os_cache", "seed"))
    train_manager, val_manager, test_manager, predict_manager = map(_manager, STAGES)

    def __init__(
        self,
        batch_size: int,
        num_workers: int,
        is_dist: bool,
        train_manager: pipeline.FFCVPipelineManager | None = None,
        val_manager: pipeline.FFCVPipelineManager | None = None,
        test_manager: pipeline.FFCVPipelineManager | None = None,
        predict_manager: pipeline.FFCVPipelineManager | None = None,
        os_cache: bool = True,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        managers: dict[str, Any] = {
            "train_manager": train_manager, "val_manager": val_manager,
            "test_manager": test_manager, "predict_manager": predict_manager,
        }  # fmt: skip
        if not any(managers.values()):
            raise NoManagerError(
                "no manager was given: pass train_manager, val_manager, test_manager or predict_manager"
            )
        self._said = {}
        for stage in STAGES:
            of_stage = {name: kwargs.pop(f"{stage}_{name}", None) for name in ("indices", "custom_fields")}
            self._said[stage] = {name: value for name, value in of_stage.items() if value is not None}
        unused = sorted(kwargs.keys() - STAGE_OPTIONS.keys())
        if unused:
            warnings.warn(
                f"FFCVDataModule: {', '.join(unused)}: there is no such option, and it is not used", stacklevel=2
            )
        options = {name: value for name, value in kwargs.items() if name not in unused}
        super().__init__(batch_size, num_workers, is_dist, os_cache=os_cache, seed=seed, **managers, **options)
        self.kwargs = kwargs
        for name, manager in managers.items():
            setattr(self, name, manager)


def create_beton_wrapper(
    torch_dataset: Any, output_path: str | os.PathLike[str], *arguments: Any, **named: Any
) -> None:
    """`ffcv_hydra.create_beton_wrapper`, with `.beton` behind a path that does not end so."""
    path = os.fspath(output_path)
    path = path if path.endswith(".beton") else f"{path}.beton"
    conversion.create_beton_wrapper(torch_dataset, path, *arguments, **named)
