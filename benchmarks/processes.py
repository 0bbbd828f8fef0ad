"""Whole processes, from their start to their end, of this checkout and of another one in turn; kernels are on disk."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks import report
from benchmarks.contest import Result, say

HERE = Path(__file__).parents[1]
IMAGES, SIDE, CLASSES = 5000, 64, 10

FIRST_BATCH = """
from ffcv_hydra import Loader
from ffcv_hydra.operations import RandomHorizontalFlip, RandomResizedCrop, ToTensor, ToTorchImage
image = [RandomResizedCrop(32), RandomHorizontalFlip(), ToTensor(), ToTorchImage()]
next(iter(Loader("data/images_train.beton", 256, pipelines={"image": image})))
"""
TITLES = {  # in the order of their turns: the first one makes what the third one reads
    "convert": f"convert.py of {IMAGES:,} JPEGs of {SIDE} × {SIDE}",
    "import": "import ffcv_hydra.loader",
    "first_batch": "a script that makes a loader and takes a batch",
    "help": "run.py --help",
}


def compare(before: Path | None, repeats: int, settings: Mapping[str, Any]) -> None:
    """Measure and publish each of `TITLES`.

    Args:
        before: a checkout to compare with; None for this one alone.
        repeats: how many measurements of each, after one that is not counted.
        settings: what the benchmark was started with.
    """
    checkouts = {"ours": HERE} | ({"before": before.absolute()} if before else {})
    results = {task: [Result(name) for name in checkouts] for task in TITLES}
    torch = Result("import_torch")
    results["import"].append(torch)
    with tempfile.TemporaryDirectory() as folder:
        images = Path(folder) / "images"
        draw(images)
        for number in range(repeats + 1):
            for task, rows in results.items():
                for result in rows:
                    checkout = checkouts.get(result.name, HERE)
                    code = "import torch" if result is torch else None
                    seconds = seconds_of(_arguments(task, checkout, images, code), checkout, Path(folder) / result.name)
                    if number:
                        result.values.append(seconds)
                        say(f"{task}, {result.name}: {seconds:.2f} s")
    for task, title in TITLES.items():
        reference = "import_torch" if task == "import" else "before"
        report.publish(
            f"start_{task}", title, "s", results[task],
            reference=reference, less_is_better=True, form="{:.2f}".format, settings=settings,
        )  # fmt: skip


def draw(folder: Path, count: int = IMAGES) -> None:
    """Write small JPEGs of smooth colours, in a folder for each class."""
    for index in range(count):
        coarse = np.random.default_rng(index).integers(0, 256, (5, 6, 3), dtype=np.uint8)
        path = folder / f"class{index % CLASSES}" / f"{index:05}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(coarse).resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(path, quality=90)


def _arguments(task: str, checkout: Path, images: Path, code: str | None) -> list[str]:
    if task == "convert":
        options = ["dataset=image_folder", f"dataset.root={images}", "conversion.if_exists=overwrite"]
        return [str(checkout / "convert.py"), *options]
    if task == "help":
        return [str(checkout / "run.py"), "--help"]
    return ["-c", code or {"import": "import ffcv_hydra.loader", "first_batch": FIRST_BATCH}[task]]


def seconds_of(arguments: list[str], checkout: Path, folder: Path) -> float:
    """How long a process takes in a folder with a checkout's package; what it says on stderr is shown if it fails."""
    folder.mkdir(exist_ok=True)
    environment = os.environ | {"PYTHONPATH": str(checkout)}
    begin = time.perf_counter()
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    seconds = time.perf_counter() - begin
    if done.returncode:
        raise SystemExit(f"{' '.join(arguments)} in {checkout} failed:\n{done.stderr}")
    return seconds
