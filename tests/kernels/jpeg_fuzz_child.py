"""Decodes JPEGs with mutated markers, tables and indexes, one per seed, in a process of its own: a crash is an outcome.

Usage: python jpeg_fuzz_child.py FIRST_SEED COUNT

Before each mutation its seed is printed. What must not be is printed as `SEED: text`: a whole image that a fresh
TurboJPEG refuses and that is decoded here, or the other way round, or to other pixels; the same of a crop, except that
a crop does not see what a whole image is refused for if that comes behind the crop; its pixels are TurboJPEG's then
too; the same of the baseline JPEG that is made of it, unless none is made. At the end `counts: ...` says how many there
were of each outcome.

All mutations of a process are decoded with the same memory for tables.
"""

import sys
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import cache

import numpy as np
import simplejpeg
from jpegs import SUBSAMPLINGS, encode, parts_with, pixels

from ffcv_hydra.beton.fields.baseline_jpeg import to_baseline
from ffcv_hydra.beton.fields.restart_index import with_random_access
from ffcv_hydra.kernels.jpeg.decoder import EXTRA_BYTES, REGION_LENGTH, decode_box
from ffcv_hydra.kernels.jpeg.region import decode_region

SIZES = [(48, 80), (61, 200)]
SOI, EOI, SOS, DHT, DQT, DRI = 0xD8, 0xD9, 0xDA, 0xC4, 0xDB, 0xDD
Mutation = Callable[[bytearray, np.random.Generator], None]


@cache
def originals() -> list[tuple[bytes, tuple[int, int]]]:
    """JPEGs of every kind, each with its height and width."""
    found = []
    for height, width in SIZES:
        image = pixels(height, width)
        for subsampling in SUBSAMPLINGS:
            plain = encode(image, subsampling, quality=80)
            kinds = [plain, with_random_access(encode(image, subsampling, quality=98))]
            kinds += [encode(image, subsampling, restart_interval=interval) for interval in (1, 3)]
            kinds += [encode(image, subsampling, optimize=True), encode(image, subsampling, progressive=True)]
            found += [(jpeg.tobytes(), (height, width)) for jpeg in kinds if jpeg is not None]
    return found


def segments(jpeg: bytes) -> list[tuple[int, int]]:
    """Where the segments of the markers before the scan begin and end, the scan's own last; as far as there are any."""
    found, at = [], 2
    while at + 4 <= len(jpeg) and jpeg[at] == 0xFF:
        end = at + 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")
        found.append((at, min(end, len(jpeg))))
        if jpeg[at + 1] == SOS:
            break
        at = end
    return found or [(0, len(jpeg))]


def _segment(jpeg: bytes, random: np.random.Generator, marker: int | None = None) -> tuple[int, int]:
    found = segments(jpeg)
    found = [one for one in found if marker is None or jpeg[one[0] + 1] == marker] or found
    return found[random.integers(len(found))]


def _byte(random: np.random.Generator) -> int:
    return int(random.choice([0, 1, 2, 16, 17, 33, 34, 127, 128, 255, random.integers(256)]))


def change_bytes(jpeg: bytearray, random: np.random.Generator) -> None:
    begin, end = _segment(jpeg, random)
    for place in random.integers(begin, end, random.integers(1, 4)):
        jpeg[place] = _byte(random) if random.integers(2) else jpeg[place] ^ (1 << int(random.integers(8)))


def _frame(jpeg: bytes) -> int:
    return next((at for at, _ in segments(jpeg) if jpeg[at + 1] in (0xC0, 0xC1, 0xC2)), -1)


def change_sampling(jpeg: bytearray, random: np.random.Generator) -> None:
    at = _frame(jpeg)
    if at >= 0:
        jpeg[at + 11 + 3 * int(random.integers(jpeg[at + 9]))] = int(random.integers(1, 5) << 4 | random.integers(1, 5))


