import json

import numpy as np
import pytest

from ffcv_hydra.beton import (
    Beton,
    BFloat16TensorField,
    BoundingBoxesField,
    GrayscaleImageField,
    KeypointsField,
    MaskField,
    OwnField,
    PolygonsField,
    RaggedArrayField,
    TextField,
    write_beton,
)
from ffcv_hydra.beton.fields.bytes_fields import BytesField
from ffcv_hydra.beton.fields.own_field import MAGIC
from ffcv_hydra.beton.fields.scalar_fields import IntField
from ffcv_hydra.beton.format import DESCRIPTOR, HEADER
from ffcv_hydra.beton.reading.verification import verify
from ffcv_hydra.beton.summary import describe_fields
from ffcv_hydra.errors import BetonError, ConversionError

FIELDS = {
    "grayscale 8-bit": GrayscaleImageField(),
    "grayscale 16-bit": GrayscaleImageField("raw", bits=16, jpeg_quality=3, max_resolution=64),
    "mask": MaskField(),
    "ragged float32 (n, 4)": RaggedArrayField("float32", [4]),
    "ragged complex128 (n,)": RaggedArrayField(np.complex128),
    "ragged int64 (n,) of boxes": RaggedArrayField("int64", follows="boxes"),
    "boxes float32 (n, 4) cxcywh": BoundingBoxesField("cxcywh"),
    "keypoints float32 (n, 17, 3) of boxes": KeypointsField(17, [[1, 2], [3, 4]], "boxes"),
    "polygons float32 (n, 3)": PolygonsField(),
    "text": TextField(),
    "tensor bfloat16 (3, 4)": BFloat16TensorField([3, 4]),
}


def arguments_with(content: bytes) -> np.ndarray:
    arguments = np.zeros(1024, np.uint8)
    arguments[: len(content)] = np.frombuffer(content, np.uint8)
    return arguments


def description(text: str | bytes, length: int | None = None) -> np.ndarray:
    content = text.encode() if isinstance(text, str) else text
    return arguments_with(MAGIC + (len(content) if length is None else length).to_bytes(2, "little") + content)


def text_beton(path, values, fields=None):
    write_beton([(value,) for value in values], path, fields or {"a": None}, num_workers=0)
    return path


def with_arguments(path, arguments: np.ndarray):
    """The file with other arguments of its first field; nothing else is changed."""
    content = bytearray(path.read_bytes())
    start = HEADER.itemsize + DESCRIPTOR.fields["arguments"][1]
    content[start : start + 1024] = arguments.tobytes()
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("text", FIELDS)
def test_arguments_give_the_field_back(text):
    field = FIELDS[text]
    for found in (OwnField.from_binary(field.to_binary()[0]), type(field).from_binary(field.to_binary()[0])):
        assert type(found) is type(field)
        assert vars(found) == vars(field)
        assert describe_fields({"a": found}) == {"a": text}


def test_kinds_are_named_like_those_of_ffcvs_fields():
    assert [field.label for field in FIELDS.values()][2:] == [
        "mask", "ragged", "ragged", "ragged", "boxes", "keypoints", "polygons", "text", "tensor",
    ]  # fmt: skip


def test_a_beton_opens_without_custom_fields_and_with_them(tmp_path):
    path = text_beton(tmp_path / "a.beton", ["x", "yz"])
    assert type(Beton(path).fields["a"]) is TextField
    assert type(Beton(path, custom_fields={"a": TextField}).fields["a"]) is TextField


