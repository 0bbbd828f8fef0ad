"""Photographs to measure with: crops of those that Debian's wallpaper packages and scikit-learn carry.

    python -m benchmarks.photos --photos 2000

The packages are fetched with `apt-get download` and unpacked below `data/benchmarks`; nothing is installed. A crop is
shrunk to one of `SIZES`, which mixes orientations and has rows of 29, 30, 31 and 32 MCUs of 16 pixels, and is kept as a
JPEG of quality 90 with halved chroma, unless it shows little but sky: `LEAST_BYTES_PER_PIXEL` makes the mean about that
of ImageNet. Never noise, whose JPEGs have unreal sizes. The same packages give the same files.
"""

import argparse
import logging
import subprocess
from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console

log = logging.getLogger(__name__)

FOLDER = Path("data/benchmarks")
PACKAGES = ("lomiri-wallpapers-16.04", "lomiri-wallpapers-20.04", "mate-backgrounds", "plasma-workspace-wallpapers")
# What of the packages are photographs, as patterns below usr/share, and which of those are drawings.
PHOTOGRAPHS = (
    "backgrounds/*_by_*.jpg",
    "backgrounds/mate/nature/*.jpg",
    *(f"wallpapers/{name}/contents/images/2560x1600.jpg" for name in ("BytheWater", "ColorfulCups", "EveningGlow")),
    *(f"wallpapers/{name}/contents/images/2560x1600.jpg" for name in ("FallenLeaf", "Grey", "OneStandsOut", "Path")),
)
DRAWINGS = ("Fossa", "Infinite-Sea", "Painting-Colors", "umang")
SIZES = (
    (500, 375), (500, 375), (500, 333), (500, 500), (496, 372), (464, 348), (480, 361), (400, 300),
    (375, 500), (375, 500), (333, 500), (372, 496), (348, 464), (301, 400),
)  # fmt: skip
LEAST_BYTES_PER_PIXEL = 0.22
SIDE_OF_SMALL = 32
LEAST_SIDE = 2000
SOFTNESS = 6  # deviation of what masks are blurred with, in pixels


def jpeg_photos(count: int, large: bool = False) -> list[Path]:
    """`count` JPEG files of photographs at most 500 pixels wide and high, or large ones; made if they are not there."""
    folder = FOLDER / f"{'large' if large else 'photos'}-{count}"
    if not folder.exists():
        making = folder.with_name(folder.name + ".making")
        making.mkdir(parents=True, exist_ok=True)
        for index, jpeg in enumerate(_large_jpegs(count) if large else _jpegs(count)):
            (making / f"{index:05}.jpg").write_bytes(jpeg)
        making.rename(folder)
    return sorted(folder.glob("*.jpg"))


def other_photos(count: int, file_type: str) -> list[Path]:
    """The `jpeg_photos` as files of another type, png or (lossy) webp, as Pillow writes them."""
    folder = FOLDER / f"{file_type}-{count}"
    if not folder.exists():
        making = folder.with_name(folder.name + ".making")
        making.mkdir(parents=True, exist_ok=True)
        for path in jpeg_photos(count):
            with Image.open(path) as image:
                image.save(making / f"{path.stem}.{file_type}", quality=90)
        making.rename(folder)
    return sorted(folder.iterdir())


def small_photos(count: int) -> np.ndarray:
    """uint8 (count, 32, 32, 3): crops of the photographs, as large as CIFAR's; made if they are not there."""
    path = FOLDER / f"small-{count}.npy"
    if not path.exists():
        sources = _sources()
        random = np.random.default_rng(1)
        small = [_crop(sources[index % len(sources)], SIDE_OF_SMALL, SIDE_OF_SMALL, random) for index in range(count)]
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, np.stack(small))
    return np.load(path)


