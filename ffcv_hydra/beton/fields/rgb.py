"""Any picture as RGB, or why it cannot be one: nothing is scaled, clipped or dropped without a word."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image

from ffcv_hydra.beton.fields.source_image import image_name
from ffcv_hydra.errors import ConversionError


def to_rgb(image: Image.Image, background: Sequence[int] | None = None) -> Image.Image:
    """The image in mode RGB.

    Args:
        image: A decoded image of any mode. 16 bits per channel of a colour image were cut to 8 by PIL already.
        background: Red, green and blue, 0 to 255, of what is put behind transparent pixels. None: they are refused.

    Raises:
        ConversionError: for integers of more than 8 bits and floats, which PIL would clip to 0..255; for transparent
            pixels without a background; and for modes that PIL cannot convert.
    """
    if is_transparent(image):
        if background is None:
            raise ConversionError(
                f"{image_name(image)} has transparent pixels (mode {image.mode}); say what is behind them by the "
                f"field's option background, such as [255, 255, 255] for white, or composite it in the dataset"
            )
        canvas = Image.new("RGBA", image.size, (*background, 255))
        canvas.alpha_composite(_to_rgba(image))
        return canvas.convert("RGB")
    if image.mode == "RGB":
        return image
    if image.mode[0] in "IF":
        is_float = image.mode[0] == "F"
        as_it_is = "give a NumPy array" if is_float else "store it in a GrayscaleImageField(bits=16)"
        raise ConversionError(
            f"{image_name(image)} is of mode {image.mode}, whose values have no fixed range; scale it to 0..255 as "
            f"uint8 in the dataset, or {as_it_is}"
        )
    try:
        return (_to_rgba(image) if image.has_transparency_data else image).convert("RGB")
    except ValueError as error:
        raise ConversionError(f"cannot convert {image_name(image)} of mode {image.mode} to RGB: {error}") from error


def is_transparent(image: Image.Image) -> bool:
    """Whether any pixel of a decoded image is not opaque, by its alpha channel, its palette, or a colour that is."""
    return image.has_transparency_data and _to_rgba(image).getchannel("A").getextrema() != (255, 255)


def _to_rgba(image: Image.Image) -> Image.Image:
    return (image.convert("LA") if image.mode == "La" else image).convert("RGBA")
