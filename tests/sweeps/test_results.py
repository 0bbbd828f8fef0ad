"""Tables and plots from what jobs have left."""

import io
import itertools
import json
import math
import os
import time
import warnings

import pytest

from ffcv_hydra.errors import SweepError
from ffcv_hydra.process_identity import this_process
from ffcv_hydra.sweeps.display import Display
from ffcv_hydra.sweeps.formats import duration, number, shortened
from ffcv_hydra.sweeps.job import Job
from ffcv_hydra.sweeps.plot import _apart, plot
from ffcv_hydra.sweeps.results import collect, print_table
from ffcv_hydra.sweeps.summary import summarize
from ffcv_hydra.terminal import TerminalConsole


def leave_job(folder, overrides, value, mode="min", **result):
    """A finished job's folder."""
    folder.mkdir(parents=True)
    job = Job(
        int(folder.name), overrides, [], {"optimized_metric": "loss", "optimized_mode": mode}, folder, state="completed"
    )
    job.write()
    found = {"status": "completed", "metrics": {"loss": value}, "samples_per_second": 100.0, **result}
    (folder / "result.json").write_text(json.dumps(found))


@pytest.mark.parametrize(("mode", "order"), [("min", [2, 0, 1, 3]), ("max", [0, 2, 1, 3])])
def test_jobs_are_sorted_by_the_metric_and_those_without_come_last(tmp_path, mode, order):
    for job, value in enumerate([2.0, None, 1.0, None]):
        leave_job(tmp_path / str(job), [f"a={job}"], value, mode)
    assert [row.job for row in collect(tmp_path).rows] == order


@pytest.mark.parametrize(
    "overrides",
    [
        [["a=1"], ["a=2"], ["a=64"]],
        [["a=x"], ["a=y"]],
        [["a=1", "b=x"], ["a=2", "b=x"], ["a=1", "b=y"], ["a=2", "b=y"]],
        [["a=0.1", "b=0.5"], ["a=0.2", "b=0.7"], ["a=0.3", "b=0.1"], ["a=0.5", "b=0.9"]],
        [["a=1", "b=1", "c=1"], ["a=2", "b=2", "c=2"]],
    ],
    ids=["line", "bars", "heat map", "points", "bars of jobs"],
)
def test_every_shape_of_a_sweep_is_drawn(tmp_path, overrides):
    for job, lines in enumerate(overrides):
        leave_job(tmp_path / str(job), [*lines, "same=1"], float(job))
    assert plot(collect(tmp_path), tmp_path / "results.png")
    assert (tmp_path / "results.png").stat().st_size > 5000


@pytest.mark.parametrize("in_a_sweep", [True, False])
def test_a_job_that_was_killed_says_so(tmp_path, in_a_sweep):
    leave_job(tmp_path / "0", ["a=1"], None, status="running", process={**this_process(), "started": 5})
    record = json.loads((tmp_path / "0/job.json").read_text())
    (tmp_path / "0/job.json").write_text(json.dumps(record | {"state": "running"}))
    (tmp_path / "0/job.log").touch()
    if not in_a_sweep:
        (tmp_path / "0/job.json").unlink()
    (tmp_path / "0/metrics.csv").write_text("epoch,step,loss,samples_per_second\n1,5,3,90\n2,10,2,80\n")
    result = json.loads((tmp_path / "0/result.json").read_text())
    (tmp_path / "0/result.json").write_text(json.dumps(result | {"metrics": {}}))
    [row] = collect(tmp_path).rows
    assert (row.state, row.metrics, row.samples_per_second) == ("killed", {"loss": 2}, 100)


@pytest.mark.parametrize(("status", "shown"), [("failed", ["0", "2-2"]), ("completed", ["0", "2", "2-2"])])
def test_an_unfinished_job_is_left_out_once_its_number_has_another_config(tmp_path, status, shown):
    for age, name in enumerate(["2-2", "2", "0"]):
        leave_job(tmp_path / name[0], [f"a={name}"], 1.0)
        folder = (tmp_path / name[0]).rename(tmp_path / name)
        record = json.loads((folder / "job.json").read_text())
        (folder / "job.json").write_text(json.dumps({**record, "state": status if name == "2" else "completed"}))
        os.utime(folder / "job.json", (1e9 - age, 1e9 - age))
    (tmp_path / "2" / "result.json").write_text(json.dumps({"status": status}))
    assert sorted(row.path.name for row in collect(tmp_path).rows) == shown


