from pathlib import Path

import pytest

from benchmarks import contest, photos
from benchmarks.contest import Child, Result
from benchmarks.work import CENTER_CROP, Work

ROOT = Path(__file__).parents[2]
WORK = Work(CENTER_CROP, photos=8, batch_size=8, size=32, workers=1)  # every batch holds all photos


@pytest.fixture(scope="module")
def made_photos(tmp_path_factory):
    """A folder with photographs, so that the children need not fetch any."""
    folder = tmp_path_factory.mktemp("benchmarks")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(photos, "FOLDER", folder / photos.FOLDER)
        patch.setattr(photos, "PACKAGES", ())
        photos.jpeg_photos(WORK.photos)
    return folder


@pytest.fixture
def children(made_photos, monkeypatch):
    """Where children run."""
    monkeypatch.chdir(made_photos)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


@pytest.mark.timeout(180)
def test_contenders_take_turns_and_do_the_same_work(children):
    ours, opencv = contest.speeds(["ours", "data_loader_opencv"], WORK, seconds=0.1, repeats=2)
    for result in (ours, opencv):
        assert not result.note and len(result.values) == 2 and min(result.values) > 0
        assert result.details["shape"] == [3, 32, 32]
        assert result.details["stride"] == [3 * 32 * 32, 1, 3 * 32, 3]
    assert abs(ours.details["mean"] - opencv.details["mean"]) < 3


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
