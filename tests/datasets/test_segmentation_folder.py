import numpy as np
import pytest
from PIL import Image

from ffcv_hydra.beton import MaskField, write_beton
from ffcv_hydra.beton.inspection.manifest_difference import compare
from ffcv_hydra.datasets import SegmentationFolder
from ffcv_hydra.errors import ConfigError, ConversionError, SourceMissingError
from ffcv_hydra.loader import Loader
from tests.datasets.pictures import picture

CLASSES = ["ground", "road", "house"]
IDS = np.repeat(np.arange(3, dtype=np.uint8), 8)[:, None] + np.zeros((1, 32), np.uint8)


def mask(path, ids=IDS, mode="L"):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(ids)
    if mode == "P":
        image.putpalette([200, 0, 0, 0, 200, 0, 0, 0, 200])
        assert image.mode == "P"
    image.save(path)
    return path


def write(images, masks, names=("a", "b"), mode="L"):
    for name in names:
        picture(images / f"{name}.jpg", 32, 24)
        mask(masks / f"{name}.png", mode=mode)


@pytest.mark.parametrize("mode", ["L", "P"])
def test_pictures_come_with_the_ids_of_their_masks(tmp_path, mode):
    write(tmp_path / "train" / "images", tmp_path / "train" / "masks", mode=mode)
    dataset = SegmentationFolder(tmp_path, "train", CLASSES)
    image, found = dataset[1]
    assert (image.format, bool(image.tile), dataset.classes) == ("JPEG", True, CLASSES)
    assert (found.dtype, found.tolist()) == ("u1", IDS.tolist())


def test_the_whole_way_into_a_batch(tmp_path):
    write(tmp_path / "images" / "train", tmp_path / "masks" / "train", mode="P")
    fields = {"image": None, "mask": MaskField()}
    write_beton(SegmentationFolder(tmp_path, "train", CLASSES), tmp_path / "a.beton", fields, num_workers=0)
    [values] = Loader(tmp_path / "a.beton", batch_size=2)
    batch = dict(zip(fields, values, strict=True))
    assert np.array_equal(np.asarray(batch["mask"])[..., 0], [IDS, IDS])


@pytest.mark.parametrize("layout", ["{}/images {}/masks", "images/{} masks/{}"])
def test_splits_are_folders_of_either_kind(tmp_path, layout):
    for folder, names in (("train", "ab"), ("validation", "c")):
        write(*(tmp_path / part.format(folder) for part in layout.split()), names)
    folders = {"train": "train", "val": "validation"}
    splits = [SegmentationFolder(tmp_path, split, CLASSES, folder_names=folders) for split in folders]
    assert ([len(split) for split in splits], splits[0].is_drawn) == ([2, 1], False)
    with pytest.raises(
        ConfigError, match=r"no folders for split 'test' as 'train' has; set dataset\.folder_names\.test"
    ):
        SegmentationFolder(tmp_path, "test", CLASSES, folder_names=folders)


def test_one_folder_is_divided_by_names(tmp_path):
    names = [f"{number:02}" for number in range(40)]
    write(tmp_path / "images", tmp_path / "masks", names)
    splits = [SegmentationFolder(tmp_path, split, CLASSES) for split in ("train", "val")]
    assert sorted(name for split in splits for name in split.manifest().names) == [
        f"images/{name}.jpg" for name in names
    ]
    assert splits[0].is_drawn and 0 < len(splits[1]) < len(splits[0])
    with pytest.raises(ConfigError, match="no split 'test'"):
        SegmentationFolder(tmp_path, "test", CLASSES)


def test_names_may_have_endings_of_their_own(tmp_path):
    picture(tmp_path / "leftImg8bit" / "train" / "bonn" / "1_leftImg8bit.png", 32, 24)
    for ending in ("labelIds", "color"):
        mask(tmp_path / "gtFine" / "train" / "bonn" / f"1_{ending}.png")
    options = {"images": "leftImg8bit", "masks": "gtFine", "image_ending": "_leftImg8bit", "mask_ending": "_labelIds"}
    dataset = SegmentationFolder(tmp_path, "train", CLASSES, **options)
    assert dataset.manifest().names == ["leftImg8bit/train/bonn/1_leftImg8bit.png"]
    assert dataset[0][1].tolist() == IDS.tolist()


def test_a_number_below_0_is_no_class(tmp_path):
    write(tmp_path / "train" / "images", tmp_path / "train" / "masks", "a")
    (tmp_path / "train" / "masks" / "a.png").unlink()
    mask(tmp_path / "train" / "masks" / "a.tif", IDS.astype(np.int32) - 1)
    with pytest.raises(ConversionError, match=r"a\.tif: a pixel is -1, which is the number of no class"):
        SegmentationFolder(tmp_path, "train", CLASSES)[0]