def change_frame(jpeg: bytearray, random: np.random.Generator) -> None:
    at = _frame(jpeg)
    if at >= 0:
        place = int(random.choice([1, 4, 6, 8, 9, 10, 12]))
        jpeg[at + place] = int(random.choice([0xC0, 0xC1, 0xC2, 0xC9, 0xCA])) if place == 1 else _byte(random) % 64


def change_scan(jpeg: bytearray, random: np.random.Generator) -> None:
    begin, end = _segment(jpeg, random, SOS)
    jpeg[int(random.integers(begin + 2, end))] = int(random.choice([0, 1, 2, 3, 16, 17, 18, 32, 51, 63, 64]))


def change_table(jpeg: bytearray, random: np.random.Generator) -> None:
    begin, end = _segment(jpeg, random, int(random.choice([DHT, DQT])))
    jpeg[int(random.choice([begin + 4, random.integers(begin + 4, min(end, begin + 24) + 1)]))] = _byte(random)


def remove_segment(jpeg: bytearray, random: np.random.Generator) -> None:
    begin, end = _segment(jpeg, random, int(random.choice([DHT, DQT, DRI])))
    del jpeg[begin:end]


def repeat_segment(jpeg: bytearray, random: np.random.Generator) -> None:
    begin, end = _segment(jpeg, random)
    place, _ = _segment(jpeg, random)
    jpeg[place:place] = jpeg[begin:end]


def take_a_segment_of_another(jpeg: bytearray, random: np.random.Generator) -> None:
    other, _ = originals()[random.integers(len(originals()))]
    begin, end = _segment(other, random, int(random.choice([DHT, DQT, DRI, 0xC0])))
    place, stop = _segment(jpeg, random, other[begin + 1])
    jpeg[place : stop if random.integers(2) else place] = other[begin:end]


def insert_a_segment(jpeg: bytearray, random: np.random.Generator) -> None:
    place, _ = _segment(jpeg, random)
    interval = bytes([0, int(random.choice([0, 1, 2, 3, 5, 15]))])
    adobe = b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0" + bytes([int(random.integers(3))])
    choices = [b"\xff\xdd\0\4" + interval, adobe, b"\xff\xcc\0\4\0\x10", b"\xff", b"\0", b"\xff\xfe\0\3.", b"\xff\x01"]
    jpeg[place:place] = choices[random.integers(len(choices))]


def _markers_in_scan(jpeg: bytes) -> list[int]:
    start = segments(jpeg)[-1][1]
    return [at for at in range(start, len(jpeg) - 1) if jpeg[at] == 0xFF and 0xD0 <= jpeg[at + 1] <= EOI]


def change_markers_in_scan(jpeg: bytearray, random: np.random.Generator) -> None:
    found = _markers_in_scan(jpeg)
    if found:
        at = found[random.integers(len(found))]
        kind = random.integers(4)
        if kind == 0:
            jpeg[at + 1] = int(random.choice([0xD0 + random.integers(8), EOI, SOI, 0xC4, 1]))
        elif kind == 1:
            del jpeg[at : at + 2]
        elif kind == 2:
            jpeg[at:at] = bytes([0xFF, 0xD0 + int(random.integers(8))])
        else:
            other = found[random.integers(len(found))]
            jpeg[min(at, other) : max(at, other)] = b""


