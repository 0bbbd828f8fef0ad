"""Names of classes that a config lists, or names a file of."""

from __future__ import annotations

import os
from collections.abc import Sequence

from ffcv_hydra.errors import ConfigError, SourceMissingError


def listed_classes(classes: Sequence[str] | str, root: str | os.PathLike[str]) -> list[str]:
    """The names in the order given.

    Args:
        classes: The names, or the path of a text file with a name on each line, relative to `root`.
        root: The folder of the dataset.

    Raises:
        ConfigError: there is no such file, there are no names, or one comes twice.
    """
    if isinstance(classes, str):
        path = os.path.join(os.path.abspath(os.path.expanduser(root)), os.path.expanduser(classes))
        try:
            with open(path, encoding="utf-8") as file:
                names = [line.strip() for line in file if line.strip()]
        except (OSError, UnicodeDecodeError) as error:
            kind = ConfigError if os.path.isdir(os.path.dirname(path)) else SourceMissingError
            raise kind(
                f"dataset.classes={classes}: {error}; list names, or give a file with one on each line"
            ) from error
        where = path
    else:
        names, where = [str(name) for name in classes or ()], "dataset.classes"
    if not names:
        raise ConfigError(f"{where}: no names in it; list those of the classes, as [cat,dog]")
    if len(set(names)) < len(names):
        twice = next(name for number, name in enumerate(names) if name in names[:number])
        raise ConfigError(f"{where}: class {twice!r} is there twice; give each its own name")
    return names
