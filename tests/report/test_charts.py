"""Lines over epochs: where they go, and what is no number."""

import re
from xml.etree import ElementTree

import pytest

from ffcv_hydra.report.charts import line_chart
from ffcv_hydra.report.curves import curves


def drawn(lines, **options):
    """The chart's texts, the paths of its lines and the number of its dots."""
    markup = line_chart("title", lines, "epoch", **options)
    svg = re.search("<svg.*</svg>", markup)[0]
    svg = re.sub(r"(\w+)=([^\s\"'>/]+)", r'\1="\2"', svg.replace("/>", " />"))  # as XML wants it
    root = ElementTree.fromstring(svg)
    texts = [element.text for element in root.iter("text")]
    paths = [group.find("path").get("d") for group in root.iter("g")]
    return texts, paths, len(list(root.iter("circle")))


def test_ticks_are_round_numbers_around_what_is_drawn():
    texts, [path], dots = drawn({"loss": [(1, 0.13), (2, 0.48)]})
    assert texts == ["title", "0.1", "0.2", "0.3", "0.4", "0.5", "1", "2", "epoch"]
    points = [tuple(map(float, point.split())) for point in re.split("[ML]", path)[1:]]
    assert points[0][0] < points[1][0] and points[0][1] > points[1][1]
    assert dots == 2


@pytest.mark.parametrize(
    "points", [[(1, 0.0)], [(1, 5.0), (2, 5.0)], [(1, -1e-12)], [(3, 1e300), (9, -1e300)], [(1, 7e-300)]]
)
def test_any_numbers_can_be_drawn(points):
    texts, [path], _ = drawn({"x": points})
    assert "nan" not in path and "inf" not in path and len(texts) < 16


def test_what_is_no_number_is_a_gap():
    _, [path], _ = drawn({"loss": [(1, 1.0), (2, 2.0), (3, float("nan")), (4, 3.0), (5, float("inf"))]})
    assert [letter for letter in path if letter in "ML"] == ["M", "L", "M"]
    assert line_chart("t", {"loss": [(1, float("nan"))]}, "epoch") == ""


def test_many_points_are_thinned_and_many_lines_left_out():
    _, paths, dots = drawn({str(n): [(x, x * n) for x in range(10_000)] for n in range(9)})
    assert len(paths) == 6 and dots == 0
    assert all(path.count("L") < 400 for path in paths)


def test_stages_share_a_chart_and_keep_their_colours():
    columns = {
        "epoch": [1, 2],
        "train_loss": [3.0, 2.0],
        "val_loss": [4.0, 3.0],
        "val_f1": [0.1, None],
        "lr-SGD": [1, 1],
    }
    markup = curves(columns, {})
    assert re.findall("class=title[^>]*>([^<]*)<", markup) == ["loss", "f1", "learning rate"]
    assert re.findall("class='line (c.)'", markup) == ["c0", "c1", "c1", "c0"]


def test_before_two_epochs_steps_are_drawn():
    by_step = {"step": [10, 20], "epoch": [0, 0], "train_loss": [2.0, 1.0]}
    assert ">step<" in curves({"epoch": [1], "val_loss": [3.0]}, by_step)
    assert curves({}, {}) == ""
