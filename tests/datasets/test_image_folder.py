import numpy as np
import pytest
from PIL import Image

from ffcv_hydra.beton import write_beton
from ffcv_hydra.datasets import ImageFolder
from ffcv_hydra.errors import ConfigError, ConversionError


def fill(folder, classes, count=10):
    """`count` grey images per class whose value is their number."""
    for name in classes:
        (folder / name).mkdir(parents=True)
        for number in range(count):
            Image.fromarray(np.full((4, 6), number, np.uint8)).save(folder / name / f"{number:03}.png")


def pairs(dataset):
    return {(dataset[n][0].getpixel((0, 0)), dataset[n][1]) for n in range(len(dataset))}


def test_a_folder_of_classes_is_split(tmp_path):
    fill(tmp_path, ["cat", "dog"], 50)
    train, val = ImageFolder(tmp_path, "train"), ImageFolder(tmp_path, "val")
    assert train.classes == val.classes == ["cat", "dog"]
    assert 70 <= len(train) <= 90
    assert not pairs(train) & pairs(val)
    assert len(pairs(train) | pairs(val)) == 100


def test_F1_new_images_move_none_to_another_split(tmp_path):
    fill(tmp_path, ["cat", "dog"], 20)
    before = {split: set(ImageFolder(tmp_path, split).manifest().names) for split in ("train", "val")}
    fill(tmp_path, ["ant"], 10)
    (tmp_path / "cat" / "new.png").write_bytes((tmp_path / "cat" / "000.png").read_bytes())
    (tmp_path / "dog" / "003.png").unlink()
    after = {split: set(ImageFolder(tmp_path, split).manifest().names) for split in ("train", "val")}
    assert before["train"] - {"dog/003.png"} <= after["train"] and before["val"] - {"dog/003.png"} <= after["val"]
    assert len(after["train"] | after["val"]) == 50


def test_F1_the_manifest_has_paths_below_the_root_sizes_and_classes(tmp_path):
    fill(tmp_path / "train", ["cat", "dog"], 2)
    found = ImageFolder(tmp_path, "train").manifest()
    assert found.names == ["train/cat/000.png", "train/cat/001.png", "train/dog/000.png", "train/dog/001.png"]
    assert found.sizes == [(tmp_path / name).stat().st_size for name in found.names]
    assert (found.labels, found.classes, found.kind) == ([0, 0, 1, 1], ["cat", "dog"], "images")


def test_F1_a_class_without_an_image_in_a_split_is_told(tmp_path, caplog):
    fill(tmp_path, ["cat"], 40)
    fill(tmp_path, ["dog"], 1)
    for split in ("train", "val"):
        ImageFolder(tmp_path, split)
    [message] = caplog.messages
    assert "has no image of dog; add images" in message


def test_the_split_is_drawn_from_the_seed(tmp_path):
    fill(tmp_path, ["cat", "dog"])
    assert pairs(ImageFolder(tmp_path, "val")) == pairs(ImageFolder(tmp_path, "val"))
    assert pairs(ImageFolder(tmp_path, "val")) != pairs(ImageFolder(tmp_path, "val", seed=1))


def test_fractions_may_be_chosen(tmp_path):
    fill(tmp_path, ["cat"], 100)
    fractions = {"train": 0.5, "val": 0.2, "test": 0.3}
    found = [pairs(ImageFolder(tmp_path, split, fractions)) for split in fractions]
    assert len(set.union(*found)) == sum(map(len, found)) == 100
    assert [40 < len(found[0]) < 60, 10 < len(found[1]) < 30, 20 < len(found[2]) < 40] == [True] * 3


def test_items_are_images_with_int_labels(tmp_path):
    fill(tmp_path, ["cat", "dog"])
    image, label = ImageFolder(tmp_path, "val")[-1]
    assert (image.mode, image.size, label, type(label)) == ("L", (6, 4), 1, int)


def test_images_come_undecoded(tmp_path):
    (tmp_path / "cat").mkdir()
    for suffix in ("jpg", "png"):
        Image.new("L", (6, 4)).save(tmp_path / "cat" / f"1.{suffix}")
    (jpeg, _), (png, _) = ImageFolder(tmp_path, "train", {"train": 1.0})
    assert (jpeg.format, jpeg.filename, bool(jpeg.tile)) == ("JPEG", str(tmp_path / "cat" / "1.jpg"), True)
    assert (png.format, png.filename, bool(png.tile)) == ("PNG", str(tmp_path / "cat" / "1.png"), True)


def test_a_float_picture_is_not_sent_to_a_field_of_integers(tmp_path):
    (tmp_path / "cat").mkdir()
    Image.fromarray(np.full((4, 6), 0.5, np.float32)).save(tmp_path / "cat" / "1.tif")
    with pytest.raises(ConversionError, match="of mode F, .* or give a NumPy array"):
        write_beton(ImageFolder(tmp_path, "train", {"train": 1.0}), tmp_path / "a.beton", num_workers=0)


def test_a_dangling_link_is_one_line(tmp_path, caplog):
    folder = tmp_path / "cat"
    folder.mkdir()
    Image.new("L", (6, 4)).save(folder / "1.png")
    (folder / "2.png").symlink_to(tmp_path / "nowhere.png")
    with pytest.raises(ConversionError, match=r"sample 1\b.*2\.png"):
        write_beton(ImageFolder(tmp_path, "train", {"train": 1.0}), tmp_path / "a.beton", num_workers=0)
    assert not caplog.records


