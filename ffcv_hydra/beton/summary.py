"""What a conversion or a beton amounts to, and how a terminal shows it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ffcv_hydra.beton.fields.array_fields import NDArrayField
from ffcv_hydra.beton.fields.base import Field
from ffcv_hydra.beton.fields.own_field import OwnField

if TYPE_CHECKING:
    from rich.console import Console

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class BetonSummary:
    """A beton in short.

    Attributes:
        path: The file, or the folder of shards.
        fields: Each field's kind, with dtype and shape for arrays and tensors.
        num_samples: Samples in it.
        num_bytes: Its size.
        seconds: How long the conversion took.
        num_warnings: Samples that were stored though a file of theirs is damaged, or a box outside of its image.
        warnings: What there is to tell of the first of these, a line each.
        num_shards: How many shards there are; None if it is one file.
        num_added: How many of the samples were appended; None if all were converted.
    """

    path: Path
    fields: dict[str, str]
    num_samples: int
    num_bytes: int
    seconds: float
    num_warnings: int = 0
    warnings: tuple[str, ...] = ()
    num_shards: int | None = None
    num_added: int | None = None


def describe_fields(fields: Mapping[str, Field]) -> dict[str, str]:
    """Each field's kind as text: `image`, `int`, `array float32 (4, 8)`, ..."""
    return {name: _describe_field(field) for name, field in fields.items()}


def tell_of_damage(summary: BetonSummary) -> None:
    """Warn of samples that were stored though something is wrong with them, if there are any."""
    if summary.warnings:
        found, total = summary.num_warnings, summary.num_samples
        logger.warning(
            "%s: %d of %d samples have faults; the first: %s",
            summary.path, found, total, summary.warnings[0],
        )  # fmt: skip


def print_summary(summary: BetonSummary, console: Console | None = None) -> None:
    """Print the summary as a table, by default to stdout."""
    from rich import box  # slow to load, and loaders print no summary
    from rich.filesize import decimal
    from rich.table import Table

    from ffcv_hydra.terminal import TerminalConsole, print_whole

    console = console or TerminalConsole()
    console.print(str(summary.path), soft_wrap=True)  # whole, to be copied
    table = Table(box=box.SIMPLE, show_header=False)
    table.add_column(style="bold")
    table.add_column()
    table.add_row("fields", "\n".join(f"{name}: {kind}" for name, kind in summary.fields.items()))
    added = "" if summary.num_added is None else f" ({summary.num_added:,} of them new)"
    table.add_row("samples", f"{summary.num_samples:,}{added}")
    if summary.num_shards is not None:
        table.add_row("shards", f"{summary.num_shards:,}")
    table.add_row("size", decimal(summary.num_bytes))
    converted = summary.num_samples if summary.num_added is None else summary.num_added
    rate = converted / max(summary.seconds, 1e-9)
    table.add_row("time", f"{summary.seconds:.1f} s ({rate:,.0f} samples/s)")
    if summary.num_warnings:
        lines = [
            f"{summary.num_warnings:,} of {summary.num_samples:,} samples have faults",
            *summary.warnings,
        ]
        table.add_row("warnings", "\n".join(lines + ["..."] * (summary.num_warnings > len(summary.warnings))))
    print_whole(console, table)


def _describe_field(field: Field) -> str:
    if isinstance(field, OwnField):
        return field.description()
    if isinstance(field, NDArrayField):
        return f"{field.label} {field.dtype} {tuple(int(size) for size in field.shape)}"
    return field.label
