"""What it costs to verify the checksum of every JPEG before it is decoded, next to decoding it.

    python benchmarks/checksum.py

Photographs that scikit-learn carries, at most 500 pixels wide, JPEG quality 90, decoded whole by TurboJPEG on one
thread. The two are timed in turn, and the medians compared.
"""

import platform
import statistics
import time

import cv2
import numpy as np
import xxhash
from rich.console import Console
from rich.table import Table
from sklearn.datasets import load_sample_images

from ffcv_hydra.kernels.jpeg.turbojpeg import decode_jpeg
from ffcv_hydra.kernels.memory.checksum import first_mismatch

COPIES = 100
ROUNDS = 15


def stored_photos() -> tuple[list[bytes], list[tuple[int, int]]]:
    """JPEGs and their (height, width)."""
    jpegs, sizes = [], []
    for photo in load_sample_images().images:
        height = round(photo.shape[0] * 500 / photo.shape[1])
        small = cv2.resize(photo, (500, height), interpolation=cv2.INTER_AREA)
        encoded = cv2.imencode(".jpg", small[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])[1]
        jpegs.append(encoded.tobytes())
        sizes.append((height, 500))
    return jpegs, sizes


def main() -> None:
    jpegs, shapes = stored_photos()
    data = np.frombuffer(b"".join(jpegs * COPIES), dtype=np.uint8)
    sizes = np.array([len(jpeg) for jpeg in jpegs * COPIES], dtype=np.int64)
    offsets = np.cumsum(sizes) - sizes
    checksums = np.array([xxhash.xxh64_intdigest(jpeg) for jpeg in jpegs * COPIES], dtype=np.uint64)
    heights, widths = (np.array([shape[axis] for shape in shapes * COPIES], dtype=np.int64) for axis in (0, 1))
    scratch = np.empty(int((heights * widths).max()) * 3, dtype=np.uint8)

    def decode() -> None:
        for offset, size, height, width in zip(offsets, sizes, heights, widths, strict=True):
            decode_jpeg(data[offset : offset + size], height, width, 3, scratch)

    def verify() -> None:
        assert first_mismatch(data, offsets, sizes, checksums) == -1

    times: dict[str, list[float]] = {"decode": [], "verify": []}
    decode(), verify()  # compiles, and warms the caches
    for _ in range(ROUNDS):
        for name, run in (("decode", decode), ("verify", verify)):
            begin = time.perf_counter()
            run()
            times[name].append((time.perf_counter() - begin) / len(sizes))
    decoding, verifying = (statistics.median(times[name]) for name in ("decode", "verify"))
    table = Table("", "µs per image", title=f"{platform.processor() or platform.machine()}, one thread")
    table.add_row("decode", f"{decoding * 1e6:.0f}")
    table.add_row("verify the checksum", f"{verifying * 1e6:.1f}")
    table.add_row("share of the decode", f"{verifying / decoding:.2%}")
    Console().print(table)


if __name__ == "__main__":
    main()
