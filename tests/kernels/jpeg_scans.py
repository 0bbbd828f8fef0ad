"""JPEGs of given coefficients with scans that no encoder at hand writes (ITU-T T.81, annexes F and G)."""

import struct
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

DC_SYMBOLS = list(range(12))
AC_SYMBOLS = [run << 4 | category for run in range(16) for category in range(11)]
LONGEST_RUN = 0x7FFF  # blocks whose band ends at once


@dataclass(frozen=True)
class Scan:
    """Components by their place, first and last coefficient, bit that was sent before, bit that is sent; MCUs."""

    members: tuple[int, ...]
    start: int
    end: int
    high: int = 0
    low: int = 0
    restart_interval: int = 0


def flat_table(symbols: list[int]) -> tuple[list[int], list[int]]:
    """Codes of 8 bits: how many there are of each length, and the symbols."""
    return [0] * 7 + [len(symbols)] + [0] * 8, symbols


def steep_table(symbols: list[int]) -> tuple[list[int], list[int]]:
    """Seven codes of 1 to 7 bits, all others of 16."""
    return [1] * 7 + [0] * 8 + [len(symbols) - 7], symbols


def _codes(table: tuple[list[int], list[int]]) -> dict[int, str]:
    codes, code, rest = {}, 0, iter(table[1])
    for length, count in enumerate(table[0], 1):
        for _ in range(count):
            codes[next(rest)] = f"{code:0{length}b}"
            code += 1
        code <<= 1
    return codes


def _value_bits(value: int) -> str:
    category = abs(value).bit_length()
    return f"{value if value > 0 else value + (1 << category) - 1:0{category}b}" if category else ""


