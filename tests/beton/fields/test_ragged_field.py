import numpy as np
import pytest
from rich.console import Console

from ffcv_hydra.beton import Beton, RaggedArrayField, write_beton
from ffcv_hydra.beton.inspection.information import print_information
from ffcv_hydra.errors import ConversionError

BOXES = RaggedArrayField("float32", [4])


def convert(path, field, *values):
    write_beton([(value,) for value in values], path, {"boxes": field}, num_workers=0)
    return Beton(path)


@pytest.mark.parametrize(
    "value",
    [
        np.zeros((3, 4)),
        np.zeros((3, 5), np.float32),
        np.zeros(4, np.float32),
        np.zeros((3, 4, 1), np.float32),
        np.float32(4),
        [[0.0, 1.0, 2.0, 3.0]],
    ],
)
def test_W5_another_dtype_or_shape_is_refused(tmp_path, value):
    expected = r"sample 0, field 'boxes': expected float32 array of shape \(n, 4\), got "
    with pytest.raises(ConversionError, match=expected):
        convert(tmp_path / "a.beton", BOXES, value)


def test_other_byte_orders_and_layouts_are_stored_in_ours(tmp_path):
    value = np.arange(12, dtype=np.float32).reshape(4, 3)
    beton = convert(tmp_path / "a.beton", RaggedArrayField(">f4", [4]), value.T, value.T.astype(">f4"))
    offsets, sizes = beton.extents("boxes")
    content = (tmp_path / "a.beton").read_bytes()
    for offset, size in zip(offsets.tolist(), sizes.tolist(), strict=True):
        assert content[offset : offset + size] == value.T.tobytes()


def test_an_empty_array_has_no_bytes_of_its_own(tmp_path):
    beton = convert(tmp_path / "a.beton", BOXES, np.zeros((0, 4), np.float32), np.ones((2, 4), np.float32))
    assert beton.field_metadata("boxes")["size"].tolist() == [0, 32]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["float33"], "dtype is 'float33'; use one of NumPy's"),
        ([object], "dtype is <class 'object'>; use one"),
        (["datetime64[s]"], "use one of NumPy's"),
        (["float32", 4], r"item_shape is 4; use a list of sizes, as \[4\]"),
        (["float32", [4, 0]], r"item_shape is \[4, 0\]; use"),
        (["float32", ["4"]], r"item_shape is \['4'\]; use"),
        (["float32", [2**16, 2**16]], "has over 2147483648 bytes"),
    ],
)
def test_impossible_arguments_are_refused(arguments, message):
    with pytest.raises(ConversionError, match=f"^RaggedArrayField: .*{message}"):
        RaggedArrayField(*arguments)


def test_info_counts_items(tmp_path, capsys):
    convert(tmp_path / "a.beton", BOXES, *(np.zeros((n, 4), np.float32) for n in (0, 3, 3)))
    print_information(tmp_path / "a.beton", Console(width=200))
    shown = " ".join(capsys.readouterr().out.split())
    assert "boxes ragged float32 (n, 4) as data 96 bytes" in shown
    assert "boxes: items per sample" in shown and "boxes: bytes per sample" not in shown
