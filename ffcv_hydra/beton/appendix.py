"""Facts about a beton that FFCV's format has no room for: checksums, what it was made from, and how that looked.

It stands directly before the allocation table. Stock FFCV finds the table by the header's pointer and does not look
there.

    digest (16) | checksums ('<u8' each) | manifest | JSON | length of the JSON ('<u8') | magic (8) || allocation table

A checksum is XXH64 (seed 0) of one allocation's bytes; they are in the order of the table's rows. The digest is
XXH3-128 of all that stands before the data and after the digest: header, descriptors, metadata, the rest of the
appendix, and the table. The JSON's `description` says what the file was made from; its fingerprint is a hash, so that
two descriptions compare at once. The manifest (`ffcv_hydra.beton.manifest`, compressed) says how the source looked.
Files of version 3 have one in which names cannot be read one by one, those of version 2 none, and those of version 1
neither digest nor checksums.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from typing import Any, BinaryIO

import numpy as np
import xxhash

from ffcv_hydra.errors import BetonError, ConversionError

MAGIC = b"FFCVHYD1"
TAIL_BYTES = 8 + len(MAGIC)
VERSION = 4
MANIFEST_VERSION = 3  # since this version, files say how their source looked
DIGEST_BYTES = 16
BLOCK_BYTES = 1 << 20
ABSENT = "<absent>"


@dataclass(frozen=True)
class Appendix:
    """What a file says about itself.

    Attributes:
        start: Where the appendix begins in the file.
        description: What the file was made from.
        fingerprint: Hash of the description.
        package_version: Of the package that wrote the file.
        num_checksums: How many checksums there are; None in version 1.
        checksums: uint64 (num_allocations,), in the order of the allocation table's rows; None in version 1, and where
            they were not read.
        version: Of the appendix.
        manifest: Where the manifest begins and ends in the file; None if there is none.
    """

    start: int
    description: dict[str, Any] | None
    fingerprint: str | None
    package_version: str
    num_checksums: int | None
    checksums: np.ndarray | None
    version: int
    manifest: tuple[int, int] | None


def normalise(description: Mapping[str, Any]) -> dict[str, Any]:
    """The description as JSON gives it back (tuples are lists), so that written and wanted ones compare equal."""
    try:
        return json.loads(_canonical(description))
    except (TypeError, ValueError) as error:
        raise ConversionError(f"description: use plain values that JSON can hold: {error}") from error


def fingerprint(description: Mapping[str, Any]) -> str:
    """SHA-256 of the canonical JSON, as hex digits."""
    return hashlib.sha256(_canonical(normalise(description)).encode()).hexdigest()


def pack(description: Mapping[str, Any] | None, checksums: np.ndarray, manifest: bytes = b"") -> bytes:
    """The bytes to put before the allocation table; zeros where `seal` puts the digest.

    Args:
        description: What the file is made from, as plain values.
        checksums: uint64 (num_allocations,), in the order of the table's rows.
        manifest: Of what it is made from, encoded; empty if there is none.
    """
    content = {
        "version": VERSION,
        "package_version": _package_version(),
        "description": None if description is None else normalise(description),
        "fingerprint": None if description is None else fingerprint(description),
        "num_checksums": len(checksums),
        "manifest_bytes": len(manifest),
    }
    text = _canonical(content).encode()
    tail = text + len(text).to_bytes(8, "little") + MAGIC
    return bytes(DIGEST_BYTES) + checksums.astype("<u8").tobytes() + manifest + tail


def seal(file: BinaryIO, metadata_end: int, start: int) -> None:
    """Write the digest into the appendix that begins at `start`. The file must be complete otherwise, and readable."""
    found = digest(file, metadata_end, start)
    file.seek(start)
    file.write(found)


def digest(file: BinaryIO, metadata_end: int, start: int) -> bytes:
    """XXH3-128 of all that stands before `metadata_end` and after the digest of the appendix that begins at `start`."""
    hasher = xxhash.xxh3_128()
    for begin, end in ((0, metadata_end), (start + DIGEST_BYTES, file.seek(0, os.SEEK_END))):
        file.seek(begin)
        while begin < end and (block := file.read(min(end - begin, BLOCK_BYTES))):
            hasher.update(block)
            begin += len(block)
    return hasher.digest()


def unpack(file: BinaryIO, earliest: int, end: int, *, with_checksums: bool = True) -> Appendix | None:
    """Read the appendix that ends at `end`, where the allocation table begins, and begins at `earliest` or later.

    Without checksums that takes no longer for a large file than for a small one.

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
    text_start = end - TAIL_BYTES - int.from_bytes(tail[:8], "little")
    try:
        file.seek(max(text_start, earliest))
        content = json.loads(file.read(end - TAIL_BYTES - file.tell()))
        version = content["version"]
        package_version = str(content["package_version"])
        if version not in range(1, VERSION + 1):
            raise BetonError(f"written by version {package_version} of this package, which is newer; update")
        description = content["description"]
        is_intact = content["fingerprint"] == (None if description is None else fingerprint(description))
        start, count, checksums, manifest = text_start, None, None, None
        if version > 1 or "num_checksums" in content:  # else a damaged version could take the checksums away
            end_of_checksums = text_start - _count(content["manifest_bytes"]) if version > 2 else text_start
            count = _count(content["num_checksums"])
            start = end_of_checksums - 8 * count - DIGEST_BYTES
            if start < earliest:
                raise ValueError("no room")
            if with_checksums:
                file.seek(start + DIGEST_BYTES)
                checksums = np.frombuffer(file.read(8 * count), dtype="<u8")
            manifest = (end_of_checksums, text_start) if end_of_checksums < text_start else None
        told = start, description, content["fingerprint"], package_version
        found = Appendix(*told, count, checksums, version, manifest)
    except (TypeError, ValueError, KeyError, RecursionError, ConversionError):
        is_intact = False
    if not is_intact:
        raise BetonError("the description in it is damaged; restore the file or convert the dataset again")
    return found


def _count(value: Any) -> int:
    if not isinstance(value, int) or value < 0:
        raise ValueError("no count")
    return value


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
