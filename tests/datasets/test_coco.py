import json
from unittest.mock import ANY

import numpy as np
import pytest
from PIL import Image

from ffcv_hydra.beton import BoundingBoxesField, KeypointsField, PolygonsField, RaggedArrayField, write_beton
from ffcv_hydra.beton.inspection.manifest_difference import compare
from ffcv_hydra.datasets import COCO
from ffcv_hydra.errors import ConfigError, ConversionError, SourceMissingError
from ffcv_hydra.loader import Loader
from tests.datasets.pictures import picture

ANNOTATIONS = {"train": "annotations/train.json", "val": "annotations/val.json"}
IMAGES = {"train": "train", "val": "val"}
CATEGORIES = [{"id": 18, "name": "dog"}, {"id": 3, "name": "car"}]


def image(number, **options):
    return {"id": number, "file_name": f"{number}.jpg", "width": 32, "height": 24, **options}


def annotation(number, image_id=1, category_id=3, bbox=(1, 2, 10, 20), **options):
    return {"id": number, "image_id": image_id, "category_id": category_id, "bbox": list(bbox), **options}


def write(root, annotations, images=None, split="train", categories=CATEGORIES, **more):
    images = [image(1), image(2)] if images is None else images
    for one in images:
        picture(root / split / one["file_name"], 32, 24)
    path = root / "annotations" / f"{split}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories, **more}))
    return path


def opened(root, split="train", items=("image", "boxes", "labels"), **options):
    return COCO(root, split, ANNOTATIONS, IMAGES, items, **options)


def test_boxes_come_with_the_image_whose_they_are(tmp_path):
    write(tmp_path, [annotation(5, 2), annotation(6, 1, 18, (0, 0, 32, 24)), annotation(7, 2, 18, (4, 4, 2.5, 1))])
    dataset = opened(tmp_path)
    assert dataset.classes == ["car", "dog"]
    (first, boxes, labels), (_, others, other_labels) = dataset
    assert (first.format, first.filename, bool(first.tile)) == ("JPEG", str(tmp_path / "train" / "1.jpg"), True)
    assert (boxes.dtype, boxes.tolist(), labels.dtype, labels.tolist()) == ("f4", [[0, 0, 32, 24]], "i8", [1])
    assert (others.tolist(), other_labels.tolist()) == ([[1, 2, 11, 22], [4, 4, 6.5, 5]], [0, 1])


def test_the_whole_way_into_a_batch(tmp_path):
    points = [5, 6, 2, 0, 0, 0]
    write(
        tmp_path,
        [
            annotation(1, 1, 18, keypoints=points, segmentation=[[1, 2, 11, 2, 11, 22]]),
            annotation(2, 1, 3, (3, 3, 4, 4), keypoints=points, segmentation=[[3, 3, 7, 3, 7, 7], [3, 3, 4, 3, 4, 4]]),
        ],
    )
    fields = {
        "image": None,
        "boxes": BoundingBoxesField(),
        "labels": RaggedArrayField("int64", follows="boxes"),
        "keypoints": KeypointsField(2, follows="boxes"),
        "polygons": PolygonsField(follows="boxes"),
    }
    write_beton(opened(tmp_path, items=list(fields)), tmp_path / "a.beton", fields, num_workers=0)
    [values] = Loader(tmp_path / "a.beton", batch_size=2)
    batch = dict(zip(fields, values, strict=True))
    assert (
        batch["boxes"].lengths.tolist()
        == batch["labels"].lengths.tolist()
        == batch["keypoints"].lengths.tolist()
        == [2, 0]
    )
    assert batch["boxes"].data[0, :2].tolist() == [[1, 2, 11, 22], [3, 3, 7, 7]]
    assert batch["labels"].data[0, :2].tolist() == [1, 0]
    assert batch["keypoints"].data[0, 0].tolist() == [[5, 6, 2], [0, 0, 0]]
    assert batch["polygons"].data[0, :9, :2].tolist() == [[0, 0]] * 3 + [[1, 0]] * 3 + [[1, 1]] * 3


def test_an_image_without_annotations_and_a_file_without_any_have_no_boxes(tmp_path):
    write(tmp_path, [])
    path = write(tmp_path, [], split="val")
    content = json.loads(path.read_text())
    del content["annotations"]
    path.write_text(json.dumps(content))
    for split in ("train", "val"):
        dataset = opened(tmp_path, split, items=("image", "boxes", "labels", "keypoints", "polygons"))
        assert [(boxes.shape, labels.shape) for _, boxes, labels, *_ in dataset] == [((0, 4), (0,))] * 2
        fields = {"keypoints": KeypointsField(17), "polygons": PolygonsField()}
        write_beton(opened(tmp_path, split, list(fields)), tmp_path / f"{split}.beton", fields, num_workers=0)


