"""`python -m ffcv_hydra info|verify|merge|subset|unpack`: betons on this machine."""

import argparse
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ffcv_hydra.cli.tool import Tool, number, path_here, progress_bar
from ffcv_hydra.errors import BetonError, ConversionError
from ffcv_hydra.printable import printable

if TYPE_CHECKING:
    from ffcv_hydra.beton.reading.verification import Verification

MOST_SHOWN = 20  # samples that differ from the source, a line each


def _add_path(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=path_here, metavar="PATH", help="a beton, or a folder of shards")


def _add_paths(parser: argparse.ArgumentParser, output: str) -> None:
    parser.add_argument("files", type=path_here, nargs="+", metavar="PATH", help="a beton, or a folder of shards")
    parser.add_argument("--output", required=True, metavar="PATH", help=output)


def _add_verify(parser: argparse.ArgumentParser) -> None:
    _add_path(parser)
    parser.add_argument("--decode", action="store_true", help="decode every image, too; a warning is a finding")
    parser.add_argument(
        "--source", action="store_true", help="compare every sample with what the dataset gives that it was made from"
    )
    parser.add_argument(
        "--data-dir", metavar="PATH", help="data_dir of the conversion, for --source (default: the file's folder)"
    )
    parser.add_argument(
        "--workers", type=_workers, default=-1, metavar="N", help="threads; -1, the default, is one per usable core"
    )


def _add_subset(parser: argparse.ArgumentParser) -> None:
    _add_paths(parser, "the new beton")
    parser.add_argument("--where", metavar="CONDITION", help="such as 'label in [3, 5] and image.height >= 256'")
    parser.add_argument(
        "--indices", metavar="IDS", help="of samples: 3,1,7 or a file of them, as text or a NumPy array; in this order"
    )
    parser.add_argument("--fraction", type=float, metavar="F", help="a share of what the others leave, from 0 to 1")
    parser.add_argument("--seed", type=number(0), default=0, metavar="N", help="by which it is drawn (default: 0)")
    cut = parser.add_mutually_exclusive_group()
    cut.add_argument("--shards", type=number(1), metavar="N", help="a folder of so many shards instead of one file")
    cut.add_argument("--shard-size", metavar="SIZE", help="instead: bytes of each, such as 500MB")


def _add_unpack(parser: argparse.ArgumentParser) -> None:
    _add_path(parser)
    parser.add_argument("folder", metavar="FOLDER", help="a new folder, or an empty one")


