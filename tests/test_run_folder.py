"""What a run's folder says, also of a run that cannot say it any more."""

import json
import os
import subprocess
import sys

import pytest

from ffcv_hydra.errors import ConfigError
from ffcv_hydra.process_identity import is_there, this_process
from ffcv_hydra.process_memory import peak_resident_memory, resident_memory
from ffcv_hydra.run_folder import last_sign_of_life, read_columns, read_run
from ffcv_hydra.training.provenance import provenance


def leave_run(folder, **result):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "result.json").write_text(json.dumps({"status": "completed", "mode": "fit", **result}))
    (folder / "config.yaml").write_text("seed: 1\n")
    return folder


def ended_process():
    """The identity of a process that was, and is no more."""
    print_identity = "import json; from ffcv_hydra.process_identity import *; print(json.dumps(this_process()))"
    return json.loads(subprocess.run([sys.executable, "-c", print_identity], capture_output=True, check=True).stdout)


def test_a_folder_is_read_as_a_whole(tmp_path):
    (leave_run(tmp_path / "run", metrics={"loss": 1.0}) / "metrics.csv").write_text("epoch,step,loss\n1,5,2.5\n2,10,\n")
    run = read_run(tmp_path / "run")
    assert (run.config, run.status, run.ending) == ({"seed": 1}, "completed", "completed")
    assert run.result["metrics"] == {"loss": 1.0}
    assert run.metrics == {"epoch": [1, 2], "step": [5, 10], "loss": [2.5, None]}
    assert run.metrics_by_step == {}


def test_a_process_that_is_gone_was_killed(tmp_path):
    run = read_run(leave_run(tmp_path, status="running", process=ended_process()))
    assert run.status == "killed"
    assert "is gone, without a word; last sign of life" in run.ending


def test_a_process_of_the_same_number_is_another_one(tmp_path):
    process = {**this_process(), "started": 5}
    assert read_run(leave_run(tmp_path, status="running", process=process)).status == "killed"


@pytest.mark.parametrize("change", [{"boot": "another start"}, {"namespace": "pid:[1]"}, {"boot": None}])
def test_nothing_is_claimed_from_elsewhere(tmp_path, change):
    process = {**ended_process(), **change, "host": "node7"}
    run = read_run(leave_run(tmp_path, status="running", process=process))
    os.utime(tmp_path / "result.json", (0, 0))
    assert run.status == "running"
    assert run.ending.startswith("running on node7 when it was last seen, ")


def test_a_run_of_an_earlier_version_is_not_claimed_to_be_dead(tmp_path):
    assert read_run(leave_run(tmp_path, status="running")).status == "running"


def test_a_process_that_is_there_runs(tmp_path):
    run = read_run(leave_run(tmp_path, status="running", process=this_process()))
    assert (run.status, run.ending) == ("running", f"running, as process {os.getpid()}")


def test_a_zombie_is_gone():
    child = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert not is_there({**this_process(), "pid": child.pid})
    child.wait()


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("result.json", '{"status": "comp', "is damaged"),
        ("result.json", '{"metrics": 3}', "is damaged, or not of a run: metrics: "),
        ("result.json", "[]", "is damaged, or not of a run"),
        ("config.yaml", "a: [", "is damaged"),
        ("config.yaml", "3", "it holds no keys"),
    ],
)
def test_a_damaged_folder_is_told_in_one_line(tmp_path, name, text, said):
    (leave_run(tmp_path) / name).write_text(text)
    with pytest.raises(ConfigError, match=said) as caught:
        read_run(tmp_path)
    assert name in str(caught.value) and "\n" not in str(caught.value)


def test_a_folder_of_no_run_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"no folder of a run, it holds no result.json"):
        read_run(tmp_path)
    leave_run(tmp_path / "3")
    with pytest.raises(ConfigError, match=rf"; folders in it do: python -m ffcv_hydra sweep {tmp_path} tells of them"):
        read_run(tmp_path)
    with pytest.raises(ConfigError, match="there is no such folder"):
        read_run(tmp_path / "nowhere")


@pytest.mark.parametrize("text", ["", "a,a\n1,2\n", "\0\0\n1"])
def test_a_table_that_is_none_has_no_columns(tmp_path, text):
    (tmp_path / "metrics.csv").write_text(text)
    assert not any(read_columns(tmp_path / "metrics.csv").values())


def test_rows_that_are_cut_short_or_empty_after_a_crash_are_left_out(tmp_path):
    (tmp_path / "metrics.csv").write_text("epoch,loss\n1,2.5\n\0\0\0\nx,1\n2,nan\n3")
    columns = read_columns(tmp_path / "metrics.csv")
    assert columns["epoch"] == [1, 2] and columns["loss"][0] == 2.5


def test_a_number_that_is_cut_short_is_not_read(tmp_path):
    (tmp_path / "metrics.csv").write_text("epoch,loss\n1,2.5\n2,0.9312\n"[:-3])
    assert read_columns(tmp_path / "metrics.csv") == {"epoch": [1], "loss": [2.5]}


@pytest.mark.parametrize("text", ["", "\n", "epoch", "epoch,loss\n" + "1" * 200_000 + "\n"])
def test_what_is_no_table_has_no_columns(tmp_path, text):
    (tmp_path / "metrics.csv").write_text(text)
    assert not any(read_columns(tmp_path / "metrics.csv").values())


def test_a_checkpoint_that_is_replaced_meanwhile_is_no_sign_of_life(tmp_path, monkeypatch):
    leave_run(tmp_path, status="running")
    gone = tmp_path / "checkpoints/gone.ckpt"
    monkeypatch.setattr(type(tmp_path), "glob", lambda *arguments: [gone])
    monkeypatch.setattr(type(tmp_path), "is_file", lambda path: True)
    os.utime(tmp_path / "result.json", (5, 5))
    assert last_sign_of_life(tmp_path) == 5


def test_memory_is_that_of_this_process():
    assert 1e6 < resident_memory() <= 1.01 * peak_resident_memory()


def test_provenance_tells_what_git_does_not(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "orig_argv", ["run.py", "logger.api_key=abc"])
    (tmp_path / "bin").mkdir()
    git = tmp_path / "bin/git"
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert "git" in provenance()["commit"]["error"]
    git.write_text("#!/bin/sh\necho 'fatal: detected dubious ownership' >&2\nexit 128\n")
    git.chmod(0o755)
    assert provenance()["commit"] == {"error": "fatal: detected dubious ownership"}
    git.write_text("#!/bin/sh\ncase $* in *status*) exit 1;; esac\necho abc\n")
    found = provenance()
    assert found["commit"] == {"hash": "abc", "dirty": None}
    assert found["command"] == "run.py 'logger.api_key=(hidden)'"


def test_provenance_tells_the_commit_and_that_files_differ_from_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert provenance()["commit"] is None
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b"]
    (tmp_path / "file").write_text("1")
    for arguments in (["init", "-q"], ["add", "file"], ["commit", "-q", "-m", "a"]):
        subprocess.run([*git, *arguments], check=True)
    assert not provenance()["commit"]["dirty"]
    (tmp_path / "file").write_text("2")
    found = provenance()
    assert found["commit"]["dirty"] and len(found["commit"]["hash"]) == 40
    assert found["folder"] == str(tmp_path) and found["versions"]["torch"] and found["command"]
