"""WebDataset's shards and loader, decoding with OpenCV."""

from functools import partial
from pathlib import Path

import webdataset

from benchmarks.contenders.opencv_image import as_torch_images, decode
from benchmarks.work import Epochs, Work, made

PACKAGES = ("webdataset",)
SHARDS = 8
SHUFFLE_BUFFER = 256


def batches(work: Work) -> Epochs:
    """Epochs of the loader; each worker ends with a batch that is not full."""
    folder = made(f"webdataset-{work.count}", partial(_write, work))
    shards = sorted(str(path) for path in folder.glob("*.tar"))
    dataset = (
        webdataset.WebDataset(shards, shardshuffle=SHARDS)
        .shuffle(SHUFFLE_BUFFER)
        .to_tuple("jpg")
        .map_tuple(partial(decode, work=work))
        .batched(work.batch_size)
    )
    loader = webdataset.WebLoader(dataset, batch_size=None, num_workers=work.workers, persistent_workers=True)
    return Epochs(lambda: (as_torch_images(images) for (images,) in loader))


def _write(work: Work, folder: Path) -> None:
    folder.mkdir()
    paths = work.paths()
    for shard in range(SHARDS):
        with webdataset.TarWriter(str(folder / f"{shard}.tar")) as writer:
            for path in paths[shard::SHARDS]:
                writer.write({"__key__": path.stem, "jpg": path.read_bytes()})
