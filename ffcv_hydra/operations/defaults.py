"""What a field goes through when its pipeline does not say: the decoder, and the whole of a `null` pipeline."""

import torch

from ffcv_hydra.beton import BFloat16TensorField, RaggedArrayField, TextField
from ffcv_hydra.beton.fields.base import Field
from ffcv_hydra.beton.fields.bytes_fields import BytesField
from ffcv_hydra.beton.fields.places import PlacesField
from ffcv_hydra.errors import PipelineError
from ffcv_hydra.foreign import adapted
from ffcv_hydra.operations.base import ChunkDecoder
from ffcv_hydra.operations.basic_decoders import ArrayDecoder, BytesDecoder, ScalarDecoder
from ffcv_hydra.operations.convert import View
from ffcv_hydra.operations.following import FollowedBoxes, FollowedPoints, FollowedPolygons, PlacesDecoder
from ffcv_hydra.operations.image_decoders import WholeImage
from ffcv_hydra.operations.kept_items import KeptItems
from ffcv_hydra.operations.operation import Operation
from ffcv_hydra.operations.padded import PrefixedDecoder, SplitPrefixed
from ffcv_hydra.operations.to_tensor import ToTensor

DEFAULT_DECODERS: tuple[type[ChunkDecoder], ...] = (WholeImage, ScalarDecoder, ArrayDecoder, BytesDecoder)
FOLLOWING: tuple[type[PlacesDecoder], ...] = (FollowedBoxes, FollowedPoints, FollowedPolygons)


def default_decoder(field: Field) -> Operation:
    """The decoder of a pipeline that begins with a transform.

    Raises:
        PipelineError: if the field has none that needs no arguments.
    """
    if isinstance(field, PlacesField):
        return next(decoder() for decoder in FOLLOWING if isinstance(field, decoder.field_types))
    if isinstance(field, RaggedArrayField):
        raise PipelineError(
            "RaggedArrayField has no decoder that gives one array; leave the pipeline null, or begin with "
            "PrefixedDecoder, ToTensor and SplitPrefixed (KeptItems, if it follows boxes)"
        )
    for decoder in DEFAULT_DECODERS:
        if isinstance(field, decoder.field_types):
            return decoder()
    try:
        return adapted(field.get_decoder_class()())  # type: ignore[misc]  # what cannot be called is told
    except TypeError as error:
        raise PipelineError(f"{field.name} has no default decoder; name one") from error


def default_operations(field: Field) -> list[Operation]:
    """What a field's data goes through when no pipeline is given.

    Raises:
        PipelineError: if the field has no decoder that needs no arguments.
    """
    if isinstance(field, PlacesField):
        return [default_decoder(field), *behind_rows(field)]
    if type(field) is BytesField or isinstance(field, (TextField, RaggedArrayField)):
        return [PrefixedDecoder(), *behind_rows(field)]
    if isinstance(field, BFloat16TensorField):
        return [ArrayDecoder(), ToTensor(), View(torch.bfloat16)]
    return [default_decoder(field), ToTensor()]


def behind_rows(field: Field) -> list[Operation]:
    """What comes behind a decoder that makes rows of bytes with their lengths."""
    return [ToTensor(), SplitPrefixed() if getattr(field, "follows", None) is None else KeptItems()]
