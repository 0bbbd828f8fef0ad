"""What tells one ordering from another after a restart: its content, and never an address or shortened text.

Knows values, not orderings.
"""

import hashlib
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import torch

_LONGEST = 200  # characters of an argument that are kept as they are
_VERSION = " version "
_PLAIN = (type(None), bool, int, float, complex, str, bytes, type, Enum, Path, np.generic, torch.dtype)


def describe(value: Any) -> str | None:
    """Text that is the same for the same content, in every process; None for what has no content that can be written.

    Args:
        value: plain values and classes, arrays and tensors, paths of files, and lists, tuples and mappings of these.
    """
    text = _text(value)
    if text is None or len(text) <= _LONGEST:
        return text
    return f"{type(value).__name__} with the SHA-256 {digest(text.encode())}"


def versioned(identity: str, version: int) -> str:
    """An identity with the version of what it stands for; the first one goes without saying."""
    return identity if version == 1 else f"{identity}{_VERSION}{version}"


def is_another_version(one: Any, other: Any) -> bool:
    """Whether two identities differ in their version alone."""
    return one != other and str(one).partition(_VERSION)[0] == str(other).partition(_VERSION)[0]


def digest(*parts: bytes) -> str:
    """64 hexadecimal digits of the SHA-256 of `parts` one after another."""
    found = hashlib.sha256()
    for part in parts:
        found.update(part)
    return found.hexdigest()


def _text(value: Any) -> str | None:
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu().numpy() if value.dtype != torch.bfloat16 else value.detach().cpu().float().numpy()
    if isinstance(value, np.ndarray):
        if value.dtype.hasobject:
            return None
        return f"{value.dtype} {value.shape} with the SHA-256 {digest(np.ascontiguousarray(value).tobytes())}"
    if isinstance(value, Path) and value.is_file():
        return f"file with the SHA-256 {digest(value.read_bytes())}"
    if isinstance(value, _PLAIN):
        return str(value)
    if isinstance(value, Mapping):
        items = [(_text(key), _text(item)) for key, item in value.items()]
        return None if any(None in item for item in items) else str({str(key): item for key, item in items})
    if isinstance(value, (list, tuple)):
        texts = [_text(item) for item in value]
        return None if None in texts else f"[{', '.join(map(str, texts))}]"
    return None
