"""LitData's streaming dataset, from S3."""

import os
from functools import partial

import boto3
from litdata import StreamingDataLoader
from litdata.streaming import downloader
from litdata.streaming.resolver import Dir

from benchmarks.contenders.lit_data import Photos, write
from benchmarks.contenders.opencv_image import as_torch_images
from benchmarks.s3_store import BUCKET
from benchmarks.work import SHARD_BYTES, Epochs, Work, made

PACKAGES = ("litdata", "boto3")
downloader._OBSTORE_AVAILABLE = False  # it takes https alone, and has boto3 in its place


def store(work: Work) -> None:
    """Bring the photographs into the store."""
    folder = made(f"litdata-shards-{work.count}", partial(write, work, chunk_bytes=SHARD_BYTES))
    client = boto3.client("s3")
    for path in folder.iterdir():
        client.upload_file(str(path), BUCKET, f"litdata/{path.name}")


def batches(work: Work) -> Epochs:
    """Epochs of the loader."""
    photos = Photos(Dir(path=os.environ["REMOTE_CACHE"], url=f"s3://{BUCKET}/litdata"), work)
    loader = StreamingDataLoader(photos, batch_size=work.batch_size, num_workers=work.workers, persistent_workers=True)
    return Epochs(lambda: map(as_torch_images, loader))