class _ScanWriter:
    """The bits of one scan's blocks between two restart markers."""

    def __init__(self, scan: Scan, dc: dict[int, str], ac: dict[int, str], longest_run: int) -> None:
        self.scan, self.dc, self.ac, self.longest_run = scan, dc, ac, longest_run
        self.begin()

    def begin(self) -> None:
        self.bits: list[str] = []
        self.predictions: dict[int, int] = {}
        self.run, self.corrections = 0, ""

    def end_run(self) -> None:
        if self.run:
            category = self.run.bit_length() - 1
            self.bits += [self.ac[category << 4], f"{self.run:b}"[1:], self.corrections]
            self.run, self.corrections = 0, ""

    def write(self, component: int, block: np.ndarray) -> None:
        scan = self.scan
        if scan.start == 0 and scan.high:
            self.bits.append(str(int(block[0]) >> scan.low & 1))
            return
        if scan.start == 0:
            value = int(block[0]) >> scan.low
            difference = value - self.predictions.get(component, 0)
            self.predictions[component] = value
            self.bits += [self.dc[abs(difference).bit_length()], _value_bits(difference)]
        band = [int(value) for value in block[max(scan.start, 1) : scan.end + 1]]
        if band:
            (self._refine if scan.high else self._first)([abs(v) >> scan.low for v in band], [v > 0 for v in band])

    def _more_to_end(self, corrections: str) -> None:
        self.run, self.corrections = self.run + 1, self.corrections + corrections
        if self.run == self.longest_run:
            self.end_run()

    def _first(self, magnitudes: list[int], positive: list[bool]) -> None:
        zeros = 0
        for magnitude, is_positive in zip(magnitudes, positive, strict=True):
            if magnitude == 0:
                zeros += 1
                continue
            self.end_run()
            self.bits += [self.ac[0xF0]] * (zeros // 16)
            symbol = zeros % 16 << 4 | magnitude.bit_length()
            self.bits += [self.ac[symbol], _value_bits(magnitude if is_positive else -magnitude)]
            zeros = 0
        if zeros:
            self._more_to_end("")

    def _refine(self, magnitudes: list[int], positive: list[bool]) -> None:
        last_new = max((k for k, magnitude in enumerate(magnitudes) if magnitude == 1), default=-1)
        zeros, corrections = 0, ""
        for k, (magnitude, is_positive) in enumerate(zip(magnitudes, positive, strict=True)):
            if magnitude == 0:
                zeros += 1
                continue
            while zeros > 15 and k <= last_new:
                self.end_run()
                self.bits += [self.ac[0xF0], corrections]
                zeros, corrections = zeros - 16, ""
            if magnitude > 1:
                corrections += str(magnitude & 1)
                continue
            self.end_run()
            self.bits += [self.ac[zeros << 4 | 1], str(int(is_positive)), corrections]
            zeros, corrections = 0, ""
        if zeros or corrections:
            self._more_to_end(corrections)

    def bytes(self) -> bytes:
        self.end_run()
        bits = "".join(self.bits)
        bits += "1" * (-len(bits) % 8)
        data = int(bits or "0", 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\0")
        self.begin()
        return data


def segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def _dht(number: int, table: tuple[list[int], list[int]]) -> bytes:
    return segment(0xC4, bytes([number, *table[0], *table[1]]))


class Frame:
    """An image's geometry.

    Args:
        height, width: in pixels.
        factors: (h, v) per component.
    """

    def __init__(self, height: int, width: int, factors: list[tuple[int, int]]) -> None:
        self.height, self.width, self.factors = height, width, factors
        factors = [(1, 1)] if len(factors) == 1 else factors
        self._h, self._v = (max(factor[axis] for factor in factors) for axis in range(2))
        self.across, self.down = -(-width // (8 * self._h)), -(-height // (8 * self._v))
        self.padded = [(self.down * v, self.across * h) for h, v in factors]  # rows and columns of blocks
        self.shown = [(-(-height * v // (8 * self._v)), -(-width * h // (8 * self._h))) for h, v in factors]
        self._used = factors

    def blocks(self, members: tuple[int, ...]) -> list[list[tuple[int, int, int]]]:
        """Component, row and column of each MCU's blocks."""
        if len(members) == 1:
            rows, columns = self.shown[members[0]]
            return [[(members[0], row, column)] for row in range(rows) for column in range(columns)]
        return [
            [
                (c, y * self._used[c][1] + j, x * self._used[c][0] + i)
                for c in members for j in range(self._used[c][1]) for i in range(self._used[c][0])
            ]
            for y in range(self.down) for x in range(self.across)
        ]  # fmt: skip

    def random_coefficients(self, seed: int, density: float = 0.15, largest: int = 200) -> list[np.ndarray]:
        """Per component int (rows, columns, 64), zigzag; zeros beyond the edges, where not all scripts send blocks."""
        random = np.random.default_rng(seed)
        found = []
        for (rows, columns), shown in zip(self.padded, self.shown, strict=True):
            blocks = np.rint(random.laplace(0, 1 + largest / 6 / np.arange(1, 65), (rows, columns, 64))).astype(int)
            blocks *= random.random(blocks.shape) < density
            blocks[random.random((rows, columns)) < 0.4, 1:] = 0
            blocks[..., 0] = random.integers(-500, 500, (rows, columns))
            blocks[shown[0] :], blocks[:, shown[1] :] = 0, 0
            found.append(np.clip(blocks, -1000, 1000))
        return found


def encode_scans(
    frame: Frame,
    coefficients: list[np.ndarray],
    scans: list[Scan],
    progressive: bool = True,
    table: Callable[[list[int]], tuple[list[int], list[int]]] = flat_table,
    longest_run: int = LONGEST_RUN,
    extra: Callable[[int], bytes] = lambda number: b"",
) -> np.ndarray:
    """A JPEG, uint8 (num_bytes,); `extra` gives what is put before each scan."""
    parts = [b"\xff\xd8", segment(0xDB, b"\0" + bytes([2] * 64))]
    shape = struct.pack(">BHHB", 8, frame.height, frame.width, len(frame.factors))
    members = b"".join(bytes([c + 1, h << 4 | v, 0]) for c, (h, v) in enumerate(frame.factors))
    parts += [segment(0xC2 if progressive else 0xC1, shape + members)]
    ac_symbols = AC_SYMBOLS if progressive else [symbol for symbol in AC_SYMBOLS if symbol & 15 or symbol in (0, 0xF0)]
    tables = table(DC_SYMBOLS), table(ac_symbols)
    parts += [_dht(0x00, tables[0]), _dht(0x10, tables[1])]
    interval = 0
    for number, scan in enumerate(scans):
        parts.append(extra(number))
        if scan.restart_interval != interval:
            interval = scan.restart_interval
            parts.append(segment(0xDD, struct.pack(">H", interval)))
        selectors = b"".join(bytes([c + 1, 0]) for c in scan.members)
        limits = bytes([scan.start, scan.end, scan.high << 4 | scan.low])
        parts.append(segment(0xDA, bytes([len(scan.members)]) + selectors + limits))
        writer = _ScanWriter(scan, _codes(tables[0]), _codes(tables[1]), longest_run if progressive else 1)
        for m, mcu in enumerate(frame.blocks(scan.members)):
            if interval and m and m % interval == 0:
                parts += [writer.bytes(), bytes([0xFF, 0xD0 + (m // interval - 1) % 8])]
            for c, row, column in mcu:
                writer.write(c, coefficients[c][row, column])
        parts.append(writer.bytes())
    return np.frombuffer(b"".join([*parts, b"\xff\xd9"]), dtype=np.uint8)
