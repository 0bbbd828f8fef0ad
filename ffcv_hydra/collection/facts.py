"""What a beton, one file or sharded, says of itself."""

from __future__ import annotations

import os
from pathlib import Path

from ffcv_hydra.beton.appendix import Appendix
from ffcv_hydra.beton.manifest import Manifest, decode
from ffcv_hydra.beton.reading import reader
from ffcv_hydra.beton_path import is_sharded
from ffcv_hydra.collection.index import Index, read_index
from ffcv_hydra.errors import BetonError


def read_facts(path: str | os.PathLike[str]) -> Appendix | Index | None:
    """What the beton at `path` was made from (`description`, `fingerprint`); None in files of stock FFCV.

    Raises:
        BetonError: if it is missing, is no beton, or is visibly damaged.
    """
    return read_index(path) if is_sharded(path) else reader.read_appendix(path)


def read_manifest(path: str | os.PathLike[str]) -> Manifest | None:
    """How the source of the beton at `path` looked when it was converted; None if it does not say.

    Raises:
        BetonError: as `read_facts`, and if the manifest is missing or damaged.
    """
    if not is_sharded(path):
        return reader.read_manifest(path)
    name = read_index(path).manifest
    file = Path(os.path.expanduser(path)) / name
    try:
        return decode(file.read_bytes()) if name else None
    except OSError as error:
        raise BetonError(f"{file}: cannot be read: {error.strerror or error}; restore it, or convert again") from error
    except BetonError as error:
        raise BetonError(f"{file}: {error}") from error
