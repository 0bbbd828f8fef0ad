"""Time and memory from the constructor to the first batch, and to the thousandth, by the number of samples.

    python -m benchmarks.scale [--samples 1e6,1e7,1e8,1e9] [--folder PATH]

One shard of 100,000 images of 16 x 16 stands for all: the others are further names of the same file (hard links), and
the index of each size is made up. So the disk holds one shard, and its data are in the page cache; tables, indices and
all that is kept per shard are those of as many files. Each line is a process of its own: the first one compares each
shard that it reads with the index, the second one finds that done. Memory is the peak of what the process has for
itself; the tables' pages, which the system may take away, are told apart.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.report import WIDTH

PER_SHARD, BATCH_SIZE, BATCHES = 100_000, 256, 1000
SETTLING_SECONDS = 3  # files that were changed just now are not taken for checked
CHECKED = "checked-shards"  # in the kernel cache
CASES = {"random": 1e8, "quasi_random": 1e9}  # up to how many samples


class _Images:
    def __len__(self) -> int:
        return PER_SHARD

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        return np.full(768, index % 251, dtype=np.uint8), index % 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", default="1e6,1e7,1e8,1e9")
    parser.add_argument("--folder", default=None, help="where the files are, 100 MB; by default a temporary folder")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.child:
        print(json.dumps(_measured(*chosen.child)))
        return
    table = Table(
        "samples", "shards", "order", "process", "opened, s", "batch 1, s", "batch 1000, s", "MB", "mapped, MB"
    )
    with tempfile.TemporaryDirectory(dir=chosen.folder) as name:
        folder = Path(name)
        source = _shard(folder)
        small = _made_up(folder / "small.beton", source, PER_SHARD)
        for order in CASES:
            _in_child(small, order, folder)  # compiles
        for samples in (int(float(number)) for number in chosen.samples.split(",")):
            path = _made_up(folder / f"{samples}.beton", source, samples)
            for order in (order for order, most in CASES.items() if samples <= most):
                (folder / CHECKED).unlink()
                for process in ("first", "second"):
                    found = _in_child(path, order, folder)
                    seconds = (f"{found[key]:.2f}" for key in ("opened", "first batch", "last batch"))
                    memory = (f"{found[key] / 1e6:,.0f}" for key in ("own", "mapped"))
                    table.add_row(f"{samples:,}", f"{samples // PER_SHARD:,}", order, process, *seconds, *memory)
            shutil.rmtree(path)
    Console(width=WIDTH).print(table)


def _in_child(path: Path, order: str, cache: Path) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.scale", "--child", str(path), order]
    environment = os.environ | {"FFCV_HYDRA_CACHE": str(cache)}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def _shard(folder: Path) -> Path:
    from ffcv_hydra.beton import write_beton

    write_beton(_Images(), folder / "shard.beton", {"image": None, "label": None}, progress=False)
    return folder / "shard.beton"


def _made_up(path: Path, source: Path, samples: int) -> Path:
    from ffcv_hydra.beton import Beton
    from ffcv_hydra.beton.data_digest import fields_identity
    from ffcv_hydra.beton.summary import describe_fields
    from ffcv_hydra.collection.entries import shard_entry
    from ffcv_hydra.collection.index import Index, write_index

    path.mkdir()
    beton = Beton(source)
    entry = shard_entry(beton, "")
    names = [f"{number:05d}.beton" for number in range(samples // PER_SHARD)]
    for name in names:
        os.link(source, path / name)
    shards = tuple(replace(entry, file=name) for name in names)
    write_index(path, Index(shards, fields_identity(beton), describe_fields(beton.fields)))
    time.sleep(SETTLING_SECONDS)
    return path


def _measured(path: str, order: str) -> dict[str, float]:
    from ffcv_hydra.loader import Loader
    from ffcv_hydra.ordering import QuasiRandom, Random

    before = _memory()
    started = time.perf_counter()
    loader = Loader(path, BATCH_SIZE, ordering=Random() if order == "random" else QuasiRandom(), num_workers=2)
    found = {"opened": time.perf_counter() - started}
    for number, _ in enumerate(loader):
        if number == 0:
            found["first batch"] = time.perf_counter() - started
        if number == BATCHES - 1:
            break
    after = _memory()
    own = after["RssAnon"] - before["RssAnon"]
    return found | {"last batch": time.perf_counter() - started, "own": own, "mapped": after["RssFile"]}


def _memory() -> dict[str, int]:
    """In bytes, what the process has for itself, and what it has mapped of files."""
    lines = (line.split() for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("Rss"))
    return {name.rstrip(":"): int(kilobytes) * 1024 for name, kilobytes, *_ in lines}


if __name__ == "__main__":
    main()
