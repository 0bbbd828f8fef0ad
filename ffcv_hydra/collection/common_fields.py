"""The fields that betons have in common, and each beton with these alone: what members of a mixture are read as."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ffcv_hydra.beton.fields.base import Field
from ffcv_hydra.beton.fields.scalar_fields import FloatField, IntField
from ffcv_hydra.beton.reading.reader import Beton
from ffcv_hydra.errors import BetonError
from ffcv_hydra.nearest import hint


class CommonFields:
    """Which fields several betons are read with: those that all have, and those that have a fill value.

    Args:
        betons: the betons.
        fill_values: numbers by field.

    Attributes:
        fields: by name, in the order of the first beton that has each.
        left_out: by name of each further field, the first beton without it.

    Raises:
        BetonError: no field is left, or a fill value is of no field, or of one that is no number.
    """

    def __init__(self, betons: Sequence[Beton], fill_values: Mapping[str, float]) -> None:
        known: dict[str, Field] = {}
        for beton in betons:
            known = {**known, **{name: field for name, field in beton.fields.items() if name not in known}}
        self._fill_values = fill_values
        for name, value in fill_values.items():
            if name not in known:
                raise BetonError(f"fill_values: no member has a field '{name}'; {hint(name, known)}")
            _check_fill_value(name, known[name], value)
        lacking = {name: beton.path for beton in reversed(betons) for name in known if name not in beton.fields}
        self.left_out: dict[str, Path] = {name: path for name, path in lacking.items() if name not in fill_values}
        self.fields = {name: field for name, field in known.items() if name not in self.left_out}
        if not self.fields:
            named = "; ".join(f"{beton.path} has {', '.join(beton.fields)}" for beton in betons)
            raise BetonError(f"no field is in all members of the mixture: {named}")

    def of(self, beton: Beton) -> Beton:
        """The beton with these fields alone."""
        is_as_it_is = list(beton.fields) == list(self.fields)
        return beton if is_as_it_is else _WithFields(beton, self.fields, self._fill_values)


class _WithFields(Beton):
    """A beton with some of its fields, and with one number for all samples in those that it lacks."""

    def __init__(self, beton: Beton, fields: Mapping[str, Field], fill_values: Mapping[str, float]) -> None:
        vars(self).update(vars(beton))
        self._beton, self._fill_values = beton, fill_values
        self.fields = {name: beton.fields.get(name, field) for name, field in fields.items()}

    def field_metadata(self, name: str) -> np.ndarray:
        """As `Beton.field_metadata`; of a field that it lacks the same number for each sample, which is there once."""
        if name in self._beton.fields:
            return self._beton.field_metadata(name)
        value = np.array(self._fill_values[name], dtype=self.fields[name].metadata_type)
        return np.broadcast_to(value, self.num_samples)


def _check_fill_value(name: str, field: Field, value: float) -> None:
    if not isinstance(field, (IntField, FloatField)):
        raise BetonError(
            f"fill_values: field '{name}' is no number but {field.label}; leave it out by the pipeline 'disabled'"
        )
    if isinstance(field, IntField) and not (float(value).is_integer() and -(2**63) <= value < 2**63):
        raise BetonError(f"fill_values: field '{name}' holds whole numbers of 64 bits; got {value!r}")
