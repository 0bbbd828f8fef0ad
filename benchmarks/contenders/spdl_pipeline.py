"""SPDL's pipeline of threads; FFmpeg decodes, crops, resamples and mirrors, as its own loading functions do."""

import random
from collections.abc import Iterator
from pathlib import Path

import spdl.io
import torch
from spdl.pipeline import PipelineBuilder

from benchmarks.contenders.opencv_image import as_torch_images
from benchmarks.work import Epochs, Work, box, endless, flipped

PACKAGES = ("spdl-io",)


def batches(work: Work) -> Epochs:
    """Epochs of one pipeline that runs on and on."""
    paths = work.paths()

    def decode(path: Path) -> spdl.io.ImageFrames:
        packets = spdl.io.demux_image(path.read_bytes())
        top, left, height, width = box(work, packets.height, packets.width)
        mirror = ",hflip" if flipped(work) else ""
        crop = f"crop={width}:{height}:{left}:{top}:exact=1"
        scale = f"scale={work.size}:{work.size}:flags=area"
        return spdl.io.decode_packets(packets, filter_desc=f"{crop},{scale}{mirror},format=rgb24")

    def collate(frames: list[spdl.io.ImageFrames]) -> torch.Tensor:
        return as_torch_images(spdl.io.to_torch(spdl.io.convert_frames(frames)))

    pipeline = (
        PipelineBuilder()
        .add_source(_shuffled(paths))
        .pipe(decode, concurrency=work.workers)
        .aggregate(work.batch_size)
        .pipe(collate)
        .add_sink(2)
        .build(num_threads=work.workers, max_failures=0)
    )
    pipeline.start()
    return endless(pipeline.get_iterator(), work)


def _shuffled(paths: list[Path]) -> Iterator[Path]:
    while True:
        yield from random.sample(paths, len(paths))
