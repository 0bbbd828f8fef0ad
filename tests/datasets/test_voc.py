import numpy as np
import pytest
from PIL import Image

from ffcv_hydra.beton import BoundingBoxesField, RaggedArrayField, write_beton
from ffcv_hydra.beton.inspection.manifest_difference import compare
from ffcv_hydra.datasets import VOC
from ffcv_hydra.errors import ConfigError, ConversionError, SourceMissingError
from ffcv_hydra.loader import Loader
from tests.datasets.pictures import picture

CLASSES = ["cat", "dog"]


def thing(name="dog", box=(2, 3, 10, 20), more=""):
    sides = "".join(
        f"<{side}>{value}</{side}>" for side, value in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)
    )
    return f"<object><name>{name}</name>{more}<bndbox>{sides}</bndbox></object>"


def write(root, things, split="train", size=(32, 24), suffix="jpg"):
    """A picture of 32 x 24 pixels for each name; its objects, or None for one without an XML file."""
    for folder in ("Annotations", "ImageSets/Main", "JPEGImages"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for name, objects in things.items():
        picture(root / "JPEGImages" / f"{name}.{suffix}", 32, 24)
        text = f"<annotation><size><width>{size[0]}</width><height>{size[1]}</height></size>{objects}</annotation>"
        if objects is not None:
            (root / "Annotations" / f"{name}.xml").write_text(text)
    (root / "ImageSets" / "Main" / f"{split}.txt").write_text("".join(f"{name}\n" for name in things))
    return root


def test_numbers_count_from_1_and_the_last_column_belongs_to_the_box(tmp_path):
    write(tmp_path, {"a": thing() + thing("cat", (1, 1, 32, 24)), "b": ""})
    (image, boxes, labels), (_, none, no_labels) = VOC(tmp_path, "train", CLASSES)
    assert (image.format, bool(image.tile)) == ("JPEG", True)
    assert (boxes.dtype, boxes.tolist()) == ("f4", [[1, 2, 10, 20], [0, 0, 32, 24]])
    assert (labels.dtype, labels.tolist()) == ("i8", [1, 0])
    assert (none.shape, no_labels.shape) == ((0, 4), (0,))
    assert VOC(tmp_path, "train", CLASSES, first_pixel=0)[0][1].tolist() == [[2, 3, 10, 20], [1, 1, 32, 24]]


def test_the_whole_way_into_a_batch(tmp_path):
    items = ["image", "boxes", "labels", "difficult"]
    write(tmp_path, {"a": thing() + thing("cat", (1, 1, 32, 24), "<difficult>1</difficult>"), "b": ""})
    fields = {
        "image": None,
        "boxes": BoundingBoxesField(),
        "labels": RaggedArrayField("int64", follows="boxes"),
        "difficult": RaggedArrayField("uint8", follows="boxes"),
    }
    write_beton(VOC(tmp_path, "train", CLASSES, items=items), tmp_path / "a.beton", fields, num_workers=0)
    [values] = Loader(tmp_path / "a.beton", batch_size=2)
    batch = dict(zip(fields, values, strict=True))
    assert batch["boxes"].lengths.tolist() == batch["difficult"].lengths.tolist() == [2, 0]
    assert batch["boxes"].data[0, :2].tolist() == [[1, 2, 10, 20], [0, 0, 32, 24]]
    assert (batch["labels"].data[0, :2].tolist(), batch["difficult"].data[0, :2].tolist()) == ([1, 0], [0, 1])


def test_classes_may_stand_in_a_file(tmp_path):
    write(tmp_path, {"a": thing()})
    (tmp_path / "names.txt").write_text("dog\n\ncat\n")
    dataset = VOC(tmp_path, "train", "names.txt")
    assert (dataset.classes, VOC.class_names(tmp_path, "names.txt"), dataset[0][2].tolist()) == (
        ["dog", "cat"],
    ) * 2 + ([0],)
    with pytest.raises(ConfigError, match=r"dataset\.classes=no\.txt: .*; list names, or give a file"):
        VOC(tmp_path, "train", "no.txt")
    with pytest.raises(ConfigError, match=r"dataset\.classes: class 'dog' is there twice"):
        VOC(tmp_path, "train", ["dog", "dog"])
    with pytest.raises(ConfigError, match=r"dataset\.classes: no names in it"):
        VOC(tmp_path, "train", [])


def test_sets_may_be_called_otherwise_and_pictures_have_any_suffix(tmp_path):
    write(tmp_path, {"a": thing()}, split="trainval", suffix="png")
    assert VOC(tmp_path, "train", CLASSES, {"train": "trainval"}).manifest().names == ["JPEGImages/a.png"]
    with pytest.raises(ConfigError, match=r"ImageSets/Main/train\.txt: no such file; .* dataset\.image_sets\.train"):
        VOC(tmp_path, "train", CLASSES)


def test_images_without_an_xml_file_have_no_boxes_and_are_told(tmp_path, caplog):
    write(tmp_path, {"a": thing(), "b": None})
    assert [len(boxes) for _, boxes, _ in VOC(tmp_path, "train", CLASSES)] == [1, 0]
    assert "1 of 2 images have no XML file: no boxes" in caplog.text
    (tmp_path / "Annotations" / "a.xml").unlink()
    with pytest.raises(
        ConfigError, match=r"Annotations has no XML file for any name of \S*/train\.txt; put them there"
    ):
        VOC(tmp_path, "train", CLASSES)


def test_boxes_are_clipped_by_a_pixel_or_as_far_as_one_wants(tmp_path, caplog):
    write(tmp_path, {"a": thing(box=(0, 1, 33, 24)) + thing(box=(5, 5, 4, 9))})
    assert VOC(tmp_path, "train", CLASSES)[0][1].tolist() == [[0, 0, 32, 24]]
    assert "left out 1 boxes without an area" in caplog.text
    write(tmp_path, {"a": thing(box=(-10, 1, 50, 24))})
    assert VOC(tmp_path, "train", CLASSES, clip=True)[0][1].tolist() == [[0, 0, 32, 24]]


def test_difficult_boxes_that_are_stored_as_others_are_told(tmp_path, caplog):
    caplog.set_level("INFO")
    write(tmp_path, {"a": thing() + thing(more="<difficult>1</difficult>"), "b": ""})
    VOC(tmp_path, "train", CLASSES, items=["difficult"])
    assert "difficult boxes" not in caplog.text
    VOC(tmp_path, "train", CLASSES)
    assert "split 'train': 1 difficult boxes are stored as others; 1 of 2 images have no boxes" in caplog.text


def test_a_file_without_a_size_is_checked_against_the_picture(tmp_path):
    write(tmp_path, {"a": thing()}, size=(0, 0))
    assert VOC(tmp_path, "train", CLASSES)[0][1].tolist() == [[1, 2, 10, 20]]
    write(tmp_path, {"a": thing(box=(2, 3, 40, 20))}, size=(0, 0))
    with pytest.raises(ConfigError, match="reaches over its image of 32 x 24"):
        VOC(tmp_path, "train", CLASSES)


def test_the_manifest_tells_of_other_boxes(tmp_path):
    write(tmp_path, {"a": thing(), "b": thing()})
    before = VOC(tmp_path, "train", CLASSES).manifest()
    assert before.sizes == [(tmp_path / name).stat().st_size for name in before.names]
    write(tmp_path, {"a": thing(), "b": thing(box=(2, 3, 10, 21))})
    assert compare(before, VOC(tmp_path, "train", CLASSES).manifest()) == "images changed: 1 (JPEGImages/b.jpg)"


@pytest.mark.parametrize(
    ("objects", "told"),
    [
        (thing(box=(9, 3, 4, 20)), r"object 2 \(dog\): the box is -4 wide and 18 high; correct it, or remove it"),
        (thing(box=(9, 3, 40, 20)), r"object 2 \(dog\): the box 8, 2, 40, 20 .* reaches over its image of 32 x 24"),
        (thing(box=(9, 3, "", 20)), r"object 2 \(dog\): bndbox\.xmax is missing; write a number of pixels there"),
        (thing(box=(9, 3, "x", 20)), r"object 2 \(dog\): bndbox\.xmax is 'x'"),
        (thing(box=(9, 3, "nan", 20)), r"object 2 \(dog\): the box 8, 2, nan, 20 .* is no box"),
        (thing("emu"), r"object 2 \(emu\): 'emu' is none of dataset.classes; .*: 'dataset\.classes=\[dog,emu\]'"),
        ("<object>", "no XML .*; correct it"),
    ],
)
def test_a_wrong_object_is_named(tmp_path, objects, told):
    write(tmp_path, {"b": "", "a": thing() + objects})
    with pytest.raises(ConfigError, match=f"{tmp_path}/Annotations/a.xml: {told}"):
        VOC(tmp_path, "train", CLASSES)


def test_entities_of_an_xml_file_are_not_read(tmp_path):
    write(tmp_path, {"a": thing()})
    secret = tmp_path / "secret"
    secret.write_text("dog")
    text = f'<!DOCTYPE a [<!ENTITY x SYSTEM "file://{secret}">]><annotation>{thing("&x;")}</annotation>'
    (tmp_path / "Annotations" / "a.xml").write_text(text)
    with pytest.raises(ConfigError, match=r"a\.xml: no XML"):
        VOC(tmp_path, "train", CLASSES)


def test_missing_pictures_names_and_folders_are_named(tmp_path):
    write(tmp_path, {"a": thing()})
    names = tmp_path / "ImageSets" / "Main" / "train.txt"
    for text, told in (
        ("a\nb\n", "there is no picture of 'b' in .*JPEGImages; add it, or remove the line"),
        ("a 1\na -1\n", "'a' is there twice; remove one of the lines"),
        ("\n", "no names in it"),
    ):
        names.write_text(text)
        with pytest.raises(ConfigError, match=f"{names}: {told}"):
            VOC(tmp_path, "train", CLASSES)
    names.write_text("a\n")
    (tmp_path / "JPEGImages").rename(tmp_path / "images")
    with pytest.raises(ConfigError, match="JPEGImages: no such folder; put the pictures there"):
        VOC(tmp_path, "train", CLASSES)
    with pytest.raises(SourceMissingError, match="nowhere: no such folder"):
        VOC(tmp_path / "nowhere", "train", CLASSES)


def test_another_picture_than_the_annotated_one_is_refused(tmp_path):
    write(tmp_path, {"a": thing()})
    Image.fromarray(np.zeros((32, 24, 3), np.uint8)).save(tmp_path / "JPEGImages" / "a.jpg")
    with pytest.raises(ConversionError, match=r"a\.jpg: its annotation is of 32 x 24 pixels, the picture has 24 x 32"):
        VOC(tmp_path, "train", CLASSES)[0]