def test_crowds_are_left_out_unless_they_are_asked_for(tmp_path, caplog):
    caplog.set_level("INFO")
    runs = {"counts": [24, 2, 22, 2, 718], "size": [24, 32]}
    write(tmp_path, [annotation(1), annotation(2, bbox=(0, 0, 30, 20), iscrowd=1, segmentation=runs)])
    assert len(opened(tmp_path)[0][1]) == 1
    assert f"{tmp_path}: split 'train': 1 boxes around crowds are left out; 1 of 2 images have no boxes" in caplog.text
    crowd, polygons = opened(tmp_path, items=["crowd", "polygons"])[0]
    assert (crowd.dtype, crowd.tolist(), polygons) == ("u1", [0, 1], [[], ANY])
    assert [outline.tolist() for outline in polygons[1]] == [[[1, 0], [3, 0], [3, 2], [1, 2]]]
    assert "1 boxes around crowds are among the others, told by the field crowd" in caplog.text


def test_boxes_without_an_area_are_left_out_and_told(tmp_path, caplog):
    caplog.set_level("WARNING")
    write(tmp_path, [annotation(1, bbox=(1, 2, 0, 20)), annotation(2, bbox=(31.5, 0, 1, 8)), annotation(3, 2)])
    dataset = opened(tmp_path)
    assert [len(boxes) for _, boxes, _ in dataset] == [1, 1]
    assert "left out 1 boxes without an area" in caplog.text
    assert dataset[0][1].tolist() == [[31.5, 0, 32, 8]]  # up to a pixel is clipped


def test_other_splits_have_the_classes_of_train_by_their_names(tmp_path):
    write(tmp_path, [])
    write(tmp_path, [annotation(1, category_id=7)], split="val", categories=[{"id": 7, "name": "dog"}])
    val = opened(tmp_path, "val")
    assert (val.classes, val[0][2].tolist()) == (["car", "dog"], [1])
    write(tmp_path, [], split="val", categories=[{"id": 7, "name": "cow"}])
    with pytest.raises(ConfigError, match=r"val\.json: category 'cow' is none of split 'train'; add it there"):
        opened(tmp_path, "val")


def test_classes_are_read_from_anywhere_in_a_file(tmp_path, monkeypatch):
    path = write(tmp_path, [annotation(number) for number in range(100)])
    assert COCO.class_names(tmp_path, "val", ANNOTATIONS) == ["car", "dog"]
    content = json.loads(path.read_text())
    path.write_text(json.dumps({"categories": content.pop("categories"), **content}))
    monkeypatch.setattr("ffcv_hydra.datasets.coco_file.SIZE_OF_CATEGORIES", 16)
    assert COCO.class_names(tmp_path, "val", ANNOTATIONS) == ["car", "dog"]
    path.write_text("")
    with pytest.raises(ConfigError, match=r"train\.json: no JSON"):
        COCO.class_names(tmp_path, "val", ANNOTATIONS)


def test_classes_keep_their_numbers_as_others_come(tmp_path):
    write(tmp_path, [annotation(1), annotation(2, category_id=18)])
    dataset = opened(tmp_path)
    dataset.keep_classes(["dog", "emu"])
    assert (dataset.classes, dataset[0][2].tolist()) == (["dog", "emu", "car"], [2, 0])


def test_the_manifest_names_pictures_and_tells_of_other_boxes(tmp_path):
    write(tmp_path, [annotation(1), annotation(2, 2)])
    before = opened(tmp_path).manifest()
    assert (before.names, before.classes, before.kind) == (["train/1.jpg", "train/2.jpg"], ["car", "dog"], "images")
    assert before.sizes == [(tmp_path / name).stat().st_size for name in before.names]
    assert compare(before, opened(tmp_path).manifest()) == ""
    write(tmp_path, [annotation(1), annotation(2, 2, bbox=(1, 2, 10, 19))])
    assert compare(before, opened(tmp_path).manifest()) == "images changed: 1 (train/2.jpg)"
    write(tmp_path, [annotation(1, category_id=18), annotation(2, 2)])
    assert compare(before, opened(tmp_path).manifest()) == "images changed: 1 (train/1.jpg)"


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        (annotation(9, bbox=(5, 5, -3, 4)), "annotation 9 of image 1: the box is -3 wide and 4 high; correct it"),
        (annotation(9, bbox=(30, 5, 5, 4)), r"annotation 9 of image 1: the box 30, 5, 35, 9 .* of 32 x 24; .*clip=tr"),
        (annotation(9, bbox=(1, 5, 5, float("nan"))), r"annotation 9 of image 1: the box 1, 5, 6, nan .* is no box"),
        (annotation(9, bbox=(1, 5, 5)), "annotation 9 of image 1: its bbox is no list of 4 numbers, but a list of 3"),
        (annotation(9, bbox=(1, 5, 5, "6")), "annotation 9 of image 1: its bbox is no list of 4 numbers"),
        (annotation(9, category_id=1), "annotation 9: category_id 1 is no category of the file; correct it, or add"),
        (annotation(9, image_id=4), "annotation 9: image_id 4 is no image of the file"),
        ({"id": 9, "image_id": 1, "caption": "a dog"}, r"annotations\[1\] has no category_id; add it, or remove"),
    ],
)  # fmt: skip
def test_a_wrong_annotation_is_named(tmp_path, broken, told):
    path = write(tmp_path, [annotation(1), broken])
    with pytest.raises(ConfigError, match=f"{path}: {told}"):
        opened(tmp_path)