def test_ids_are_mapped_to_the_classes(tmp_path):
    write(tmp_path / "train" / "images", tmp_path / "train" / "masks", "a")
    mask(tmp_path / "train" / "masks" / "a.png", IDS * 100)
    found = SegmentationFolder(tmp_path, "train", ["road", "house"], mask_ids=[100, 200], ignore=0)[0][1]
    assert (found.dtype, found[::8, 0].tolist()) == ("u1", [255, 0, 1])
    mask(tmp_path / "train" / "masks" / "a.png", IDS.astype(np.uint16) * 1000)
    found = SegmentationFolder(tmp_path, "train", CLASSES, mask_ids=[0, 1000, 2000])[0][1]
    assert found.tolist() == IDS.tolist()


@pytest.mark.parametrize("wrong", [3, 255])
def test_an_id_without_a_class_is_named(tmp_path, wrong):
    write(tmp_path / "train" / "images", tmp_path / "train" / "masks", "a")
    path = mask(tmp_path / "train" / "masks" / "a.png", np.where(IDS == 1, wrong, IDS).astype(np.uint8))
    dataset = SegmentationFolder(tmp_path, "train", CLASSES)
    with pytest.raises(ConversionError, match=rf"{path}: a pixel is {wrong}, .* dataset\.ignore={wrong} if"):
        dataset[0]


@pytest.mark.parametrize(
    ("picture_of", "told"),
    [
        (np.zeros((24, 32, 3), np.uint8), "is of mode RGB: colours, not numbers of classes; save masks as grey levels"),
        (np.zeros((24, 32, 4), np.uint8), "is of mode RGBA"),
        (np.zeros((32, 24), np.uint8), "the mask has 24 x 32, its picture 32 x 24; save it in the picture's size"),
    ],
)
def test_a_wrong_mask_is_named_before_any_is_decoded(tmp_path, picture_of, told):
    write(tmp_path / "train" / "images", tmp_path / "train" / "masks")
    path = mask(tmp_path / "train" / "masks" / "b.png", picture_of)
    with pytest.raises(ConfigError, match=f"{path}: {told}"):
        SegmentationFolder(tmp_path, "train", CLASSES)


def test_what_is_missing_is_named(tmp_path):
    images, masks = tmp_path / "train" / "images", tmp_path / "train" / "masks"
    write(images, masks)
    (masks / "c.png").write_bytes((masks / "a.png").read_bytes())
    with pytest.raises(ConfigError, match=rf"{masks}/c\.png: there is no picture {images}/c\.\*; add it, or remove"):
        SegmentationFolder(tmp_path, "train", CLASSES)
    (masks / "a.png").unlink()
    with pytest.raises(ConfigError, match=rf"{images}/a\.jpg: there is no mask {masks}/a\.\*; add it, or remove"):
        SegmentationFolder(tmp_path, "train", CLASSES)
    (images / "a.png").write_bytes((images / "a.jpg").read_bytes())
    with pytest.raises(ConfigError, match=rf"{images}/a\.png: {images}/a\.jpg has this name, too"):
        SegmentationFolder(tmp_path, "train", CLASSES)
    with pytest.raises(SourceMissingError, match="nowhere: no such folder"):
        SegmentationFolder(tmp_path / "nowhere", "train", CLASSES)
    with pytest.raises(ConfigError, match=r"pictures: no such folder; .* dataset\.images and dataset\.masks"):
        SegmentationFolder(tmp_path, "train", CLASSES, images="pictures")
    for file in images.iterdir():
        file.unlink()
    with pytest.raises(ConfigError, match=f"{images}: no pictures in it; add some"):
        SegmentationFolder(tmp_path, "train", CLASSES)


def test_a_file_that_is_no_picture_is_named(tmp_path):
    write(tmp_path / "train" / "images", tmp_path / "train" / "masks")
    (tmp_path / "train" / "masks" / "b.png").write_text("no picture")
    with pytest.raises(ConfigError, match=r"masks/b\.png.*; replace it"):
        SegmentationFolder(tmp_path, "train", CLASSES)


@pytest.mark.parametrize(
    "options", [{"mask_ids": [0, 1]}, {"mask_ids": [0, 1, 1]}, {"ignore": 2}, {"mask_ids": [0, 1, 1 << 16]}]
)
def test_ids_that_cannot_be_meant_are_refused(tmp_path, options):
    write(tmp_path / "train" / "images", tmp_path / "train" / "masks")
    with pytest.raises(ConfigError, match=r"dataset\.mask_ids=.*: give each of the 3 classes a number"):
        SegmentationFolder(tmp_path, "train", CLASSES, **options)


def test_the_manifest_tells_of_other_masks(tmp_path):
    write(tmp_path / "train" / "images", tmp_path / "train" / "masks")
    before = SegmentationFolder(tmp_path, "train", CLASSES).manifest()
    assert (before.names, before.classes, before.kind) == (
        ["train/images/a.jpg", "train/images/b.jpg"],
        CLASSES,
        "images",
    )
    mask(tmp_path / "train" / "masks" / "b.png", np.random.default_rng(0).integers(0, 3, (24, 32), dtype=np.uint8))
    now = SegmentationFolder(tmp_path, "train", CLASSES).manifest()
    assert compare(before, now) == "images changed: 1 (train/images/b.jpg)"
