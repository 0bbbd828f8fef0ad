"""Vectors of integers in LLVM's own code, for what its vectoriser does not find: shared words of the JPEG kernels."""

from collections.abc import Sequence
from typing import Any

from llvmlite import ir

INT8, INT16, INT32, INT64 = (ir.IntType(bits) for bits in (8, 16, 32, 64))


class Vectors:
    """Builds vector instructions; addresses are int64 values of any alignment.

    Args:
        builder: where the instructions go.
    """

    def __init__(self, builder: Any) -> None:
        self.builder = builder

    def _pointer(self, address: Any, offset: int, kind: Any) -> Any:
        at = self.builder.add(address, ir.Constant(INT64, offset)) if offset else address
        return self.builder.inttoptr(at, kind.as_pointer())

    def load(self, address: Any, offset: int, lane: Any, count: int) -> Any:
        """`count` lanes from `offset` bytes behind `address`."""
        value = self.builder.load(self._pointer(address, offset, ir.VectorType(lane, count)))
        value.align = 1
        return value

    def store(self, value: Any, address: Any, offset: int = 0) -> None:
        """Write all lanes to `offset` bytes behind `address`."""
        self.builder.store(value, self._pointer(address, offset, value.type)).align = 1

    @staticmethod
    def constant(lane: Any, count: int, value: int) -> Any:
        """The same value in all lanes."""
        return ir.Constant(ir.VectorType(lane, count), [value] * count)

    def like(self, value: Any, number: int) -> Any:
        """The same number in as many lanes of the same type."""
        return self.constant(value.type.element, value.type.count, number)

    def shuffle(self, first: Any, second: Any, order: Sequence[int]) -> Any:
        """Lanes of the two vectors, one after the other, in an order."""
        mask = ir.Constant(ir.VectorType(INT32, len(order)), list(order))
        return self.builder.shuffle_vector(first, second, mask)

    def joined(self, first: Any, second: Any) -> Any:
        """The lanes of two vectors in one."""
        return self.shuffle(first, second, range(2 * first.type.count))

    def zipped(self, first: Any, second: Any) -> Any:
        """The lanes of two vectors in turn."""
        count = first.type.count
        return self.shuffle(first, second, [half * count + lane for lane in range(count) for half in (0, 1)])

    def widened(self, value: Any, lane: Any, signed: bool) -> Any:
        """The lanes as a longer type."""
        extend = self.builder.sext if signed else self.builder.zext
        return extend(value, ir.VectorType(lane, value.type.count))

    def high_product(self, value: Any, factor: int) -> Any:
        """The upper 16 bits of the products of int16 lanes and a number of 16 bits."""
        wide = self.widened(value, INT32, signed=True)
        product = self.builder.ashr(self.builder.mul(wide, self.like(wide, factor)), self.like(wide, 16))
        return self.builder.trunc(product, value.type)

    def clamped(self, value: Any, low: int, high: int) -> Any:
        """Lanes no less than `low` and no more than `high`, as signed numbers."""
        least, most = self.like(value, low), self.like(value, high)
        value = self.builder.select(self.builder.icmp_signed("<", value, least), least, value)
        return self.builder.select(self.builder.icmp_signed(">", value, most), most, value)
