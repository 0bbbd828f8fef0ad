import random

import pytest

from benchmarks.work import CENTER_CROP, CUT, RANDOM_CROP, Work, box, endless, flipped, made


def test_random_boxes_lie_in_the_image_and_cover_what_they_should():
    random.seed(0)
    work = Work(RANDOM_CROP, 1, 1)
    shares = []
    for _ in range(2000):
        top, left, height, width = box(work, 375, 500)
        assert 0 <= top <= 375 - height and 0 <= left <= 500 - width
        assert 0.74 < width / height < 1.35
        shares.append(height * width / (375 * 500))
    assert min(shares) > 0.07 and 0.4 < sum(shares) / len(shares) < 0.55


def test_central_box_has_224_of_256_of_the_shorter_side():
    assert box(Work(CENTER_CROP, 1, 1), 400, 500) == (25, 75, 350, 350)


def test_what_is_cut_has_the_outputs_size_and_lies_anywhere():
    boxes = {box(Work(CUT, 1, 1, size=30), 31, 32) for _ in range(200)}
    assert boxes == {(top, left, 30, 30) for top in range(2) for left in range(3)}


def test_only_random_crops_are_mirrored():
    for name in (RANDOM_CROP, CUT):
        assert {flipped(Work(name, 1, 1)) for _ in range(50)} == {True, False}
    assert not any(flipped(Work(CENTER_CROP, 1, 1)) for _ in range(50))


def test_an_endless_stream_is_cut_into_epochs():
    epochs = endless(iter(range(100)), Work(RANDOM_CROP, 10, 4, copies=2))
    assert list(epochs) == [0, 1, 2, 3, 4] and list(epochs) == [5, 6, 7, 8, 9]


def test_what_could_not_be_made_is_not_there(tmp_path, monkeypatch):
    monkeypatch.setattr("benchmarks.work.FOLDER", tmp_path)

    def fail(path):
        path.write_text("half")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        made("file", fail)
    assert made("file", lambda path: path.write_text("whole")).read_text() == "whole"
