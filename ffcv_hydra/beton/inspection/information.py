"""What is in a beton, for a terminal: fields, sizes, histograms, and what it was made from."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from functools import partial
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
MODES = ("JPEG", "raw", "run-length coded", "in tiles")  # by `mode` of an image's metadata


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
    for title, unit, values_of in _distributions(beton):
        console.print(_histogram(title, unit, beton, values_of))


def _overview(beton: Beton) -> Table:
    table = Table(box=box.SIMPLE, show_header=False, title=str(beton.path), title_justify="left")
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    num_bytes, num_data = _num_bytes(beton), sum(int(part.sizes.sum()) for part in beton.parts())
    table.add_row("samples", f"{beton.num_samples:,}")
    if len(beton.files) > 1 or beton.files[0].path != beton.path:
        sizes = [file.num_bytes for file in beton.files]
        table.add_row("shards", f"{len(sizes):,}, of {decimal(min(sizes))} to {decimal(max(sizes))}")
    table.add_row("size", f"{decimal(num_bytes)}, of which data {decimal(num_data)}")
    table.add_row("pages", _page_use(beton, num_data))
    kept = "one per allocation, one for header and tables"
    table.add_row("checksums", "none" if any(part.checksums is None for part in beton.parts()) else kept)
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
        names = ", ".join(f"{number} {printable(name)}" for number, name in enumerate(manifest.classes[:CLASSES_SHOWN]))
        parts.append(f"{len(manifest.classes):,} classes: {names}{rest}")
    return "; ".join(parts)


def _num_bytes(beton: Beton) -> int:
    return sum(file.num_bytes for file in beton.files)


def _page_use(beton: Beton, num_data: int) -> str:
    """How many pages hold data, and how much of them it fills; the rest is padding, metadata or tables."""
    page_size = np.uint64(beton.page_size)
    num_pages = sum(len(np.unique(part.pointers // page_size)) for part in beton.parts())
    in_file = min(num_pages * beton.page_size, _num_bytes(beton))
    filled = f", {num_data / in_file:.1%} filled" if num_pages else ""
    return f"{num_pages:,} of {beton.page_size / 2**20:g} MiB{filled}"


def _fields(beton: Beton) -> Table:
    table = Table(box=box.SIMPLE, title="fields", title_justify="left")
    for heading in ("name", "kind", "stored", "bytes", "bytes per sample"):
        table.add_column(heading, justify="left" if heading in ("name", "kind", "stored") else "right")
    for name, kind in describe_fields(beton.fields).items():
        is_outside = beton.extents(name) is not None
        size = beton.field_metadata(name).nbytes
        if is_outside:
            size = sum(int(_sizes(name, part).sum()) for part in beton.parts())
        stored = _storage(beton, name) if is_outside else "in the metadata"
        table.add_row(name, kind, stored, decimal(size), f"{size / beton.num_samples:,.1f}")
    return table


def _storage(beton: Beton, name: str) -> str:
    if not is_image(beton.fields[name]):
        return "as data"
    modes = (_column(name, "mode", part) for part in beton.parts())
    counts = np.sum([np.bincount(one, minlength=len(MODES)) for one in modes], axis=0).tolist()
    listed = ", ".join(f"{count:,} {mode}" for mode, count in zip(MODES, counts, strict=True) if count)
    return listed + _random_access(beton, name, counts[JPEG])


def _random_access(beton: Beton, name: str, num_jpegs: int) -> str:
    """How many JPEGs have an index of restart segments; of at most `LOOKED_AT`, evenly spread."""
    if num_jpegs == 0:
        return ""
    chosen = np.linspace(0, num_jpegs - 1, min(num_jpegs, LOOKED_AT)).astype(np.int64)  # of the JPEGs
    count = before = 0
    for part in beton.parts():
        extents, jpegs = part.extents(name), np.flatnonzero(_column(name, "mode", part) == JPEG)
        assert extents is not None
        here = jpegs[chosen[(chosen >= before) & (chosen < before + len(jpegs))] - before]
        before += len(jpegs)
        with open(part.path, "rb") as file:
            for end in (extents[0][here] + extents[1][here]).tolist():
                count += has_index(os.pread(file.fileno(), FOOTER_BYTES, end - FOOTER_BYTES))
    total = "" if len(chosen) == num_jpegs else f" of {len(chosen):,} looked at"
    return f" ({count:,}{total} with random access)"


def _distributions(beton: Beton) -> Iterator[tuple[str, str, Callable[[Beton], np.ndarray]]]:
    """What is worth a histogram: title, unit, and what gives the values of the samples of a file."""
    for name, field in beton.fields.items():
        if is_image(field):
            for column in ("width", "height"):
                yield f"{name}: {column}", "px", partial(_column, name, column)
        extents = beton.extents(name)
        if isinstance(field, RaggedArrayField):
            yield f"{name}: items per sample", "", partial(_num_items, name, field)
        elif extents is not None and extents[1].min() < extents[1].max():
            yield f"{name}: bytes per sample", "", partial(_sizes, name)


def _sizes(name: str, part: Beton) -> np.ndarray:
    extents = part.extents(name)
    assert extents is not None
    return extents[1]


def _column(name: str, column: str, part: Beton) -> np.ndarray:
    return part.field_metadata(name)[column]


def _num_items(name: str, field: RaggedArrayField, part: Beton) -> np.ndarray:
    return field.num_items(part.field_metadata(name))


def _histogram(title: str, unit: str, beton: Beton, values_of: Callable[[Beton], np.ndarray]) -> Table:
    """Bars of equal width from the smallest to the largest value; one bar if all are equal."""
    table = Table(box=box.SIMPLE, show_header=False, title=title, title_justify="left")
    table.add_column(justify="right")
    table.add_column()
    table.add_column(justify="right")
    bounds = [(int(values.min()), int(values.max())) for values in map(values_of, beton.parts())]
    lowest, highest = min(low for low, _ in bounds), max(high for _, high in bounds)
    step = -(-(highest - lowest + 1) // BINS)
    counts = np.zeros(-(-(highest - lowest + 1) // step), dtype=np.int64)
    for values in map(values_of, beton.parts()):
        low, wide = (np.asarray(number, values.dtype) for number in (lowest, step))
        counts += np.bincount(((values - low) // wide).astype(np.int64), minlength=len(counts))
    for position, count in enumerate(counts):
        first = lowest + position * step
        last = min(first + step - 1, highest)
        label = f"{first:,}" if first == last else f"{first:,} – {last:,}"
        bar = "█" * max(round(BAR_WIDTH * count / counts.max()), int(count > 0))
        table.add_row(f"{label} {unit}".strip(), bar, f"{count:,}")
    return table
