"""`python -m ffcv_hydra compare`."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from ffcv_hydra.bench import Report, print_comparison
from ffcv_hydra.cli.inspection import main
from ffcv_hydra.terminal import TerminalConsole
from tests.bench.test_bench import one_round, report

FACTS = {"machine": {"processor": "one", "cores": 2}, "settings": {"loader.num_workers": 2}}


def rounds(*decoding: float) -> dict:
    """Rounds of which each takes so many seconds for decoding."""
    return {"rounds": tuple(one_round(**{"image: decoding": seconds}) for seconds in decoding)}


def rows(first: Report, second: Report, capsys) -> tuple[dict[str, list[str]], list[str]]:
    """The table by its first column, and the lines after it."""
    print_comparison(first, second, TerminalConsole(width=80))
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert max(map(len, lines)) <= 80
    end = next(place for place, line in enumerate(lines) if line.startswith("µs per sample"))
    found = [re.split(r"\s{2,}", line.strip()) for line in lines[:end]]
    return {name: cells for name, *cells in found}, lines[end + 1 :]


def test_values_stand_side_by_side_with_their_ratio(capsys):
    first, second = report(**rounds(0.5, 0.52, 0.48, 0.5)), report(**rounds(0.75, 0.78, 0.72, 0.75))
    table, _ = rows(first, second, capsys)
    assert table["samples/s"] == ["500.0", "500.0", "1.00", "~"]
    assert table["image: decoding"] == ["1,000.0", "1,500.0", "1.50"]
    assert table["image: Cutout"] == ["500.0", "500.0", "1.00", "~"]


@pytest.mark.parametrize(
    ("first", "second", "is_noise"),
    [
        ((0.5, 0.5, 0.5, 0.5), (0.51, 0.51, 0.51, 0.51), False),
        ((0.4, 0.5, 0.5, 0.6), (0.45, 0.55, 0.55, 0.6), True),
        ((0.5, 0.5, 0.5, 0.5, 0.5, 0.9), (0.6, 0.6, 0.6, 0.6, 0.6, 0.2), False),  # what one round has counts little
        ((0.5,), (0.9, 0.9), True),  # nothing is known of its noise
    ],
)
def test_what_is_within_the_noise_of_the_rounds_is_marked(first, second, is_noise, capsys):
    table, _ = rows(report(**rounds(*first)), report(**rounds(*second)), capsys)
    assert (table["image: decoding"][-1] == "~") == is_noise


def test_a_part_that_one_has_alone_has_no_ratio(capsys):
    table, _ = rows(report(), report(consumer=0.1), capsys)
    assert table["image: RandomErasing"] == ["0.0", "200.0"]


def test_what_they_depend_on_is_told_where_it_differs(capsys):
    other = {"machine": {"processor": "two", "cores": 2}, "settings": {"loader.num_workers": 2, "seed": None}}
    _, lines = rows(report(facts=FACTS), report(facts=other), capsys)
    assert lines == ["They differ in", "  machine, processor: one | two", "  settings, seed: not there | None"]
    _, lines = rows(report(facts=FACTS), report(facts=FACTS), capsys)
    assert lines == ["Machine, versions, data and settings are the same."]


def test_files_and_folders_of_runs_are_compared(tmp_path, capsys):
    report().save(tmp_path)
    replace(report(), title="other, val").save(tmp_path / "b.json")
    assert main(["compare", str(tmp_path), str(tmp_path / "b.json")]) == 0
    out = "".join(capsys.readouterr().out.splitlines())
    assert f"A: toy, train ({tmp_path})" in out and f"B: other, val ({tmp_path}/b.json)" in out


def test_bad_input_is_one_line(tmp_path, capsys):
    Path(tmp_path / "a.json").write_text(json.dumps([1]))
    assert main(["compare", str(tmp_path / "a.json"), str(tmp_path)]) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert "a.json is nothing that this version's bench wrote" in line
    assert main(["compare", str(tmp_path)]) == 1
    assert capsys.readouterr().err == "compare takes two paths or more\n"


def test_a_measurement_stands_beside_a_run(tmp_path, capsys):
    report(**rounds(0.5, 0.5), facts=FACTS).save(tmp_path / "b.json")
    (tmp_path / "config.yaml").write_text("loader: {num_workers: 1}\n")
    (tmp_path / "result.json").write_text(json.dumps({"status": "completed", "samples_per_second": 100.0}))
    assert main(["compare", str(tmp_path), str(tmp_path / "b.json")]) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "loader.num_workers 1 2" in lines and "images/s 100 500 +400" in lines
