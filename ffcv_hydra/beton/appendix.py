"""Facts about a beton that FFCV's format has no room for: what it was made from.

A JSON text directly before the allocation table, followed by its length as '<u8' and 8 bytes of magic. Stock FFCV finds
the table by the header's pointer and never looks there. `description` says what the file was made from; its
fingerprint is a hash, so that two descriptions compare at once.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from typing import Any, BinaryIO

from ffcv_hydra.errors import BetonError, ConversionError

MAGIC = b"FFCVHYD1"
TAIL_BYTES = 8 + len(MAGIC)
VERSION = 1
ABSENT = "<absent>"


@dataclass(frozen=True)
class Appendix:
    """What a file says about itself."""

    description: dict[str, Any] | None
    fingerprint: str | None
    package_version: str


def normalise(description: Mapping[str, Any]) -> dict[str, Any]:
    """The description as JSON gives it back (tuples are lists), so that written and wanted ones compare equal."""
    try:
        return json.loads(_canonical(description))
    except (TypeError, ValueError) as error:
        raise ConversionError(f"description: use plain values that JSON can hold: {error}") from error


def fingerprint(description: Mapping[str, Any]) -> str:
    """SHA-256 of the canonical JSON, as hex digits."""
    return hashlib.sha256(_canonical(normalise(description)).encode()).hexdigest()


def pack(description: Mapping[str, Any] | None) -> bytes:
    """The bytes to put before the allocation table."""
    content = {
        "version": VERSION,
        "package_version": _package_version(),
        "description": None if description is None else normalise(description),
        "fingerprint": None if description is None else fingerprint(description),
    }
    text = _canonical(content).encode()
    return text + len(text).to_bytes(8, "little") + MAGIC


def unpack(file: BinaryIO, earliest: int, end: int) -> Appendix | None:
    """Read the appendix that ends at `end`, where the allocation table begins, and begins at `earliest` or later.

    Returns:
        None if there is no appendix, as in files that stock FFCV wrote.

    Raises:
        BetonError: if there is one and it is damaged, or too new.
    """
    if end - TAIL_BYTES < earliest:
        return None
    file.seek(end - TAIL_BYTES)
    tail = file.read(TAIL_BYTES)
    if not tail.endswith(MAGIC):
        return None
    start = end - TAIL_BYTES - int.from_bytes(tail[:8], "little")
    try:
        file.seek(max(start, earliest))
        content = json.loads(file.read(end - TAIL_BYTES - file.tell()))
        version, description = content["version"], content["description"]
        found = Appendix(description, content["fingerprint"], str(content["package_version"]))
        is_intact = found.fingerprint == (None if description is None else fingerprint(description))
    except (TypeError, ValueError, KeyError, ConversionError):
        is_intact = False
    if not is_intact:
        raise BetonError("the description in it is damaged; convert the dataset again")
    if version != VERSION:
        raise BetonError(f"written by version {found.package_version} of this package, which is newer; update")
    return found


def first_difference(found: Any, wanted: Any, key: str = "") -> tuple[str, Any, Any] | None:
    """The first key (dotted) at which two descriptions differ, with both values, or None if they are equal."""
    if isinstance(found, Mapping) and isinstance(wanted, Mapping):
        for name in [*wanted, *(name for name in found if name not in wanted)]:
            inner = f"{key}.{name}" if key else str(name)
            difference = first_difference(found.get(name, ABSENT), wanted.get(name, ABSENT), inner)
            if difference is not None:
                return difference
        return None
    return None if found == wanted else (key, found, wanted)


def _canonical(content: Any) -> str:
    return json.dumps(content, sort_keys=True, separators=(",", ":"))


def _package_version() -> str:
    try:
        return metadata.version("ffcv_hydra")
    except metadata.PackageNotFoundError:  # used from a checkout without an install
        return "unknown"
