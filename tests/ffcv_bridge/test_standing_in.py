"""Where FFCV's loader and writer are looked for, and what these tell."""

import json

import ffcv.loader.epoch_iterator
import ffcv.loader.loader
import ffcv.writer
from ffcv.fields import IntField
from ffcv.transforms import ReplaceLabel, ToTensor

from ffcv_hydra.ffcv_bridge import DatasetWriter, Loader
from ffcv_hydra.ffcv_bridge.loader import EpochIterator
from ffcv_hydra.ffcv_bridge.standing_in import stand_in


def test_they_stand_in_everywhere_and_tell_it(monkeypatch, tmp_path):
    for module in (ffcv, ffcv.loader, ffcv.loader.loader):
        monkeypatch.setattr(module, "Loader", None)
    for module in (ffcv, ffcv.writer):
        monkeypatch.setattr(module, "DatasetWriter", None)
    for module in (ffcv.loader.loader, ffcv.loader.epoch_iterator):
        monkeypatch.setattr(module, "EpochIterator", None)
    for kind in (Loader, DatasetWriter):
        monkeypatch.setattr(kind, "__init__", kind.__init__)
    monkeypatch.setenv("FFCV_HYDRA_RUN_FFCV", f"1:{tmp_path}/run-ffcv")
    stand_in()
    stand_in()  # as where FFCV is imported anew
    assert ffcv.Loader is ffcv.loader.Loader is ffcv.loader.loader.Loader is Loader
    assert ffcv.DatasetWriter is ffcv.writer.DatasetWriter is DatasetWriter
    assert ffcv.loader.epoch_iterator.EpochIterator is ffcv.loader.loader.EpochIterator is EpochIterator
    path = str(tmp_path / "a.beton")
    ffcv.DatasetWriter(path, {"label": IntField()}, num_workers=1).from_indexed_dataset([(1,), (2,)])

    class Mine(ffcv.Loader):
        pass

    Mine(path, 1, pipelines={"label": [ReplaceLabel([0], 1), ToTensor()]})
    told = [json.loads(line) for line in (tmp_path / "run-ffcv").read_text().splitlines()]
    assert [(one["what"], one["kept"]) for one in told] == [("DatasetWriter", []), ("Loader", ["ReplaceLabel"])]