def change_index(jpeg: bytearray, random: np.random.Generator) -> None:
    """Say other lengths, with the same sum, or change what stands behind the image in another way."""
    if jpeg[-16:-12] != b"FHRI":
        jpeg += random.bytes(int(random.integers(1, 30)))
        return
    count, size = int.from_bytes(jpeg[-8:-4], "little"), jpeg[-11]
    begin = max(len(jpeg) - 16 - count * size, 0)
    lengths = np.frombuffer(bytes(jpeg[begin:-16]), dtype=f"<u{size}").astype(np.int64)
    kind = random.integers(5)
    if kind == 0 or len(lengths) < 2:
        jpeg[int(random.integers(begin, len(jpeg)))] = _byte(random)
        return
    one, other = random.choice(len(lengths), 2, replace=False)
    if kind == 1:
        lengths[[one, other]] = lengths[[other, one]]
    elif kind == 2:
        moved = int(random.integers(0, lengths[one] + 1))
        lengths[one], lengths[other] = lengths[one] - moved, lengths[other] + moved
    elif kind == 3:
        lengths = np.roll(lengths, int(random.integers(len(lengths))))
    else:  # eight markers further on, where the numbers are the same again
        far = lengths[one : one + 9]
        lengths[one] = far.sum() + 2 * (len(far) - 1)
        jpeg[begin:-16] = np.concatenate([lengths[: one + 1], lengths[one + len(far) :]]).astype(f"<u{size}").tobytes()
        jpeg[-8:-4] = (count - len(far) + 1).to_bytes(4, "little")
        return
    jpeg[begin:-16] = lengths.astype(f"<u{size}").tobytes()


def cut(jpeg: bytearray, random: np.random.Generator) -> None:
    del jpeg[int(random.integers(len(jpeg))) :]


MUTATIONS: list[tuple[Mutation, int]] = [
    (change_bytes, 4), (change_sampling, 3), (change_frame, 2), (change_scan, 2), (change_table, 4),
    (remove_segment, 3), (repeat_segment, 1), (take_a_segment_of_another, 3), (insert_a_segment, 3),
    (change_markers_in_scan, 3), (change_index, 3), (cut, 1),
]  # fmt: skip


def mutate(seed: int) -> tuple[np.ndarray, tuple[int, int], np.random.Generator]:
    """A JPEG with one to three mutations, drawn with `seed`, and the size that it had before."""
    random = np.random.default_rng(seed)
    original, size = originals()[random.integers(len(originals()))]
    jpeg, weights = bytearray(original), np.array([weight for _, weight in MUTATIONS], dtype=float)
    for _ in range(random.choice([1, 1, 1, 2, 3])):
        mutation, _ = MUTATIONS[random.choice(len(MUTATIONS), p=weights / weights.sum())]
        with suppress(IndexError, ValueError):  # what is to be changed may be gone already
            mutation(jpeg, random)
    return np.frombuffer(bytes(jpeg), dtype=np.uint8), size, random


