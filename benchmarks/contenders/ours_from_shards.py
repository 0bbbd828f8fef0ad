"""This project, from sixteen betons that are read as one."""

from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.contenders import ours
from benchmarks.photo_dataset import PhotoDataset
from benchmarks.work import Epochs, Work, made
from ffcv_hydra.beton import RandomAccessImageField, write_beton

PACKAGES = ours.PACKAGES
SHARDS = 16


def batches(work: Work) -> Epochs:
    """Epochs of the loader."""
    folder = made(f"shards-{work.images}", partial(_write, work))
    return ours.epochs(ours.loader(sorted(folder.iterdir()), work))


def _write(work: Work, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    dataset = PhotoDataset(work.paths())
    for number, indices in enumerate(np.array_split(np.arange(len(dataset)), SHARDS)):
        fields = {"image": RandomAccessImageField("jpg"), "label": None}
        path = folder / f"{number:05}.beton"
        write_beton(dataset, path, fields, indices=indices, num_workers=work.workers, progress=False, overwrite=True)
