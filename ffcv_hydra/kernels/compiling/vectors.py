"""Vectors in LLVM's own code, for what its vectoriser does not find: shared words of kernels."""

from collections.abc import Sequence
from typing import Any

from llvmlite import ir

FLOAT32 = ir.FloatType()
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

    def filled(self, lane: Any, count: int, number: Any) -> Any:
        """The lower bits of an int64 that is known when the code runs, in all lanes."""
        return self.repeated(self.builder.trunc(number, lane), count)

    def repeated(self, value: Any, count: int) -> Any:
        """A value that is known when the code runs, in all lanes."""
        first = ir.Constant(ir.VectorType(value.type, count), ir.Undefined)
        first = self.builder.insert_element(first, value, ir.Constant(INT32, 0))
        return self.shuffle(first, first, [0] * count)

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

    def halves(self, value: Any) -> tuple[Any, Any]:
        """The even and the odd ones of bytes as 16-bit lanes."""
        both = self.builder.bitcast(value, ir.VectorType(INT16, value.type.count // 2))
        return self.builder.and_(both, self.like(both, 0xFF)), self.builder.lshr(both, self.like(both, 8))

    def whole(self, even: Any, odd: Any) -> Any:
        """The bytes that are the even and the odd of these 16-bit lanes, all below 256."""
        both = self.builder.or_(even, self.builder.shl(odd, self.like(odd, 8)))
        return self.builder.bitcast(both, ir.VectorType(INT8, 2 * both.type.count))

    def load_pixels(self, address: Any, count: int) -> list[Any]:
        """The three channels of `count` pixels of bytes, each as a vector.

        By two shuffles of two vectors for each channel, which AVX-512 has. AVX2 would take half as long with one of all
        bytes, which LLVM knows how to do there, and AVX-512 twice as long.
        """
        thirds = [self.load(address, third * count, INT8, count) for third in range(3)]
        channels = []
        for channel in range(3):
            places = list(range(channel, 3 * count, 3))
            first = self.shuffle(thirds[0], thirds[1], [place if place < 2 * count else 0 for place in places])
            order = [lane if place < 2 * count else place - count for lane, place in enumerate(places)]
            channels.append(self.shuffle(first, thirds[2], order))
        return channels

    def store_pixels(self, channels: Sequence[Any], address: Any) -> None:
        """Write three vectors of bytes as pixels."""
        count = channels[0].type.count
        both, third = self.joined(channels[0], channels[1]), self.joined(channels[2], channels[2])
        order = [lane + count * channel for lane in range(count) for channel in range(3)]
        for begin, end in ((0, 2 * count), (2 * count, 3 * count)):
            self.store(self.shuffle(both, third, order[begin:end]), address, begin)

    def _called(self, name: str, result: Any, *values: Any) -> Any:
        """What an intrinsic function of LLVM's gives."""
        first = values[0].type
        name = f"llvm.{name}.v{first.count}i{first.element.width}"
        function = self.builder.module.globals.get(name)
        if function is None:
            kind = ir.FunctionType(result, [value.type for value in values])
            function = ir.Function(self.builder.module, kind, name)
        return self.builder.call(function, values)

    def capped(self, name: str, first: Any, second: Any) -> Any:
        """Sum (`uadd`) or difference (`usub`) of unsigned lanes, no more and no less than these can hold."""
        return self._called(f"{name}.sat", first.type, first, second)

    def upper_product(self, first: Any, second: Any) -> Any:
        """The upper halves of the products of unsigned lanes."""
        width = ir.Constant(INT32, first.type.element.width)
        return self._called("umul.fix", first.type, first, second, width)

    def total(self, value: Any) -> Any:
        """The sum of unsigned lanes of up to 32 bits, as an int64; it has to fit 32 bits."""
        wide = self.widened(value, INT32, signed=False)
        return self.builder.zext(self._called("vector.reduce.add", INT32, wide), INT64)

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
