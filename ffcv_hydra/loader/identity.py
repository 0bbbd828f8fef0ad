"""What a state to resume from knows a loader's data by."""

import functools
from collections.abc import Mapping
from typing import Any

from ffcv_hydra.beton import Beton
from ffcv_hydra.beton.fields.base import Field
from ffcv_hydra.beton.summary import describe_fields
from ffcv_hydra.collection.shards import identity_of
from ffcv_hydra.ordering import Ordering


def identity_of_data(beton: Beton, ordering: Ordering) -> Any:
    """Text, or a function that finds it: the data alone, or also their files, if the ordering depends on these."""
    if not ordering.is_of_content():
        return beton.checksum
    # what tells a file without checksums apart is in it, and it may be another one later
    if len(beton.files) == 1 and beton.version is None:
        return identity_of(beton)
    return functools.partial(identity_of, beton)


def identity_of_fields(fields: Mapping[str, Field], fill_values: Mapping[str, float]) -> str:
    """Their names and kinds, and what stands for those that a member of a mixture lacks."""
    filled = {name: f" or {fields[name].metadata_type.type(value).item()!r}" for name, value in fill_values.items()}
    return ", ".join(f"{name}: {kind}{filled.get(name, '')}" for name, kind in describe_fields(fields).items())
