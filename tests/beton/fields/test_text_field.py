import numpy as np
import pytest
import torch

from ffcv_hydra.beton import Beton, TextField, infer_fields, unpack_text, write_beton
from ffcv_hydra.errors import ConversionError


def test_text_is_stored_as_utf8(tmp_path):
    write_beton([("",), ("Größe 寸法 🙂",)], tmp_path / "a.beton", {"text": None}, num_workers=0)
    beton = Beton(tmp_path / "a.beton")
    offsets, sizes = beton.extents("text")
    content = (tmp_path / "a.beton").read_bytes()
    found = [content[begin : begin + size] for begin, size in zip(offsets.tolist(), sizes.tolist(), strict=True)]
    assert found == [b"", "Größe 寸法 🙂".encode()]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (b"bytes", "expected a str, got bytes"),
        (3, "expected a str, got int"),
        ("a\ud800", "lone surrogate at position 1"),
    ],
)
def test_what_is_no_text_is_refused(tmp_path, value, message):
    with pytest.raises(ConversionError, match=f"sample 1, field 'text': .*{message}"):
        write_beton([("fine",), (value,)], tmp_path / "a.beton", {"text": TextField()}, num_workers=0)


def test_numpys_strings_are_text():
    assert type(infer_fields((np.str_("a"),))["text"]) is TextField


def test_unpacking_goes_by_the_lengths():
    data = np.array([list(b"ab\0\0"), list(b"\xc3\xa9\0x"), [0, 0, 0, 0]], np.uint8)
    lengths = np.array([3, 4, 0])
    assert unpack_text((data, lengths)) == ["ab\0", "é\0x", ""]
    assert unpack_text((torch.from_numpy(data), torch.from_numpy(lengths))) == ["ab\0", "é\0x", ""]
