"""Conditions on samples, such as `label in [3, 5] and image.height >= 256`: read as Python, computed on columns."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ffcv_hydra.errors import ConversionError
from ffcv_hydra.nearest import hint, nearest

_BINARY: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: np.true_divide,
    ast.FloorDiv: np.floor_divide,
    ast.Mod: np.mod,
}
_COMPARISONS: dict[type, Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_MOST_CHARACTERS = 10_000

Columns = Mapping[str, np.ndarray]


class Condition:
    """A condition on the values of samples.

    It is made of columns' names, numbers, comparisons, `in` and `not in` with lists, `and`, `or`, `not`, and
    `+ - * / // %`. Text stands for the number of the class of this name. Nothing else is read: nothing can be called.

    Args:
        text: The condition.
        columns: The names that there are: `label`, `image.height`.
        classes: The classes' names by number, if they are known.

    Raises:
        ConversionError: if it cannot be read, or names something that there is not; says at which character.
    """

    def __init__(self, text: str, columns: Sequence[str], classes: Sequence[str] | None = None) -> None:
        self._text, self._columns, self._classes = text, columns, classes
        try:
            if len(text) > _MOST_CHARACTERS:
                raise ValueError(f"it has over {_MOST_CHARACTERS:,} characters; give --indices instead")
            self._tree = ast.parse(f"({text})", mode="eval").body
        except SyntaxError as error:
            at = max((error.offset or 2) - 1, 1) if error.lineno == 1 else None
            raise self._wrong(error.msg, at) from None
        except (ValueError, RecursionError, MemoryError) as error:
            raise self._wrong(str(error) or "it is nested too deeply") from None
        with np.errstate(all="ignore"):
            if not self._of(dict.fromkeys(columns, np.ones(1, dtype=np.int64))).shape:
                raise self._wrong("it names no field, so it is the same for all samples")

    def __call__(self, columns: Columns) -> np.ndarray:
        """Whether each sample fulfils it, bool (N,), of columns (N,); `ConversionError` if it divides by zero."""
        with np.errstate(divide="raise", invalid="raise"):
            try:
                return self._of(columns)
            except FloatingPointError:
                raise self._wrong("it divides by zero") from None

    def _of(self, columns: Columns) -> np.ndarray:
        try:
            return self._boolean(self._tree, columns)
        except (OverflowError, ZeroDivisionError) as error:
            raise self._wrong("a number is too large" if isinstance(error, OverflowError) else str(error)) from None
        except RecursionError:
            raise self._wrong("it is nested too deeply") from None

    def _wrong(self, what: str, at: int | None = None) -> ConversionError:
        place = "" if at is None else f", at character {at}"
        return ConversionError(f"where: cannot read {self._text!r}: {what}{place}")

    def _refused(self, node: ast.AST, what: str) -> ConversionError:
        if getattr(node, "lineno", 1) > 1:
            return self._wrong(what)
        start = getattr(node, "col_offset", 1)  # in bytes, with the bracket before
        return self._wrong(what, len(f"({self._text}".encode()[:start].decode()))

    def _boolean(self, node: ast.expr, columns: Columns) -> np.ndarray:
        if isinstance(node, ast.BoolOp):
            join = np.logical_and if isinstance(node.op, ast.And) else np.logical_or
            return join.reduce(np.broadcast_arrays(*(self._boolean(value, columns) for value in node.values)))
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            return np.logical_not(self._boolean(node.operand, columns))
        if isinstance(node, ast.Compare):
            found, left = np.bool_(True), node.left
            for kind, right in zip(node.ops, node.comparators, strict=True):
                found, left = found & self._compared(kind, left, right, columns), right
            return np.asarray(found)
        raise self._refused(node, "this is no condition; compare it with something, as in label == 3")

    def _compared(self, kind: ast.cmpop, left: ast.expr, right: ast.expr, columns: Columns) -> Any:
        if isinstance(kind, (ast.In, ast.NotIn)):
            if not isinstance(right, (ast.List, ast.Tuple, ast.Set)):
                raise self._refused(right, "`in` wants a list, as in label in [3, 5]")
            values = [self._number(value, {}) for value in right.elts]
            found = np.isin(self._number(left, columns), values)
            return ~found if isinstance(kind, ast.NotIn) else found
        if type(kind) not in _COMPARISONS:
            raise self._refused(left, "`is` is for objects; use ==")
        return _COMPARISONS[type(kind)](self._number(left, columns), self._number(right, columns))

    def _number(self, node: ast.expr, columns: Columns) -> Any:
        if isinstance(node, ast.Constant) and isinstance(node.value, (int, float)):
            return node.value
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            return self._class_number(node, node.value)
        if isinstance(node, (ast.Name, ast.Attribute)):
            return self._column(node, columns)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
            value = self._number(node.operand, columns)
            return -value if isinstance(node.op, ast.USub) else value
        if isinstance(node, ast.BinOp) and type(node.op) in _BINARY:
            return _BINARY[type(node.op)](self._number(node.left, columns), self._number(node.right, columns))
        raise self._refused(node, f"a condition has no {_called(node)}; it has fields, numbers and comparisons")

    def _column(self, node: ast.Name | ast.Attribute, columns: Columns) -> np.ndarray:
        name = ast.unparse(node)
        if name in columns:
            return columns[name]
        known = list(self._columns)
        if isinstance(node, ast.Name) and self._classes and nearest(name, known) is None and name in self._classes:
            raise self._refused(node, f"there is no field '{name}'; the class of this name is '{name}' in quotes")
        if name in known:
            raise self._refused(node, "a list holds numbers and names of classes")
        raise self._refused(node, f"there is no field '{name}' of numbers; {hint(name, known)}")

    def _class_number(self, node: ast.expr, name: str) -> int:
        if self._classes is None:
            raise self._refused(node, "the names of classes are not known here; use their numbers")
        if name not in self._classes:
            raise self._refused(node, f"there is no class '{name}'; {hint(name, self._classes)}")
        return list(self._classes).index(name)


def _called(node: ast.expr) -> str:
    names = {ast.Call: "calls", ast.Subscript: "subscripts", ast.Lambda: "functions", ast.IfExp: "`if`"}
    return names.get(type(node), f"'{type(node).__name__.lower()}'")
