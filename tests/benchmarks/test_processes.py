import re
from pathlib import Path

import pytest
from PIL import Image

from benchmarks import processes


def test_images_are_small_jpegs_in_a_folder_for_each_class(tmp_path):
    processes.draw(tmp_path, 12)
    paths = sorted(tmp_path.glob("*/*.jpg"))
    assert len(paths) == 12 and len({path.parent for path in paths}) == 10
    with Image.open(paths[0]) as image:
        assert (image.format, image.size) == ("JPEG", (64, 64))


def test_both_checkouts_have_turns_and_the_first_ones_are_not_counted(tmp_path, monkeypatch):
    asked, published = [], {}

    def seconds(arguments, checkout, folder):
        asked.append((arguments, checkout, folder.name))
        return float(len(asked))

    monkeypatch.setattr(processes, "draw", lambda folder: None)
    monkeypatch.setattr(processes, "seconds_of", seconds)
    monkeypatch.setattr(processes.report, "publish", lambda name, *args, **_: published.update({name: args[2]}))
    processes.compare(tmp_path, 2, {})
    assert [checkout for _, checkout, name in asked if name == "before"] == [tmp_path] * 12
    assert {result.name: result.values for result in published["start_convert"]} == {
        "ours": [10, 19],
        "before": [11, 20],
    }
    assert [result.name for result in published["start_import"]] == ["ours", "before", "import_torch"]
    assert [str(tmp_path / "run.py"), "--help"] in [arguments for arguments, *_ in asked]


def test_a_process_that_fails_ends_the_benchmark_with_what_it_said(tmp_path):
    assert processes.seconds_of(["-c", "pass"], Path.cwd(), tmp_path) > 0
    with pytest.raises(SystemExit, match=re.escape("ZeroDivisionError")):
        processes.seconds_of(["-c", "1 / 0"], Path.cwd(), tmp_path)
