"""From what a user says about fields (nothing, options, or `Field` objects) to one `Field` per item."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from ffcv_hydra.beton.fields.array_fields import NDArrayField
from ffcv_hydra.beton.fields.base import Field
from ffcv_hydra.beton.fields.inference import (
    check_is_tuple,
    check_names,
    default_names,
    infer_field,
    infer_fields,
)
from ffcv_hydra.beton.fields.random_access_image import RGB_FIELDS, RandomAccessImageField
from ffcv_hydra.beton.fields.rgb_image_field import RGBImageField
from ffcv_hydra.errors import ConversionError
from ffcv_hydra.foreign import adapted
from ffcv_hydra.nearest import hint

FieldSpec: TypeAlias = "Field | Mapping[str, Any] | None"
FieldSpecs: TypeAlias = "Mapping[str, FieldSpec] | Sequence[FieldSpec] | None"

WRITE_MODES = ("raw", "jpg", "smart", "proportion")
SET_BY_THE_DATA = ("dtype", "shape")


def resolve_fields(item: Any, fields: FieldSpecs = None, *, index: int | str = 0) -> dict[str, Field]:
    """One `Field` per entry of a dataset's item.

    Args:
        item: One item of the dataset, a tuple.
        fields: None (all inferred), or per entry a `Field`, a dict of options for the inferred field's class
            (`{"max_resolution": 256}`), or None (inferred); as a sequence, or as a mapping from field names.
        index: Where `item` is in its dataset, for errors.

    Raises:
        ConversionError: if the numbers differ, an option is unknown or impossible, or inference fails.
    """
    check_is_tuple(item, index)
    if fields is None:
        return infer_fields(item, index=index)
    if isinstance(fields, (str, bytes)) or not isinstance(fields, (Mapping, Sequence)):
        raise ConversionError(f"fields: expected a mapping from names or a sequence, got {type(fields).__name__}")
    names = list(fields) if isinstance(fields, Mapping) else []
    if len(fields) != len(item):
        named = f" ({', '.join(map(str, names))})" if isinstance(fields, Mapping) else ""
        raise ConversionError(f"sample {index}: the item has {len(item)} entries, but fields has {len(fields)}{named}")
    check_names(names)
    specs = fields.values() if isinstance(fields, Mapping) else fields
    resolved = [
        _resolve_entry(value, spec, repr(names[n]) if names else str(n), names[n] if names else "", index)
        for n, (value, spec) in enumerate(zip(item, specs, strict=True))
    ]
    return dict(zip(names or default_names(resolved), resolved, strict=True))


def check_field(field: Field, label: str) -> None:
    """Raise `ConversionError` if an image field's settings are ones that FFCV would fail on or silently ignore."""
    if not isinstance(field, RGBImageField) or type(field) not in RGB_FIELDS:
        return
    if field.write_mode not in WRITE_MODES:
        advice = hint(str(field.write_mode), WRITE_MODES)
        raise ConversionError(f"field {label}: unknown write_mode {field.write_mode!r}; {advice}")
    if field.write_mode == "smart" and field.smart_threshold is None:
        raise ConversionError(
            f"field {label}: write_mode 'smart' needs smart_threshold: larger images (in raw bytes) are stored as JPEG"
        )
    if field.max_resolution is not None and field.max_resolution < 1:
        raise ConversionError(f"field {label}: max_resolution is {field.max_resolution}; use 1 or more pixels")
    if not 1 <= field.jpeg_quality <= 100:
        raise ConversionError(f"field {label}: jpeg_quality is {field.jpeg_quality}; use 1 to 100")
    if not isinstance(field, RandomAccessImageField):
        return
    if not isinstance(field.random_access, bool):
        raise ConversionError(f"field {label}: random_access is {field.random_access!r}; use true or false")
    if field.background is not None and not _is_colour(field.background):
        raise ConversionError(f"field {label}: background is {field.background!r}; use three ints, each 0 to 255")


def _is_colour(value: Any) -> bool:
    is_triple = isinstance(value, (list, tuple)) and len(value) == 3
    return is_triple and all(type(level) is int and 0 <= level <= 255 for level in value)


def _resolve_entry(value: Any, spec: FieldSpec, label: str, name: str, index: int | str) -> Field:
    spec = adapted(spec)
    if isinstance(spec, Field):
        _check_storable(spec, label)
        check_field(spec, label)
        return spec
    if spec is not None and not isinstance(spec, Mapping):
        raise ConversionError(f"field {label}: expected a Field, a dict of options or null, got {type(spec).__name__}")
    inferred = infer_field(value, name, f"sample {index}, field {label}")
    return _with_options(inferred, spec, label) if spec else inferred


def _with_options(inferred: Field, options: Mapping[str, Any], label: str) -> Field:
    field_class = type(inferred)
    parameters = [
        name
        for name, parameter in inspect.signature(field_class).parameters.items()
        if parameter.kind is parameter.POSITIONAL_OR_KEYWORD and name not in SET_BY_THE_DATA
    ]
    for option in options:
        if option not in parameters:
            advice = hint(str(option), parameters) if parameters else "it takes none"
            raise ConversionError(f"field {label} ({inferred.label}): unknown option {option!r}; {advice}")
    defaults = {"write_mode": inferred.write_mode} if isinstance(inferred, RGBImageField) else {}
    try:
        field = field_class(**(defaults | dict(options)))
        check_field(field, label)
    except (TypeError, ValueError) as error:
        raise ConversionError(f"field {label}: cannot build it from {dict(options)}: {error}") from error
    return field


def _check_storable(field: Field, label: str) -> None:
    if isinstance(field, NDArrayField) and (len(field.shape) == 0 or 0 in field.shape):
        raise ConversionError(
            f"field {label}: FFCV cannot store arrays of shape {tuple(field.shape)}; for one number use an int or float"
        )