def test_the_table_shows_the_value_that_it_is_sorted_by(tmp_path, capsys):
    leave_job(tmp_path / "0", ["a=1"], 2.0, optimized_metric=1.5)  # of the best checkpoint; 2.0 at the end
    leave_job(tmp_path / "1", ["a=2"], 1.75)
    summarize(tmp_path)
    output = capsys.readouterr().out
    assert "best: a=1 (loss 1.5)" in output
    assert [line.split()[5] for line in output.splitlines() if line.startswith("│")] == ["1.5", "1.75"]


def test_the_table_has_as_many_metrics_as_there_is_room_for(tmp_path):
    metrics = {"loss": 1.0, "accuracy": 0.5, "another_metric": 2.0}
    leave_job(tmp_path / "0", ["model.optimizer.lr=1"], 1.0, metrics=metrics)
    leave_job(tmp_path / "1", ["model.optimizer.lr=2"], 2.0, metrics=metrics)
    for width, expected in ((100, ["loss", "accuracy", "another_metric"]), (75, ["loss", "accuracy"]), (20, ["loss"])):
        out = io.StringIO()
        print_table(collect(tmp_path), tmp_path, TerminalConsole(file=out, width=width))
        assert "…" not in out.getvalue()
        if width > 20:
            header = out.getvalue().splitlines()[1].replace("┃", " ").split()
            assert header == ["job", "model.optimizer.lr", *expected, "images/s", "time", "path"]


def test_the_table_of_mixed_runs_shows_the_keys_that_vary_most_and_names_the_others(tmp_path):
    long = "{source: {_target_: ffcv_hydra.datasets.ImageFolder, root: photos}, beton: photos.beton}"
    for job in range(4):
        overrides = [f"dataset.splits.predict={long if job else 'null'}", f"lr={job}", f"model.width={job // 2}"]
        leave_job(tmp_path / str(job), overrides, 1.0)
    keys = ["dataset.splits.predict", "lr", "model.width"]
    for width, shown in ((200, keys), (100, keys[:2]), (60, ["lr"])):
        out = io.StringIO()
        print_table(collect(tmp_path), tmp_path, TerminalConsole(file=out, width=width))
        *table, last = out.getvalue().splitlines()
        header = table[1].replace("┃", " ").split()
        assert header[1 : header.index("loss")] == shown
        assert max(map(len, table)) <= width
        assert last.startswith("no room for " if width < 200 else "└")


def test_long_names_leave_room_for_the_picture(tmp_path):
    long = [f"a={n}-{'x' * 90}-{n}" for n in range(12)]
    shapes = {"bars": [[], []], "cells": [["b=1"], ["b=2"]], "jobs": [["b=1", "c=1"], ["b=2", "c=2"]]}
    for name, others in shapes.items():
        for job, (first, more) in enumerate(itertools.product(long, others)):
            leave_job(tmp_path / name / str(job), [first, *more], float(job))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert plot(collect(tmp_path / name), tmp_path / "results.png")
    assert shortened("abcdefghijklm", 9) == "abcde…klm"


def test_labels_on_an_axis_do_not_overlap():
    assert _apart([1.0, 2.0, 3.0], float) == [1, 2, 3]
    assert _apart([0.0, 50.0, 51.0, 100.0], float) == [0, 50, 100]
    assert _apart([1.0, 10.0, 100.0], math.log) == [1, 10, 100]


def test_a_single_job_without_a_value_is_not_drawn(tmp_path):
    leave_job(tmp_path / "0", [], None, samples_per_second=None)
    assert not plot(collect(tmp_path), tmp_path / "results.png")


