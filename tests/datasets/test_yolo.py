import numpy as np
import pytest
from PIL import Image

from ffcv_hydra.beton import BoundingBoxesField, KeypointsField, PolygonsField, RaggedArrayField, write_beton
from ffcv_hydra.beton.inspection.manifest_difference import compare
from ffcv_hydra.datasets import YOLO
from ffcv_hydra.errors import ConfigError, ConversionError, SourceMissingError
from ffcv_hydra.loader import Loader
from tests.datasets.pictures import picture

DATA = "path: ../datasets/pets\ntrain: images/train\nval: images/val\nnames: {0: cat, 1: dog}\n"
LABELS = {"a": "1 0.5 0.5 0.5 0.25\n\n0 0.25 0.25 0.5 0.5\n", "b": ""}


def write(root, labels, split="train", data=DATA):
    """A picture of 64 x 32 pixels for each label file, None for a picture without one."""
    (root / "data.yaml").write_text(data)
    for name, text in labels.items():
        picture(root / "images" / split / f"{name}.jpg", 64, 32)
        path = root / "labels" / split / f"{name}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        if text is not None:
            path.write_text(text)
    return root


def test_shares_become_pixels_of_the_picture(tmp_path):
    dataset = YOLO(write(tmp_path, LABELS), "train")
    assert dataset.classes == YOLO.class_names(tmp_path) == ["cat", "dog"]
    (image, boxes, labels), (_, none, no_labels) = dataset
    assert (image.format, bool(image.tile)) == ("JPEG", True)
    assert (boxes.dtype, boxes.tolist()) == ("f4", [[16, 12, 48, 20], [0, 0, 32, 16]])
    assert (labels.dtype, labels.tolist()) == ("i8", [1, 0])
    assert (none.shape, no_labels.shape) == ((0, 4), (0,))


def test_the_whole_way_into_a_batch(tmp_path):
    fields = {"image": None, "boxes": BoundingBoxesField(), "labels": RaggedArrayField("int64", follows="boxes")}
    write_beton(YOLO(write(tmp_path, LABELS), "train"), tmp_path / "a.beton", fields, num_workers=0)
    [values] = Loader(tmp_path / "a.beton", batch_size=2)
    batch = dict(zip(fields, values, strict=True))
    assert batch["boxes"].lengths.tolist() == batch["labels"].lengths.tolist() == [2, 0]
    assert batch["boxes"].data[0, :2].tolist() == [[16, 12, 48, 20], [0, 0, 32, 16]]
    assert batch["labels"].data[0, :2].tolist() == [1, 0]


def test_a_line_may_be_a_polygon(tmp_path):
    labels = {"a": "0 0.25 0.25 0.75 0.25 0.75 0.5\n1 0.5 0.5 0.5 0.25"}
    items = ["boxes", "polygons"]
    boxes, [[polygon], others] = YOLO(write(tmp_path, labels), "train", items=items)[0]
    assert boxes.tolist() == [[16, 8, 48, 16], [16, 12, 48, 20]]
    assert (polygon.dtype, polygon.tolist()) == ("f4", [[16, 8], [48, 8], [48, 16]])
    assert others == []
    fields = {"boxes": BoundingBoxesField(), "polygons": PolygonsField(follows="boxes")}
    write_beton(YOLO(tmp_path, "train", items=items), tmp_path / "a.beton", fields, num_workers=0)


@pytest.mark.parametrize(("shape", "values"), [("[2, 3]", "0.5 0.5 2 0 0 0"), ("[2, 2]", "0.5 0.5 0.25 0.25")])
def test_poses_have_points(tmp_path, shape, values):
    write(tmp_path, {"a": f"1 0.5 0.5 0.5 0.25 {values}", "b": ""}, data=f"{DATA}kpt_shape: {shape}\n")
    dataset = YOLO(tmp_path, "train", items=["boxes", "keypoints"])
    [points] = dataset[0][1]
    assert points.tolist() == [[32, 16, 2], [0, 0, 0] if shape == "[2, 3]" else [16, 8, 2]]
    fields = {"boxes": BoundingBoxesField(), "keypoints": KeypointsField(2, follows="boxes")}
    write_beton(dataset, tmp_path / "a.beton", fields, num_workers=0)


def test_pictures_without_a_label_file_have_no_boxes_and_are_told(tmp_path, caplog):
    write(tmp_path, {**LABELS, "c": None})
    (tmp_path / "labels" / "train" / "classes.txt").write_text("cat\ndog\n")
    assert [len(boxes) for _, boxes, _ in YOLO(tmp_path, "train")] == [2, 0, 0]
    assert "split 'train': 1 of 3 pictures have no label file: no boxes" in caplog.text
    (tmp_path / "labels").rename(tmp_path / "label")
    with pytest.raises(ConfigError, match=r"none of its 3 pictures has a label file; .* at \S*/labels/train/a\.txt"):
        YOLO(tmp_path, "train")


def test_boxes_without_an_area_are_left_out_and_told(tmp_path, caplog):
    write(tmp_path, {"a": "0 0.5 0.5 0 0.5\n1 0.5 0.5 1 1"})
    assert YOLO(tmp_path, "train")[0][2].tolist() == [1]
    assert "left out 1 boxes without an area" in caplog.text


@pytest.mark.parametrize("train", ["train.txt", "[images/train]", "../images/train", "PATH/images/train"])
def test_pictures_are_found_as_data_yaml_says(tmp_path, train):
    write(tmp_path, LABELS, data=f"train: {train.replace('PATH', str(tmp_path))}\nnames: [cat, dog]\n")
    (tmp_path / "train.txt").write_text("./images/train/b.jpg\n\n./images/train/a.jpg\n")
    names = YOLO(tmp_path, "train").manifest().names
    assert sorted(names) == ["images/train/a.jpg", "images/train/b.jpg"]
    assert (names == sorted(names)) == (train != "train.txt")


