import warnings

import numpy as np
import pytest
from PIL import Image

from ffcv_hydra.preview.drawing import Column, draw
from ffcv_hydra.preview.marks import box_marks

RED, GREEN, BLUE = np.eye(3)


def flat(colour, height=8, width=8):
    return np.broadcast_to(colour, (height, width, 3))


def read(path):
    with Image.open(path) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB")).astype(int)


def places(path, colour):
    """Rows and columns of the pixels of a colour."""
    pixels = read(path)
    return np.nonzero((np.abs(pixels - 255 * colour) < 10).all(axis=2))


def test_rows_are_samples_and_columns_stand_side_by_side(tmp_path):
    columns = [Column("stored", [flat(RED), flat(GREEN)]), Column("epoch 0", [flat(BLUE), flat(RED)])]
    draw(columns, "title", ["note"], tmp_path / "sheet.png")
    (green_rows, green_columns), (blue_rows, blue_columns) = (places(tmp_path / "sheet.png", c) for c in (GREEN, BLUE))
    assert green_rows.min() > blue_rows.max()
    assert green_columns.max() < blue_columns.min()


def test_pictures_keep_their_aspect(tmp_path):
    draw([Column("a", [flat(RED, 10, 20)]), Column("b", [flat(BLUE, 20, 20)])], "title", [], tmp_path / "sheet.png")
    rows, columns = places(tmp_path / "sheet.png", RED)
    assert (np.ptp(columns) + 1) / (np.ptp(rows) + 1) == pytest.approx(2, rel=0.05)


def test_texts_do_not_touch_pictures(tmp_path):
    """Every picture is a whole rectangle: nothing is written over it."""
    long = f"photos/$\\no {'formula ' * 9}$.jpg\na caption that has a great many words and {'1234567890' * 5}"
    columns = [
        Column(f"output\nepoch {n}", [flat(RED)] * 3, [long, "", "x"], begins_group=n % 2 == 0) for n in range(3)
    ]
    draw(columns, "a long title " * 12, ["a long note " * 12, "another"], tmp_path / "sheet.png")
    pixels = read(tmp_path / "sheet.png")
    red = (np.abs(pixels - [255, 0, 0]) < 10).all(axis=2)
    heights = red.sum(axis=0)
    assert set(heights[heights > 0].tolist()) <= {heights.max(), *range(heights.max() - 6, heights.max())}
    margin = pixels[:, [0, 1, -2, -1]]
    assert (margin == 255).all(), "nothing is cut off at the sides"
    assert (pixels[[0, 1, -2, -1]] == 255).all()


def test_names_in_scripts_without_a_letter_in_the_font_are_drawn_without_a_warning(tmp_path):
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        draw([Column("画像", [flat(RED)], ["猫 と 犬"])], "données", [], tmp_path / "sheet.png")
    assert [str(warning.message) for warning in told] == []


def test_names_hide_neither_boxes_nor_their_neighbours(tmp_path):
    """The inside of a box stays the picture's, with its name above or below; a box smaller than a name has none."""
    boxes = np.array([[20, 40, 60, 70], [70, 2, 95, 30], [40, 85, 44, 88]], float)
    marks = [box_marks(boxes, np.arange(3), ["cat", "dog", "a very long name"])]
    draw([Column("a", [flat(RED, 100, 100)], marks=marks)], "title", [], tmp_path / "named.png")
    draw([Column("a", [flat(RED, 100, 100)], marks=[[]])], "title", [], tmp_path / "plain.png")
    named, plain = read(tmp_path / "named.png"), read(tmp_path / "plain.png")
    (top, *_, bottom), (left, *_, right) = (np.unique(sides) for sides in places(tmp_path / "plain.png", RED))
    scale = (bottom - top + 1) / 100, (right - left + 1) / 100
    changed = (np.abs(named - plain) > 10).any(axis=2)[top : bottom + 1, left : right + 1]

    def part(box):
        return changed[
            tuple(slice(int(a * s), int(b * s)) for a, b, s in zip(box[1::-1], box[:1:-1], scale, strict=True))
        ]

    assert not part([23, 43, 57, 67]).any() and part([20, 33, 32, 39]).any()
    assert not part([73, 5, 92, 27]).any() and part([70, 32, 82, 38]).any()
    around = part([30, 77, 70, 97])
    assert 0 < around.sum() < 0.05 * around.size
