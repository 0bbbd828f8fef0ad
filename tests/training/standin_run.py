"""A small classification run on a plain loader, in the shape of a composed config; also run as a script.

As a script it trains in the folder of its first argument with the JSON config of the second one, on as many ranks as
`trainer.devices` says: Lightning starts the others by running it again.
"""

import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytorch_lightning as pl
import torch

from ffcv_hydra.models import Classifier

SAMPLES, CLASSES, BATCH = 48, 4, 4


class Batches:
    """A loader: images whose brightest column is their class, in a shuffled order that only depends on the epoch."""

    batch_sampler = None  # Lightning looks at it where there is a sampler

    def __init__(self, rank, world_size, shuffle):
        self.rank, self.world_size, self.shuffle = rank, world_size, shuffle
        self.sampler = self
        self.epoch = self.delivered = self.skip = 0

    def set_epoch(self, epoch):
        self.epoch = epoch

    def __len__(self):
        return SAMPLES // (BATCH * self.world_size)

    def sample_ids(self, batch_index):
        generator = np.random.default_rng(self.epoch)
        order = generator.permutation(SAMPLES) if self.shuffle else np.arange(SAMPLES)
        return order[self.rank :: self.world_size][batch_index * BATCH : (batch_index + 1) * BATCH]

    def __iter__(self):
        first, self.skip = self.skip, 0
        for batch_index in range(first, len(self)):
            ids = torch.from_numpy(self.sample_ids(batch_index))
            images = torch.rand(BATCH, 1, CLASSES, CLASSES, generator=torch.Generator().manual_seed(int(ids[0])))
            images[torch.arange(BATCH), :, :, ids % CLASSES] += 1
            self.delivered = batch_index + 1
            yield images, (ids % CLASSES).view(-1, 1)


class PlainData(pl.LightningDataModule):
    """Its state is the position in the training data."""

    def __init__(self):
        super().__init__()
        self.skip, self.train = 0, None

    def _loader(self, shuffle=False):
        return Batches(self.trainer.global_rank, self.trainer.world_size, shuffle)

    def train_dataloader(self):
        self.train = self._loader(shuffle=True)
        self.train.skip = self.skip
        return self.train

    val_dataloader = test_dataloader = predict_dataloader = _loader

    def failed_samples(self):
        return {}

    def state_dict(self):
        return {"delivered": self.train.delivered} if self.train else {}

    def load_state_dict(self, state):
        delivered, batches = state["delivered"], SAMPLES // (BATCH * self.trainer.world_size)
        self.skip = delivered % batches


class LogsLate(Classifier):
    """Logs in its own hook, after the callbacks', and under the names that rows have."""

    def on_train_epoch_end(self):
        self.log("late", float(self.current_epoch))
        self.log("epoch", float(self.current_epoch))


