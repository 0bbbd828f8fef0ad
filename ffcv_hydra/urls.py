"""URLs as texts: telling them from paths, showing them without what is secret in them, and what lies beside one."""

import os
import re
from typing import TypeGuard

# The second form is a password that should have been quoted; a port is none.
_USER = re.compile(r"://(?:[^/?#]*@|[^/@]*:(?!\d+(?:/|$))[^@]*@)")
_QUERY = re.compile(r"\?.*", re.DOTALL)


def is_url(path: object) -> TypeGuard[str]:
    """Whether a path is a URL."""
    return isinstance(path, str) and "://" in path


def without_user(url: str) -> str:
    """The URL without `user:password@`."""
    return _USER.sub("://", url)


def shown(url: str | os.PathLike[str]) -> str:
    """What may be told of a URL: neither its user and password nor its query, which may be a signature."""
    text = os.fspath(url)
    return _QUERY.sub("?...", _USER.sub("://***@", text)) if is_url(text) else text


def has_secrets(url: str) -> bool:
    """Whether something of a URL may not be told."""
    return shown(url) != url


def name_of(url: str) -> str:
    """The last part of a URL's path, as the name of a file."""
    name = _QUERY.sub("", without_user(url)).rstrip("/").rpartition("/")[2]
    return re.sub(r"[^\w.-]", "_", name).lstrip(".")[-100:] or "file"


def joined(folder: str, file: str) -> str:
    """Where a file is that a folder at a URL names: beside it, or, if it is a URL itself, there."""
    if is_url(file):
        return file
    path, mark, query = folder.partition("?")
    protocol, separator, place = path.rpartition("://")
    host, _, folder = place.partition("/")  # or a bucket: no name leads out of it
    place = os.path.normpath("/" + f"{folder}/{file}".lstrip("/"))
    return f"{protocol}{separator}{host}{place}{mark}{query}"
