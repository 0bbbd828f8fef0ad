"""What operations do to one image, each compiled by itself: whoever draws when, and by how much, calls it here.

A change is a function (source, target, sizes, amounts) of addresses: of the image, of where its result goes, of int64
height, width and channels, behind which some have further numbers, and of float64 numbers that may be drawn anew for
each image. It returns 0. In place it works where the function that it calls does.
"""

from ffcv_hydra.kernels.colour.blur import gaussian_blur
from ffcv_hydra.kernels.colour.contrast import adjust_contrast, adjust_saturation, to_grey
from ffcv_hydra.kernels.colour.histogram import equalize, stretch_contrast
from ffcv_hydra.kernels.colour.hue import adjust_hue
from ffcv_hydra.kernels.colour.sharpness import adjust_sharpness
from ffcv_hydra.kernels.colour.tones import blend_with_level, posterize, solarize
from ffcv_hydra.kernels.compiling.compilation import device_function
from ffcv_hydra.kernels.compiling.pointers import bytes_at, call_address, float64s_at, int64s_at
from ffcv_hydra.kernels.geometry.affine import warp_bilinear, warp_nearest
from ffcv_hydra.kernels.memory.image_chain import image_function

change = image_function  # four addresses, too


@device_function
def image_at(address, sizes):
    """The image at an address, uint8 (H, W, C)."""
    values = int64s_at(sizes, 3)
    return bytes_at(address, (values[0], values[1], values[2]))


@device_function
def call_change(address, source, target, sizes, amounts):
    """Call the change at an address; `amounts` is a float64 array."""
    return call_address(address, (source, target, sizes, amounts.ctypes.data))  # type: ignore[call-arg]


@device_function
def _amount(amounts):
    return float64s_at(amounts, 1)[0]


@change
def change_brightness(source, target, sizes, amounts):
    """Amount: the factor, at least 0."""
    blend_with_level(_amount(amounts), 0.0, image_at(source, sizes), image_at(target, sizes))
    return 0


@change
def change_contrast(source, target, sizes, amounts):
    """Amount: the factor, at least 0."""
    adjust_contrast(_amount(amounts), image_at(source, sizes), image_at(target, sizes))
    return 0


@change
def change_saturation(source, target, sizes, amounts):
    """Amount: the factor, at least 0."""
    adjust_saturation(_amount(amounts), image_at(source, sizes), image_at(target, sizes))
    return 0


@change
def change_hue(source, target, sizes, amounts):
    """Amount: a share of the circle, in [-0.5, 0.5]."""
    adjust_hue(_amount(amounts), image_at(source, sizes), image_at(target, sizes))
    return 0


@change
def change_sharpness(source, target, sizes, amounts):
    """Amount: the factor, at least 0. Not in place."""
    adjust_sharpness(_amount(amounts), image_at(source, sizes), image_at(target, sizes))
    return 0


@change
def take_colour(source, target, sizes, amounts):
    """Take the colour from an image. No amount."""
    to_grey(image_at(source, sizes), image_at(target, sizes))
    return 0


@change
def invert_from(source, target, sizes, amounts):
    """Amount: the level from which values are inverted."""
    solarize(_amount(amounts), image_at(source, sizes), image_at(target, sizes))
    return 0


@change
def keep_bits(source, target, sizes, amounts):
    """Amount: how many bits of a value are kept, 0 to 8."""
    posterize(int(_amount(amounts)), image_at(source, sizes), image_at(target, sizes))
    return 0


@change
def flatten_histogram(source, target, sizes, amounts):
    """Equalize. No amount."""
    equalize(image_at(source, sizes), image_at(target, sizes))
    return 0


@change
def stretch_histogram(source, target, sizes, amounts):
    """Autocontrast. No amount."""
    stretch_contrast(image_at(source, sizes), image_at(target, sizes))
    return 0


@change
def blur(source, target, sizes, amounts):
    """Amount: sigma in pixels, above 0. Behind the sizes: height and width of the window."""
    window = int64s_at(sizes, 5)
    gaussian_blur(window[3], window[4], _amount(amounts), image_at(source, sizes), image_at(target, sizes))
    return 0


@change
def map_nearest(source, target, sizes, amounts):
    """Amounts: the matrix. Behind the sizes: the address of one pixel that fills. Not in place.

    The pixels may have any dtype: channels are their bytes.
    """
    values = int64s_at(sizes, 4)
    fill = bytes_at(values[3], values[2])
    warp_nearest(image_at(source, sizes), image_at(target, sizes), float64s_at(amounts, 6), fill)
    return 0


@change
def map_bilinear(source, target, sizes, amounts):
    """As `map_nearest`, but for bytes only."""
    values = int64s_at(sizes, 4)
    fill = bytes_at(values[3], values[2])
    warp_bilinear(image_at(source, sizes), image_at(target, sizes), float64s_at(amounts, 6), fill)
    return 0
