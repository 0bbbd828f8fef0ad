"""What a state to resume from knows a loader's data by."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

from ffcv_hydra.beton import Beton
from ffcv_hydra.beton.fields.base import Field
from ffcv_hydra.beton.summary import describe_fields
from ffcv_hydra.collection.shards import identity_of
from ffcv_hydra.loader.engine.epoch_order import EpochOrder
from ffcv_hydra.loader.engine.indices import earlier_identity_of_all, indices_identity
from ffcv_hydra.ordering import Ordering


def identities(
    order: EpochOrder, fill_values: Mapping[str, float], global_batch_size: int, drop_last: bool
) -> tuple[dict[str, Any], dict[str, Callable[[], Any]]]:
    """What a state depends on, and what states of earlier versions have in place of some of it: `Position`'s arguments.

    By field, `fill_values` are what stands for those that a member of a mixture lacks.
    """
    samples, chosen = order.sample_set, order.sample_set.chosen
    now = {
        "beton": _identity_of_data(samples.reader, order.ordering),
        "fields": _identity_of_fields(samples.reader.fields, fill_values),
        "indices": indices_identity(chosen),
        "seed": samples.seed,
        "ordering": order.identity(),
        "global batch size": global_batch_size,
        "drop_last": drop_last,
    }
    earlier: dict[str, Callable[[], Any]] = {"beton": lambda: samples.reader.checksum, "fields": lambda: None}
    if isinstance(chosen, range):
        earlier["indices"] = functools.partial(earlier_identity_of_all, len(chosen))
    return now, earlier


def _identity_of_data(beton: Beton, ordering: Ordering) -> Any:
    """Text, or a function that finds it: the data alone, or also their files, if the ordering depends on these."""
    if not ordering.is_of_content():
        return beton.checksum
    # what tells a file without checksums apart is in it, and it may be another one later
    if len(beton.files) == 1 and beton.version is None:
        return identity_of(beton)
    return functools.partial(identity_of, beton)


def _identity_of_fields(fields: Mapping[str, Field], fill_values: Mapping[str, float]) -> str:
    """Their names and kinds, and what stands for those that a member of a mixture lacks."""
    filled = {name: f" or {fields[name].metadata_type.type(value).item()!r}" for name, value in fill_values.items()}
    return ", ".join(f"{name}: {kind}{filled.get(name, '')}" for name, kind in describe_fields(fields).items())
