import json

import pytest

from benchmarks import report
from benchmarks.contest import Result


@pytest.fixture
def results(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "RESULTS", tmp_path)
    return [
        Result("ours", [6.0, 9.0, 7.0]),
        Result("peer", [2.0, 2.0, 4.0]),
        Result("absent", note="not installed: no x"),
    ]


def publish(results, **options):
    report.publish("table", "A title", "images/s", results, reference="peer", **options)
    return json.loads((report.RESULTS / "table.json").read_text())


def test_json_has_medians_ratios_runs_and_the_machine(results):
    record = publish(results, settings={"seconds": 1})
    ours, peer, absent = record["results"]
    assert (ours["median"], ours["ratio"], ours["values"]) == (7.0, 3.0, [6.0, 9.0, 7.0])
    assert peer["ratio"] == 1
    assert absent["median"] is None and absent["note"] == "not installed: no x"
    assert record["machine"]["usable_cores"] > 0 and record["settings"] == {"seconds": 1}


def test_ratio_turns_round_where_less_is_better(results):
    assert publish(results, less_is_better=True)["results"][0]["ratio"] == pytest.approx(1 / 3)


def test_table_shows_what_is_missing_and_why(results, capsys):
    publish(results)
    shown = capsys.readouterr().out
    assert "A title" in shown and "3.00" in shown and "not installed: no x" in shown


def test_plot_is_a_picture(results):
    publish(results)
    assert (report.RESULTS / "table.png").read_bytes().startswith(b"\x89PNG")


def test_ratio_of_rounds_that_cannot_be_paired_is_that_of_the_medians(results):
    results[1].values.pop()
    assert publish(results)["results"][0]["ratio"] == 3.5


def test_a_grid_says_how_far_ours_is_ahead_of_the_fastest_competitor(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(report, "RESULTS", tmp_path)
    fast = [Result("ours", [2.0, 4.0]), Result("near", [6.0, 12.0]), Result("far", [20.0, 40.0]), Result("copy", [1.0])]
    alone = [Result("ours", [5.0]), Result("near", note="failed: no y")]
    grid = {"first": fast, "second": alone}
    report.publish_grid("grid", "A title", "µs", grid, besides=("copy",), less_is_better=True)
    record = json.loads((tmp_path / "grid.json").read_text())
    assert record["ahead"] == {"first": 3.0}
    assert [result["median"] for result in record["results"]["second"]] == [5.0, None]
    assert "second, near: failed: no y" in capsys.readouterr().out
    assert (tmp_path / "grid.png").read_bytes().startswith(b"\x89PNG")
