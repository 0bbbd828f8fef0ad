"""The folder that a run is in, when it is given or chosen."""

import json

import pytest
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

from ffcv_hydra.errors import ConfigError
from ffcv_hydra.training.placement import placed


@pytest.fixture
def config(tmp_path):
    folder = tmp_path / "run"
    paths = [f"{folder}/last", f"file:{folder}/mlruns", str(folder), f"{folder}er/last", f"/mnt{folder}/last"]
    return {"trainer": {"default_root_dir": str(folder)}, "paths": paths, "size": 3}


def of_run(folder, status, *checkpoints):
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "result.json").write_text(json.dumps({"status": status}))
    for name in checkpoints:
        (folder / "checkpoints" / name).touch()


def test_paths_of_the_config_go_into_the_folder_that_is_given(config, tmp_path):
    other = tmp_path / "other"
    left = config["paths"][3:]
    paths = [f"{other}/last", f"file:{other}/mlruns", str(other), *left]
    assert placed(config, other) == (other, {"trainer": {"default_root_dir": str(other)}, "paths": paths, "size": 3})
    assert placed({"paths": paths}, tmp_path) == (tmp_path, {"paths": paths})
    with pytest.raises(ConfigError, match="no trainer.default_root_dir; give run_dir=PATH"):
        placed({"paths": paths}, None)


def test_a_folder_with_a_run_that_is_not_gone_on_with_is_left_alone(config, tmp_path, caplog):
    folder = tmp_path / "run"
    assert placed(config, None) == (folder, config)
    of_run(folder, "interrupted", "last.ckpt")
    goes_on = {**config, "ckpt_path": "last"}
    assert placed(config, None)[0] == tmp_path / "run-2" and placed(goes_on, None)[0] == folder
    (folder / "result.json").write_text('{"status": "completed"}')
    of_run(tmp_path / "run-2", "failed")
    assert placed(goes_on, None)[0] == tmp_path / "run-3"
    assert f"{folder} has a run that this one does not go on from; this one is in {tmp_path / 'run-3'}" in caplog.text
    assert placed({"trainer": {"default_root_dir": str(tmp_path / "run-2")}}, None)[0] == tmp_path / "run-2"


def test_so_is_one_that_is_given_unless_it_is_the_commands(config, tmp_path, monkeypatch):
    given = tmp_path / "given"
    of_run(given, "completed")
    beside = tmp_path / "given-2"
    assert placed(config, given)[0] == beside
    assert placed({"paths": [f"{given}/last"]}, given) == (beside, {"paths": [f"{beside}/last"]})
    assert placed({**config, "ckpt_path": "last"}, given)[0] == given
    hydras = OmegaConf.create({"hydra": {"runtime": {"output_dir": str(given)}}})
    monkeypatch.setattr(HydraConfig.instance(), "cfg", hydras)
    assert placed(config, given)[0] == given


def test_a_job_that_slurm_requeues_goes_on_in_its_folder(config, tmp_path, monkeypatch):
    of_run(tmp_path / "run", "interrupted", "last.ckpt")
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    assert placed(config, None)[0] == tmp_path / "run"
