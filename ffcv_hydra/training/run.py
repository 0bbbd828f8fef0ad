"""One run, from its config to its result."""

import errno
import logging
import os
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, chdir, nullcontext
from pathlib import Path
from typing import Any, TypeVar

import pytorch_lightning as pl
import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf
from pytorch_lightning.callbacks import ModelCheckpoint

from ffcv_hydra.bench import bench, print_report
from ffcv_hydra.building.conversion_config import parts_of
from ffcv_hydra.building.data import build_datamodule
from ffcv_hydra.building.folds import with_folds
from ffcv_hydra.callbacks import EXIT_STATUS, Pruning, RunInterrupted, StopSignals, Throughput
from ffcv_hydra.datamodule import FFCVDataModule
from ffcv_hydra.errors import WriteError, describe_error, root_cause
from ffcv_hydra.lightning_internals import hide_chatter
from ffcv_hydra.process_memory import peak_resident_memory
from ffcv_hydra.redaction import redacted_text, redacted_words
from ffcv_hydra.report import write_report
from ffcv_hydra.run_folder import COMPLETED, CONFIG, FAILED, INTERRUPTED, LOG, PREDICTIONS, PRUNED
from ffcv_hydra.training.build import build_callbacks, build_loggers, build_model, build_trainer
from ffcv_hydra.training.checkpoints import check_checkpoint, find_checkpoint
from ffcv_hydra.training.epoch_metrics import EpochMetrics
from ffcv_hydra.training.exporting import config_of_its_run, export_model
from ffcv_hydra.training.failed_samples import failed_samples
from ffcv_hydra.training.first_step import FirstStep
from ffcv_hydra.training.initial_weights import load_initial_weights
from ffcv_hydra.training.placement import placed
from ffcv_hydra.training.provenance import provenance
from ffcv_hydra.training.ranks import (
    global_rank,
    join_child_ranks,
    join_child_ranks_at_exit,
    kill_children,
    of_all_ranks,
)
from ffcv_hydra.training.record import RunRecord
from ffcv_hydra.training.report import print_results
from ffcv_hydra.training.run_log import note, run_log
from ffcv_hydra.training.slurm import requeue

log = logging.getLogger(__name__)
_Callback = TypeVar("_Callback", bound=pl.Callback)


def train(config: Mapping[str, Any], run_dir: str | Path | None = None) -> dict[str, Any]:
    """Fit, validate, test, predict, export or measure the loader, as `config` says; write everything under `run_dir`.

    Leaves `config.yaml`, `run.log`, `result.json`, `metrics.csv`, `evaluation.json`, checkpoints, the loggers' files,
    for predictions `predictions.pt` and `predictions.csv`, and a page about it all, `report.html`. Every rank calls
    this; they have rank 0's folder, and all but rank 0 write nothing but their own failure into `result.json`.

    Args:
        config: the composed run config, resolved, or anything OmegaConf makes a mapping of.
        run_dir: the run's folder, into which the config's paths in `trainer.default_root_dir` are moved. By default
            that one. Where another run is in it that this one does not go on from, a new one beside it, as is told.

    Returns:
        What `result.json` holds, on every rank: `status`, `mode`, `metrics` (floats by name, those of the last epoch or
        evaluation), `optimized_metric` (its value: of the best checkpoint when one monitors it), `best_checkpoint`,
        `samples_per_second`, `waiting` (the share of the training's time that went into waiting for data), `memory`
        (the most bytes, summed over ranks), `started` (in seconds since 1970), `seconds`, `overrides`, `error`, and
        what `provenance` says; `not_finite` where a loss became NaN or infinite: the first epoch that ended so, by
        name.

    Raises:
        FFCVHydraError: bad input, in one line.
        SystemExit: with status 130 when a signal stopped the run.
    """
    plain = OmegaConf.to_container(OmegaConf.create(dict(config)), resolve=True)
    assert isinstance(plain, dict)
    folder, resolved = placed({str(key): value for key, value in plain.items()}, run_dir)
    if resolved["mode"] == "export":
        resolved = config_of_its_run(resolved, _overrides(), folder)
    return _Run(resolved, folder).execute()


def _overrides() -> list[str]:
    return list(HydraConfig.get().overrides.task) if HydraConfig.initialized() else []


