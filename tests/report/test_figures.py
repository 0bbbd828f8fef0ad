"""Evaluations as pictures, for loggers."""

import numpy as np

from ffcv_hydra.report.figures import evaluation_figures

ODD = ["$x_1$", "<b>", "a name that is longer than what fits below a picture", "狼"]


def test_confusions_and_mistakes_are_pictures(evaluation, photos):
    contents = evaluation(names=ODD, betons=[photos])
    figures = evaluation_figures(contents["evaluations"]["val"], contents["data"]["val"], ODD)
    assert list(figures) == ["confusion", "worst_mistakes"]
    for pixels in figures.values():
        assert pixels.dtype == np.uint8 and pixels.shape[2] == 3 and pixels.std() > 10


def test_of_many_classes_the_pairs_are_drawn(evaluation):
    found = evaluation(100)["evaluations"]["val"]
    [pixels] = evaluation_figures(found, None, None).values()
    assert max(pixels.shape) < 1500


def test_what_was_not_found_is_left_out():
    assert evaluation_figures({"metrics": {}, "epoch": 1}, None, None) == {}
