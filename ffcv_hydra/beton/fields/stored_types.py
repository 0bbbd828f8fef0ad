"""The fields that are stored under a number of FFCV's."""

from ffcv_hydra.beton.fields.array_fields import NDArrayField, TorchTensorField
from ffcv_hydra.beton.fields.base import Field
from ffcv_hydra.beton.fields.bytes_fields import BytesField, JSONField
from ffcv_hydra.beton.fields.rgb_image_field import RGBImageField
from ffcv_hydra.beton.fields.scalar_fields import FloatField, IntField

TYPE_IDS: dict[int, type[Field]] = {
    field_class.type_id: field_class
    for field_class in (FloatField, IntField, RGBImageField, BytesField, NDArrayField, JSONField, TorchTensorField)
}
