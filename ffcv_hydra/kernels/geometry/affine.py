"""Affine maps of one image: rotation, translation, scale and shear, sampled at the nearest pixel or bilinearly.

The matrix maps the centre of each output pixel to where it is read from in the input: (x, y) goes to
(m[0] x + m[1] y + m[2], m[3] x + m[4] y + m[5]), in pixels, both counted from the middle of the image. Conventions and
rounding are those of `torchvision.transforms.v2.functional.affine` on tensors, in float64 where that works in float32.
"""

import numpy as np

from ffcv_hydra.kernels.compiling.compilation import device_function


@device_function
def inverse_affine_matrix(angle, translate_x, translate_y, scale, shear_x, shear_y, center_x, center_y, matrix):
    """Compose the matrix that maps the output's pixels to the input's.

    Args:
        angle: degrees, clockwise (torchvision's `affine`; its `rotate` turns the other way, so pass -angle for that).
        translate_x, translate_y: in pixels, right and down.
        scale: above 0.
        shear_x, shear_y: degrees, within (-90, 90).
        center_x, center_y: what is turned about, in pixels from the middle of the image.
        matrix: float64 (6,), written.
    """
    rotation, shear_x, shear_y = np.radians(angle), np.radians(shear_x), np.radians(shear_y)
    # rotation after shear, before the scale; its determinant is 1
    a = np.cos(rotation - shear_y) / np.cos(shear_y)
    b = -a * np.tan(shear_x) - np.sin(rotation)
    c = np.sin(rotation - shear_y) / np.cos(shear_y)
    d = np.cos(rotation) - c * np.tan(shear_x)
    matrix[0], matrix[1], matrix[3], matrix[4] = d / scale, -b / scale, -c / scale, a / scale
    moved_x, moved_y = center_x + translate_x, center_y + translate_y
    matrix[2] = center_x - matrix[0] * moved_x - matrix[1] * moved_y
    matrix[5] = center_y - matrix[3] * moved_x - matrix[4] * moved_y


@device_function
def warp_nearest(source, target, matrix, fill):
    """Fill each pixel of `target` with the pixel of `source` that is nearest to where `matrix` maps it.

    Args:
        source, target: uint8 (H, W, C), not the same memory; C may as well be the bytes of a pixel of another dtype.
        matrix: float64 (6,), see the module.
        fill: uint8 (C,), for what lies outside of `source`.
    """
    height, width, size = source.shape
    middle_x, middle_y = 0.5 * (width - 1), 0.5 * (height - 1)
    for y in range(height):
        begin_x = matrix[1] * (y - middle_y) + matrix[2] + middle_x
        begin_y = matrix[4] * (y - middle_y) + matrix[5] + middle_y
        for x in range(width):
            # ties to even, as torch rounds
            from_x = np.rint(matrix[0] * (x - middle_x) + begin_x)
            from_y = np.rint(matrix[3] * (x - middle_x) + begin_y)
            if 0 <= from_x < width and 0 <= from_y < height:
                column, row = int(from_x), int(from_y)
                for c in range(size):
                    target[y, x, c] = source[row, column, c]
            else:
                for c in range(size):
                    target[y, x, c] = fill[c]


@device_function
def warp_bilinear(source, target, matrix, fill):
    """Fill each pixel of `target` with the mean of the four pixels around where `matrix` maps it, weighted by nearness.

    Pixels outside of `source` count as `fill`. torchvision does the same for its `fill=None` (black); for a number it
    weighs the border a second time, which leaves a dark seam even where image and fill have one colour.

    Args:
        source, target: uint8 (H, W, C), not the same memory.
        matrix: float64 (6,), see the module.
        fill: uint8 (C,).
    """
    height, width, channels = source.shape
    middle_x, middle_y = 0.5 * (width - 1), 0.5 * (height - 1)
    for y in range(height):
        begin_x = matrix[1] * (y - middle_y) + matrix[2] + middle_x
        begin_y = matrix[4] * (y - middle_y) + matrix[5] + middle_y
        for x in range(width):
            from_x = matrix[0] * (x - middle_x) + begin_x
            from_y = matrix[3] * (x - middle_x) + begin_y
            if not (-1 < from_x < width and -1 < from_y < height):
                for c in range(channels):
                    target[y, x, c] = fill[c]
                continue
            left, top = int(np.floor(from_x)), int(np.floor(from_y))
            right_share, bottom_share = from_x - left, from_y - top
            inside_left, inside_right = left >= 0, left + 1 < width
            inside_top, inside_bottom = top >= 0, top + 1 < height
            for c in range(channels):
                outside = np.float64(fill[c])
                a = np.float64(source[top, left, c]) if inside_top and inside_left else outside
                b = np.float64(source[top, left + 1, c]) if inside_top and inside_right else outside
                above = a + (b - a) * right_share
                a = np.float64(source[top + 1, left, c]) if inside_bottom and inside_left else outside
                b = np.float64(source[top + 1, left + 1, c]) if inside_bottom and inside_right else outside
                below = a + (b - a) * right_share
                target[y, x, c] = np.uint8(np.rint(above + (below - above) * bottom_share))
