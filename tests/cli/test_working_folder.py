"""With `hydra.job.chdir=true`, paths still mean what they mean in the folder that a command was started in."""

import os

import numpy as np
import pytest
import torch

from ffcv_hydra.sweeps.search import _absolute

pytestmark = pytest.mark.timeout(300)

MINE = """
from pathlib import Path
import pytorch_lightning as pl
import torch

class Lines(torch.utils.data.Dataset):
    def __init__(self, root):
        self.root = root
        self.count = len(Path(root, "numbers.txt").read_text().split())
    def __len__(self):
        return self.count
    def __getitem__(self, index):
        return (float(Path(self.root, "numbers.txt").read_text().split()[index]),)

class Model(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)
    def training_step(self, batch, index):
        return self.layer(batch[0].float()).mean()
    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)

class Note(pl.Callback):
    def on_train_end(self, trainer, module):
        Path("note.txt").write_text("here")
"""
ARGUMENTS = [
    "hydra.job.chdir=true", "dataset=custom", "dataset.source._target_=mine.Lines", "+dataset.source.root=numbers",
    "dataset.fields={number: null}", "dataset.splits.val=null", "dataset.splits.test=null",
    "dataset.splits.train.beton=own/lines.beton", "dataset.splits.train.indices=null", "pipeline=default",
    "ordering=weighted", "ordering.train.weights=weights.npy", "model=custom", "model._target_=mine.Model",
    "+callbacks.note._target_=mine.Note", "callbacks.checkpoint=null", "optimized_metric=null",
    "conversion.num_workers=2", "loader.batch_size=4", "loader.num_workers=1", "trainer.accelerator=cpu",
    "trainer.max_epochs=1", "logger=none",
]  # fmt: skip


def test_F46_what_is_given_is_relative_to_where_the_command_was_started(command, tmp_path):
    (tmp_path / "mine.py").write_text(MINE)
    (tmp_path / "numbers").mkdir()
    (tmp_path / "numbers/numbers.txt").write_text(" ".join(map(str, range(16))))
    np.save(tmp_path / "weights.npy", np.ones(16))
    torch.save({"state_dict": {"layer.weight": torch.ones(1, 1)}}, tmp_path / "other.ckpt")
    done = command("run.py", "-m", *ARGUMENTS, "ckpt_path=null,other.ckpt", "hydra.sweep.dir=sweep")
    trained, refused = ((tmp_path / "sweep" / job) for job in "01")
    assert '"status": "completed"' in (trained / "result.json").read_text(), done.stderr + done.stdout
    assert (trained / "note.txt").is_file(), "what a hook writes is in the run's folder, as chdir asks for"
    assert (tmp_path / "own/lines.beton").is_file()
    assert {path.name for path in trained.iterdir()}.isdisjoint({"own", "data", "outputs"})
    assert "other.ckpt: a checkpoint of another model" in (refused / "job.log").read_text()


@pytest.mark.parametrize(
    ("given", "means"),
    [
        ("study.journal", "{}/study.journal"),
        ("sqlite:///study.db", "sqlite:///{}/study.db"),
        ("sqlite:////data/study.db", "sqlite:////data/study.db"),
        ("sqlite:///:memory:", "sqlite:///:memory:"),
        ("postgresql://host/study", "postgresql://host/study"),
    ],
)
def test_F46_the_storage_of_a_search_is_the_same_for_all_jobs(given, means):
    assert _absolute(given) == means.format(os.getcwd())
