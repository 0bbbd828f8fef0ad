"""Jobs that other launchers schedule are the same fresh processes, with the same results at the end."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from ffcv_hydra.errors import ConfigError
from ffcv_hydra.sweeps.slurm import follow_trainer

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.timeout(200)


@pytest.fixture
def ray_folder():
    """Where Ray puts its sockets, whose paths have to be shorter than those under tmp_path."""
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder:
        yield folder


def sweep(folder, ray_folder, *overrides):
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
        "LOCAL_RANK": "1",
        "WORLD_SIZE": "2",
        "RAY_AUTH_MODE": "disabled",
        "RAY_TMPDIR": ray_folder,
    }
    return subprocess.run(
        [sys.executable, str(ROOT / "tests/sweeps/light_run.py"), "-m", "hydra.sweep.dir=sweep", *overrides],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=150,
    )  # fmt: skip


@pytest.mark.parametrize("engine", ["basic", "joblib", "submitit_local", "ray"])
def test_an_engine_schedules_fresh_processes(engine, tmp_path, ray_folder):
    if engine == "ray":  # too large to be among the development tools
        pytest.importorskip("hydra_plugins.hydra_ray_launcher")
    done = sweep(tmp_path, ray_folder, f"hydra/launcher={engine}", "loader.batch_size=4,13,8")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "1 of 3 jobs did not finish" in done.stderr and "loader.batch_size=13: bad luck" in done.stderr
    jobs = json.loads((tmp_path / "sweep/results.json").read_text())["jobs"]
    assert [(job["job"], job["state"]) for job in jobs] == [(0, "completed"), (2, "completed"), (1, "failed")]
    results = [json.loads((tmp_path / f"sweep/{number}/result.json").read_text()) for number in (0, 2)]
    assert [result["ranks"] for result in results] == [[], []]
    assert len({result["pid"] for result in results}) == 2
    assert "best: loader.batch_size=4 (val_loss 4)" in done.stdout

    again = sweep(tmp_path, ray_folder, f"hydra/launcher={engine}", "loader.batch_size=4,13,8")
    assert again.returncode == 1
    assert results == [json.loads((tmp_path / f"sweep/{number}/result.json").read_text()) for number in (0, 2)]


@pytest.mark.parametrize(("devices", "tasks"), [(2, 2), ([0, 1, 3], 3), (1, 1)])
def test_slurm_starts_as_many_tasks_as_the_trainer_has_devices(devices, tasks):
    target = "hydra_plugins.hydra_submitit_launcher.submitit_launcher.SlurmLauncher"
    config = OmegaConf.create({"trainer": {"devices": devices, "num_nodes": 4}})
    config.hydra = {"launcher": {"_target_": target, "tasks_per_node": 1, "nodes": 1}}
    follow_trainer(config)
    assert (config.hydra.launcher.tasks_per_node, config.hydra.launcher.nodes) == (tasks, 4)

    config.trainer.devices, config.hydra.launcher.tasks_per_node = "auto", 1
    with pytest.raises(ConfigError, match="trainer.devices=auto"):
        follow_trainer(config)
    config.hydra.launcher._target_ = "hydra_plugins.hydra_submitit_launcher.submitit_launcher.LocalLauncher"
    follow_trainer(config)
    assert config.hydra.launcher.tasks_per_node == 1
