"""What FFCV's writer stores of numbers that are no arrays, and how many samples it sends at a time."""

import numpy as np
import pytest
import torch
from ffcv.fields import BytesField, FloatField, IntField, NDArrayField
from ffcv.reader import Reader

from ffcv_hydra.errors import ConversionError
from ffcv_hydra.ffcv_bridge import DatasetWriter, Loader


def test_numbers_of_numpy_are_arrays_of_one_number(tmp_path):
    path = str(tmp_path / "a.beton")
    fields = {"array": NDArrayField(np.dtype("f4"), (1,)), "float": FloatField(), "bytes": BytesField()}
    sample = np.float32(2.5), np.float16(0.5), np.int64(7)
    DatasetWriter(path, fields, num_workers=1).from_indexed_dataset([sample])
    ((array, number, data),) = Loader(path, 1)
    assert (array.tolist(), number.tolist(), data.tolist()) == ([[2.5]], [[0.5]], [[7]])


def test_whole_floats_are_whole_numbers_and_others_are_refused(tmp_path):
    path = str(tmp_path / "a.beton")
    writer = DatasetWriter(path, {"label": IntField()}, num_workers=1)
    whole = [np.float64(-3.0), np.float32(3), 4.0, np.array([5.0]), torch.tensor(6.0)]
    writer.from_indexed_dataset([(number,) for number in whole])
    assert Reader(path).metadata["f0"].tolist() == [-3, 3, 4, 5, 6]
    for number in (3.5, np.float32(3.5), float("inf"), np.nan, 1e30):
        with pytest.raises(ConversionError, match="sample 0, field 'label'"):
            writer.from_indexed_dataset([(number,)])


@pytest.mark.parametrize("count, given, expected", [(200, 1, 1), (1000, 7, 7), (9000, 1, 30), (10**6, 5, 100)])
def test_many_samples_are_not_sent_by_ones(count, given, expected, monkeypatch, tmp_path):
    chosen = {}
    monkeypatch.setattr("ffcv_hydra.ffcv_bridge.writer.write_beton", lambda *_, **options: chosen.update(options))
    writer = DatasetWriter(str(tmp_path / "a.beton"), {"label": IntField()}, num_workers=3)
    writer.from_indexed_dataset(range(count), chunksize=given)
    assert chosen["chunksize"] == expected
