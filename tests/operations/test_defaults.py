import numpy as np
import pytest

from ffcv_hydra.beton import BFloat16TensorField, GrayscaleImageField, MaskField, RaggedArrayField, TextField
from ffcv_hydra.beton.fields.array_fields import NDArrayField
from ffcv_hydra.beton.fields.base import Field
from ffcv_hydra.beton.fields.bytes_fields import BytesField, JSONField
from ffcv_hydra.beton.fields.rgb_image_field import RGBImageField
from ffcv_hydra.beton.fields.scalar_fields import IntField
from ffcv_hydra.errors import PipelineError
from ffcv_hydra.operations import default_decoder, default_operations

PADDED = ["PrefixedDecoder", "ToTensor", "SplitPrefixed"]


def names(operations):
    return [type(operation).__name__ for operation in operations]


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        (RGBImageField(), ["WholeImage", "ToTensor"]),
        (GrayscaleImageField(), ["WholeImage", "ToTensor"]),
        (MaskField(), ["WholeImage", "ToTensor"]),
        (IntField(), ["ScalarDecoder", "ToTensor"]),
        (NDArrayField(np.dtype(np.float32), (3,)), ["ArrayDecoder", "ToTensor"]),
        (BFloat16TensorField([3]), ["ArrayDecoder", "ToTensor", "View"]),
        (JSONField(), ["BytesDecoder", "ToTensor"]),
        (BytesField(), PADDED),
        (TextField(), PADDED),
        (RaggedArrayField("float32", [4]), PADDED),
    ],
)
def test_each_field_has_its_default_pipeline(field, expected):
    assert names(default_operations(field)) == expected


def test_text_that_a_pipeline_decodes_by_itself_is_bytes():
    assert names([default_decoder(TextField())]) == ["BytesDecoder"]


def test_a_ragged_field_has_no_decoder_that_gives_one_array():
    with pytest.raises(PipelineError, match="leave the pipeline null"):
        default_decoder(RaggedArrayField("float32"))


def test_a_class_without_a_default_decoder_is_named():
    class NeedsArguments(JSONField):
        pass

    class Undecodable(Field):
        metadata_type = from_binary = to_binary = encode = None

        def get_decoder_class(self):
            raise TypeError("it needs arguments")

    assert names([default_decoder(NeedsArguments())]) == ["BytesDecoder"]
    with pytest.raises(PipelineError, match="Undecodable has no default decoder; name one"):
        default_operations(Undecodable())
