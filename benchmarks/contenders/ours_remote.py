"""This project, from a sharded beton in S3; photographs of shards and pages in random order."""

import os
from functools import partial
from pathlib import Path

from benchmarks.contenders import ours
from benchmarks.photo_dataset import PhotoDataset
from benchmarks.s3_store import BUCKET
from benchmarks.work import SHARD_BYTES, Epochs, Work, made
from ffcv_hydra.beton import RandomAccessImageField
from ffcv_hydra.collection import write_sharded_beton
from ffcv_hydra.collection.data_cache import choose_cache
from ffcv_hydra.collection.uploading import upload
from ffcv_hydra.ordering.options import OrderOption

PACKAGES = ("ffcv_hydra", "s3fs")
URL = f"s3://{BUCKET}/ours.beton"


def store(work: Work) -> None:
    """Bring the photographs into the store."""
    upload(folder(work), URL)


def batches(work: Work) -> Epochs:
    """Epochs of the loader."""
    choose_cache(os.environ["REMOTE_CACHE"])
    return ours.epochs(ours.loader(URL, work, ordering=OrderOption.QUASI_RANDOM))


def folder(work: Work) -> Path:
    """The sharded beton on this machine."""
    return made(f"ours-shards-{work.images}.beton", partial(_write, work))


def _write(work: Work, path: Path) -> None:
    fields = {"image": RandomAccessImageField("jpg"), "label": None}
    write_sharded_beton(
        PhotoDataset(work.paths()), path, fields, shard_size=SHARD_BYTES, num_workers=work.workers, progress=False
    )
