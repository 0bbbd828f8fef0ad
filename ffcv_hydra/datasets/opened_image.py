"""Pictures of a folder, opened but not decoded."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

from PIL import Image, UnidentifiedImageError


def open_image(path: str) -> Image.Image:
    """A picture as `PIL.Image.open` returns it, not yet decoded and in its own mode; its file is closed.

    So a conversion can keep the bytes of JPEGs, and refuse what would lose something as RGB.

    Raises:
        OSError: names the path.
    """
    content = BytesIO(Path(path).read_bytes())  # in memory, so that no file stays open
    try:
        image = Image.open(content)
    except UnidentifiedImageError as error:
        raise OSError(f"{path}: not an image that PIL can read") from error
    except (OSError, Image.DecompressionBombError) as error:
        raise OSError(f"{path}: {error}") from error
    image.filename = path  # for errors of a later decode
    return image
