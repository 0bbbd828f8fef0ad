"""Where a `data.yaml` of Ultralytics' YOLO says that pictures and labels are."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from ffcv_hydra.datasets.image_suffixes import image_suffixes
from ffcv_hydra.errors import ConfigError, SourceMissingError

NO_LABELS = "classes.txt"  # what labelling programs put beside them


def read_data(path: str) -> Mapping[str, Any]:
    """What a `data.yaml` holds."""
    try:
        with open(path, encoding="utf-8") as file:
            content = yaml.safe_load(file)
    except FileNotFoundError as error:
        raise SourceMissingError(f"{path}: no such file; set dataset.data to the YAML file of the dataset") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: no YAML ({' '.join(str(error).split())}); correct it") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: has no keys; write names, train and val there")
    return content


def names_in(content: Mapping[str, Any], path: str) -> list[str]:
    """The classes' names by number, of the content of the file `path`."""
    names = content.get("names")
    if isinstance(names, dict) and sorted(names, key=str) == sorted(range(len(names)), key=str):
        names = [names[number] for number in range(len(names))]
    if not isinstance(names, list) or not names or len(set(map(str, names))) < len(names):
        raise ConfigError(f"{path}: names is no list of the classes' names, each another one; write names: [cat, dog]")
    return [str(name) for name in names]


def pictures_of(key: str, content: Mapping[str, Any], path: str) -> list[str]:
    """The paths of a split's pictures, each of which exists; those of a folder by name.

    Args:
        key: What the split is called.
        content: Of the file `path`.
        path: Its path.
    """
    places = content.get(key)
    if not places:
        raise ConfigError(f"{path}: has no {key!r}; say there where these pictures are")
    found: list[str] = []
    for place in [places] if isinstance(places, str) else places:
        place = _found(str(place), str(content.get("path") or ""), path)
        found += _listed(place) if place.endswith(".txt") else _below(place)
    if not found:
        raise ConfigError(f"{path}: {key!r}: no pictures in {places}; put some there")
    return found


def _found(place: str, base: str, path: str) -> str:
    """Where a path in the file leads to, as Ultralytics and others who write such files have meant it."""
    tried = (os.path.join(base, place), place, place.removeprefix("../"))
    paths = [os.path.normpath(os.path.join(os.path.dirname(path), os.path.expanduser(one))) for one in tried]
    found = next((one for one in paths if os.path.exists(one)), None)
    if found is None:
        raise ConfigError(f"{path}: there is no {paths[0]} ({place!r}); correct the path, or put it there")
    return found


def _below(folder: str) -> Iterator[str]:
    """The pictures of a folder. Raises `ConfigError` for labels without one."""
    suffixes = image_suffixes()
    labels = os.path.dirname(label_path(os.path.join(folder, "1.jpg")))
    for inner, _, files in sorted(os.walk(folder, followlinks=True)):
        pictures = [file for file in sorted(files) if os.path.splitext(file)[1].lower() in suffixes]
        yield from (os.path.join(inner, file) for file in pictures)
        beside = os.path.normpath(os.path.join(labels, os.path.relpath(inner, folder)))
        known = {os.path.splitext(file)[0] for file in pictures}
        for file in sorted(os.listdir(beside)) if os.path.isdir(beside) else ():
            stem, suffix = os.path.splitext(file)
            if suffix == ".txt" and stem not in known and file != NO_LABELS:
                path = os.path.join(beside, file)
                raise ConfigError(f"{path}: there is no picture {stem} in {inner}; put it there, or remove the file")


def _listed(path: str) -> Iterator[str]:
    """What a text file lists, a path on each line, relative to its folder."""
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(map(str.strip, file), 1):
            picture = os.path.normpath(os.path.join(os.path.dirname(path), line))
            if line and not os.path.isfile(picture):
                raise ConfigError(f"{path}, line {number}: there is no {picture}; put it there, or remove the line")
            if line:
                yield picture


def label_path(picture: str) -> str:
    """Where the labels of a picture are: its path with the last folder `images` as `labels`."""
    before, found, after = picture.rpartition(f"{os.sep}images{os.sep}")
    return f"{os.path.splitext(f'{before}{os.sep}labels{os.sep}{after}' if found else picture)[0]}.txt"
