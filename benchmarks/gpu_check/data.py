"""Photographs for a machine without a network and OpenCV: parts of the two that scikit-learn carries."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_sample_images

from benchmarks.photos import FOLDER, SIDE_OF_SMALL, SIZES

QUALITY = 94  # their JPEGs have then as many bytes as those of `benchmarks.photos`, 0.34 per pixel


def make(folder: Path, photos: Iterable[int], small: int) -> None:
    """Put what `benchmarks.photos` would make below `folder`: sets of so many JPEGs, and raw images of 32 x 32."""
    sources = [Image.fromarray(image) for image in load_sample_images().images]
    random = np.random.default_rng(0)
    for count in photos:
        jpegs = folder / FOLDER / f"photos-{count}"
        jpegs.mkdir(parents=True, exist_ok=True)
        for index in range(count):
            image = _part(sources[index % len(sources)], *SIZES[index % len(SIZES)], random)
            image.save(jpegs / f"{index:05}.jpg", quality=QUALITY, subsampling="4:2:0")
    np.save(folder / FOLDER / f"small-{small}.npy", np.stack([_tile(sources, random) for _ in range(small)]))


def _part(source: Image.Image, width: int, height: int, random: np.random.Generator) -> Image.Image:
    scale = random.uniform(0.8, 1) * min(source.width / width, source.height / height)
    left, top = random.uniform(0, source.width - scale * width), random.uniform(0, source.height - scale * height)
    part = (left, top, left + scale * width, top + scale * height)
    return source.resize((width, height), Image.Resampling.LANCZOS, box=part)


def _tile(sources: list[Image.Image], random: np.random.Generator) -> np.ndarray:
    source = sources[random.integers(len(sources))]
    left, top = random.integers(source.width - SIDE_OF_SMALL), random.integers(source.height - SIDE_OF_SMALL)
    return np.asarray(source.crop((left, top, left + SIDE_OF_SMALL, top + SIDE_OF_SMALL)))
