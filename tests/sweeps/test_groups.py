"""Repetitions as one result, and curves."""

import json

import pytest

from ffcv_hydra.sweeps.curves import plot_curves
from ffcv_hydra.sweeps.groups import groups_of, spread
from ffcv_hydra.sweeps.plot import plot
from ffcv_hydra.sweeps.results import collect
from ffcv_hydra.sweeps.summary import summarize
from tests.sweeps.test_results import leave_job

LOSSES = {("1", 0): 0.5, ("1", 1): 0.7, ("2", 0): 0.1, ("2", 1): 0.3}


@pytest.fixture
def sweep(tmp_path):
    for job, ((value, seed), loss) in enumerate(LOSSES.items()):
        leave_job(tmp_path / str(job), [f"a={value}", f"seed={seed}", "b=1"], loss, metrics={"loss": loss, "more": 1.0})
        (tmp_path / str(job) / "metrics.csv").write_text(f"epoch,step,loss\n1,5,9\n2,10,{loss}\n")
    return tmp_path


def test_jobs_that_differ_in_a_seed_are_one_group_and_the_best_on_average_comes_first(sweep):
    groups = groups_of(collect(sweep))
    assert [group.overrides for group in groups] == [{"a": "2"}, {"a": "1"}]
    assert groups[0].optimized == pytest.approx([0.1, 0.3])
    assert groups[0].samples_per_second == [100.0, 100.0]


def test_the_table_of_groups_and_the_file_have_mean_deviation_and_number(sweep, capsys):
    summarize(sweep)
    printed = capsys.readouterr().out
    assert "best on average: a=2 (loss 0.2 ± 0.14, 2 seeds)" in printed
    assert "0.6 ± 0.14" in printed and "│ seeds" in printed.replace("┃", "│")
    first = json.loads((sweep / "results.json").read_text())["groups"][0]
    assert first["overrides"] == {"a": "2"} and first["jobs"] == [2, 3]
    assert first["optimized_metric"] == {"mean": pytest.approx(0.2), "std": pytest.approx(0.1414, abs=1e-4), "count": 2}


def test_folds_have_one_summary(tmp_path, capsys):
    for fold in range(5):
        leave_job(tmp_path / str(fold), ["dataset.folds=5", f"dataset.fold={fold}"], fold / 10)
    summarize(tmp_path)
    assert "loss 0.2 ± 0.16 over 5 folds" in capsys.readouterr().out


def test_a_repetition_that_failed_does_not_count_and_is_told(sweep, capsys):
    record = json.loads((sweep / "0/job.json").read_text())
    (sweep / "0/job.json").write_text(json.dumps({**record, "state": "failed"}))
    (sweep / "0/result.json").write_text(json.dumps({"status": "failed", "metrics": {"loss": 99.0}}))
    summarize(sweep)
    assert "1 of 2" in capsys.readouterr().out
    assert groups_of(collect(sweep))[1].optimized == [0.7]


@pytest.mark.parametrize("overrides", [[["a=1"], ["a=2"]], [["a=1", "seed=0"], ["a=2", "seed=1"]], [["seed=0"]]])
def test_where_nothing_was_repeated_there_are_no_groups(tmp_path, overrides):
    for job, lines in enumerate(overrides):
        leave_job(tmp_path / str(job), lines, 1.0)
    assert groups_of(collect(tmp_path)) == []


def test_means_are_drawn_with_the_jobs_they_are_of(sweep, monkeypatch):
    drawn = []
    monkeypatch.setattr("matplotlib.axes.Axes.plot", lambda self, x, y, *args, **kwargs: drawn.append((x, y)))
    assert plot(collect(sweep), sweep / "results.png")
    assert drawn[0] == ([1.0, 2.0], pytest.approx([0.6, 0.2]))
    assert sorted(drawn[1][1]) == [0.1, 0.3, 0.5, 0.7]


def test_curves_of_all_jobs_are_in_one_picture_with_a_colour_per_group(sweep, monkeypatch):
    from matplotlib.axes import Axes

    drawn, draw = [], Axes.plot
    monkeypatch.setattr(
        "matplotlib.axes.Axes.plot",
        lambda self, x, y, **options: drawn.append((y, options["color"])) or draw(self, x, y, **options),
    )
    (sweep / "3/metrics.csv").write_text("epoch,step,loss\n1,5,nan\n2,10")  # killed in its second epoch
    assert plot_curves(collect(sweep), sweep / "curves.png")
    assert sorted(drawn) == [((9, 0.1), "C0"), ((9, 0.5), "C1"), ((9, 0.7), "C1")]
    assert (sweep / "curves.png").stat().st_size > 5000


def test_curves_of_several_sweeps_keep_apart_jobs_of_one_number(tmp_path, monkeypatch):
    from matplotlib.axes import Axes

    drawn, draw = [], Axes.plot
    monkeypatch.setattr(
        "matplotlib.axes.Axes.plot",
        lambda self, x, y, **options: drawn.append((y, options["label"])) or draw(self, x, y, **options),
    )
    for sweep, value in (("first", 1), ("second", 2)):
        leave_job(tmp_path / sweep / "0", [f"a={value}"], value)
        (tmp_path / sweep / "0/metrics.csv").write_text(f"epoch,step,loss\n1,5,{value}\n2,10,{value}\n")
    assert plot_curves(collect(tmp_path), tmp_path / "curves.png")
    assert sorted(drawn) == [((1, 1), "a=1"), ((2, 2), "a=2")]


def test_without_epochs_there_are_no_curves(tmp_path):
    leave_job(tmp_path / "0", ["a=1"], 1.0)
    assert not plot_curves(collect(tmp_path), tmp_path / "curves.png")


def test_tensorboard_of_all_jobs_is_one_command(sweep, capsys):
    summarize(sweep)
    assert "in TensorBoard" not in capsys.readouterr().out
    (sweep / "1/tensorboard").mkdir()
    (sweep / "1/tensorboard/events.out.tfevents.1").touch()
    summarize(sweep)
    assert f"all jobs in TensorBoard: tensorboard --logdir {sweep}" in capsys.readouterr().out


def test_a_spread_is_of_a_sample():
    assert [spread(values) for values in ([], [1.0], [1.0, 2.0, 3.0])] == ["", "1", "2 ± 1"]