class _Run:
    def __init__(self, config: dict[str, Any], run_dir: Path) -> None:
        self.config = config
        self.run_dir = run_dir
        self.weights_only = not config.get("trust_checkpoint")
        self.rank = global_rank()
        self.started = time.time()
        self.record = RunRecord(run_dir, self.rank)
        self.trainer: pl.Trainer | None = None
        self.datamodule: FFCVDataModule  # there when the trainer is

    def execute(self) -> dict[str, Any]:
        """Run, and leave a true `result.json` however it ends."""
        overrides, mode, seed = redacted_words(_overrides()), self.config["mode"], self.config.get("seed")
        origin = {"run_folder": str(self.run_dir), "started": self.started, **provenance()} if self.rank == 0 else {}
        origin |= {name: self.config[name] for name in ("task_name", "tags") if self.config.get(name)}
        self.record.start(mode=mode, seed=seed, overrides=overrides, error=None, **origin, **self._facts())
        signals = StopSignals(abort=self._abort)
        try:
            with signals:
                if self.rank != 0:
                    return self._run(signals)
                OmegaConf.save(self.config, self.run_dir / CONFIG)
                with run_log(self.run_dir / LOG):
                    note(f"$ {origin['command']}")
                    return self._run(signals)
        except BaseException as error:
            if (interruption := _interruption(error)) is not None:
                self.record.end(INTERRUPTED, str(interruption), **self._facts())
                join_child_ranks(self.trainer, timeout=30)
                self._report()
                if self.rank == 0:
                    print(f"{interruption}; run folder: {self.run_dir}", flush=True)
                    if self.trainer is not None and not self.record.is_complete:
                        requeue(self.trainer, interruption.signum)
                raise SystemExit(EXIT_STATUS) from None
            told = self._in_one_line(error)
            self.record.end(FAILED, redacted_text(describe_error(told)), **self._facts())
            # Left alone, they would wait for this rank in their next collective.
            join_child_ranks(self.trainer, timeout=5)
            self._report()
            if told is error:
                raise
            raise told from error

    def _in_one_line(self, error: BaseException) -> BaseException:
        """An error that says what a user can do about `error`, where there is something; else `error`."""
        if isinstance(error, OSError) and error.filename is not None and self._prevents_writing(error):
            return WriteError(f"{error.filename} cannot be written: {error.strerror}")
        return error if self.trainer is None else _callback(self.trainer, FirstStep).explain(error)

    def _prevents_writing(self, error: OSError) -> bool:
        """Whether no reader meets such an error: a disk is full, or the run's folder is gone or closed."""
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS):
            return True
        is_ours = Path(str(error.filename)).is_relative_to(self.run_dir)
        return is_ours and not os.access(self.run_dir, os.W_OK | os.X_OK)

    def _run(self, signals: StopSignals) -> dict[str, Any]:
        config, mode = self.config, self.config["mode"]
        hide_chatter(fits=mode == "fit")
        if config.get("seed") is not None:
            pl.seed_everything(config["seed"], workers=True)
        if mode == "bench":
            return self._bench()
        checkpoint = find_checkpoint(config.get("ckpt_path"), mode, self.run_dir)
        init_from = config["model"].get("init_from")
        if checkpoint is None and mode != "fit" and init_from is None:
            log.warning("mode=%s without ckpt_path: the model is as it was initialised", mode)
        self.datamodule = datamodule = build_datamodule(config)
        model = build_model(config)
        if checkpoint is not None:
            check_checkpoint(checkpoint, model, self.weights_only, is_resumed=mode == "fit")
        elif init_from is not None:
            load_initial_weights(model, init_from, self.weights_only)
        if mode == "export":
            return self._export(model, checkpoint)
        callbacks = build_callbacks(config, signals, self.run_dir)
        self.trainer = trainer = build_trainer(config, callbacks, build_loggers(config), self.run_dir)
        options: dict[str, Any] = {"ckpt_path": checkpoint, "weights_only": self.weights_only}
        with self._working_folder():
            if mode == "fit":
                self._fit(trainer, model, options)
            elif mode == "predict":
                trainer.predict(model, datamodule, return_predictions=False, **options)
            else:
                evaluate = trainer.validate if mode == "validate" else trainer.test
                evaluate(model, datamodule, verbose=False, **options)
        return self._finish(trainer)

    def _working_folder(self) -> AbstractContextManager[None]:
        """With `hydra.job.chdir=true`, have the trainer work in the run's folder, where a user's hooks then write.

        All that the config names is built, read and converted in the folder the command was started in.
        """
        changes = HydraConfig.initialized() and HydraConfig.get().job.chdir
        return chdir(self.run_dir) if changes else nullcontext()

    def _fit(self, trainer: pl.Trainer, model: pl.LightningModule, options: dict[str, Any]) -> None:
        trainer.fit(model, datamodule=self.datamodule, **options)
        if _is_pruned(trainer):
            return
        if (start := options["ckpt_path"]) is not None and not _callback(trainer, EpochMetrics).has_trained:
            log.warning("%s left nothing to train: raise trainer.max_epochs or trainer.max_steps to go on", start)
        if self.config.get("test_after_fit") and self.config["dataset"]["splits"].get("test") is not None:
            best = trainer.strategy.broadcast(_best_checkpoint(trainer))
            trainer.test(model, self.datamodule, verbose=False, **{**options, "ckpt_path": best})

    def _bench(self) -> dict[str, Any]:
        report = bench(self.config, seconds=self.config["bench_seconds"])
        print_report(report)
        report.save(self.run_dir)
        self.record.complete(**{**self._facts(), "samples_per_second": report.whole.samples_per_second})
        self._report()
        print(f"run folder: {self.run_dir}")
        return self.record.read()

    def _export(self, model: pl.LightningModule, checkpoint: Path | None) -> dict[str, Any]:
        folder = self.run_dir / "export"
        stored = [part.fields for part in parts_of(with_folds(self.config)["dataset"], "val")]
        differences = export_model(model, checkpoint, self.datamodule, folder, self.weights_only, stored)
        self.record.complete(**{**self._facts(), "export": str(folder), "differences": differences})
        self._report()
        print(f"run folder: {self.run_dir}")
        return self.record.read()

    def _finish(self, trainer: pl.Trainer) -> dict[str, Any]:
        facts = self._facts(gather=True)
        if (metrics := _callback(trainer, EpochMetrics)).optimized:
            facts["optimized_metric"] = metrics.optimized_value(trainer)
        facts = of_all_ranks(facts, gather=True)[0]  # a metric that is not reduced over the ranks is another on each
        status = PRUNED if _is_pruned(trainer) else COMPLETED
        if trainer.is_global_zero:
            self.record.complete(status, **facts)
            self._report()
            print_results({**self.record.read(), **facts}, self.run_dir)
            join_child_ranks_at_exit(trainer, timeout=30)
        return {**self.record.read(), **facts, "status": status}

    def _report(self) -> None:
        """Write the page about the run; that it cannot be written is told, and changes nothing about the run."""
        if self.rank == 0:
            try:
                write_report(self.run_dir)
            except Exception as error:
                log.warning("there is no report: %s", root_cause(error))

    def _facts(self, gather: bool = False) -> dict[str, Any]:
        """What is known of the result by now; with `gather`, which all ranks must call, on all ranks."""
        facts: dict[str, Any] = {"metrics": {}, "best_checkpoint": None, "samples_per_second": None}
        facts["seconds"] = time.time() - self.started
        if (trainer := self.trainer) is None:
            return facts
        predictions = self.run_dir / PREDICTIONS
        if predictions.is_file():
            facts["predictions"] = str(predictions)
        throughput = _callback(trainer, Throughput)
        facts |= {"samples_per_second": throughput.samples_per_second, "waiting": throughput.waiting}
        ended = _callback(trainer, EpochMetrics)
        facts["metrics"] = {name: value for name, value in ended.metrics.items() if name != Throughput.METRIC}
        if ended.not_finite:
            facts["not_finite"] = ended.not_finite
        if self.config["mode"] == "fit":  # else it is what the loaded checkpoint says of the run it is from
            facts["best_checkpoint"] = _best_checkpoint(trainer)
        memory = of_all_ranks(_peak_memory(), gather)
        facts["memory"] = {kind: sum(rank[kind] for rank in memory) for kind in memory[0]}
        if torch.cuda.is_initialized():
            facts["gpus"] = [torch.cuda.get_device_name(gpu) for gpu in range(torch.cuda.device_count())]
        if failed := failed_samples(self.datamodule, gather):
            facts["failed_samples"] = failed
        return facts

    def _abort(self) -> None:
        self.record.end(INTERRUPTED, "ended at once by a second signal", **self._facts())
        kill_children(self.trainer)