def masks(count: int) -> list[Path]:
    """PNG files of masks of the photographs: 8 classes of soft brightness; made if they are not there."""
    import cv2

    folder = FOLDER / f"masks-{count}"
    if not folder.exists():
        making = folder.with_name(folder.name + ".making")
        making.mkdir(parents=True, exist_ok=True)
        for path in jpeg_photos(count):
            grey = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
            soft = cv2.GaussianBlur(grey, (0, 0), SOFTNESS)
            cv2.imwrite(str(making / f"{path.stem}.png"), soft // 32)
        making.rename(folder)
    return sorted(folder.glob("*.png"))


def squares(count: int, size: int) -> np.ndarray:
    """uint8 (count, size, size, 3): the photographs, RGB, squeezed."""
    import cv2

    photos = [cv2.imread(str(path), cv2.IMREAD_COLOR_RGB) for path in jpeg_photos(count)]
    return np.stack([cv2.resize(photo, (size, size), interpolation=cv2.INTER_AREA) for photo in photos])


def _jpegs(count: int) -> list[bytes]:
    sources = _sources()
    random = np.random.default_rng(0)
    kept: list[bytes] = []
    while len(kept) < count:
        width, height = SIZES[len(kept) % len(SIZES)]
        jpeg = _encoded(_crop(sources[random.integers(len(sources))], width, height, random))
        if len(jpeg) >= LEAST_BYTES_PER_PIXEL * width * height:
            kept.append(jpeg)
    return kept


def _large_jpegs(count: int) -> list[bytes]:
    """Crops of the largest photographs, at the size that these have: sides of `LEAST_SIDE` to about 4,000 pixels."""
    sources = [photo for photo in _sources() if max(photo.shape) >= LEAST_SIDE]
    random = np.random.default_rng(0)
    kept = []
    for index in range(count):
        photo = sources[index % len(sources)]
        rows, columns = (int(side * random.uniform(0.85, 1)) for side in photo.shape[:2])
        kept.append(_encoded(photo[:rows, :columns]))
    return kept


def _encoded(image: np.ndarray) -> bytes:
    import cv2  # not there on a machine that is given finished files, nor is scikit-learn

    options = [cv2.IMWRITE_JPEG_QUALITY, 90, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420]
    return cv2.imencode(".jpg", image[..., ::-1], options)[1].tobytes()


def _crop(photo: np.ndarray, width: int, height: int, random: np.random.Generator) -> np.ndarray:
    """A random part of the photograph, shrunk to uint8 (height, width, 3)."""
    import cv2

    largest = min(photo.shape[0] / height, photo.shape[1] / width)
    scale = random.uniform(min(1.0, largest), largest)
    rows, columns = int(height * scale), int(width * scale)
    top = random.integers(photo.shape[0] - rows + 1)
    left = random.integers(photo.shape[1] - columns + 1)
    return cv2.resize(photo[top : top + rows, left : left + columns], (width, height), interpolation=cv2.INTER_AREA)


def _sources() -> list[np.ndarray]:
    """The photographs, uint8 (H, W, 3), RGB."""
    import cv2
    from sklearn.datasets import load_sample_images

    unpacked = FOLDER / "packages"
    for package in PACKAGES:
        _unpack(package, unpacked)
    paths = sorted(path for pattern in PHOTOGRAPHS for path in (unpacked / "usr/share").glob(pattern))
    photos = [cv2.imread(str(path), cv2.IMREAD_COLOR_RGB) for path in paths if not path.name.startswith(DRAWINGS)]
    return [*photos, *load_sample_images().images]


def _unpack(package: str, folder: Path) -> None:
    """Fetch and unpack a Debian package, unless it has been; without apt there are fewer photographs, and a warning."""
    done = folder / f"{package}.unpacked"
    if done.exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    try:
        subprocess.run(["apt-get", "download", package], cwd=folder, check=True, capture_output=True)
        (archive,) = folder.glob(f"{package}_*.deb")
        subprocess.run(["dpkg-deb", "--extract", archive.name, "."], cwd=folder, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        log.warning("no photographs of %s: %s (apt-get update may help)", package, error)
        return
    archive.unlink()
    done.touch()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=2000, help="how many")
    paths = jpeg_photos(parser.parse_args().photos)
    sizes = [path.stat().st_size for path in paths]
    Console().print(f"{paths[0].parent}: {len(paths)} photographs, {np.mean(sizes) / 1e3:.1f} kB on average")


if __name__ == "__main__":
    main()
