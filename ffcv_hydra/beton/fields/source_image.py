"""Images as a dataset gives them: opened and not decoded yet, or decoded; and what their decoders read over.

PIL's JPEG decoder is silent about damaged data: it fills in something. TurboJPEG tells. So such an image's pixels are
PIL's, and what TurboJPEG says of it is noted, for the conversion to count or to refuse.
"""

from __future__ import annotations

import io
from contextvars import ContextVar
from typing import Any

import numpy as np
from PIL import Image

from ffcv_hydra.errors import ConversionError, describe_error
from ffcv_hydra.kernels.jpeg.turbojpeg import complaint

_noted: ContextVar[list[str] | None] = ContextVar("noted damage", default=None)


class NotingDamage:
    """Collects what is noted of damaged images meanwhile, one line each. A class: every sample is stored in one."""

    def __enter__(self) -> list[str]:
        lines: list[str] = []
        self._token = _noted.set(lines)
        return lines

    def __exit__(self, *_: object) -> None:
        _noted.reset(self._token)


def image_name(image: Image.Image) -> str:
    """The file that an image is from, as far as PIL knows it."""
    file = getattr(image, "fp", None)
    return str(getattr(image, "filename", "") or getattr(file, "name", "") or "the image")


def is_undecoded(image: Image.Image) -> bool:
    """Whether an image was merely opened: decoding empties `tile`, and `draft` sets `decoderconfig`."""
    return bool(getattr(image, "tile", None)) and not getattr(image, "decoderconfig", None)


def read_file(image: Image.Image) -> np.ndarray | None:
    """uint8 (num_bytes,): the file of an image that is undecoded; None if it is closed."""
    file = _open_file(image)
    if file is None:
        return None
    position = file.tell()
    file.seek(0)
    try:
        return np.frombuffer(file.read(), dtype=np.uint8)
    finally:
        file.seek(position)


def load_image(image: Image.Image) -> None:
    """Decode an image that was merely opened, and note what is wrong with its file as far as that can be told.

    Raises:
        ConversionError: if it cannot be decoded, or its file was closed meanwhile.
    """
    name = image_name(image)
    is_closed = bool(getattr(image, "tile", None)) and _open_file(image) is None
    try:
        damage = find_damage(image) if is_undecoded(image) else None
        image.load()
    except Exception as error:  # PIL's decoders raise OSError, SyntaxError, ValueError and more
        if is_closed or "closed" in str(error):
            raise ConversionError(
                f"the dataset closed {name} before it was read, as the end of a `with` block does; "
                f"return image.copy() from inside of the block, or open it without one"
            ) from error
        reason = describe_error(error)
        raise ConversionError(f"cannot decode {name}: {reason}; replace it, or leave this sample out") from error
    noted = _noted.get()
    if damage is not None and noted is not None:
        noted.append(f"{name} is damaged: {damage}")


def _open_file(image: Image.Image) -> Any:
    """The file of an image that was merely opened; None if it is closed."""
    file = getattr(image, "fp", None)
    return None if getattr(file, "closed", False) else file


def find_damage(image: Image.Image) -> str | None:
    """What is wrong with the file of an undecoded image; only JPEG and PNG have what tells."""
    content = read_file(image) if image.format in ("JPEG", "MPO", "PNG") else None
    if content is None:
        return None
    if image.format != "PNG":
        return complaint(content, image.height, image.width, channels=4 if image.mode == "CMYK" else 3)
    try:
        Image.open(io.BytesIO(content.tobytes())).verify()  # the checksums of its chunks, at which `load` does not look
    except Exception as error:
        return describe_error(error)
    return None