def _peak_memory() -> dict[str, int]:
    """The most bytes that this rank has had, of the machine's memory and of its GPUs'."""
    gpus = range(torch.cuda.device_count() if torch.cuda.is_initialized() else 0)
    return {"resident": peak_resident_memory(), "cuda": sum(torch.cuda.max_memory_reserved(gpu) for gpu in gpus)}


def _interruption(error: BaseException | None) -> RunInterrupted | None:
    """The interruption that `error` is, or was raised during: what fails while a run stops does not change its end."""
    while error is not None and not isinstance(error, RunInterrupted):
        error = error.__context__
    return error


def _callback(trainer: pl.Trainer, kind: type[_Callback]) -> _Callback:
    """The first callback of a class that every run has one of."""
    return next(callback for callback in trainer.callbacks if isinstance(callback, kind))  # type: ignore[attr-defined]


def _is_pruned(trainer: pl.Trainer) -> bool:
    return any(isinstance(callback, Pruning) and callback.pruned for callback in trainer.callbacks)  # type: ignore[attr-defined]


def _best_checkpoint(trainer: pl.Trainer) -> str | None:
    """The best checkpoint of the first callback that keeps one by a metric, else the newest of the first one.

    Not what a resumed checkpoint remembers as the best one of its run and is no longer there.
    """
    found = [callback for callback in trainer.checkpoint_callbacks if isinstance(callback, ModelCheckpoint)]
    found.sort(key=lambda callback: callback.monitor is None)
    return next((callback.best_model_path for callback in found if os.path.exists(callback.best_model_path)), None)
