"""The `.beton` file: how a dataset becomes one, and what is in it."""

from ffcv_hydra.beton.appendix import fingerprint as fingerprint
from ffcv_hydra.beton.appendix import first_difference as first_difference
from ffcv_hydra.beton.fields.bfloat16_field import BFloat16TensorField as BFloat16TensorField
from ffcv_hydra.beton.fields.coercion import coerce as coerce
from ffcv_hydra.beton.fields.image_array_field import ImageArrayField as ImageArrayField
from ffcv_hydra.beton.fields.image_fields import GrayscaleImageField as GrayscaleImageField
from ffcv_hydra.beton.fields.image_fields import MaskField as MaskField
from ffcv_hydra.beton.fields.inference import infer_fields as infer_fields
from ffcv_hydra.beton.fields.options import FieldSpecs as FieldSpecs
from ffcv_hydra.beton.fields.options import resolve_fields as resolve_fields
from ffcv_hydra.beton.fields.own_field import OwnField as OwnField
from ffcv_hydra.beton.fields.places import BoundingBoxesField as BoundingBoxesField
from ffcv_hydra.beton.fields.places import KeypointsField as KeypointsField
from ffcv_hydra.beton.fields.places import PolygonsField as PolygonsField
from ffcv_hydra.beton.fields.ragged_field import RaggedArrayField as RaggedArrayField
from ffcv_hydra.beton.fields.random_access_image import RandomAccessImageField as RandomAccessImageField
from ffcv_hydra.beton.fields.text_field import TextField as TextField
from ffcv_hydra.beton.manifest import Manifest as Manifest
from ffcv_hydra.beton.reading.reader import Beton as Beton
from ffcv_hydra.beton.reading.unpacking import unpack_json as unpack_json
from ffcv_hydra.beton.reading.unpacking import unpack_text as unpack_text
from ffcv_hydra.beton.summary import BetonSummary as BetonSummary
from ffcv_hydra.beton.summary import print_summary as print_summary
from ffcv_hydra.beton.writing.writer import write_beton as write_beton
