"""Conversion of photographs with two workers, next to FFCV's writer and those that keep the bytes as they are.

    python -m benchmarks.conversion [--cases jpeg kept process png webp]

`jpeg`, `png` and `webp`: files of that kind, of which FFCV encodes each anew; of JPEGs also what random access costs in
bytes. `kept`: the bytes of JPEGs as they are, without random access, which LitData and Mosaic store, too, unread.
`process`: JPEGs in folders, from the start of a process to its end; `--photos 5000` is what is said of it.
"""

import os
import tempfile
from argparse import Namespace
from pathlib import Path

from benchmarks import options, report
from benchmarks.contest import Child, Result, say
from benchmarks.photos import FOLDER
from benchmarks.processes import HERE, seconds_of
from benchmarks.work import RANDOM_CROP, Work

CASES = {
    "jpeg": ("Conversion of JPEGs of 500 px", ("ours", "ours_without_random_access", "stock_ffcv")),
    "kept": (
        "Conversion of JPEGs of 500 px, bytes as they are",
        ("ours_without_random_access", "lit_data", "mosaic_streaming"),
    ),
    "process": ("Conversion of folders of JPEGs of 500 px, whole process", ("ours", "stock_ffcv")),
    "png": ("Conversion of PNGs of 500 px", ("ours", "stock_ffcv")),
    "webp": ("Conversion of lossy WebPs of 500 px", ("ours", "stock_ffcv")),
}
CLASSES = 10
STOCK_FFCV = """
import sys
from pathlib import Path
from ffcv.fields import IntField, RGBImageField
from ffcv.writer import DatasetWriter
from benchmarks.photo_dataset import PhotoDataset
paths = sorted(Path(sys.argv[1]).glob("*/*.jpg"))
fields = {"image": RGBImageField("jpg", jpeg_quality=90), "label": IntField()}
DatasetWriter("images.beton", fields, num_workers=2).from_indexed_dataset(PhotoDataset(paths))
"""


def main() -> None:
    contenders = tuple(dict.fromkeys(name for _, names in CASES.values() for name in names))
    defaults = {"photos": 2000, "repeats": 3, "cases": list(CASES)}
    chosen = options.parse(__doc__, contenders, defaults)
    for case in chosen.cases:
        title, names = CASES[case]
        results = [Result(name) for name in names if name in chosen.contenders]
        measure = _processes if case == "process" else _conversions
        measure(case, results, chosen)
        report.publish(
            f"conversion_{case}",
            f"{title}, two workers",
            "images/s",
            results,
            reference="mosaic_streaming" if case == "kept" else "stock_ffcv",
            settings=vars(chosen),
        )


def _conversions(case: str, speeds: list[Result], chosen: Namespace) -> None:
    work = Work(RANDOM_CROP, chosen.photos, 1, file_type=case if case in ("png", "webp") else "jpg")
    work.paths()
    sizes = [Result(result.name) for result in speeds]
    for _ in range(chosen.repeats):
        for speed, size in zip(speeds, sizes, strict=True):
            with Child("conversion", speed.name, work) as child:
                reply = child.ask() if child.start() else None
                speed.versions, speed.note = child.result.versions, child.result.note
                size.versions, size.note = child.result.versions, child.result.note
            if reply is None:
                say(f"{speed.name}: {speed.note}")
                continue
            speed.values.append(reply["images_per_second"])
            size.values.append(reply["bytes"] / 1e6)
            say(f"{case}, {speed.name}: {speed.values[-1]:,.0f} images/s, {size.values[-1]:,.1f} MB")
    if case == "jpeg":
        report.publish(
            "file_size",
            "Size of the beton",
            "MB",
            sizes,
            reference="ours_without_random_access",
            less_is_better=True,
            form="{:,.2f}".format,
            ratio_form="{:.3f}".format,
            settings=vars(chosen),
        )


def _processes(case: str, speeds: list[Result], chosen: Namespace) -> None:
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
        images = Path(folder).absolute() / "images"
        for index, path in enumerate(Work(RANDOM_CROP, chosen.photos, 1).paths()):
            link = images / f"class{index % CLASSES}" / path.name
            link.parent.mkdir(parents=True, exist_ok=True)
            os.link(path, link)
        data = [f"dataset.root={images}", "dataset.fractions.val=0"]
        convert = ["dataset=image_folder", *data, "conversion.if_exists=overwrite", "conversion.num_workers=2"]
        arguments = {"ours": [str(HERE / "convert.py"), *convert], "stock_ffcv": ["-c", STOCK_FFCV, str(images)]}
        for number in range(chosen.repeats + 1):
            for speed in speeds:
                seconds = seconds_of(arguments[speed.name], HERE, Path(folder) / speed.name)
                if number:  # the first one reads files that are not in memory, and compiles
                    speed.values.append(chosen.photos / seconds)
                    say(f"{case}, {speed.name}: {seconds:.2f} s")


if __name__ == "__main__":
    main()
