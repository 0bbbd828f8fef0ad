"""A CSV file that grows while a run does."""

import csv
import io
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from ffcv_hydra.atomic_file import write_whole
from ffcv_hydra.run_folder import read_columns

Row = Mapping[str, float | None]
_Value = TypeVar("_Value")


class RowsFile:
    """A CSV file of numbers with one row for each value of its first column; a row is in the file when it is added.

    A name that comes later becomes a further column. That the file cannot be written is told once, and changes nothing
    else.

    Args:
        path: of the file; what it holds is kept.
        key: the first column, whose values ascend.
    """

    def __init__(self, path: Path, key: str) -> None:
        self.path, self.key = path, key
        self._names: list[str] = []
        self._row: Row = {}  # the last one, and where in the file it begins
        self._row_begins = 0
        self._is_told = False

    def add(self, row: Row) -> None:
        """Add a row; to the last one, if that has the same key."""
        self._try(self._add, row)

    def keep_before(self, value: float) -> None:
        """Drop the rows of that key and of later ones: a run that goes on from a checkpoint makes them anew."""
        self._try(self._keep_before, value)

    def _add(self, row: Row) -> None:
        is_more = bool(self._row) and self._row.get(self.key) == row.get(self.key)
        row = {**self._row, **row} if is_more else row
        new = [name for name in row if name not in self._names]
        if new or not self._names:
            rows = self._read()
            self._names = list(dict.fromkeys([*self._names, self.key, *new]))
            self._write(rows[:-1] if is_more else rows)
        with open(self.path, "r+b") as file:
            if is_more:
                file.truncate(self._row_begins)
            self._row_begins = file.seek(0, io.SEEK_END)
            file.write(self._lines([row]))
        self._row = row

    def _keep_before(self, value: float) -> None:
        rows = [row for row in self._read() if (row.get(self.key) or 0) < value]
        self._row = {}
        if self._names:
            self._row = rows[-1] if rows else {}
            self._write(rows)
            self._row_begins -= len(self._lines([self._row])) if rows else 0

    def _read(self) -> list[Row]:
        columns = read_columns(self.path)
        self._names = list(columns) or self._names
        return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]

    def _write(self, rows: Sequence[Row]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        text = self._lines(rows, header=True)
        write_whole(self.path, text.decode())
        self._row_begins = len(text)

    def _lines(self, rows: Sequence[Row], header: bool = False) -> bytes:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        if header:
            writer.writerow(self._names)
        writer.writerows([_cell(row.get(name)) for name in self._names] for row in rows)
        return text.getvalue().encode()

    def _try(self, change: Callable[[_Value], None], value: _Value) -> None:
        try:
            change(value)
        except OSError as error:
            if not self._is_told:
                self._is_told = True
                print(f"{self.path} cannot be written: {error.strerror}", file=sys.stderr)


def _cell(value: float | None) -> str:
    if value is None:
        return ""
    return str(int(value)) if float(value).is_integer() and abs(value) < 1e15 else repr(float(value))
