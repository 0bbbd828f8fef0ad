"""JPEGs by TurboJPEG: what the project's own kernels leave out, and the judge of what is damaged.

It is the one that simplejpeg brings, told what FFCV tells its own, so that the pixels are the very same. TurboJPEG's
decompressors keep quantization and Huffman tables from one JPEG to the next, and would decode one that lacks them with
those of another; simplejpeg makes a new one for each JPEG. The GIL is let go meanwhile.
"""

import numpy as np
import simplejpeg

from ffcv_hydra.kernels.jpeg.markers import DHT, EOI, RST0, SOF_BASELINE, SOF_EXTENDED, SOF_PROGRESSIVE, SOI, SOS

COMPLAINT_SCALE = 8  # finds what is wrong as well as the full size does, in less time and memory
_MAX_BYTES = (1 << 31) - 1  # of pixels; simplejpeg computes their number in 32 bits

_TEM, _JPG, _DAC = 0x01, 0xC8, 0xCC
_SOF_ARITHMETIC, _SOF_PROGRESSIVE_ARITHMETIC = 0xC9, 0xCA
_FRAMES = (SOF_BASELINE, SOF_EXTENDED, SOF_PROGRESSIVE, _SOF_ARITHMETIC, _SOF_PROGRESSIVE_ARITHMETIC)
_PIXEL_FORMATS = {1: "GRAY", 3: "RGB", 4: "CMYK"}


def decode_jpeg(jpeg: np.ndarray, height: int, width: int, channels: int, target: np.ndarray, scale: int = 1) -> None:
    """Decode a JPEG.

    Args:
        jpeg: uint8 (num_bytes,).
        height, width: what the image must have, in pixels.
        channels: 3 for RGB, 1 for grayscale; the JPEG itself may have the other number. 4 for CMYK, which is not turned
            into the others, nor they into it.
        target: uint8, contiguous, at least as long as the pixels, which are written as (height, width, channels).
        scale: 1, 2, 4 or 8: decode at 1 / scale of the size, rounded up.

    Raises:
        ValueError: what is wrong with it, be it only a warning of TurboJPEG, in one line.
    """
    rows, columns = -(-height // scale), -(-width // scale)
    try:
        _check_header(jpeg, height, width, channels)
        if rows * columns * channels > _MAX_BYTES:
            raise ValueError(f"{rows} x {columns} pixels are more than TurboJPEG is asked for")
        # simplejpeg takes the least number of eighths that gives so many pixels; TurboJPEG, the most that gives no more
        least = (rows, columns) if scale > 1 else (0, 0)
        simplejpeg.decode_jpeg(jpeg, _PIXEL_FORMATS[channels], True, False, *least, 1, target)
    except ValueError as error:
        raise ValueError(" ".join(str(error).split())) from error


def complaint(jpeg: np.ndarray, height: int, width: int, channels: int = 3) -> str | None:
    """What TurboJPEG says of a JPEG, with the arguments of `decode_jpeg`; None if it decodes without a warning."""
    rows, columns = -(-height // COMPLAINT_SCALE), -(-width // COMPLAINT_SCALE)
    try:
        pixels = np.empty(rows * columns * channels, dtype=np.uint8)
        decode_jpeg(jpeg, height, width, channels, pixels, COMPLAINT_SCALE)
    except ValueError as error:
        return str(error)
    return None


def _check_header(jpeg: np.ndarray, height: int, width: int, channels: int) -> None:
    try:
        found_height, found_width, colours, _ = simplejpeg.decode_jpeg_header(jpeg)
    except KeyError as error:  # TurboJPEG 3 knows more sampling factors than FFCV's, and than simplejpeg can name
        raise ValueError("its sampling factors are unusual") from error
    except ValueError as error:  # often it says no more than that there is something
        _frame_type(jpeg.data)
        raise ValueError(f"its header is damaged or unusual: {error}") from error
    if (found_height, found_width) != (height, width):
        raise ValueError(f"it is {found_width} pixels wide and {found_height} high, not {width} and {height}")
    if (colours in ("CMYK", "YCCK")) != (channels == 4):
        raise ValueError(f"Unsupported color conversion request: its colours are {colours}")
    # TurboJPEG 3 decodes lossless JPEGs, too, and where they are to be scaled writes beyond the end of the target
    if _frame_type(jpeg.data) not in _FRAMES:
        raise ValueError("Unsupported JPEG process: it is none of the baseline, extended and progressive ones")


def _frame_type(jpeg: memoryview) -> int:
    """The second byte of the marker of a JPEG's frame, for which all markers before its first scan are read.

    Raises:
        ValueError: they are not what they should be. Never if TurboJPEG reads the header without a warning.
    """
    if jpeg[:2] != b"\xff\xd8":
        raise ValueError(f"it is no JPEG: it begins with the bytes '{jpeg[:2].hex(' ')}'")
    at, frame = 2, 0
    while at + 4 <= len(jpeg):
        marker = jpeg[at + 1]
        if jpeg[at] != 0xFF or marker in (0, SOI, EOI):
            raise ValueError(f"in its header, byte {at} begins no segment")
        if marker == SOS and frame:
            return frame
        if marker == 0xFF:  # a fill byte
            at += 1
        elif marker == _TEM or RST0 <= marker < SOI:  # without a segment
            at += 2
        else:
            if SOF_BASELINE <= marker < RST0 and marker not in (DHT, _JPG, _DAC):
                frame = frame or marker
            at += 2 + (jpeg[at + 2] << 8 | jpeg[at + 3])
    raise ValueError("its header breaks off")