def test_a_folder_of_runs_without_a_sweep_has_a_table_too(tmp_path, capsys):
    for name, value in (("x", 2.0), ("y", 1.0)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.yaml").write_text("optimized_metric: loss\noptimized_mode: max\n")
        found = {"status": "completed", "metrics": {"loss": value}, "overrides": [f"a={name}"]}
        (tmp_path / name / "result.json").write_text(json.dumps(found))
    summarize(tmp_path)
    assert "best: a=x (loss 2)" in capsys.readouterr().out


def test_a_folder_without_jobs_is_refused(tmp_path):
    with pytest.raises(SweepError, match="no job.json"):
        summarize(tmp_path)


BROKEN = {
    "job.json": ['{"job": "x"}', '{"overrides": 3}', '{"config": [1]}', '{"state": "odd"}'],
    "result.json": ['{"metrics": "none"}', '{"metrics": {"loss": "low"}}', '{"optimized_metric": []}'],
}
CUT = ["", "[1]", "3", "{", "[" * 100_000, "\xff"]


@pytest.mark.parametrize("name", BROKEN)
def test_F53_a_strangers_or_half_written_file_is_left_out_by_name(tmp_path, capsys, name):
    stranger = tmp_path / "x"
    stranger.mkdir()
    for text in CUT + BROKEN[name]:
        (stranger / name).write_text(text, encoding="latin-1")
        with pytest.raises(SweepError, match=r"no job.json or result.json of a run below it .*x holds something else"):
            summarize(tmp_path)
    leave_job(tmp_path / "0", ["a=1"], 2.0)
    summarize(tmp_path)
    assert f"left out, because its files are cut short or of something else: {stranger}" in capsys.readouterr().out


def test_F53_what_is_no_folder_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(SweepError, match="file: is no folder; give a sweep's folder"):
        summarize(tmp_path / "file")
    with pytest.raises(SweepError, match="missing: there is no such folder"):
        summarize(tmp_path / "missing")


def test_F53_escape_sequences_and_markup_are_shown_and_not_obeyed(tmp_path, capsys):
    overrides = ["a=\x1b[31mred\x1b]0;title\x07", "b=[bold]x[/bold] $x_$", "c=\u202eabc"]
    leave_job(tmp_path / "0", overrides, 2.0)
    leave_job(tmp_path / "1", ["a=1", "b=1", "c=1"], 3.0, metrics={"\x1b[2Jloss": 1.0})
    summarize(tmp_path)
    shown = capsys.readouterr().out
    assert not {"\x1b", "\x07", "\u202e"} & set(shown)
    for text in (r"\x1b[31mred\x1b]0;title\x07", "[bold]x[/bold]", r"\u202eabc", r"\x1b[2Jloss"):
        assert text in shown


def test_the_live_table_shows_epoch_metric_speed_and_time_left(tmp_path):
    config = {"optimized_metric": "loss"}
    jobs = [Job(n, [f"a={n}", "b=1"], [], config, tmp_path / str(n), frozenset({"b=1"})) for n in range(3)]
    leave_job(jobs[0].folder, jobs[0].overrides, 0.5)
    jobs[0].state, jobs[0].seconds = "completed", 42.0
    jobs[1].folder.mkdir()
    jobs[1].state = "running"
    progress = {"epoch": 2, "max_epochs": 5, "metrics": {"loss": 0.25}, "samples_per_second": 1234.0,
                "seconds_left": 187.4, "time": time.time()}  # fmt: skip
    (jobs[1].folder / "progress.json").write_text(json.dumps(progress))
    out = io.StringIO()
    with Display(TerminalConsole(file=out, force_terminal=True, width=120, height=40)) as display:
        display.update(jobs, {jobs[1]: 61.0})
    lines = {word: line for line in out.getvalue().splitlines() for word in ("a=0", "a=1", "a=2") if word in line}
    assert all(word in lines["a=0"] for word in ("completed", "0.5", "42 s"))
    assert all(word in lines["a=1"] for word in ("running", "2/5", "0.25", "1,234", "1:01", "3:07"))
    assert "waiting" in lines["a=2"]
    assert "b=1" not in out.getvalue()


def test_numbers_and_times_are_short():
    assert [number(value) for value in (None, 0.123456, 12345.6)] == ["", "0.1235", "12,346"]
    assert [duration(value) for value in (None, 5.4, 187, 3787)] == ["", "5 s", "3:07", "1:03:07"]


def test_a_sweep_tells_no_secrets(tmp_path, capsys):
    leave_job(tmp_path / "0", ["w.api_key=hunter2", "a=1"], 1.0)
    leave_job(tmp_path / "1", ["w.api_key=hunter3", "a=2"], 1.0, status="failed", error="at https://a:hunter2@host/x")
    summarize(tmp_path)
    files = [(tmp_path / name).read_text() for name in ("results.csv", "results.json")]
    assert "hunter" not in "".join([capsys.readouterr().out, *files])
