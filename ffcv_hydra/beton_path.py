"""What stands at the path of a beton: a file, or a folder of shards with an index."""

import os

from ffcv_hydra.urls import is_url

INDEX_NAME = "index.json"


def is_sharded(path: str | os.PathLike[str]) -> bool:
    """Whether `path` is a folder that has an index."""
    return os.path.isfile(os.path.join(os.path.expanduser(path), INDEX_NAME))


def beton_exists(path: str | os.PathLike[str]) -> bool:
    """Whether a beton, one file or sharded, is at `path`; it is not looked into. One at a URL counts as there."""
    return is_url(path) or os.path.isfile(os.path.expanduser(path)) or is_sharded(path)