class LinearNet(torch.nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.dropout = torch.nn.Dropout(0.1)  # draws from torch's generator, which a resumed run goes on with
        self.linear = torch.nn.Linear(CLASSES, num_classes)

    def forward(self, images):
        return self.linear(self.dropout(images.mean(dim=(1, 2))))


class FailingClassifier(Classifier):
    """Raises on one rank, in its third training batch."""

    def __init__(self, failing_rank, **options):
        super().__init__(**options)
        self.failing_rank = failing_rank

    def training_step(self, batch, batch_idx):
        if batch_idx == 2 and self.global_rank == self.failing_rank:
            raise ValueError("a batch of bad luck")
        return super().training_step(batch, batch_idx)


class SignalAt(pl.Callback):
    """Sends this process a signal when a batch begins, on one rank; a second one, and then nothing more happens."""

    def __init__(self, signum, stage="train", batch=1, epoch=0, rank=0, twice=False):
        self.signum, self.here, self.rank, self.twice = getattr(signal, signum), (stage, epoch, batch), rank, twice

    def _maybe(self, trainer, stage, batch_idx):
        if (stage, trainer.current_epoch, batch_idx) == self.here and trainer.global_rank == self.rank:
            os.kill(os.getpid(), self.signum)
            if self.twice:
                time.sleep(1)
                os.kill(os.getpid(), self.signum)
                time.sleep(1000)

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        self._maybe(trainer, "train", batch_idx)

    def on_validation_batch_start(self, trainer, pl_module, batch, batch_idx, dataloader_idx=0):
        self._maybe(trainer, "validation", batch_idx)

    def on_test_batch_start(self, trainer, pl_module, batch, batch_idx, dataloader_idx=0):
        self._maybe(trainer, "test", batch_idx)


class SameWeights(pl.Callback):
    """Fails after an epoch where the ranks' weights differ, or where the first ones were not trained as they should."""

    def __init__(self, trained_from):
        self.trained_from, self.before = trained_from, None

    def on_train_epoch_start(self, trainer, pl_module):
        self.before = next(pl_module.backbone.parameters()).detach().clone()

    def on_train_epoch_end(self, trainer, pl_module):
        weights = torch.nn.utils.parameters_to_vector(pl_module.parameters()).detach()
        assert (pl_module.all_gather(weights) == weights).all(), "the ranks' weights differ"
        is_trained = not torch.equal(next(pl_module.backbone.parameters()), self.before)
        assert is_trained == (trainer.current_epoch >= self.trained_from), f"epoch {trainer.current_epoch}"


class LoseFolder(pl.Callback):
    """Puts a file in the place of the run's folder, on rank 0 when a training batch begins or at the end of the fit."""

    def __init__(self, folder, batch=None):
        self.folder, self.batch = folder, batch

    def _lose(self, trainer):
        if trainer.global_rank == 0:
            shutil.rmtree(self.folder)
            Path(self.folder).touch()

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if batch_idx == self.batch and trainer.current_epoch == 0:
            self._lose(trainer)

    def on_fit_end(self, trainer, pl_module):
        if self.batch is None:
            self._lose(trainer)


class Record(pl.Callback):
    """Appends a line per training and validation batch to a file of this rank."""

    def __init__(self, path):
        self.path = path

    def _write(self, trainer, what, batch_idx):
        with open(f"{self.path}.{trainer.global_rank}", "a") as file:
            print(what, trainer.current_epoch, batch_idx, file=file)

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self._write(trainer, "train", batch_idx)

    def on_validation_batch_end(self, trainer, pl_module, outputs, batch, batch_idx, dataloader_idx=0):
        self._write(trainer, "validation", batch_idx)


def config(**changes):
    """A run's config; `changes` replace top-level entries, dictionaries are merged into them."""
    composed = {
        "mode": "fit",
        "ckpt_path": None,
        "seed": 0,
        "dataset": {"splits": {"train": {}, "val": {}, "test": {}}},
        "model": {
            "_target_": "ffcv_hydra.models.Classifier",
            "backbone": {"_target_": "standin_run.LinearNet", "num_classes": CLASSES},
            "num_classes": CLASSES,
            "optimizer": {"_target_": "torch.optim.SGD", "lr": 0.1},
            "scheduler": None,
        },
        "callbacks": {},
        "logger": {},
        "trainer": {
            "accelerator": "cpu",
            "devices": 1,
            "max_epochs": 2,
            "num_sanity_val_steps": 0,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "use_distributed_sampler": False,
        },
        "compile": False,
        "channels_last": False,
        "test_after_fit": False,
        "optimized_metric": None,
    }
    for key, value in changes.items():
        composed[key] = {**composed[key], **value} if isinstance(composed.get(key), dict) else value
    return composed


def checkpoints(run_dir, **options):
    """The config of a callback that keeps checkpoints in the run's folder."""
    return {
        "_target_": "ffcv_hydra.callbacks.ModelCheckpoint",
        "dirpath": str(run_dir / "checkpoints"),
        "monitor": "val_loss",
        "save_last": True,
        **options,
    }


if __name__ == "__main__":
    import ffcv_hydra.training.run as run

    sys.modules["standin_run"] = sys.modules["__main__"]
    run.build_datamodule = lambda config: PlainData()
    run.train(json.loads(sys.argv[2]), Path(sys.argv[1]))
