"""A project of one's own, as it is written."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ffcv_hydra.cli.inspection import main

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("projects") / "acme"
    assert main(["new", str(folder)]) == 0
    return folder


def run(project, *words):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(project)])}
    done = subprocess.run([sys.executable, *words], cwd=project, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


def test_its_own_tests_pass(project):
    assert "3 passed" in run(project, "-m", "pytest", "-q", "-p", "no:cacheprovider")
    assert not (project / "outputs").exists()
    written = [path for path in project.rglob("*.*") if path.suffix in (".py", ".yaml", ".md", ".toml")]
    assert not [path for path in written if "PROJECT" in path.read_text()]


def test_it_trains_with_names_tags_and_what_holds_on_this_machine(project):
    local = project / "conf" / "local" / "default.yaml"
    local.parent.mkdir()
    local.write_text("# @package _global_\nseed: 5\nmodel: {width: 4}\n")
    small = [f"dataset.splits.{split}.source.count=128" for split in ("train", "val", "test")]
    command = ["run.py", "experiment=first", "trainer.max_epochs=1", "trainer.accelerator=cpu", "logger=none", *small]
    output = run(project, *command)
    (result,) = project.glob("outputs/first/*/*/result.json")
    found = json.loads(result.read_text())
    assert (found["status"], found["seed"], found["task_name"], found["tags"]) == ("completed", 5, "first", ["shapes"])
    assert str(result.parent) in output and "shapes" in (result.parent / "report.html").read_text()
    assert "acme.data.Shapes" in run(project, "convert.py", "dataset=shapes", "--cfg", "job")


def test_another_dataset_in_its_code_is_not_read_from_what_the_old_one_left(project, tmp_path):
    small = [f"dataset.splits.{split}.source.count=16" for split in ("train", "val", "test")]
    command = ["convert.py", "dataset=shapes", f"data_dir={tmp_path}", *small]
    run(project, *command)
    code = project / "acme" / "data.py"
    before = code.read_text()
    code.write_text(before.replace("index % 3", "(index + 1) % 3"))
    try:
        with pytest.raises(AssertionError, match="the source has changed since it was converted"):
            run(project, *command)
    finally:
        code.write_text(before)


@pytest.mark.parametrize("name", ["my-project", "3d", "class", "json", "ffcv_hydra", "yaml", "data", ""])
def test_what_is_no_name_of_a_package_is_refused(tmp_path, monkeypatch, name, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        main(["new", name])
    assert ("cannot be called that" in (told := capsys.readouterr().err)) or "is taken by another" in told
    assert not any(tmp_path.iterdir())


def test_a_folder_that_is_there_is_left_alone(project, capsys, monkeypatch):
    before = sorted(project.rglob("*"))
    monkeypatch.syspath_prepend(project.parent)  # where `new acme` is called again
    assert main(["new", str(project)]) == 1
    assert f"{project} is there already; nothing was written" in capsys.readouterr().err
    assert sorted(project.rglob("*")) == before
