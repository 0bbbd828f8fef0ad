"""The parts of a run from its config: model, callbacks, loggers and trainer."""

import os
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins import TorchCheckpointIO
from pytorch_lightning.callbacks import Callback, LearningRateMonitor, ModelSummary
from pytorch_lightning.callbacks import ProgressBar as LightningProgressBar
from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities.exceptions import MisconfigurationException

from ffcv_hydra.building.instantiation import Config, build
from ffcv_hydra.building.targets import locate
from ffcv_hydra.callbacks import (
    GracefulStop,
    ParameterSummary,
    PredictionWriter,
    ProgressFile,
    Pruning,
    StopSignals,
    Throughput,
)
from ffcv_hydra.errors import ConfigError, describe_error
from ffcv_hydra.models import Classifier, Segmenter, SimCLR
from ffcv_hydra.report.evaluation import FILE as EVALUATION
from ffcv_hydra.run_folder import LAST, PREDICTIONS
from ffcv_hydra.sweeps.job_process import PROGRESS_VARIABLE
from ffcv_hydra.sweeps.trial import TRIAL_VARIABLE
from ffcv_hydra.training.box_samples import BoxSamples
from ffcv_hydra.training.checkpoint_io import AtomicCheckpointIO
from ffcv_hydra.training.class_names import ClassNames
from ffcv_hydra.training.epoch_metrics import EpochMetrics
from ffcv_hydra.training.evaluation_record import EvaluationRecord
from ffcv_hydra.training.first_look import FirstLook
from ffcv_hydra.training.first_step import FirstStep
from ffcv_hydra.training.generator_states import GeneratorStates
from ffcv_hydra.training.plain_checkpoints import PlainCheckpoints
from ffcv_hydra.training.watched_metrics import WatchedMetrics


def build_model(config: Config) -> pl.LightningModule:
    """Build `config["model"]`, with the switches `compile` and `channels_last`.

    `optimizer` and `scheduler` that name a `_target_`, and what else the model's class names in `plain_arguments`,
    reach it as plain dictionaries: they need what only the model has, and a checkpoint with them in it stays loadable
    with `weights_only=True`. An optimizer and a schedule with `_partial_: true` are built.
    """
    node = dict(config["model"])
    node.pop("init_from", None)  # what `load_initial_weights` reads
    names = getattr(locate(node["_target_"], "model"), "plain_arguments", ("optimizer", "scheduler"))
    plain = {name: node.pop(name) for name in names if _is_plain(node.get(name))}
    try:
        factory = build("model", node, _partial_=True) if plain else partial(build, "model", node)
        model: pl.LightningModule = factory(**plain)
    except ConfigError as error:
        if node.get("num_classes", 0) is None:
            raise ConfigError(f"model.num_classes is null; add dataset.num_classes=NUMBER ({error})") from error
        raise
    except TypeError as error:
        raise ConfigError(f"model: {node.get('_target_')} refuses its arguments: {describe_error(error)}") from error
    if not isinstance(model, pl.LightningModule):
        raise ConfigError(f"model._target_={node.get('_target_')}: is no LightningModule; derive the class from it")
    if isinstance(model, Classifier | Segmenter | SimCLR) and _is_plain(node.get("backbone")):
        model.hparams["backbone"] = node["backbone"]  # with which `load_from_checkpoint` makes it again
    if config.get("channels_last"):
        model = model.to(memory_format=torch.channels_last)
    if config.get("compile"):
        for child in model.children():
            # Compiled in place, so names in checkpoints stay; metrics have no parameters and are left alone.
            if any(True for _ in child.parameters()):
                child.compile()
    return model


