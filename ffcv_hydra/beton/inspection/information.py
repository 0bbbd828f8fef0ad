"""What is in a beton, for a terminal: fields, sizes, histograms, and what it was made from."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import yaml
from rich import box
from rich.console import Console
from rich.filesize import decimal
from rich.table import Table

from ffcv_hydra.beton.fields.base import Field
from ffcv_hydra.beton.fields.image_fields import JPEG, is_image
from ffcv_hydra.beton.fields.ragged_field import RaggedArrayField
from ffcv_hydra.beton.fields.restart_index import has_index
from ffcv_hydra.beton.manifest import Manifest
from ffcv_hydra.beton.reading.reader import Beton
from ffcv_hydra.beton.summary import describe_fields
from ffcv_hydra.kernels.jpeg.markers import FOOTER_BYTES
from ffcv_hydra.printable import printable
from ffcv_hydra.terminal import TerminalConsole, print_whole

BINS = 8
CLASSES_SHOWN = 10
LOOKED_AT = 1000  # JPEGs, for how many have random access: each is a read of its own from the disk
BAR_WIDTH = 40
MODES = ("JPEG", "raw", "run-length coded")  # by `mode` of an image's metadata


def print_information(
    beton: Beton | str | os.PathLike[str],
    console: Console | None = None,
    custom_fields: Mapping[str, type[Field]] | None = None,
) -> None:
    """Print what is in a beton, by default to stdout; header and tables are read, and the end of some images.

    Args:
        beton: The file, or what was opened: one of several files too.
        console: Where to.
        custom_fields: As those of `Beton`.

    Raises:
        BetonError: if the file is missing, is no beton, or is damaged in a way that its tables show.
    """
    if not isinstance(beton, Beton):
        beton = Beton(beton, custom_fields)
    console = console or TerminalConsole()
    print_whole(console, _overview(beton))
    print_whole(console, _fields(beton))
    for title, unit, values in _distributions(beton):
        console.print(_histogram(title, unit, values))


def _overview(beton: Beton) -> Table:
    table = Table(box=box.SIMPLE, show_header=False, title=str(beton.path), title_justify="left")
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    num_bytes, num_data = _num_bytes(beton), int(beton.sizes.sum())
    table.add_row("samples", f"{beton.num_samples:,}")
    if len(beton.files) > 1 or beton.files[0].path != beton.path:
        sizes = [file.num_bytes for file in beton.files]
        table.add_row("shards", f"{len(sizes):,}, of {decimal(min(sizes))} to {decimal(max(sizes))}")
    table.add_row("size", f"{decimal(num_bytes)}, of which data {decimal(num_data)}")
    table.add_row("pages", _page_use(beton))
    kept = "one per allocation, one for header and tables"
    table.add_row("checksums", "none" if beton.checksums is None else kept)
    if beton.manifest is not None:
        table.add_row("source", _source(beton.manifest, beton.num_samples))
    if beton.description is None:
        table.add_row("made from", "unknown")
    else:
        table.add_row("made from", _as_yaml(beton.description))
        table.add_row("fingerprint", str(beton.fingerprint))
    return table


def _as_yaml(description: Mapping[str, Any]) -> str:
    return yaml.safe_dump(description, width=48, default_flow_style=None, sort_keys=False).strip()


def _source(manifest: Manifest, num_samples: int) -> str:
    """How the source looked: its items, their bytes and classes."""
    parts = [f"{manifest.num_items:,} {manifest.kind}"]
    if manifest.order is not None and num_samples != manifest.num_items:
        parts[0] += f", of which {num_samples:,} are stored"
    if manifest.sizes is not None:
        parts.append(decimal(sum(manifest.sizes)))
    if manifest.classes is not None:
        rest = ", ..." if len(manifest.classes) > CLASSES_SHOWN else ""
        names = ", ".join(printable(name) for name in manifest.classes[:CLASSES_SHOWN])
        parts.append(f"{len(manifest.classes):,} classes: {names}{rest}")
    return "; ".join(parts)


def _num_bytes(beton: Beton) -> int:
    return sum(file.num_bytes for file in beton.files)


def _page_use(beton: Beton) -> str:
    """How many pages hold data, and how much of them it fills; the rest is padding, metadata or tables."""
    num_pages = len(np.unique(beton.pointers // np.uint64(beton.page_size)))
    in_file = min(num_pages * beton.page_size, _num_bytes(beton))
    filled = f", {int(beton.sizes.sum()) / in_file:.1%} filled" if num_pages else ""
    return f"{num_pages:,} of {beton.page_size / 2**20:g} MiB{filled}"


def _fields(beton: Beton) -> Table:
    table = Table(box=box.SIMPLE, title="fields", title_justify="left")
    for heading in ("name", "kind", "stored", "bytes", "bytes per sample"):
        table.add_column(heading, justify="left" if heading in ("name", "kind", "stored") else "right")
    for name, kind in describe_fields(beton.fields).items():
        extents = beton.extents(name)
        size = beton.field_metadata(name).nbytes if extents is None else int(extents[1].sum())
        stored = "in the metadata" if extents is None else _storage(beton, name)
        table.add_row(name, kind, stored, decimal(size), f"{size / beton.num_samples:,.1f}")
    return table


def _storage(beton: Beton, name: str) -> str:
    if not is_image(beton.fields[name]):
        return "as data"
    modes = beton.field_metadata(name)["mode"]
    counts = np.bincount(modes, minlength=len(MODES)).tolist()
    listed = ", ".join(f"{count:,} {mode}" for mode, count in zip(MODES, counts, strict=True) if count)
    return listed + _random_access(beton, name, np.flatnonzero(modes == JPEG))


def _random_access(beton: Beton, name: str, jpegs: np.ndarray) -> str:
    """How many of the samples `jpegs` have an index of restart segments; of at most `LOOKED_AT`, evenly spread."""
    extents = beton.extents(name)
    if extents is None or len(jpegs) == 0:
        return ""
    chosen = jpegs[np.linspace(0, len(jpegs) - 1, min(len(jpegs), LOOKED_AT)).astype(np.int64)]
    ends = (extents[0] + extents[1])[chosen].astype(np.int64)
    owners = np.searchsorted([file.start for file in beton.files], ends) - 1  # an end is above its file's start
    count = 0
    for owner in np.unique(owners).tolist():
        of_file = ends[owners == owner] - beton.files[owner].start
        with open(beton.files[owner].path, "rb") as file:
            footers = (os.pread(file.fileno(), FOOTER_BYTES, end - FOOTER_BYTES) for end in of_file.tolist())
            count += sum(map(has_index, footers))
    total = "" if len(chosen) == len(jpegs) else f" of {len(chosen):,} looked at"
    return f" ({count:,}{total} with random access)"


def _distributions(beton: Beton) -> Iterator[tuple[str, str, np.ndarray]]:
    """What is worth a histogram: title, unit and values (num_samples,)."""
    for name, field in beton.fields.items():
        if is_image(field):
            for column in ("width", "height"):
                yield f"{name}: {column}", "px", beton.field_metadata(name)[column]
        extents = beton.extents(name)
        if isinstance(field, RaggedArrayField):
            yield f"{name}: items per sample", "", beton.field_metadata(name)["size"] // np.uint64(field.item_bytes)
        elif extents is not None and extents[1].min() < extents[1].max():
            yield f"{name}: bytes per sample", "", extents[1]


def _histogram(title: str, unit: str, values: np.ndarray) -> Table:
    """Bars of equal width from the smallest to the largest value; one bar if all are equal."""
    table = Table(box=box.SIMPLE, show_header=False, title=title, title_justify="left")
    table.add_column(justify="right")
    table.add_column()
    table.add_column(justify="right")
    lowest, highest = int(values.min()), int(values.max())
    step = -(-(highest - lowest + 1) // BINS)
    counts = np.bincount(((values - values.min()) // np.asarray(step, values.dtype)).astype(np.int64))
    for position, count in enumerate(counts):
        first = lowest + position * step
        last = min(first + step - 1, highest)
        label = f"{first:,}" if first == last else f"{first:,} – {last:,}"
        bar = "█" * max(round(BAR_WIDTH * count / counts.max()), int(count > 0))
        table.add_row(f"{label} {unit}".strip(), bar, f"{count:,}")
    return table
