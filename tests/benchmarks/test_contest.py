from pathlib import Path

import pytest

from benchmarks import contest
from benchmarks.contest import Child, Result
from benchmarks.work import CENTER_CROP, Work

ROOT = Path(__file__).parents[2]
WORK = Work(CENTER_CROP, photos=8, batch_size=8, size=32, workers=1)  # every batch holds all photos


@pytest.mark.timeout(180)
def test_contenders_take_turns_and_do_the_same_work(children):
    ours, opencv = contest.speeds(["ours", "data_loader_opencv"], WORK, seconds=0.1, repeats=2)
    for result in (ours, opencv):
        assert not result.note and len(result.values) == 2 and min(result.values) > 0
        assert result.details["shapes"] == [[3, 32, 32]]
        assert result.details["stride"] == [3 * 32 * 32, 1, 3 * 32, 3]
    contest.mark_differences([ours, opencv])
    assert not opencv.note


@pytest.mark.timeout(60)
def test_a_contender_that_is_not_installed_is_reported(children):
    with Child("serve", "no_such_contender", WORK) as child:
        assert not child.start()
    assert child.result.note.startswith("not installed: No module named")


@pytest.mark.timeout(60)
def test_a_contender_that_fails_says_why(children):
    with Child("serve", "data_loader_opencv", Work("no_such_work", 8, batch_size=-1, workers=1)) as child:
        assert child.start()
        assert child.ask() is None
    assert child.result.note.startswith("failed: ValueError")


@pytest.mark.timeout(60)
def test_one_number_of_a_new_process_is_added(children):
    result = Result("ours")
    contest.ask_once("peak_memory", "bytes", "ours", WORK, result)
    assert result.values[0] > 0 and "ffcv_hydra" in result.versions


@pytest.mark.timeout(60)
def test_a_process_whose_time_is_over_is_ended(children):
    with Child("gpu_checks", "ours", WORK, seconds=0) as child:
        assert not child.start() and child.ask("resume") is None
    assert child.result.note == "ran out of time"


def test_who_makes_something_else_is_named():
    first, same, other, larger = (
        Result(name, details={"shapes": [[3, size, size]], "statistics": [100.0, change]})
        for name, size, change in (("a", 32, 5.0), ("b", 32, 6.0), ("c", 32, 60.0), ("d", 64, 5.0))
    )
    contest.mark_differences([Result("absent"), first, same, other, larger])
    assert first.note == same.note == ""
    assert other.note == "other pictures: [100.0, 60.0], not [100.0, 5.0]"
    assert larger.note == "other shapes: [[3, 64, 64]], not [[3, 32, 32]]"
