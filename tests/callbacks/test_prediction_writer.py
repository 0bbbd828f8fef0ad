"""Predictions in one file."""

import pytest
import pytorch_lightning as pl
import torch

from ffcv_hydra.callbacks import PredictionWriter
from ffcv_hydra.errors import ConfigError, LoaderError


class Shuffled:
    """Batches of numbers, each its own sample id, in an order that is not theirs."""

    ids = torch.tensor([7, 3, 5, 1, 9])

    def __iter__(self):
        return iter(self.ids.split(2))

    def __len__(self):
        return 3

    def sample_ids(self, batch_index):
        return self.ids.split(2)[batch_index].numpy()


class Predictor(pl.LightningModule):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def predict_step(self, batch, batch_idx):
        return self.function(batch)


def predict(function, path, loader=None):
    trainer = pl.Trainer(
        accelerator="cpu", logger=False, enable_progress_bar=False, enable_checkpointing=False,
        callbacks=[PredictionWriter(path)],
    )  # fmt: skip
    trainer.predict(Predictor(function), loader or Shuffled(), return_predictions=False)
    return torch.load(path, weights_only=True)


def test_predictions_are_in_the_datasets_order(tmp_path):
    written = predict(lambda batch: batch[:, None] * torch.tensor([1.0, 2.0]), tmp_path / "predictions.pt")
    assert written["sample_ids"].tolist() == [1, 3, 5, 7, 9]
    assert written["sample_ids"].dtype == torch.int64
    assert written["predictions"].tolist() == [[1, 2], [3, 6], [5, 10], [7, 14], [9, 18]]
    assert {path.name for path in tmp_path.iterdir()} - {"predictions.parquet"} == {"predictions.pt", "predictions.csv"}


def test_the_table_has_names_and_labels_of_the_same_samples(tmp_path):
    class Named(Shuffled):
        class_names = ("even", "odd")

        def __iter__(self):
            return iter([(ids, ids % 2) for ids in self.ids.split(2)])

        def sample_name(self, sample):
            return f"photos/{sample}.jpg"

    loader = Named()
    loader.ids = torch.tensor([8, 3, 5, 8, 2])
    predict(lambda batch: batch[0] % 2, tmp_path / "predictions.pt", loader)
    assert (tmp_path / "predictions.csv").read_text().splitlines() == [
        '"id","name","label","predicted"',
        '2,"photos/2.jpg","even","even"',
        '3,"photos/3.jpg","odd","odd"',
        '5,"photos/5.jpg","odd","odd"',
        '8,"photos/8.jpg","even","even"',
    ]


def test_dictionaries_of_tensors_keep_their_names(tmp_path):
    written = predict(lambda batch: {"same": batch, "twice": 2 * batch}, tmp_path / "predictions.pt")
    assert written["predictions"]["twice"].tolist() == [2, 6, 10, 14, 18]


def test_a_sample_that_comes_twice_is_written_once(tmp_path):
    loader = Shuffled()
    loader.ids = torch.tensor([7, 3, 5, 7, 3])
    written = predict(lambda batch: batch, tmp_path / "predictions.pt", loader)
    assert written["predictions"].tolist() == written["sample_ids"].tolist() == [3, 5, 7]


def test_a_loader_without_ids_is_refused(tmp_path):
    with pytest.raises(LoaderError, match="sample_ids"):
        predict(lambda batch: batch, tmp_path / "predictions.pt", torch.utils.data.DataLoader(torch.arange(4)))


@pytest.mark.parametrize(
    "function", [lambda batch: batch.sum(), lambda batch: batch[:1].repeat(9), lambda batch: "text"]
)
def test_predictions_that_are_not_one_row_per_sample_are_refused(tmp_path, function):
    with pytest.raises(ConfigError, match="predict_step returned"):
        predict(function, tmp_path / "predictions.pt")
    assert not list(tmp_path.iterdir())