def fresh_turbojpeg(jpeg: np.ndarray, size: tuple[int, int], channels: int, scale: int) -> tuple[bool, np.ndarray]:
    """Whether TurboJPEG decodes a JPEG without a complaint to the size, and what it makes of it all the same."""
    rows, columns = (-(-side // scale) for side in size)
    target = np.zeros((rows, columns, channels), dtype=np.uint8)
    least = (rows, columns) if scale > 1 else (0, 0)
    try:
        *found, colours, _ = simplejpeg.decode_jpeg_header(jpeg)
        if tuple(found) != size or colours in ("CMYK", "YCCK"):
            return False, target
        simplejpeg.decode_jpeg(jpeg, "RGB" if channels == 3 else "GRAY", True, False, *least, 1, target)
    except (ValueError, KeyError):  # with KeyError, simplejpeg has no name for sampling factors
        return False, target
    return True, target


class Reader:
    """Decodes boxes of JPEGs as the loader does, with memory that stays from one to the next."""

    def __init__(self) -> None:
        self.small = np.zeros(1 << 17, dtype=np.uint8)
        self.parts = parts_with(self.small)

    def read(
        self, jpeg: np.ndarray, size: tuple[int, int], channels: int, box: tuple[int, ...], scale: int
    ) -> np.ndarray | None:
        """The pixels of a box, or of all scaled pixels that touch it; None if it is refused."""
        assert len(jpeg) + EXTRA_BYTES <= len(self.small)
        height, width = size
        target = np.zeros(height * width * channels + 64, dtype=np.uint8)
        region, wanted, stored = np.zeros(REGION_LENGTH, dtype=np.int64), np.array(box), jpeg.copy()
        arguments = (
            self.parts.ctypes.data, stored.ctypes.data, len(stored), height, width, channels, scale,
            wanted.ctypes.data, target.ctypes.data, region.ctypes.data,
        )  # fmt: skip
        if decode_box(*arguments) == 1:
            top, left, columns = region[0] // scale, region[1] // scale, region[2]
        else:
            try:
                found = decode_region(stored, height, width, channels, wanted, scale, self.small, target)
            except ValueError:
                return None
            top, left, columns = found[0] // scale, found[1] // scale, -(-found[3] // scale)
        rows = target[: len(target) // (columns * channels) * columns * channels].reshape(-1, columns, channels)
        first, last = (box[0] // scale, box[1] // scale), (-(-box[2] // scale), -(-box[3] // scale))
        return rows[first[0] - top : last[0] - top, first[1] - left : last[1] - left]


def a_box(size: tuple[int, int], random: np.random.Generator) -> tuple[int, ...]:
    top, bottom = sorted(random.choice(size[0] + 1, 2, replace=False).tolist())
    left, right = sorted(random.choice(size[1] + 1, 2, replace=False).tolist())
    return top, left, bottom, right


def recoding(jpeg: np.ndarray, size: tuple[int, int], counts: Counter[str]) -> list[str]:
    """What must not be about the baseline JPEG of the same coefficients."""
    baseline = to_baseline(jpeg)
    counts[f"baseline JPEGs {'refused' if baseline is None else 'made'}"] += 1
    if baseline is None:
        return []
    before, after = fresh_turbojpeg(jpeg, size, 3, 1), fresh_turbojpeg(baseline, size, 3, 1)
    same = before[0] == after[0] and (not before[0] or np.array_equal(before[1], after[1]))
    return [] if same else [f"as baseline: {'decoded' if after[0] else 'refused'}, or to other pixels"]


def attempt(reader: Reader, seed: int, counts: Counter[str]) -> list[str]:
    """What must not be about one mutated JPEG."""
    jpeg, size, random = mutate(seed)
    channels = int(random.choice([3, 3, 3, 1]))
    wrong = recoding(jpeg, size, counts)
    for scale in (1, int(random.choice([2, 4, 8]))):
        is_good, expected = fresh_turbojpeg(jpeg, size, channels, scale)
        whole = reader.read(jpeg, size, channels, (0, 0, *size), scale)
        what = f"whole at 1/{scale}"
        if (whole is not None) != is_good:
            wrong.append(f"{what}: {'refused' if is_good else 'decoded'} here only")
        elif whole is not None and not np.array_equal(whole, expected):
            wrong.append(f"{what}: other pixels")
        counts[f"whole images {'decoded' if is_good else 'refused'}"] += 1
        for _ in range(3):
            box = a_box(size, random)
            crop = reader.read(jpeg, size, channels, box, scale)
            rows, columns = (slice(box[i] // scale, -(-box[i + 2] // scale)) for i in range(2))
            what = f"{box} at 1/{scale}"
            if crop is None:
                counts["crops refused"] += 1
                if is_good:
                    wrong.append(f"{what}: refused")
            elif not np.array_equal(crop, expected[rows, columns]):
                wrong.append(f"{what}: other pixels than TurboJPEG's{'' if is_good else ', which refuses the whole'}")
            else:
                counts["crops decoded" if is_good else "crops decoded above of what the whole is refused for"] += 1
    return wrong


def main(first_seed: int, count: int) -> None:
    reader, counts = Reader(), Counter[str]()
    for seed in range(first_seed, first_seed + count):
        print(seed, flush=True)
        for text in attempt(reader, seed, counts):
            print(f"{seed}: {text}", flush=True)
    print("counts: " + ", ".join(f"{number} {what}" for what, number in sorted(counts.items())), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