def test_an_unknown_kind_is_named(tmp_path):
    path = with_arguments(
        text_beton(tmp_path / "a.beton", ["x"]), description('{"kind": "video", "parameters": {"fps": 3}}')
    )
    with pytest.raises(BetonError, match="field 'a' is of kind 'video', which is not known here .*update") as error:
        Beton(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "arguments",
    [
        description("", 0),
        description("{", 1),
        description("{}"),
        description("[" * 900),
        description('{"kind": "text", "parameters": {"fps": 3}}'),
        description('{"kind": "text", "parameters": [1]}'),
        description('{"kind": ["text"], "parameters": {}}'),
        description('{"kind": "text", "parameters": {}}', 65535),
        description(b'{"kind": "te\xff\xfe", "parameters": {}}'),
        description('{"kind": "ragged", "parameters": {"dtype": "O", "item_shape": [4]}}'),
        description('{"kind": "ragged", "parameters": {"dtype": "<f4", "item_shape": [4000000000000, 4000000000]}}'),
        description('{"kind": "ragged", "parameters": {"dtype": "<f4", "item_shape": [0]}}'),
        description('{"kind": "boxes", "parameters": {"format": "yxyx"}}'),
        description('{"kind": "keypoints", "parameters": {"num_points": 4000000000}}'),
        description('{"kind": "bfloat16_tensor", "parameters": {"shape": [1e300]}}'),
        description('{"kind": "bfloat16_tensor", "parameters": {"shape": [9223372036854775807, 9223372036854775807]}}'),
        description('{"kind": "grayscale", "parameters": {"bits": 9}}'),
        arguments_with(b"FFCVHYDX"),
    ],
)
def test_damaged_arguments_end_in_one_line(tmp_path, arguments):
    path = with_arguments(text_beton(tmp_path / "a.beton", ["x"]), arguments)
    with pytest.raises(BetonError, match="field 'a'") as error:
        Beton(path)
    assert "\n" not in str(error.value)
    assert verify(path).findings == [str(error.value)]


def test_another_valid_description_is_noticed_by_the_digest_or_the_sizes(tmp_path):
    path = with_arguments(text_beton(tmp_path / "a.beton", ["xyz"]), RaggedArrayField("float32").to_binary()[0])
    with pytest.raises(BetonError, match="sample 0, field 'a' has a size that cannot be right"):
        Beton(path)
    path = with_arguments(text_beton(tmp_path / "b.beton", ["wxyz"]), RaggedArrayField("float32").to_binary()[0])
    with pytest.raises(BetonError, match="header or tables are damaged"):
        Beton(path)


def test_an_own_field_of_a_users_opens_without_custom_fields(tmp_path):
    class Reversed(TextField):
        kind = "reversed"

        def encode(self, destination, value, malloc):
            super().encode(destination, value[::-1], malloc)

    path = text_beton(tmp_path / "a.beton", ["xyz"], {"a": Reversed()})
    assert type(Beton(path).fields["a"]) is Reversed


def test_a_subclass_without_a_kind_reads_back_as_the_class_that_it_extends(tmp_path):
    class Lower(TextField):
        def encode(self, destination, value, malloc):
            super().encode(destination, value.lower(), malloc)

    path = text_beton(tmp_path / "a.beton", ["XYZ"], {"a": Lower()})
    assert type(Beton(path).fields["a"]) is TextField


def test_a_users_class_that_does_not_describe_itself_still_needs_custom_fields(tmp_path):
    class Plain(BytesField):
        pass

    path = text_beton(tmp_path / "a.beton", [np.zeros(3, np.uint8)], {"a": Plain()})
    with pytest.raises(BetonError, match="name its class in custom_fields"):
        Beton(path)
    assert Beton(path, custom_fields={"a": Plain}).num_samples == 1


def test_parameters_that_do_not_fit_are_refused():
    class Wide(TextField):
        def parameters(self):
            return {"words": "x" * 1010}

    with pytest.raises(ConversionError, match="the parameters of Wide take"):
        Wide().to_binary()


def test_ffcvs_own_loader_is_told_that_it_cannot_decode_them():
    with pytest.raises(TypeError, match=r"decoded by ffcv_hydra.Loader only"):
        MaskField().get_decoder_class()()


def test_the_description_is_plain_json_behind_a_magic():
    content = RaggedArrayField("int16", [2]).to_binary()[0].tobytes()
    assert content[:8] == b"FFCVHYDF"
    text = content[10 : 10 + int.from_bytes(content[8:10], "little")]
    assert json.loads(text) == {"kind": "ragged", "parameters": {"dtype": "<i2", "item_shape": [2]}}


def test_ints_beside_own_fields_keep_their_type_id(tmp_path):
    write_beton([("x", 3)], tmp_path / "a.beton", {"text": None, "label": None}, num_workers=0)
    assert type(Beton(tmp_path / "a.beton").fields["label"]) is IntField
