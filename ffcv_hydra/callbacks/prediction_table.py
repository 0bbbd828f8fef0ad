"""Predictions as a table that other programs read, a row per sample: CSV, and Parquet where pyarrow is installed."""

import csv
import io
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from ffcv_hydra.atomic_file import written_beside
from ffcv_hydra.errors import WriteError

_TOLERANCE = 0.02  # of probabilities in 16 bits
MOST_COLUMNS = 100
"""That one tensor is given: of more classes, `predictions.pt` has the rest."""

Columns = dict[str, Any]
"""By name, what has one value per sample: an array (N,) or a list."""


def prediction_columns(
    sample_ids: Tensor,
    names: Sequence[str | None],
    predictions: Mapping[str, Tensor],
    labels: Tensor | None,
    class_names: Sequence[str] | None,
    label_names: Sequence[str] | None,
) -> Columns:
    """The columns `id`, `name`, `label` and what the predictions are.

    Probabilities (N, K), rows of which the sum is 1, give `predicted`, its `probability`, and `p_CLASS` for every
    class; with labels (N, K) of zeros and ones, `predicted` has the classes above 0.5. Whole numbers (N,) are classes
    that are `predicted`, and masks of them (N, H, W) give `pixels_CLASS`, the share of the pixels. Other numbers are
    `prediction`, or `prediction_0` and so on. What would be more than 100 columns is left out.

    Args:
        sample_ids: int64 (N,).
        names: of the samples; None for one without.
        predictions: by name, of N rows each; the name stands before those of its columns, and is empty for the only
            one.
        labels: (N,), or one column for each class, as the dataset has them; None if it has none.
        class_names: of what is predicted, by number, if they are known.
        label_names: of the labels, likewise.
    """
    columns: Columns = {"id": sample_ids.numpy(), "name": list(names), "label": None}
    holds_classes = False
    for name, tensor in predictions.items():
        values = (tensor.float() if tensor.is_floating_point() else tensor).numpy()
        found = _columns(values, None if labels is None else labels.shape, class_names)
        holds_classes |= "predicted" in found
        columns |= {f"{name}_{column}" if name else column: values for column, values in found.items()}
    if labels is None:
        del columns["label"]
    elif labels.ndim == 2 and labels.shape[1] > 1:
        columns["label"] = _several(labels.numpy(), label_names)
    else:
        values = labels.reshape(-1).float().numpy() if labels.is_floating_point() else labels.reshape(-1).numpy()
        columns["label"] = _named(values, label_names) if holds_classes else values
    return columns


def _columns(values: np.ndarray, label_shape: Any, class_names: Sequence[str] | None) -> Columns:
    is_whole = values.dtype.kind in "iub"
    if not is_whole and values.dtype.kind != "f":
        return {}
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim == 1:
        return {"predicted": _named(values, class_names)} if is_whole else {"prediction": values}
    if values.ndim > 2:
        return _shares(values, class_names) if is_whole and values.ndim <= 4 else {}
    found: Columns = {}
    is_share = not is_whole and bool(((values >= 0) & (values <= 1 + _TOLERANCE)).all())
    if is_share and np.allclose(values.sum(axis=1), 1, atol=_TOLERANCE):
        best = values.argmax(axis=1)
        found = {"predicted": _named(best, class_names), "probability": values[np.arange(len(values)), best]}
    elif is_share and label_shape == values.shape:
        found = {"predicted": _several(values, class_names)}
    if values.shape[1] <= MOST_COLUMNS:
        known = _headings(values.shape[1], class_names) if is_share else [str(one) for one in range(values.shape[1])]
        prefix = "p" if is_share else "prediction"
        found |= {f"{prefix}_{title}": values[:, place] for place, title in enumerate(known)}
    return found


def _shares(masks: np.ndarray, class_names: Sequence[str] | None) -> Columns:
    count = len(class_names) if class_names is not None else int(masks.max(initial=0)) + 1
    if count > MOST_COLUMNS:
        return {}
    pixels = masks.reshape(len(masks), -1)
    return {f"pixels_{title}": (pixels == one).mean(axis=1) for one, title in enumerate(_headings(count, class_names))}


def _headings(count: int, class_names: Sequence[str] | None) -> list[str]:
    """The classes' names, or their numbers where names are unknown or not all different."""
    is_known = class_names is not None and len(class_names) == count == len(set(class_names))
    return list(class_names) if is_known and class_names is not None else [str(number) for number in range(count)]


def _named(numbers: np.ndarray, class_names: Sequence[str] | None) -> Any:
    if class_names is None:
        return numbers
    return [class_names[one] if 0 <= one < len(class_names) else str(one) for one in map(int, numbers)]


def _several(shares: np.ndarray, class_names: Sequence[str] | None) -> list[str]:
    """The classes of each sample, those of more than a half, in one text."""
    titles = _headings(shares.shape[1], class_names)
    return [";".join(titles[place] for place in np.flatnonzero(row > 0.5)) for row in shares]


def write_table(columns: Columns, path: Path) -> None:
    """Write the columns as CSV to `path`, which ends in .csv, and as Parquet beside it where pyarrow is installed.

    Text is quoted in the CSV, whatever it holds; what has no UTF-8 is written as escapes.

    Raises:
        WriteError: a file cannot be written; what was there is still there.
    """
    columns = {_utf8(name): _plain(values) for name, values in columns.items()}
    try:
        with written_beside(path) as file:
            _write_csv(columns, file)
        if find_spec("pyarrow") is not None:
            import pyarrow
            from pyarrow import parquet

            with written_beside(path.with_suffix(".parquet")) as file:
                parquet.write_table(pyarrow.table(columns), file)
    except OSError as error:
        raise WriteError(f"{path} cannot be written: {error.strerror or error}") from error


def _write_csv(columns: Columns, file: Any) -> None:
    text = io.TextIOWrapper(file, encoding="utf-8", newline="")
    writer = csv.writer(text, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
    writer.writerow(columns)
    length = len(next(iter(columns.values())))
    for start in range(0, length, 1000):
        part = [values[start : start + 1000] for values in columns.values()]
        writer.writerows(zip(*(_numbers(one) if isinstance(one, np.ndarray) else one for one in part), strict=True))
    text.detach()  # which flushes; the file stays open


def _numbers(values: np.ndarray) -> list[Any]:
    """As Python's numbers; of a float as many digits as its 32 bits hold."""
    found = values.tolist()
    return [float(f"{one:.7g}") for one in found] if values.dtype.kind == "f" else found


def _plain(values: Any) -> Any:
    if isinstance(values, np.ndarray):
        return values
    return [one if one is None else _utf8(one) for one in values]


def _utf8(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()
