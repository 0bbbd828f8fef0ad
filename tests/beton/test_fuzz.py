"""Damaged betons: whatever is changed, reading ends in the very samples or in an error.

FUZZ_MUTATIONS says how many mutations of our own file are tried; `make fuzz` sets it to 100,000.
"""

import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from ffcv import DatasetWriter
from ffcv.fields import BytesField, FloatField, IntField, NDArrayField, RGBImageField
from PIL import Image

from ffcv_hydra.beton import (
    Beton,
    BFloat16TensorField,
    GrayscaleImageField,
    MaskField,
    RaggedArrayField,
    TextField,
    write_beton,
)

CHILD = Path(__file__).with_name("fuzz_child.py")
MUTATIONS = int(os.environ.get("FUZZ_MUTATIONS", "2000"))
STOCK_MUTATIONS = OWN_MUTATIONS = MUTATIONS // 5
HANG_SECONDS = 60.0
MOST_DEATHS = 5


class Samples:
    """Seven samples of one image size, with raw pixels in every third, so that each kind of storage is there."""

    def __init__(self, images_as_arrays: bool) -> None:
        self.images_as_arrays = images_as_arrays

    def __len__(self):
        return 7

    def __getitem__(self, index):
        random = np.random.default_rng(index)
        coarse = random.integers(0, 256, (3, 4, 3), dtype=np.uint8)
        image = Image.fromarray(coarse).resize((16, 12), Image.Resampling.BICUBIC)
        values = np.full((2, 3), index, np.float32)
        picture = np.asarray(image) if self.images_as_arrays else image
        return picture, index, index / 2, values, random.integers(0, 256, 1 + index % 3, dtype=np.uint8)


class OwnSamples:
    """Seven samples of the package's own fields."""

    def __len__(self):
        return 7

    def __getitem__(self, index):
        random = np.random.default_rng(index)
        image = np.repeat(random.integers(0, 256, (12, 2), dtype=np.uint8), 8, axis=1)
        deep = random.integers(0, 65536, (3, 4), dtype=np.uint16)
        boxes = random.random((index % 3, 4)).astype(np.float32)
        noise = random.integers(0, 256, (3, 4), dtype=np.uint8)
        return image, deep, image, noise, boxes, "é" * index, torch.full((2, 3), index, dtype=torch.bfloat16)


OWN_FIELDS = {
    "image": GrayscaleImageField(),
    "deep": GrayscaleImageField(bits=16),
    "mask": MaskField(),
    "raw_mask": MaskField(),
    "boxes": RaggedArrayField("float32", [4]),
    "text": TextField(),
    "tensor": BFloat16TensorField([2, 3]),
}


def fields():
    return {
        "image": RGBImageField("proportion", compress_probability=0.7),
        "label": IntField(),
        "value": FloatField(),
        "array": NDArrayField(np.dtype(np.float32), (2, 3)),
        "data": BytesField(),
    }


def watch(path: Path, first_seed: int, count: int, strict: bool) -> list[str]:
    """Run mutations in children; what went wrong, each named with its seed."""
    wrong: list[str] = []
    seed, stop = first_seed, first_seed + count
    deaths = 0
    while seed < stop and deaths < MOST_DEATHS:
        arguments = [sys.executable, str(CHILD), str(path), str(seed), str(stop - seed), str(int(strict))]
        last, report, output = _watch_one(arguments)
        wrong += report
        if output is None and last == stop - 1:
            return wrong
        deaths += 1
        wrong.append(f"{last}: {output or 'ended early'}")
        if last is None:
            break  # before the first mutation
        seed = last + 1
    return wrong


def _watch_one(arguments: list[str]) -> tuple[int | None, list[str], str | None]:
    """The last seed that a child began, what it reported, and how it died unless it ended well."""
    last, report, hung = None, [], threading.Event()
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:

        def end_it() -> None:
            hung.set()
            child.kill()

        errors: list[str] = []
        drain = threading.Thread(target=lambda: errors.append(child.stderr.read()))
        drain.start()
        timer = threading.Timer(HANG_SECONDS, end_it)
        timer.start()
        for line in child.stdout:
            timer.cancel()
            timer = threading.Timer(HANG_SECONDS, end_it)
            timer.start()
            if line.strip().isdecimal():
                last = int(line)
            else:
                report.append(line.strip())
        child.wait()
        timer.cancel()
        drain.join()
    if hung.is_set():
        return last, report, f"hung for {HANG_SECONDS:.0f} s"
    return last, report, None if child.returncode == 0 else f"died with status {child.returncode}: {errors[0][-2000:]}"


@pytest.mark.slow
@pytest.mark.timeout(300 + MUTATIONS)
def test_R2_no_mutation_crashes_hangs_or_gives_other_samples(tmp_path):
    path = tmp_path / "a.beton"
    write_beton(Samples(images_as_arrays=False), path, fields(), num_workers=0, description={"name": "fuzz"})
    modes = Beton(path).field_metadata("image")["mode"]
    assert 0 < modes.sum() < len(modes)
    assert watch(path, 0, MUTATIONS, strict=True) == []


@pytest.mark.slow
@pytest.mark.timeout(300 + MUTATIONS)
def test_R2_no_mutation_of_a_file_of_stock_ffcv_crashes_or_hangs(tmp_path):
    path = tmp_path / "stock.beton"
    writer = DatasetWriter(str(path), fields(), num_workers=1, page_size=1 << 21)
    writer.from_indexed_dataset(Samples(images_as_arrays=True), chunksize=7)
    assert Beton(path).checksums is None
    assert watch(path, 10**6, STOCK_MUTATIONS, strict=False) == []


@pytest.mark.slow
@pytest.mark.timeout(300 + MUTATIONS)
def test_R2_no_mutation_of_own_fields_crashes_hangs_or_gives_other_samples(tmp_path):
    path = tmp_path / "own.beton"
    write_beton(OwnSamples(), path, OWN_FIELDS, num_workers=0)
    assert watch(path, 2 * 10**6, OWN_MUTATIONS, strict=True) == []


def test_the_watcher_names_the_seed_of_a_crash(tmp_path):
    child = tmp_path / "child.py"
    child.write_text(
        "import os; print(41, flush=True); print('41: odd', flush=True); print(42, flush=True); os.abort()"
    )
    last, report, output = _watch_one([sys.executable, str(child)])
    assert (last, report) == (42, ["41: odd"])
    assert "died with status -6" in output
