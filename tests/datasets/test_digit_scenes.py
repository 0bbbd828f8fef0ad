import numpy as np
import pytest

from ffcv_hydra.datasets import DigitScenes, digit_scenes
from ffcv_hydra.datasets.digit_scenes import DARK
from ffcv_hydra.errors import ConfigError


def scenes(split="train", count=30, **arguments):
    dataset = DigitScenes(split, num_scenes=count, **arguments)
    return [dataset[index] for index in range(count)]


def test_items_are_rgb_images_with_a_mask_of_their_size():
    for image, mask in scenes(count=5, size=40):
        assert (image.mode, image.size) == ("RGB", (40, 40))
        assert (mask.dtype, mask.shape) == (np.uint8, (40, 40))


def test_every_class_occurs_and_no_scene_is_empty():
    masks = np.stack([mask for _, mask in scenes(count=60)])
    assert set(np.unique(masks)) == set(range(11))
    assert (masks > 0).any(axis=(1, 2)).all()
    assert len(DigitScenes("train").classes) == 11


def test_the_mask_covers_what_is_bright():
    for image, mask in scenes():
        pixels = np.asarray(image).astype(float).mean(axis=2)
        assert pixels[mask > 0].mean() > DARK[1] > pixels[mask == 0].mean()


def test_scenes_are_the_same_for_the_same_seed_only():
    first, again, other = (scenes(count=3, seed=seed) for seed in (0, 0, 1))
    for place in range(3):
        assert first[place][0].tobytes() == again[place][0].tobytes()
        assert np.array_equal(first[place][1], again[place][1])
        assert first[place][0].tobytes() != other[place][0].tobytes()


def test_splits_share_no_digit():
    sources = [DigitScenes(split)._digits for split in ("train", "val", "test")]
    digits = [{dataset[index][0].tobytes() for index in range(len(dataset))} for dataset in sources]
    assert len(set.union(*digits)) == sum(map(len, digits)) == 1797


def test_splits_differ():
    assert len({scenes(split, 1)[0][0].tobytes() for split in ("train", "val", "test")}) == 3


def test_an_index_beyond_the_end_is_refused():
    with pytest.raises(IndexError):
        DigitScenes("val", num_scenes=3)[3]


def test_an_unknown_split_is_refused():
    with pytest.raises(ConfigError, match="no split 'training'"):
        DigitScenes("training")


def test_digits_do_not_fall_on_each_other(monkeypatch):
    monkeypatch.setattr(digit_scenes, "ATTEMPTS", 200)
    covered = [(mask > 0).mean() for _, mask in scenes(count=5)]
    assert max(covered) < 0.5, "there is no room for more digits than that"


def test_boxes_are_around_the_ink_and_labels_are_its_digits():
    for _, boxes, labels, mask in scenes(targets=["boxes", "labels", "mask"]):
        assert (boxes.dtype, labels.dtype, len(boxes)) == (np.float32, np.int64, len(labels))
        drawn = np.zeros_like(mask)
        for (left, top, right, bottom), label in zip(boxes.astype(int), labels, strict=True):
            inside = mask[top:bottom, left:right]
            drawn[top:bottom, left:right] = inside
            of_digit = inside == label  # another digit's ink may reach into the box
            assert of_digit.any(axis=0)[[0, -1]].all() and of_digit.any(axis=1)[[0, -1]].all()
        assert np.array_equal(drawn, mask), "no ink is outside of the boxes"


def test_classes_have_a_background_where_there_is_a_mask():
    with_mask, without = (DigitScenes("val", 5, targets=["labels", *more]) for more in (["mask"], []))
    assert with_mask.classes[1:] == without.classes == tuple("0123456789")
    assert all(np.array_equal(with_mask[n][1], without[n][1] + 1) for n in range(5))


def test_points_are_at_the_edges_of_the_ink_and_in_its_middle():
    for _, boxes, points, mask in scenes(targets=["boxes", "points", "mask"], most=1):
        [box], [(top, left, bottom, right, centre)] = boxes, points
        assert [left[0] - 0.5, top[1] - 0.5, right[0] + 0.5, bottom[1] + 0.5] == box.tolist()
        rows, columns = np.nonzero(mask)
        assert centre == pytest.approx([columns.mean() + 0.5, rows.mean() + 0.5])
        assert top[0] == pytest.approx(columns[rows == rows.min()].mean() + 0.5)
        assert right[1] == pytest.approx(rows[columns == columns.max()].mean() + 0.5)


def test_number_and_size_of_digits_can_be_chosen():
    few = scenes(targets=["boxes"], most=2, scale=(0.2, 0.25))
    assert {len(boxes) for _, boxes in few} <= {1, 2}
    assert max((boxes[:, 2:] - boxes[:, :2]).max() for _, boxes in few) <= 16


def test_an_unknown_target_is_refused():
    with pytest.raises(ConfigError, match="no target 'box'; use some of mask, boxes"):
        DigitScenes("val", targets=["box"])
