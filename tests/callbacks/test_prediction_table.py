"""Predictions as a table: which columns there are, and that any program reads them."""

import csv
import sys

import numpy as np
import pytest
import torch

from ffcv_hydra.callbacks.prediction_table import prediction_columns, write_table
from ffcv_hydra.errors import WriteError

NASTY = ['a, "b"', "two\nlines", "cr\rhere", "=cmd|' /C calc'!A0", "", "\udcff.jpg", "☃\0", None]


def columns_of(predictions, labels=None, class_names=None, names=None):
    named = predictions if isinstance(predictions, dict) else {"": predictions}
    count = len(next(iter(named.values())))
    ids = torch.arange(count)
    return prediction_columns(ids, names or [None] * count, named, labels, class_names, class_names)


def read(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def test_probabilities_give_true_and_predicted_class_by_name():
    shares = torch.tensor([[0.2, 0.7, 0.1], [0.5, 0.25, 0.25]])
    found = columns_of(shares, torch.tensor([[1], [2]]), ["cat", "dog", "wolf"], ["x.jpg", "y.jpg"])
    assert list(found) == ["id", "name", "label", "predicted", "probability", "p_cat", "p_dog", "p_wolf"]
    assert (found["name"], found["label"], found["predicted"]) == (["x.jpg", "y.jpg"], ["dog", "wolf"], ["dog", "cat"])
    np.testing.assert_allclose(found["probability"], [0.7, 0.5])
    np.testing.assert_allclose(found["p_wolf"], [0.1, 0.25])


def test_without_names_classes_are_numbers():
    found = columns_of(torch.eye(3), torch.tensor([0, 2, 2]))
    assert found["label"].tolist() == [0, 2, 2] and found["predicted"].tolist() == [0, 1, 2]
    assert "p_2" in found


def test_classes_of_one_name_are_told_apart_by_number():
    assert "p_1" in columns_of(torch.eye(2), class_names=["same", "same"])


def test_of_many_classes_the_best_is_kept():
    found = columns_of(torch.eye(101), torch.zeros(101, dtype=torch.int64))
    assert list(found) == ["id", "name", "label", "predicted", "probability"]


def test_several_labels_per_sample():
    labels = torch.tensor([[1, 0, 1], [0, 0, 0]])
    found = columns_of(torch.tensor([[0.9, 0.6, 0.2], [0.1, 0.2, 0.3]]), labels, ["a", "b", "c"])
    assert found["label"] == ["a;c", ""] and found["predicted"] == ["a;b", ""]
    assert "probability" not in found and "p_c" in found


@pytest.mark.parametrize("shape", [(3,), (3, 1)])
def test_regression(shape):
    found = columns_of(torch.arange(3.0, dtype=torch.bfloat16).reshape(shape), torch.tensor([0.5, 1.5, 2.5]))
    assert found["prediction"].tolist() == [0, 1, 2] and found["label"].tolist() == [0.5, 1.5, 2.5]
    assert list(columns_of(torch.randn(3, 2))) == ["id", "name", "prediction_0", "prediction_1"]


def test_masks_give_the_share_of_each_class():
    masks = torch.tensor([[[0, 0], [1, 1]], [[2, 2], [2, 0]]])
    found = columns_of(masks, class_names=["sky", "sea", "sand"])
    assert found["pixels_sky"].tolist() == [0.5, 0.25] and found["pixels_sand"].tolist() == [0, 0.75]


def test_what_is_no_table_is_left_out():
    assert list(columns_of(torch.randn(2, 512))) == ["id", "name"]
    assert list(columns_of(torch.randn(2, 3, 4, 4))) == ["id", "name"]


def test_entries_of_a_dictionary_stand_before_their_columns():
    found = columns_of({"kind": torch.eye(2), "size": torch.tensor([1.0, 2.0])}, torch.tensor([0, 1]), ["a", "b"])
    assert list(found)[2:] == ["label", "kind_predicted", "kind_probability", "kind_p_a", "kind_p_b", "size_prediction"]
    assert found["label"] == ["a", "b"]


def test_any_text_comes_back_from_the_csv(tmp_path):
    names, classes = NASTY, ['<script>,"', "new\nline"]
    shares = torch.tensor([[0.1, 0.9]] * len(names))
    write_table(columns_of(shares, class_names=classes, names=names), tmp_path / "predictions.csv")
    header, *rows = read(tmp_path / "predictions.csv")
    assert header == ["id", "name", "predicted", "probability", 'p_<script>,"', "p_new\nline"]
    assert [row[1] for row in rows] == [*names[:5], "\\udcff.jpg", "☃\0", ""]
    assert rows[0][2:] == ["new\nline", "0.9", "0.1", "0.9"]
    assert [path.name for path in tmp_path.iterdir() if path.suffix != ".parquet"] == ["predictions.csv"]


def test_parquet_holds_the_same(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    write_table(columns_of(torch.eye(len(NASTY)), names=NASTY), tmp_path / "predictions.csv")
    table = parquet.read_table(tmp_path / "predictions.parquet").to_pydict()
    assert table["name"] == [*NASTY[:5], "\\udcff.jpg", "☃\0", None]
    assert table["p_1"][:2] == [0, 1] and table["id"] == list(range(len(NASTY)))


def test_without_pyarrow_there_is_the_csv(tmp_path, monkeypatch):
    monkeypatch.setattr("ffcv_hydra.callbacks.prediction_table.find_spec", lambda name: None)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    write_table(columns_of(torch.eye(2)), tmp_path / "predictions.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["predictions.csv"]


def test_a_table_that_cannot_be_written_is_one_line(tmp_path):
    with pytest.raises(WriteError, match="gone/predictions.csv cannot be written"):
        write_table(columns_of(torch.eye(2)), tmp_path / "gone" / "predictions.csv")


def test_probabilities_in_16_bits_are_probabilities():
    shares = torch.linspace(-2, 3, 40).reshape(4, 10).softmax(1).to(torch.bfloat16)
    assert not np.allclose(shares.float().sum(1), 1, atol=1e-4)
    found = columns_of(shares.float(), torch.tensor([1, 2, 3, 4]))
    assert found["predicted"].tolist() == [9, 9, 9, 9] and "p_9" in found
