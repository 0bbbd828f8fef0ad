"""From the files of a dataset with boxes or masks to a batch, as its config and its pipeline say."""

import pytest

from ffcv_hydra.building.data import build_datamodule
from tests.conf.test_conf import _forget_hydra, composed  # noqa: F401  (a fixture)
from tests.datasets import test_coco, test_segmentation_folder, test_voc, test_yolo

pytestmark = pytest.mark.timeout(300)


def write_coco(root):
    for split in ("train2017", "val2017"):
        path = test_coco.write(root, [test_coco.annotation(1, bbox=(1, 2, 9, 18), category_id=18)], split=split)
        path.rename(path.with_name(f"instances_{split}.json"))


def write_yolo(root):
    for split in ("train", "val"):
        test_yolo.write(root, {"1": "1 0.171875 0.34375 0.28125 0.5625", "2": ""}, split)  # of 64 x 32 pixels


def write_voc(root):
    for split in ("train", "val"):
        test_voc.write(root, {f"{split}1": test_voc.thing("cat", (2, 3, 10, 20)), f"{split}2": ""}, split)


@pytest.mark.parametrize(
    ("option", "write", "label", "scale", "box"),
    [
        ("coco", write_coco, 1, 2, (1, 2, 10, 20)),
        ("yolo", write_yolo, 1, 1, (2, 2, 20, 20)),
        ("voc", write_voc, 7, 2, (1, 2, 10, 20)),
    ],
)
def test_boxes_of_a_split_arrive_in_its_letter_boxes(tmp_path, option, write, label, scale, box):
    write(tmp_path)
    config, choices = composed(
        "run", f"dataset={option}", f"dataset.root={tmp_path}", f"data_dir={tmp_path / 'data'}", "pipeline.flip=1",
        "pipeline.size=[64,64]", "conversion.num_workers=0", "loader.batch_size=2", "loader.num_workers=1",
    )  # fmt: skip
    assert (choices["pipeline"], config["dataset"]["num_classes"]) == ("detection", 20 if option == "voc" else 2)
    data = build_datamodule(config)
    data.prepare_data()
    x1, y1, x2, y2 = (scale * side for side in box)
    top = (64 - scale * (32 if option == "yolo" else 24)) // 2
    expected = {"val": [x1, y1 + top, x2, y2 + top], "train": [64 - x2, y1 + top, 64 - x1, y2 + top]}
    for split, loader in (("val", data.val_dataloader()), ("train", data.train_dataloader())):
        [(image, boxes, labels)] = loader
        row = int(boxes.lengths.argmax())
        assert tuple(image.shape) == (2, 3, 64, 64)
        assert sorted(boxes.lengths.tolist()) == sorted(labels.lengths.tolist()) == [0, 1]
        assert boxes.data[row, 0].tolist() == pytest.approx(expected[split])
        assert int(labels.data[row, 0]) == label


def test_masks_of_a_split_arrive_beside_their_images(tmp_path):
    for split in ("train", "val"):
        test_segmentation_folder.write(tmp_path / "images" / split, tmp_path / "masks" / split)
    config, choices = composed(
        "run", "dataset=segmentation_folder", f"dataset.root={tmp_path}", "dataset.classes=[ground,road,house]",
        f"data_dir={tmp_path / 'data'}", "pipeline.size=[48,64]", "conversion.num_workers=0", "loader.batch_size=2",
        "loader.num_workers=1",
    )  # fmt: skip
    assert (choices["pipeline"], config["dataset"]["num_classes"]) == ("photo_segmentation", 3)
    data = build_datamodule(config)
    data.prepare_data()
    [(image, mask)] = data.val_dataloader()
    assert (tuple(image.shape), mask[:, ::16, 0].tolist()) == ((2, 3, 48, 64), [[0, 1, 2]] * 2)