def test_splits_may_be_called_otherwise(tmp_path):
    write(tmp_path, LABELS, split="valid", data="valid: images/valid\nnames: [cat, dog]\n")
    assert len(YOLO(tmp_path, "val", keys={"val": "valid"})) == 2
    with pytest.raises(ConfigError, match=r"data\.yaml: has no 'train'; say there where these pictures are"):
        YOLO(tmp_path, "train")


def test_the_manifest_tells_of_other_boxes(tmp_path):
    before = YOLO(write(tmp_path, LABELS), "train").manifest()
    assert before.sizes == [(tmp_path / name).stat().st_size for name in before.names]
    write(tmp_path, {"b": "0 0.5 0.5 0.5 0.5"})
    assert compare(before, YOLO(tmp_path, "train").manifest()) == "images changed: 1 (images/train/b.jpg)"


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("0 0.5 0.5 0.5", "4 values; a line has 5, or for a polygon 7, 9, ...; correct it, or remove it"),
        ("0 0.5 0.5 0.5 0.5 0.5", "6 values; a line has 5"),
        ("2 0.5 0.5 0.5 0.5", r"class 2; \S*data.yaml has 2 classes, from 0 on; correct it, or add a name there"),
        ("0.5 0.5 0.5 0.5 0.5", "class 0.5;"),
        ("0 0.5 0.5 0.5 x", "could not convert string to float: 'x'; write numbers"),
        ("0 0.5 0.5 -0.5 0.5", r"\(shares of the image's sides\): the box is -0.5 wide and 0.5 high"),
        ("0 0.9 0.5 0.5 0.5", r"\(shares .*\): the box 0.65, 0.25, 1.15, 0.75 .* reaches over its image of 1 x 1"),
        ("0 16 12 32 8", r"\(shares .*\): the box 0, 8, 32, 16 .* reaches over"),
        ("0 nan 0.5 0.5 0.5", r"\(shares .*\): the box nan, 0.25, nan, 0.75 .* is no box; correct it"),
    ],
)
def test_a_wrong_line_is_named(tmp_path, line, told):
    write(tmp_path, {"a": f"0 0.5 0.5 0.5 0.5\n{line}\n"})
    with pytest.raises(ConfigError, match=f"{tmp_path}/labels/train/a.txt, line 2:? ?{told}"):
        YOLO(tmp_path, "train")


def test_poses_need_their_shape_and_as_many_values(tmp_path):
    write(tmp_path, LABELS)
    with pytest.raises(ConfigError, match=r"data\.yaml: has no kpt_shape"):
        YOLO(tmp_path, "train", items=["keypoints"])
    write(tmp_path, LABELS, data=f"{DATA}kpt_shape: [2, 3]\n")
    with pytest.raises(ConfigError, match=r"a\.txt, line 1: 5 values; a line has 5 \+ 2 x 3"):
        YOLO(tmp_path, "train", items=["keypoints"])


def test_what_reaches_over_its_image_can_be_clipped(tmp_path):
    write(tmp_path, {"a": "0 0.9 0.5 0.5 0.5\n1 0.5 0.5 1.01 1"})
    assert YOLO(tmp_path, "train", clip=True)[0][1].tolist() == [[pytest.approx(41.6), 8, 64, 24], [0, 0, 64, 32]]


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ("names: [cat, cat]\ntrain: images/train", "names is no list of the classes' names"),
        ("names: {0: cat, 2: dog}\ntrain: images/train", "names is no list"),
        ("train: images/train", "names is no list"),
        ("names: [cat]\ntrain: pictures", r"there is no \S*/pictures \('pictures'\); correct the path"),
        (
            "names: [cat]\ntrain: list.txt",
            r"list\.txt, line 1: there is no \S*/c\.jpg; put it there, or remove the line",
        ),
        ("names: [cat]\ntrain: empty", r"'train': no pictures in empty; put some there"),
        ("names: [cat", "no YAML"),
        ("cat", "has no keys; write names, train and val there"),
    ],
)
def test_a_wrong_data_yaml_is_named(tmp_path, data, told):
    write(tmp_path, LABELS, data=data)
    (tmp_path / "list.txt").write_text("c.jpg\n")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match=told):
        YOLO(tmp_path, "train")


def test_labels_without_a_picture_and_missing_files_are_named(tmp_path):
    write(tmp_path, LABELS)
    (tmp_path / "images" / "train" / "b.jpg").unlink()
    with pytest.raises(
        ConfigError, match=rf"labels/train/b\.txt: there is no picture b in {tmp_path}/images/train; put"
    ):
        YOLO(tmp_path, "train")
    with pytest.raises(ConfigError, match=r"other\.yaml: no such file; set dataset.data"):
        YOLO(tmp_path, "train", data="other.yaml")
    with pytest.raises(SourceMissingError, match="nowhere: no such folder"):
        YOLO(tmp_path / "nowhere", "train")


def test_a_picture_that_has_to_be_turned_is_refused(tmp_path):
    write(tmp_path, LABELS)
    exif = Image.Exif()
    exif[0x0112] = 6
    for name in "ab":
        picture(tmp_path / "images" / "train" / f"{name}.jpg", exif=exif)
    dataset = YOLO(tmp_path, "train")
    with pytest.raises(ConversionError, match=r"train/a\.jpg: EXIF tells to turn it, .* save it turned"):
        dataset[0]
    assert np.shape(dataset[1][1]) == (0, 4)