@pytest.mark.parametrize(
    ("points", "told"),
    [
        ([5, 6, 3], "the visibility of a keypoint is not 0, 1 or 2"),
        ([5, 40, 1], "the point 5, 40 is outside of its image of 32 x 24"),
        ([5, 40], "its keypoints is no list of 3 numbers, but a list of 2"),
        (None, "its keypoints is no list of 3 numbers, but NoneType"),
    ],
)
def test_wrong_points_are_named(tmp_path, points, told):
    path = write(tmp_path, [annotation(1, keypoints=[1, 2, 2]), annotation(9, keypoints=points)])
    with pytest.raises(ConfigError, match=f"{path}: annotation 9 of image 1: {told}"):
        opened(tmp_path, items=["keypoints"])


@pytest.mark.parametrize(
    ("outline", "told"),
    [
        ({"counts": [5, 6], "size": [24, 32]}, "segmentation: its counts are of 11 pixels, not of 24 x 32; correct it"),
        ({"counts": "5", "size": [32, 24]}, r"segmentation: its size is \[32, 24\], and its image is 24 x 32"),
        ({"size": [24, 32]}, "segmentation: its counts are"),
        ([[1, 2, 3, 4]], "a polygon is no list of x, y of three points or more"),
        ([[1, 2, 3, 4, 5, 60]], "polygon: the point 5, 60 is outside"),
    ],
)
def test_wrong_polygons_are_named(tmp_path, outline, told):
    path = write(tmp_path, [annotation(9, segmentation=outline)])
    with pytest.raises(ConfigError, match=f"{path}: annotation 9 of image 1: {told}"):
        opened(tmp_path, items=["polygons"])
    assert len(opened(tmp_path)) == 2


def test_what_reaches_over_its_image_can_be_clipped(tmp_path):
    marks = {"keypoints": [40, 5, 2, 5, 5, 1], "segmentation": [[5, 5, 40, 5, 40, 9]]}
    write(tmp_path, [annotation(1, bbox=(-5, 5, 50, 4), **marks), annotation(2, bbox=(50, 5, 5, 5), **marks)])
    boxes, points, [[polygon]] = opened(tmp_path, items=["boxes", "keypoints", "polygons"], clip=True)[0]
    assert boxes.tolist() == [[0, 5, 32, 9]]
    assert points.tolist() == [[[0, 0, 0], [5, 5, 1]]]
    assert polygon.tolist() == [[5, 5], [32, 5], [32, 9]]


@pytest.mark.parametrize(
    ("images", "categories", "told"),
    [
        ([image(1), image(1, file_name="2.jpg")], CATEGORIES, "2 images have the id 1; give each its own"),
        ([image(1), image(2, file_name="1.jpg")], CATEGORIES, "2 images have the file_name '1.jpg'"),
        ([image(1, width=0)], CATEGORIES, "image 1: its size is 0 x 24; give whole numbers of pixels"),
        ([], CATEGORIES, "there are no images in it"),
        ([image(1)], [*CATEGORIES, {"id": 3, "name": "cow"}], "2 categories have the id 3"),
        ([image(1)], [*CATEGORIES, {"id": 4, "name": "car"}], "2 categories have the name 'car'"),
        ([image(1)], [], "there are no categories in it; give a file of instances or keypoints"),
    ],
)
def test_wrong_images_and_categories_are_named(tmp_path, images, categories, told):
    path = write(tmp_path, [], images, categories=categories)
    with pytest.raises(ConfigError, match=f"{path}: {told}"):
        opened(tmp_path)


def test_missing_pictures_files_and_folders_are_named(tmp_path):
    path = write(tmp_path, [])
    (tmp_path / "train" / "2.jpg").unlink()
    with pytest.raises(ConfigError, match=f"{path}: image 2: there is no {tmp_path}/train/2.jpg; .*dataset.images"):
        opened(tmp_path)
    with pytest.raises(SourceMissingError, match="val.json: no such file; set dataset.annotations"):
        opened(tmp_path, "val")
    with pytest.raises(ConfigError, match="no file for split 'test'; set dataset.annotations.test"):
        opened(tmp_path, "test")
    with pytest.raises(SourceMissingError, match="nowhere: no such folder"):
        opened(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="no item 'label' to store; did you mean 'labels'"):
        opened(tmp_path, items=["image", "label"])
    path.write_text("{")
    with pytest.raises(ConfigError, match=f"{path}: no JSON .*; fetch it again"):
        opened(tmp_path)


def test_another_picture_than_the_annotated_one_is_refused(tmp_path):
    write(tmp_path, [annotation(1)])
    Image.fromarray(np.zeros((32, 24, 3), np.uint8)).save(tmp_path / "train" / "1.jpg")
    with pytest.raises(
        ConversionError, match=r"train/1\.jpg: its annotation is of 32 x 24 pixels, the picture has 24 x 32"
    ):
        opened(tmp_path)[0]
