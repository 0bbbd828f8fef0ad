"""Reads mutations of a beton, one per seed, in a process of its own, because a crash is one of the outcomes looked for.

Usage: python fuzz_child.py FILE FIRST_SEED COUNT STRICT

Before each mutation its seed is printed, so that whoever watches knows which one crashed or hangs. What must not be is
printed as `SEED: text`: an exception that is not one of the package's own, an error of more than one line, and with
STRICT=1, for files with checksums, a file that differs and yet is read without an error, or is called whole.
"""

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from ffcv_hydra import Loader
from ffcv_hydra.beton import Beton
from ffcv_hydra.beton.format import ALLOCATION, DESCRIPTOR, HEADER
from ffcv_hydra.beton.reading.verification import verify
from ffcv_hydra.errors import FFCVHydraError
from ffcv_hydra.operations import RandomResizedCrop

BATCH_SIZE = 3
Mutation = Callable[[bytearray, int, int, np.random.Generator], None]


def regions(path: Path) -> list[tuple[int, int]]:
    """Header, descriptors, metadata, data, appendix (or padding), allocation table, everything: (start, stop)."""
    beton, num_bytes = Beton(path), path.stat().st_size
    descriptors = [HEADER.itemsize + n * DESCRIPTOR.itemsize for n in range(len(beton.fields) + 1)]
    data, data_end = int(beton.pointers[0]), int((beton.pointers + beton.sizes).max())
    table = num_bytes - len(beton.pointers) * ALLOCATION.itemsize
    return [
        (0, HEADER.itemsize),
        *((start, start + 120) for start in descriptors[:-1]),
        (descriptors[-1], descriptors[-1] + beton.metadata.nbytes),
        (data, data_end),
        (max(data_end, table - 600), table),
        (table, num_bytes),
        (0, num_bytes),
    ]


def flip_bits(content: bytearray, start: int, stop: int, random: np.random.Generator) -> None:
    for place in random.integers(start, stop, random.integers(1, 4)):
        content[place] ^= 1 << int(random.integers(8))


def set_bytes(content: bytearray, start: int, stop: int, random: np.random.Generator) -> None:
    for place in random.integers(start, stop, random.integers(1, 4)):
        content[place] = int(random.choice([0, 1, 127, 128, 255, random.integers(256)]))


def overwrite(content: bytearray, start: int, stop: int, random: np.random.Generator) -> None:
    begin, end = a_range(start, stop, random)
    fill = random.choice([0, 255, -1])
    content[begin:end] = random.bytes(end - begin) if fill < 0 else bytes([fill]) * (end - begin)


def overwrite_from_elsewhere(content: bytearray, start: int, stop: int, random: np.random.Generator) -> None:
    begin, end = a_range(start, stop, random)
    source = int(random.integers(0, len(content) - (end - begin) + 1))
    content[begin:end] = content[source : source + end - begin]


def cut_the_end(content: bytearray, start: int, stop: int, random: np.random.Generator) -> None:
    del content[int(random.integers(start, stop)) :]


def cut_out(content: bytearray, start: int, stop: int, random: np.random.Generator) -> None:
    begin, end = a_range(start, stop, random)
    del content[begin:end]


def insert(content: bytearray, start: int, stop: int, random: np.random.Generator) -> None:
    place = int(random.integers(start, stop + 1))
    content[place:place] = random.bytes(int(random.choice([1, 8, 24, 40, random.integers(1, 200)])))


def a_range(start: int, stop: int, random: np.random.Generator) -> tuple[int, int]:
    begin = int(random.integers(start, stop))
    return begin, min(begin + int(random.choice([1, 2, 4, 8, 24, random.integers(1, 2000)])), stop)


MUTATIONS: list[Mutation] = [
    flip_bits,
    flip_bits,
    set_bytes,
    set_bytes,
    overwrite,
    overwrite_from_elsewhere,
    cut_the_end,
    cut_out,
    insert,
]


def mutate(original: bytes, places: list[tuple[int, int]], seed: int) -> bytearray:
    """One to three mutations, drawn with `seed`."""
    random = np.random.default_rng(seed)
    content = bytearray(original)
    for _ in range(random.choice([1, 1, 1, 2, 3])):
        start, stop = places[random.integers(len(places))]
        start, stop = min(start, len(content) - 1), min(stop, len(content))
        if len(content) > 1 and start < stop:
            MUTATIONS[random.integers(len(MUTATIONS))](content, start, stop, random)
    return content


def read(path: Path, seed: int) -> list[bytes]:
    """Every array of every batch, as bytes; the seed says how it is read."""
    pipelines = {"image": [RandomResizedCrop((8, 8))]} if seed % 2 else None
    loader = Loader(path, BATCH_SIZE, pipelines=pipelines, num_workers=1, os_cache=seed % 4 < 2)
    return [np.asarray(bits(array)).tobytes() for batch in loader for value in batch for array in parts(value)]


def parts(value: object) -> tuple[object, ...]:
    return value if isinstance(value, tuple) else (value,)


def bits(array: object) -> object:
    """bfloat16, which NumPy does not have, as int16."""
    is_bfloat16 = isinstance(array, torch.Tensor) and array.dtype == torch.bfloat16
    return array.view(torch.int16) if is_bfloat16 else array


def attempt(path: Path, seed: int, expected: list[list[bytes]] | None) -> list[str]:
    """What must not be about reading the file at `path`."""
    wrong = []
    findings = verify(path, decode=True, num_workers=1).findings
    wrong += [f"more than one line: {line!r}" for line in findings if "\n" in line]
    try:
        samples = read(path, seed)
    except FFCVHydraError as error:
        if "\n" in str(error):
            wrong.append(f"more than one line: {error!r}")
        if expected is not None and not findings:
            wrong.append(f"verify calls the file whole, and the loader says: {error}")
    else:
        if expected is not None and samples != expected[seed % 4]:
            wrong.append("the loader returns other samples without an error")
    return wrong


def main(path: Path, first_seed: int, count: int, strict: bool) -> None:
    original, places = path.read_bytes(), regions(path)
    expected = [read(path, seed) for seed in range(4)]
    with tempfile.TemporaryDirectory() as folder:
        mutated = Path(folder) / "mutated.beton"
        for seed in range(first_seed, first_seed + count):
            print(seed, flush=True)
            mutated.write_bytes(mutate(original, places, seed))
            try:
                wrong = attempt(mutated, seed, expected if strict else None)
            except Exception as error:
                wrong = [f"{type(error).__name__}: {error}"]
            for text in wrong:
                print(f"{seed}: {text}", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4] == "1")
