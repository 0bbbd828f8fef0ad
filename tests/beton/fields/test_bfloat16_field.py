import pytest
import torch

from ffcv_hydra.beton import Beton, BFloat16TensorField, infer_fields, write_beton
from ffcv_hydra.errors import ConversionError

EXTREMES = torch.tensor([[0.0, -0.0, 1.0], [float("inf"), float("nan"), 3e38]]).bfloat16()


def test_bfloat16_tensors_are_inferred_and_their_bits_stored(tmp_path):
    write_beton([(EXTREMES,), (EXTREMES.T.contiguous().T,)], tmp_path / "a.beton", num_workers=0)
    beton = Beton(tmp_path / "a.beton")
    assert type(beton.fields["tensor"]) is BFloat16TensorField
    content = (tmp_path / "a.beton").read_bytes()
    for offset in beton.extents("tensor")[0].tolist():
        assert content[offset : offset + 12] == EXTREMES.view(torch.int16).numpy().tobytes()


@pytest.mark.parametrize(
    "value", [EXTREMES.float(), EXTREMES.half(), EXTREMES[:1], EXTREMES[0], EXTREMES.to_sparse(), 1.0]
)
def test_W5_another_dtype_shape_or_layout_is_refused(tmp_path, value):
    with pytest.raises(ConversionError, match=r"sample 1, field 'tensor': expected bfloat16 tensor of shape \(2, 3\)"):
        write_beton([(EXTREMES,), (value,)], tmp_path / "a.beton", num_workers=0)


@pytest.mark.parametrize("shape", [[], 3, "3", [0], [3.0], [2**40]])
def test_impossible_shapes_are_refused(shape):
    with pytest.raises(ConversionError, match="^BFloat16TensorField: "):
        BFloat16TensorField(shape)


def test_empty_tensors_are_refused():
    with pytest.raises(ConversionError, match="cannot store an empty array"):
        infer_fields((torch.zeros(2, 0, dtype=torch.bfloat16),))
