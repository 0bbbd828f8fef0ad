"""What is written in a JSON file of COCO's format, before anyone looks at the pictures."""

from __future__ import annotations

import json
import mmap
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ffcv_hydra.errors import ConfigError, SourceMissingError

CATEGORIES = re.compile(rb'"categories"\s*:\s*(?=\[)')
SIZE_OF_CATEGORIES = 1 << 16  # bytes; few files have more of them
IMAGE, ANNOTATION, CATEGORY = (
    ("id", "file_name", "width", "height"),
    ("id", "image_id", "category_id", "bbox"),
    ("id", "name"),
)
"""The keys that a record has to have."""


def read_instances(path: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]], dict[Any, str]]:
    """The records of images and of annotations, and the categories' names by their ids, in the ids' order.

    Raises:
        ConfigError: it is no JSON, or a record lacks a key; names file and record.
        SourceMissingError: there is no such file.
    """
    try:
        with open(path, "rb") as file:
            content = json.load(file)
    except FileNotFoundError as error:
        raise _missing(path) from error
    except ValueError as error:
        raise ConfigError(f"{path}: no JSON ({error}); fetch it again") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: no file of COCO's format, which has images, annotations and categories")
    images = _records(content, "images", IMAGE, path)
    _check_unlike(images, ("id", "file_name"), "images", path)
    # Files of test images have none.
    annotations = _records(content, "annotations", ANNOTATION, path) if "annotations" in content else []
    return images, annotations, _categories(content, path)


def read_class_names(path: str) -> list[str]:
    """The categories' names in the order of their ids; reads no more of the file than it has to. Raises the same."""
    try:
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            found = CATEGORIES.search(content)
            start = len(content) if found is None else found.end()
            size = SIZE_OF_CATEGORIES
            while start + size < len(content):
                try:
                    text = content[start : start + size].decode(errors="ignore")
                    return list(_categories({"categories": json.JSONDecoder().raw_decode(text)[0]}, path).values())
                except json.JSONDecodeError:  # cut, or damaged
                    size *= 8
    except FileNotFoundError as error:
        raise _missing(path) from error
    except ValueError:  # an empty file
        pass
    return list(read_instances(path)[2].values())


def numbers_of(record: Mapping[str, Any], key: str, count: int, where: Callable[[Any], str]) -> Sequence[float]:
    """The list of `count` numbers that a record has at a key. Raises `ConfigError` if there is another thing."""
    value = record.get(key)
    if not isinstance(value, list) or len(value) != count or not all(isinstance(part, (int, float)) for part in value):
        shown = f"a list of {len(value)}" if isinstance(value, list) else type(value).__name__
        raise ConfigError(f"{where(record)}: its {key} is no list of {count} numbers, but {shown}; correct it")
    return value


def _categories(content: Mapping[str, Any], path: str) -> dict[Any, str]:
    categories = _records(content, "categories", CATEGORY, path)
    _check_unlike(categories, ("id", "name"), "categories", path)
    return {record["id"]: str(record["name"]) for record in sorted(categories, key=lambda record: record["id"])}


def _records(content: Mapping[str, Any], key: str, needed: Sequence[str], path: str) -> list[dict[str, Any]]:
    records = content.get(key)
    if not isinstance(records, list) or (not records and key != "annotations"):
        raise ConfigError(f"{path}: there are no {key} in it; give a file of instances or keypoints in COCO's format")
    for number, record in enumerate(records):
        if not isinstance(record, dict) or not all(name in record for name in needed):
            lacking = next((name for name in needed if not isinstance(record, dict) or name not in record), "")
            raise ConfigError(f"{path}: {key}[{number}] has no {lacking}; add it, or remove the entry")
    return records


def _check_unlike(records: Sequence[Mapping[str, Any]], keys: Sequence[str], what: str, path: str) -> None:
    for key in keys:
        value, count = Counter(record[key] for record in records).most_common(1)[0]
        if count > 1:
            raise ConfigError(
                f"{path}: {count} {what} have the {key} {value!r}; give each its own, or keep one of them"
            )


def _missing(path: str) -> SourceMissingError:
    return SourceMissingError(f"{path}: no such file; set dataset.annotations to the JSON files of the splits")