def test_F3_a_deep_picture_is_refused_by_its_name(tmp_path):
    (tmp_path / "images" / "cat").mkdir(parents=True)
    Image.fromarray(np.full((4, 6), 40_000, np.uint16)).save(tmp_path / "images" / "cat" / "1.png")
    dataset = ImageFolder(tmp_path / "images", "train", {"train": 1.0})
    with pytest.raises(ConversionError, match=r"sample 0, field 'image': \S*/cat/1\.png is of mode I;16, .*scale it"):
        write_beton(dataset, tmp_path / "a.beton", num_workers=0)


def test_split_folders_are_used_as_they_are(tmp_path):
    fill(tmp_path / "train", ["cat", "dog"], 5)
    fill(tmp_path / "val", ["cat", "dog"], 3)
    fill(tmp_path / "test", ["cat", "dog"], 2)
    assert [len(ImageFolder(tmp_path, split)) for split in ("train", "val", "test")] == [10, 6, 4]


def test_F2_nothing_stands_in_for_a_missing_test_split(tmp_path):
    fill(tmp_path / "one" / "train", ["cat"], 5)
    fill(tmp_path / "one" / "val", ["cat"], 3)
    fill(tmp_path / "two", ["cat"], 10)
    with pytest.raises(ConfigError, match="no folder for split 'test'; it has train, val"):
        ImageFolder(tmp_path / "one", "test")
    with pytest.raises(ConfigError, match="no split 'test'; dataset.fractions has train, val"):
        ImageFolder(tmp_path / "two", "test")


def test_F51_all_that_pillow_reads_is_taken_and_the_rest_is_named(tmp_path, caplog):
    for folder in ("cat", "dog"):
        (tmp_path / folder).mkdir()
    for suffix in ("gif", "jp2", "tga", "ICO", "jpg"):
        Image.new("RGB", (16, 16)).save(tmp_path / "cat" / f"1.{suffix}")
    for name in ("a.heic", "b.heic", "c.txt", "d.pdf", "e.mpg", "f", ".hidden"):
        (tmp_path / "dog" / name).touch()
    with pytest.raises(ConfigError, match=r"dog: no images \(Pillow does not read what is there: 2 .heic, 1 "):
        ImageFolder(tmp_path, "train", {"train": 1.0})
    (tmp_path / "dog" / "1.bmp").write_bytes((tmp_path / "cat" / "1.jpg").read_bytes())
    dataset = ImageFolder(tmp_path, "train", {"train": 1.0})
    ImageFolder(tmp_path, "train", {"train": 1.0})
    assert len(dataset) == 6
    [message] = caplog.messages
    assert message.startswith(f"{tmp_path}: left out 2 .heic, 1 ") and "1 .pdf" in message and "1 .mpg" in message


def test_classes_are_numbered_as_in_train(tmp_path):
    fill(tmp_path / "train", ["ant", "bee", "cat"], 2)
    fill(tmp_path / "val", ["bee"], 2)
    assert {label for _, label in pairs(ImageFolder(tmp_path, "val"))} == {1}
    fill(tmp_path / "val", ["wolf"], 2)
    with pytest.raises(ConfigError, match="class 'wolf' is not in .*train"):
        ImageFolder(tmp_path, "val")


def test_hidden_folders_and_other_files_are_no_classes(tmp_path):
    fill(tmp_path, ["cat"])
    (tmp_path / ".cache").mkdir()
    (tmp_path / "notes.txt").touch()
    (tmp_path / "cat" / "notes.txt").touch()
    dataset = ImageFolder(tmp_path, "train")
    assert dataset.classes == ["cat"]
    assert len(dataset) == 8


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(ConfigError, match="no such folder"):
        ImageFolder(tmp_path / "missing", "train")
    with pytest.raises(ConfigError, match="no folders in it"):
        ImageFolder(tmp_path, "train")
    fill(tmp_path, ["cat", "dog"])
    with pytest.raises(ConfigError, match="no split 'tain'; dataset.fractions has train, val"):
        ImageFolder(tmp_path, "tain")
    with pytest.raises(ConfigError, match="add up to at most 1"):
        ImageFolder(tmp_path, "train", {"train": 0.9, "val": 0.2})
    with pytest.raises(ConfigError, match="no images for split 'val'"):
        ImageFolder(tmp_path, "val", {"train": 0.9, "val": 0.001})
    (tmp_path / "emu").mkdir()
    with pytest.raises(ConfigError, match="emu: no images"):
        ImageFolder(tmp_path, "train")


def test_a_missing_split_folder_is_named(tmp_path):
    fill(tmp_path / "train", ["cat"])
    with pytest.raises(ConfigError, match="no folder for split 'val'; it has train"):
        ImageFolder(tmp_path, "val")


def test_an_image_that_cannot_be_read_is_named(tmp_path):
    fill(tmp_path, ["cat"], 1)
    path = tmp_path / "cat" / "000.png"
    path.write_bytes(b"no image")
    with pytest.raises(OSError, match="000.png: not an image"):
        ImageFolder(tmp_path, "train", {"train": 1.0})[0]
