"""The records of FFCV's file format, version 2: all little-endian, laid out as C lays out structures.

    header | field descriptors | metadata | data ... | allocation table

Source: `ffcv/types.py` of FFCV 1.0.2, whose files these describe to the byte.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np

VERSION = 2
CUSTOM_TYPE_ID = 255  # of fields whose class FFCV does not know
ARGUMENT_BYTES = 1024  # of a descriptor, for the arguments that a field was made with

HEADER = np.dtype(
    [
        ("version", "<u2"),
        ("num_fields", "<u2"),
        ("page_size", "<u4"),
        ("num_samples", "<u8"),
        ("alloc_table_ptr", "<u8"),
    ],
    align=True,
)
DESCRIPTOR = np.dtype(
    [("type_id", "<u1"), ("name", ("<u1", 16)), ("arguments", ("<u1", (ARGUMENT_BYTES,)))], align=True
)
ALLOCATION = np.dtype([("sample_id", "<u8"), ("ptr", "<u8"), ("size", "<u8")])
ARGUMENTS = np.dtype([("", "<u1", ARGUMENT_BYTES)])  # what a field's `to_binary` gives one record of


def record_type(fields: Iterable[Any]) -> np.dtype:
    """A sample's metadata: column `f0` is the first field's, and so on."""
    return np.dtype([("", field.metadata_type) for field in fields], align=True)
