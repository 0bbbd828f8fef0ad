"""`mode=export`: a trained model used without anything of ours."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from ffcv_hydra.beton import write_beton
from ffcv_hydra.errors import ConfigError, PipelineError
from ffcv_hydra.loader import Loader
from ffcv_hydra.models import Classifier, SmallConvNet
from ffcv_hydra.operations import DivideImage255, Resize, ToTensor, ToTorchImage
from ffcv_hydra.training import exporting, train

OPTIMIZER = {"_target_": "torch.optim.SGD", "lr": 0.1}
WITHOUT_US = "import runpy, sys; sys.modules['ffcv_hydra'] = None; runpy.run_path('example.py', run_name='__main__')"


class Pictures:
    classes = ("cat", "dog", "wolf")

    def __init__(self, files):
        self.files = files

    def __len__(self):
        return len(self.files)

    def __getitem__(self, index):
        with Image.open(self.files[index]) as image:
            return image.convert("RGB"), index


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The folder of a run, with checkpoint and config, and the pictures that it was evaluated on."""
    folder = tmp_path_factory.mktemp("run")
    files = []
    for number in range(3):
        coarse = np.random.default_rng(number).integers(0, 256, (9, 7, 3), dtype=np.uint8)
        files.append(folder / f"{number}.png")
        Image.fromarray(coarse).resize((40 + number, 60), Image.Resampling.BICUBIC).save(files[-1])
    write_beton(Pictures(files), folder / "val.beton", {"image": None, "label": None}, num_workers=0)
    operations = [
        {"_target_": "ffcv_hydra.operations.Resize", "size": [16, 16]},
        {"_target_": "ffcv_hydra.operations.ToTensor"},
        {"_target_": "ffcv_hydra.operations.ToTorchImage"},
        {"_target_": "ffcv_hydra.operations.DivideImage255"},
    ]
    backbone = {"_target_": "ffcv_hydra.models.SmallConvNet", "num_classes": 3, "width": 4}
    config = {
        "mode": "fit",
        "ckpt_path": None,
        "seed": 0,
        "dataset": {"splits": {"val": {"beton": str(folder / "val.beton"), "source": None}}, "fields": None},
        "pipeline": {"val": {"image": operations}},
        "ordering": {"eval": {"_target_": "ffcv_hydra.ordering.Sequential"}},
        "conversion": {"if_exists": "keep", "indices": None, "shards": None, "shard_size": None},
        "loader": {"batch_size": 2, "num_workers": 1},
        "model": {
            "_target_": "ffcv_hydra.models.Classifier", "backbone": backbone, "num_classes": 3, "optimizer": OPTIMIZER,
        },
    }  # fmt: skip
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    (folder / "result.json").write_text(json.dumps({"overrides": ["experiment=mine"]}))
    (folder / "checkpoints").mkdir()
    model = Classifier(SmallConvNet(3, width=4), 3, OPTIMIZER)
    torch.save({"state_dict": model.state_dict()}, folder / "checkpoints/last.ckpt")
    return folder, files, model.eval()


