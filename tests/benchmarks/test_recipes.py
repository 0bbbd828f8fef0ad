import json
import sys

import pytest

from benchmarks import contest, recipes, report
from benchmarks.contest import Child
from benchmarks.work import Work


@pytest.mark.timeout(400)
def test_a_recipe_gives_the_same_shapes_from_every_library(children, tmp_path, monkeypatch):
    monkeypatch.setattr(report, "RESULTS", tmp_path)
    monkeypatch.setattr(contest, "SECONDS_TO_SETTLE", 0)
    arguments = "--cases segmentation --contenders ours torchvision --photos 8 --seconds 0.001 --repeats 1"
    monkeypatch.setattr(sys, "argv", ["", *arguments.split()])
    recipes.main()
    made = json.loads((tmp_path / "recipes.json").read_text())["results"]["segmentation"]
    assert [result["name"] for result in made] == ["ours", "torchvision"]
    for result in made:
        assert result["details"]["shapes"] == [[3, 224, 224], [224, 224]] and result["values"][0] > 0


@pytest.mark.timeout(300)
def test_views_of_several_sizes_are_tensors_one_after_another(children):
    with Child("serve", "transforms.ours", Work("DINO", 8, 4, workers=1)) as child:
        assert child.start()
        assert child.ask()["shapes"] == [[3, 224, 224]] * 2 + [[3, 96, 96]] * 6
