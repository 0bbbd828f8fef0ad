"""Folders of runs, and facts about folders of images."""

import subprocess
import sys
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from ffcv_hydra.beton import write_beton
from ffcv_hydra.cli.resolvers import count_classes, count_names, folder_name, has_split, run_folder
from ffcv_hydra.errors import ConfigError

SLURM = {"SLURM_JOB_ID": "17", "SLURM_NTASKS": "2", "SLURM_JOB_NAME": "train"}


@pytest.fixture
def folder_of(monkeypatch):
    """The folder of a run with these variables of SLURM's and these overrides."""

    def folder(variables, *overrides):
        for name in SLURM:
            monkeypatch.delenv(name, raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr("sys.argv", ["run.py", *overrides])
        return run_folder()

    return folder


def test_runs_that_start_in_the_same_second_have_different_folders(folder_of):
    assert len({folder_of({}) for _ in range(100)}) == 100


def test_requeued_slurm_job_finds_its_folder_and_all_tasks_agree_on_it(folder_of):
    first = folder_of({**SLURM, "SLURM_PROCID": "0"}, "seed=1")
    requeued = folder_of({**SLURM, "SLURM_PROCID": "1", "SLURM_RESTART_COUNT": "1"}, "seed=1")
    assert first == requeued
    assert first.startswith("slurm/17/")


def test_other_command_of_the_same_slurm_job_has_its_own_folder(folder_of):
    assert folder_of(SLURM, "seed=1") != folder_of(SLURM, "mode=test")


@pytest.mark.parametrize("name", ["bash", "interactive"])
def test_interactive_slurm_job_is_no_job(folder_of, name):
    assert not folder_of({**SLURM, "SLURM_JOB_NAME": name}).startswith("slurm")


@pytest.mark.parametrize("root", [None, 5, ["a"]], ids=str)
def test_a_root_that_is_no_path_is_named(root):
    with pytest.raises(ConfigError, match=r"dataset\.root=.*: give the path of the folder"):
        folder_name(root)
    assert folder_name("data/flowers/") == "flowers"


def test_classes_are_counted_with_and_without_train(tmp_path):
    for name in ("cat", "dog", "emu"):
        (tmp_path / "split" / "train" / name).mkdir(parents=True)
        (tmp_path / "plain" / name).mkdir(parents=True)
    (tmp_path / "plain" / "notes.txt").touch()
    assert count_classes(str(tmp_path / "split")) == count_classes(str(tmp_path / "plain")) == 3


def test_F2_a_folder_has_the_splits_that_are_in_it_or_have_a_fraction(tmp_path):
    (tmp_path / "divided" / "train" / "cat").mkdir(parents=True)
    (tmp_path / "plain" / "cat").mkdir(parents=True)
    beton = str(tmp_path / "test.beton")

    def has_test(folder, fraction):
        return has_split({"train": None, "val": 0.2, "test": fraction}, "test", str(tmp_path / folder), beton)

    assert not any(has_test(folder, 0) for folder in ("divided", "plain", "gone"))
    # Where a fraction is asked of a divided folder, the dataset tells that it has none.
    assert all(has_test(folder, 0.1) for folder in ("divided", "plain", "gone"))
    (tmp_path / "divided" / "test").mkdir()
    assert has_test("divided", 0) and not has_test("plain", 0)
    Path(beton).touch()
    assert has_test("gone", 0)


def test_F2_null_is_a_fraction():
    for fractions in ({"train": 0.7, "val": 0.2, "test": None}, {"train": 0.7, "val": None, "test": 0}):
        given = {split for split in fractions if has_split(fractions, split)}
        assert given == {split for split, fraction in fractions.items() if fraction != 0}
    assert not has_split({"train": 0.8, "val": 0.2, "test": None}, "test")  # the others leave nothing


def test_folder_without_classes_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"there is no such folder"):
        count_classes(str(tmp_path / "nothing"))
    with pytest.raises(ConfigError, match=r"no folders in"):
        count_classes(str(tmp_path))


@pytest.mark.timeout(120)
def test_run_dir_is_where_hydra_runs_the_job_also_in_a_sweep_and_when_given(tmp_path: Path):
    # The way Lightning starts other ranks: the same command with hydra.run.dir, hydra.job.name and output_subdir.
    script = tmp_path / "show.py"
    script.write_text(
        "from ffcv_hydra.cli.entry import execute\n"
        "from hydra.core.hydra_config import HydraConfig\n"
        "import os, ffcv_hydra.cli\n"
        "def task(config):\n"
        "    hydra = HydraConfig.get()\n"
        "    assert config.trainer.default_root_dir == hydra.runtime.output_dir\n"
        "    assert config.logger.csv.save_dir == hydra.runtime.output_dir\n"
        "    assert hydra.mode.name == 'MULTIRUN' or os.path.abspath(hydra.run.dir) == hydra.runtime.output_dir\n"
        "    print('DIR', hydra.runtime.output_dir)\n"
        "execute(task, 'run')\n"
    )

    def folders(*arguments: str) -> list[str]:
        path = [str(Path(__file__).parents[2])]
        done = subprocess.run(
            [sys.executable, str(script), *arguments],
            cwd=tmp_path, env={"PYTHONPATH": path[0]}, capture_output=True, text=True, timeout=60, check=True,
        )  # fmt: skip
        return [line.removeprefix("DIR ") for line in done.stdout.splitlines() if line.startswith("DIR ")]

    [alone] = folders()
    assert Path(alone).parent.parent == tmp_path / "outputs"
    relative = Path(alone).relative_to(tmp_path)
    given = (f'hydra.run.dir="{relative}"', "hydra.job.name=train_ddp_process_1", "hydra.output_subdir=null")
    assert folders(*given) == [alone]
    assert folders("-m", "seed=1,2") == []  # the output of a sweep's jobs goes to their logs
    logs = [path.read_text() for path in sorted(tmp_path.glob("multirun/*/*/*/job.log"))]
    swept = [line.removeprefix("DIR ") for log in logs for line in log.splitlines() if line.startswith("DIR ")]
    assert [Path(folder).name for folder in swept] == ["0", "1"]
    assert Path(swept[0]).parents[2] == tmp_path / "multirun"


class Pets(list):
    classes = ("cat", "dog")


def test_classes_are_counted_by_the_names_that_a_source_gives(tmp_path):
    (tmp_path / "data.yaml").write_text("names: [cat, dog, emu]\n")
    source = {"_target_": "ffcv_hydra.datasets.YOLO", "root": str(tmp_path), "split": "train", "data": "data.yaml"}
    assert count_names(OmegaConf.create({"source": source, "beton": "none.beton"})) == 3
    gone = {"source": {**source, "root": str(tmp_path / "gone")}, "beton": str(tmp_path / "a.beton")}
    with pytest.raises(ConfigError, match=r"gone/data\.yaml: no such file; set dataset\.data"):
        count_names(OmegaConf.create(gone))
    write_beton(Pets([(1,)]), tmp_path / "a.beton", num_workers=0)
    assert count_names(OmegaConf.create(gone)) == 2
    assert count_names(OmegaConf.create({**gone, "beton": "s3://bucket/a.beton"})) is None