@pytest.fixture(scope="module")
def exported(run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported")
    other = {"mode": "export", "ckpt_path": f"{run[0]}/last", "model": {"_target_": "nothing"}}
    return train(other, folder), folder / "export"


def expected_logits(folder, model):
    pipeline = [Resize([16, 16]), ToTensor(), ToTorchImage(), DivideImage255()]
    loader = Loader(folder / "val.beton", 3, pipelines={"image": pipeline}, num_workers=1)
    with torch.no_grad():
        return model(next(iter(loader))[0])


def test_the_example_gives_the_loaders_logits_on_the_original_pictures(run, exported, tmp_path):
    folder, files, model = run
    away = shutil.copytree(exported[1], tmp_path / "away")
    command = [sys.executable, "-c", WITHOUT_US, *map(str, files)]
    said = subprocess.run(command, cwd=away, capture_output=True, text=True, check=True, timeout=120).stdout
    for line, path, logits in zip(said.splitlines(), files, expected_logits(folder, model).tolist(), strict=True):
        name, called, *values = line.split(maxsplit=2)
        assert (name, called) == (str(path), Pictures.classes[int(np.argmax(logits))])
        assert json.loads(values[0]) == pytest.approx(logits, abs=2e-3)  # a few pixels are rounded to the next level


def test_result_says_where_it_is_and_how_equal(exported):
    result, folder = exported
    assert result["status"] == "completed"
    assert result["export"] == str(folder)
    assert result["differences"]["model.pt2"] == 0
    names = {path.name for path in folder.iterdir()}
    assert names >= {"model.pt2", "state_dict.pt", "preprocessing.json", "example.py"}
    assert (folder.parent / "report.html").is_file()


def test_the_config_is_that_of_the_checkpoints_run(run, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "ffcv_hydra.training.run._overrides", lambda: ["mode=export", "experiment=mine", "model=simclr"]
    )
    with pytest.raises(ConfigError, match="takes the config of the checkpoint's run, .*config.yaml: leave out model="):
        train({"mode": "export", "ckpt_path": f"{run[0]}/last"}, tmp_path)


def exported_of(run, monkeypatch, tmp_path, change):
    """What `preprocessing.json` would say of a run whose config is changed by `change`."""
    said = {}
    monkeypatch.setattr(exporting, "export", lambda model, batches, told, folder: said.update(told) or {})
    monkeypatch.setattr(exporting, "_print", lambda *args: None)
    config = yaml.safe_load((run[0] / "config.yaml").read_text()) | {"mode": "export"}
    change(config)
    train(config, tmp_path)
    return said


@pytest.mark.parametrize(
    ("task", "output", "classes"),
    [("multiclass", "logits", True), ("multilabel", "logits", True), ("regression", "values", False)],
)
def test_what_the_output_is_follows_from_the_task(run, monkeypatch, tmp_path, task, output, classes):
    said = exported_of(run, monkeypatch, tmp_path, lambda config: config["model"].update(task=task))
    assert (said["output"], said["task"]) == (output, task)
    assert said["classes"] == (list(Pictures.classes) if classes else None)


def test_names_of_other_classes_are_left_out_with_a_word(run, monkeypatch, tmp_path, caplog):
    said = exported_of(run, monkeypatch, tmp_path, lambda config: config["model"].update(num_classes=4))
    assert said["classes"] is None
    assert "the data name 3 classes, the model has 4: preprocessing.json names none" in caplog.text


@pytest.mark.parametrize("option", [{"max_resolution": 50}, {"background": [0, 0, 0]}, {"max_resolution": None}])
def test_what_a_conversion_changed_is_told(run, monkeypatch, tmp_path, caplog, option):
    fields = {"image": option, "label": None}
    exported_of(run, monkeypatch, tmp_path, lambda config: config["dataset"].update(fields=fields))
    (name, value), *_ = option.items()
    told = f"pictures were changed when they were stored (fields.image.{name}={value})"
    assert (told in caplog.text) == (value is not None)


def test_a_pipeline_that_cannot_be_exported_is_one_line(run, tmp_path):
    shutil.copytree(run[0] / "checkpoints", tmp_path / "checkpoints")
    config = yaml.safe_load((run[0] / "config.yaml").read_text())
    config["pipeline"]["val"]["image"][0]["scaled_decoding"] = True
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(PipelineError, match="pipeline.val.image cannot be exported: Resize with scaled_decoding"):
        train({"mode": "export", "ckpt_path": f"{tmp_path}/last"}, tmp_path / "export")
    config["pipeline"]["val"]["image"][0]["scaled_decoding"] = False
    config["pipeline"]["device"] = {"val": {"image": [{"_target_": "torch.nn.Identity"}]}}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(ConfigError, match="pipeline.device cannot be exported: it changes image after the pipeline"):
        train({"mode": "export", "ckpt_path": f"{tmp_path}/last"}, tmp_path / "export")
