"""Mosaic's streaming dataset, from S3."""

import os
from functools import partial

import boto3
from streaming.base.util import clean_stale_shared_memory
from torch.utils.data import DataLoader

from benchmarks.contenders.mosaic_streaming import Photos, write
from benchmarks.contenders.opencv_image import as_torch_images
from benchmarks.s3_store import BUCKET
from benchmarks.work import SHARD_BYTES, Epochs, Work, made

PACKAGES = ("mosaicml-streaming", "boto3")


def store(work: Work) -> None:
    """Bring the photographs into the store."""
    folder = made(f"mosaic-shards-{work.count}", partial(write, work, size_limit=SHARD_BYTES))
    client = boto3.client("s3")
    for path in folder.iterdir():
        client.upload_file(str(path), BUCKET, f"mosaic/{path.name}")


def batches(work: Work) -> Epochs:
    """Epochs of the loader."""
    clean_stale_shared_memory()
    photos = Photos(os.environ["REMOTE_CACHE"], work, remote=f"s3://{BUCKET}/mosaic")
    loader = DataLoader(photos, work.batch_size, num_workers=work.workers, persistent_workers=True)
    return Epochs(lambda: map(as_torch_images, loader))