def _workers(text: str) -> int:
    if text != "-1" and not (text.isdecimal() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is neither -1 nor a number from 1 on")
    return int(text)


def _info(chosen: argparse.Namespace) -> int:
    from ffcv_hydra.beton.inspection.information import print_information
    from ffcv_hydra.collection.shards import opened

    print_information(opened(chosen.file))
    return 0


def _verify(chosen: argparse.Namespace) -> int:
    from ffcv_hydra.collection.verification import verify

    with progress_bar("verify") as advance:
        found = verify(chosen.file, decode=chosen.decode, num_workers=chosen.workers, progress=advance)
    for finding in found.findings:
        print(printable(finding))
    if chosen.source and found.num_samples:
        found.findings.extend(_compare_with_source(chosen))
    print(printable(_summary(found)))
    return 1 if found.findings else 0


def _merge(chosen: argparse.Namespace) -> int:
    from rich.filesize import decimal

    from ffcv_hydra.collection.merging import merge

    index = merge(chosen.files, chosen.output)
    counted = f"{index.num_samples:,} samples in {len(index.shards):,} shards, {decimal(index.num_bytes)}"
    print(printable(f"{chosen.output}: {counted}"))
    return 0


def _subset(chosen: argparse.Namespace) -> int:
    from rich.filesize import decimal

    from ffcv_hydra.collection.subset import subset

    indices = None if chosen.indices is None else _ids(chosen.indices)
    names = ("where", "fraction", "seed", "shards", "shard_size")
    options = {name: getattr(chosen, name) for name in names}
    made = subset(chosen.files, chosen.output, indices=indices, **options)
    shards = "" if made.num_shards is None else f" in {made.num_shards:,} shards"
    print(printable(f"{chosen.output}: {made.num_samples:,} samples{shards}, {decimal(made.num_bytes)}"))
    return 0


def _unpack(chosen: argparse.Namespace) -> int:
    from ffcv_hydra.collection.unpacking import TABLE, unpack

    with progress_bar("unpack") as advance:
        made = unpack(chosen.file, chosen.folder, advance)
    classes = "" if made.num_classes is None else f" in folders of {made.num_classes:,} classes"
    pictures = ["pictures" + classes] if made.pictures else []
    print(printable(f"{chosen.folder}: {made.num_samples:,} samples: {', '.join([*pictures, TABLE, *made.arrays])}"))
    if made.num_classes is not None:
        print(printable(f"read again by dataset=image_folder dataset.root={Path(chosen.folder, made.pictures[0])}"))
    return 0


def _ids(text: str) -> Any:
    """The ids that are listed, or stand in a file."""
    import numpy as np

    path = Path(text).expanduser()
    try:
        if path.suffix == ".npy":
            return np.load(path, allow_pickle=False)
        listed = path.read_text() if path.is_file() else text
        return np.array([int(word) for word in re.split(r"[\s,\[\]]+", listed) if word], dtype=np.int64)
    except (OSError, ValueError, OverflowError) as error:
        raise ConversionError(f"--indices {text[:100]}: {error}; give 3,1,7, or a file of such ids") from error


def _compare_with_source(chosen: argparse.Namespace) -> Iterator[str]:
    """Print and give what differs; of samples that differ, no more than so many are printed."""
    from ffcv_hydra.beton.appendix import MANIFEST_VERSION
    from ffcv_hydra.beton.inspection.source_comparison import compare_with_source
    from ffcv_hydra.beton.writing.source_manifest import keep_classes
    from ffcv_hydra.building.conversion_config import build_described
    from ffcv_hydra.collection.shards import opened

    beton = opened(chosen.file)
    if beton.description is None or not beton.description.get("source"):
        raise BetonError(f"{chosen.file}: does not say what it was made from; --source has nothing to compare it with")
    if beton.version is None or beton.version < MANIFEST_VERSION:
        raise BetonError(f"{chosen.file}: made by an earlier version, without what --source needs; convert it again")
    data_dir = Path(chosen.data_dir or beton.path.parent).absolute()
    dataset, fields = build_described(beton.description, data_dir)
    keep_classes(dataset, beton.manifest)
    count = 0
    with progress_bar("verify") as advance:
        for count, finding in enumerate(compare_with_source(beton, dataset, fields, chosen.workers, advance), 1):
            if count <= MOST_SHOWN:
                print(printable(f"{chosen.file}: {finding}"))
            yield finding
    if not count:
        print(printable(f"{chosen.file}: holds what its source gives"))
    if count > MOST_SHOWN:
        print(printable(f"{chosen.file}: and {count - MOST_SHOWN:,} more"))


def _summary(found: "Verification") -> str:
    verdict = f"{len(found.findings)} finding{'s'[: len(found.findings) != 1]}" if found.findings else "whole"
    if not found.num_samples:
        return f"{found.path}: {verdict}; nothing else in it could be checked"
    against = "compared with their checksums" if found.has_checksums else "not compared: the file has no checksums"
    decoded = f", {found.num_decoded} JPEGs decoded" if found.num_decoded else ""
    decoded += f", {found.num_masks} masks decoded" if found.num_masks else ""
    counted = f"{found.num_samples} samples{'' if found.num_shards is None else f' in {found.num_shards} shards'}"
    return f"{found.path}: {verdict} ({counted}, {found.num_allocations} allocations {against}{decoded})"


INFO = Tool("info", "fields, sizes, histograms, and what a file was made from", _add_path, _info)
VERIFY = Tool(
    "verify",
    "check a file: structure, allocations, checksums, JPEGs",
    _add_verify,
    _verify,
    "Check a beton, or a folder of shards. One line per finding; the exit status is 0 only if there is none.",
)
MERGE = Tool(
    "merge",
    "read betons as one: an index that refers to them where they are",
    lambda parser: _add_paths(parser, "the new folder"),
    _merge,
    "Write a folder with an index that refers to betons, in this order. Nothing is copied; what is below the folder"
    " that the output is in may be moved together with it.",
)
SUBSET = Tool(
    "subset",
    "copy samples as they are stored; all of them: a merge that copies",
    _add_subset,
    _subset,
    "Copy samples of a beton, or of several as one, into a new beton. Nothing is encoded anew. Without a choice all are"
    " copied. Conditions are on numbers, on the sides of images in pixels (image.height), and on names of classes"
    " (label == 'cat'), with comparisons, in, and, or, not, + - * / // %.",
)
UNPACK = Tool(
    "unpack",
    "pictures as they are stored, and a table of the rest",
    _add_unpack,
    _unpack,
    "Write the samples of a beton as files: JPEGs as they are stored and other pictures as PNG, in folders by class"
    " where classes have names; table.csv with numbers, texts and the like; and FIELD.npy with arrays of one shape.",
)