def build_callbacks(config: Config, signals: StopSignals, run_dir: Path) -> list[Callback]:
    """Build the config's callbacks and those that every run has: throughput, stopping by signal, predictions.

    Jobs of a sweep also report their progress to it.

    Those that cannot do their work are left out: progress bars when they are switched off, and what Lightning refuses
    without a logger.
    """
    nodes = {name: node for name, node in (config.get("callbacks") or {}).items() if node is not None}
    callbacks: list[Callback] = [build(f"callbacks.{name}", node) for name, node in nodes.items()]
    trainer = config.get("trainer") or {}
    if trainer.get("enable_progress_bar") is False or trainer.get("barebones"):
        callbacks = [callback for callback in callbacks if not isinstance(callback, LightningProgressBar)]
    if not any((config.get("logger") or {}).values()):
        callbacks = [callback for callback in callbacks if not isinstance(callback, LearningRateMonitor)]
    if not any(isinstance(callback, Throughput) for callback in callbacks):
        callbacks.append(Throughput())
    summarizes = trainer.get("enable_model_summary") is not False and not trainer.get("barebones")
    if summarizes and not any(isinstance(callback, ModelSummary) for callback in callbacks):
        callbacks.append(ParameterSummary())
    optimized = config.get("optimized_metric") if config["mode"] == "fit" else None
    if path := os.environ.get(PROGRESS_VARIABLE):
        callbacks.append(ProgressFile(path))
    if optimized and (trial := os.environ.get(TRIAL_VARIABLE)):
        callbacks.append(Pruning(trial, optimized))
    # First, so that others find its metric at the end of an epoch.
    callbacks.sort(key=lambda callback: not isinstance(callback, Throughput))
    if config["mode"] == "predict":
        callbacks.append(PredictionWriter(run_dir / PREDICTIONS))
    else:
        callbacks += [EvaluationRecord(run_dir / EVALUATION), BoxSamples(run_dir)]
    callbacks.append(FirstStep())
    callbacks.append(ClassNames())
    # Behind Throughput, whose figure it takes, and before what logs of the next epoch when that begins.
    place = sum(isinstance(callback, Throughput) for callback in callbacks)
    callbacks.insert(place, EpochMetrics(optimized, run_dir))
    if config["mode"] == "fit":
        callbacks.append(WatchedMetrics(config))
        callbacks.append(FirstLook())
        callbacks.append(PlainCheckpoints(trusted=config.get("trust_checkpoint", False)))
        callbacks.append(GeneratorStates())
    # After callbacks that change weights, so that the checkpoint has what they did in the last batch.
    callbacks.append(GracefulStop(signals, run_dir / LAST))
    return callbacks


def build_loggers(config: Config) -> list[Logger]:
    """Build the config's loggers; none is an empty list.

    One that cannot write its last lines at the end of a run says so, and changes nothing about the run.
    """
    nodes = {name: node for name, node in (config.get("logger") or {}).items() if node is not None}
    loggers: list[Logger] = [build(f"logger.{name}", node) for name, node in nodes.items()]
    for logger in loggers:
        setattr(logger, "finalize", _tolerant(logger.finalize, type(logger).__name__))  # noqa: B010
    return loggers


def _tolerant(finalize: Callable[[str], None], name: str) -> Callable[[str], None]:
    def tolerant(status: str) -> None:
        try:
            finalize(status)
        except OSError as error:
            print(f"{name} cannot write its last lines: {error}", file=sys.stderr)

    return tolerant


def build_trainer(config: Config, callbacks: list[Callback], loggers: list[Logger], run_dir: Path) -> pl.Trainer:
    """Build the trainer, which writes under `run_dir` only.

    Raises:
        ConfigError: Lightning refuses the arguments, such as more devices than there are, or its ranks would have to
            be sent the trainer.
    """
    strategy = (config.get("trainer") or {}).get("strategy")
    if isinstance(strategy, str) and strategy.endswith("_spawn"):
        started = strategy.removesuffix("_spawn")
        raise ConfigError(
            f"trainer.strategy={strategy}: it sends the whole trainer to new processes, which a run's cannot be; "
            f"use trainer.strategy={started}, which starts the command once per rank"
        )
    node = {"_target_": "pytorch_lightning.Trainer", **(config.get("trainer") or {}), "default_root_dir": str(run_dir)}
    factory = build("trainer", node, _partial_=True)
    try:
        trainer: pl.Trainer = factory(callbacks=callbacks, logger=loggers or False)
    except (MisconfigurationException, ValueError, TypeError) as error:
        given = ", ".join(f"trainer.{name}={node[name]}" for name in ("accelerator", "devices") if name in node)
        gpus = f"{torch.cuda.device_count()} GPUs"
        raise ConfigError(f"trainer: {' '.join(str(error).split())} ({given}; this machine has {gpus})") from error
    if type(trainer.strategy.checkpoint_io) is TorchCheckpointIO:
        trainer.strategy.checkpoint_io = AtomicCheckpointIO()
    return trainer


def _is_plain(node: Any) -> bool:
    """Whether a node names a `_target_`, or holds named ones that do."""
    if not isinstance(node, Mapping) or "_target_" in node:
        return isinstance(node, Mapping) and not node.get("_partial_", False)
    return any(_is_plain(one) for one in node.values())
