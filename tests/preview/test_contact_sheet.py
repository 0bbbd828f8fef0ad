"""What stands in a contact sheet: the stored samples, and the very augmentations that a run gets."""

import numpy as np
import pytest
from PIL import Image

from ffcv_hydra import Loader
from ffcv_hydra.beton import Beton, GrayscaleImageField, ImageArrayField, Manifest, MaskField, write_beton
from ffcv_hydra.errors import ConfigError, LoaderError
from ffcv_hydra.operations import Mosaic, RandomHorizontalFlip, RandomResizedCrop
from ffcv_hydra.ordering import Random
from ffcv_hydra.preview import contact_sheet, preview
from ffcv_hydra.preview.pictures import overlay
from ffcv_hydra.preview.stored import captions_of

pytestmark = pytest.mark.timeout(200)
OPERATIONS = "ffcv_hydra.operations"
TENSOR = [{"_target_": "ffcv_hydra.operations.ToTensor"}]
AUGMENT = [
    {"_target_": f"{OPERATIONS}.RandomResizedCrop", "size": [16, 16]},
    {"_target_": f"{OPERATIONS}.RandomHorizontalFlip"},
    *TENSOR,
]
NORMALISE = [
    {"_target_": "ffcv_hydra.operations.ToTorchImage"},
    {"_target_": f"{OPERATIONS}.DivideImage255"},
    {"_target_": "torchvision.transforms.Normalize", "mean": [0.5] * 3, "std": [0.1] * 3},
]
NO_OTHERS = dict.fromkeys(["image", "deep", "mask", "label", "weight"], "disabled")
ORDERING = {"train": {"_target_": "ffcv_hydra.ordering.Random"}, "eval": {"_target_": "ffcv_hydra.ordering.Sequential"}}


def sample(index):
    random = np.random.default_rng(index)
    height, width = (int(side) for side in random.integers(20, 40, 2))
    image = Image.fromarray(random.integers(0, 256, (height, width, 3), dtype=np.uint8))
    deep = random.integers(0, 60000, (height, width), dtype=np.uint16)
    mask = np.zeros((height, width), np.uint8)
    mask[: height // 2] = 1 + index % 3
    return image, deep, mask, index, float(index) / 3


@pytest.fixture(scope="module")
def beton(tmp_path_factory):
    path = tmp_path_factory.mktemp("beton") / "scenes.beton"
    fields = {
        "image": {"write_mode": "raw"}, "deep": GrayscaleImageField(bits=16), "mask": MaskField(), "label": None,
        "weight": None,
    }  # fmt: skip
    write_beton([sample(index) for index in range(20)], path, fields, num_workers=0)
    return path


@pytest.fixture
def sheet(beton, tmp_path, monkeypatch):
    """`sheet({"image": [...]}, samples=3)`: the columns by title, and the notes."""

    def look(pipelines, stage="train", splits=("train", "val"), batch_size=4, indices=None, **options):
        config = {
            "mode": "fit",
            "seed": 5,
            "data_dir": str(tmp_path),
            "dataset": {
                "name": "scenes",
                "fields": None,
                "splits": {name: {"source": None, "beton": str(beton), "indices": indices} for name in splits},
            },
            "pipeline": {stage: {**NO_OTHERS, **pipelines}},
            "ordering": ORDERING,
            "loader": {"batch_size": batch_size, "replace_ffcv_operations": True},
            "conversion": {"indices": None},
        }  # fmt: skip
        seen = []
        monkeypatch.setattr(contact_sheet, "draw", lambda *arguments: seen.extend(arguments))
        preview(config, tmp_path / "sheet.png", stage, **options)
        return {column.title: column for column in seen[0]}, seen[2]

    return look


def first_ids(beton, count, epoch=0):
    loader = Loader(beton, 4, ordering=Random(), seed=5, pipelines={**NO_OTHERS, "image": [RandomResizedCrop(8)]})
    loader.sampler.set_epoch(epoch)
    return np.concatenate([loader.sample_ids(batch) for batch in range(5)])[:count]


def test_the_first_samples_of_the_order_are_shown_whole_with_their_numbers(sheet, beton):
    columns, _ = sheet({"image": AUGMENT}, num_samples=6, epoch=2)
    ids = first_ids(beton, 6, epoch=2)
    assert list(columns) == ["stored", "epoch 2", "epoch 3", "epoch 4", "epoch 5"]
    for shown, caption, index in zip(columns["stored"].pictures, columns["stored"].captions, ids, strict=True):
        assert np.allclose(shown, np.asarray(sample(index)[0]) / 255)
        assert caption == f"label: {index}, weight: {index / 3:.6g}"


class Named(list):
    def manifest(self):
        return Manifest([f"photos/{n}.jpg" for n in range(len(self))], classes=["sky", "cat\x1b[2J", "dog"])


def test_captions_have_names_for_samples_classes_and_what_masks_show(tmp_path):
    masks = [np.array([[0, 1], [2, 2]], np.uint8), np.array([[7, 0]], np.uint8)]
    fields = {"label": None, "count": None, "weight": None}
    write_beton(Named([(1, 2, 0.5), (7, 2, 0.25)]), tmp_path / "a.beton", fields, num_workers=0)
    named, ids = Beton(tmp_path / "a.beton"), np.array([1, 0])
    assert captions_of(named, ids, None, []) == [
        "photos/1.jpg\nlabel: 7, count: 2, weight: 0.25",
        "photos/0.jpg\nlabel: cat\\x1b[2J, count: 2, weight: 0.5",
    ]
    write_beton(Named([(2, 0.5)]), tmp_path / "b.beton", {"kind": None, "weight": None}, num_workers=0)
    [caption] = captions_of(Beton(tmp_path / "b.beton"), np.array([0]), "mask", masks[:1])
    assert caption == "photos/0.jpg\nkind: dog, weight: 0.5, mask: 1, 2"  # the names are those of kinds
    write_beton(Named([(0.5,)]), tmp_path / "c.beton", {"weight": None}, num_workers=0)
    [caption] = captions_of(Beton(tmp_path / "c.beton"), np.array([0]), "mask", masks[:1])
    assert caption == "photos/0.jpg\nweight: 0.5, mask: cat\\x1b[2J, dog"


def test_epochs_show_what_training_would_read(sheet, beton):
    columns, notes = sheet({"image": AUGMENT}, num_samples=6, num_epochs=2)
    operations = [RandomResizedCrop(16), RandomHorizontalFlip()]
    loader = Loader(beton, 20, ordering=Random(), seed=5, pipelines={**NO_OTHERS, "image": operations})
    for epoch in range(2):
        loader.sampler.set_epoch(epoch)
        ids = loader.sample_ids(0).tolist()
        images = next(iter(loader))[0]
        for shown, index in zip(columns[f"epoch {epoch}"].pictures, first_ids(beton, 6), strict=True):
            assert np.allclose(shown, np.asarray(images[ids.index(index)]) / 255)
    assert notes == ["6 of 20 samples of scenes.beton"]


def test_a_stage_without_randomness_has_one_column(sheet):
    columns, _ = sheet({"image": [{"_target_": f"{OPERATIONS}.CenterCrop", "size": 8}, *TENSOR]}, "val")
    assert list(columns) == ["stored", "each epoch"]
    assert columns["each epoch"].pictures[0].shape == (8, 8, 3)


def test_a_mask_lies_over_the_image_that_it_is_joint_with(sheet):
    plain, _ = sheet({"image": AUGMENT}, num_samples=3, num_epochs=2)
    both, _ = sheet(
        {"image": AUGMENT, "mask": {"joint_with": "image", "operations": AUGMENT}}, num_samples=3, num_epochs=2
    )
    assert list(plain) == list(both)
    alone, _ = sheet({"mask": {"operations": AUGMENT}}, num_samples=3, num_epochs=2)
    assert list(alone) == ["stored", "epoch 0", "epoch 1"]
    image, mask = plain["stored"].pictures[0], sample(first_ids_of(both))[2]
    assert np.allclose(both["stored"].pictures[0], overlay(image, mask))
    assert both["stored"].captions[0].endswith(f"mask: {mask.max()}")
    assert np.allclose(alone["stored"].pictures[0], overlay(np.zeros_like(image), mask, opacity=1))
    assert any((a != b).any() for a, b in zip(plain["epoch 1"].pictures, both["epoch 1"].pictures, strict=True))


def first_ids_of(columns):
    return int(columns["stored"].captions[0].split(",")[0].removeprefix("label: "))


def test_a_mask_of_another_size_stands_alone(sheet):
    smaller = [{"_target_": f"{OPERATIONS}.RandomResizedCrop", "size": [8, 8]}, *TENSOR]
    mask = {"joint_with": "disabled", "operations": smaller}
    columns, _ = sheet({"image": AUGMENT, "mask": mask}, num_epochs=1)
    assert list(columns) == ["image\nstored", "image\nepoch 0", "mask\nstored", "mask\nepoch 0"]


def test_views_stand_side_by_side(sheet):
    views = {"source": "image", "views": 2, "operations": AUGMENT}
    columns, _ = sheet({"views": views, "label": None}, num_epochs=2)
    assert list(columns) == [
        "stored", "epoch 0, view 0", "epoch 0, view 1", "epoch 1, view 0", "epoch 1, view 1",
    ]  # fmt: skip
    assert not np.array_equal(columns["epoch 0, view 0"].pictures[0], columns["epoch 0, view 1"].pictures[0])
    assert [column.begins_group for column in columns.values()] == [True, True, False, True, False]


def test_several_image_outputs_have_a_group_each(sheet):
    columns, notes = sheet(
        {"image": [*AUGMENT, *NORMALISE], "deep": AUGMENT, "weight": None}, num_samples=2, num_epochs=1
    )
    assert list(columns) == ["image\nstored", "image\nepoch 0", "deep\nstored", "deep\nepoch 0"]
    assert all(0 <= shown.min() <= shown.max() <= 1 for column in columns.values() for shown in column.pictures)
    assert notes[0].startswith("image: float32, shown from -")
    assert notes[1].startswith("deep: uint16, shown from ")


def test_fewer_samples_than_asked_for_are_all_shown(sheet):
    columns, notes = sheet({"image": AUGMENT}, num_samples=100)
    assert len(columns["stored"].pictures) == 20
    assert notes == ["20 of 20 samples of scenes.beton"]


def test_samples_that_are_mixed_are_shown_with_those_that_they_are_mixed_with(sheet, beton):
    mosaic = [*AUGMENT[:2], {"_target_": f"{OPERATIONS}.Mosaic"}, *TENSOR]
    columns, _ = sheet({"image": mosaic}, num_samples=6, num_epochs=1)
    operations = [RandomResizedCrop(16), RandomHorizontalFlip(), Mosaic()]
    pipelines = {**NO_OTHERS, "image": operations}
    loader = Loader(beton, 4, ordering=Random(), seed=5, pipelines=pipelines, drop_last=True)
    read = [image for (images,) in loader for image in images]
    for shown, expected in zip(columns["epoch 0"].pictures, read[:8], strict=True):
        assert np.allclose(shown, np.asarray(expected) / 255)


def test_a_pipeline_without_images_is_refused(sheet):
    with pytest.raises(ConfigError, match=r"pipeline\.train gives no images to look at, only label, weight"):
        sheet({"label": None, "weight": None})


def test_a_stage_that_the_dataset_lacks_is_refused(sheet):
    with pytest.raises(ConfigError, match=r"mode=test needs dataset\.splits\.test"):
        sheet({"image": AUGMENT}, "test")


def test_images_of_many_channels_show_those_that_are_chosen(tmp_path, monkeypatch):
    random = np.random.default_rng(0)
    images = [(random.integers(0, 9000, (12, 12, 5), dtype=np.uint16),) for _ in range(4)]
    write_beton(images, path := tmp_path / "bands.beton", {"image": ImageArrayField(5, "uint16")}, num_workers=0)
    config = {
        "mode": "fit", "seed": 0, "data_dir": str(tmp_path),
        "dataset": {"name": "bands", "fields": None,
                    "splits": {"val": {"source": None, "beton": str(path), "indices": None}}},
        "pipeline": {"val": {"image": [*TENSOR, {"_target_": f"{OPERATIONS}.ToTorchImage"}]}},
        "ordering": ORDERING, "loader": {"batch_size": 4, "replace_ffcv_operations": True},
        "conversion": {"indices": None},
    }  # fmt: skip
    seen = []
    monkeypatch.setattr(contact_sheet, "draw", lambda *arguments: seen.extend(arguments))
    preview(config, tmp_path / "sheet.png", "val", num_samples=4, channels=(4, 0, 2))
    stored, made = seen[0]
    for column in (stored, made):
        shown = np.stack(column.pictures)
        expected = np.stack([image for (image,) in images])[..., [4, 0, 2]].astype(float)
        assert np.allclose(shown, (expected - expected.min()) / (expected.max() - expected.min()), atol=1e-6)


@pytest.mark.parametrize(("mixing", "shown"), [([], 7), (["Mosaic"], 4)])  # only whole groups of four
def test_fewer_samples_than_a_batch_are_shown_with_a_warning(sheet, caplog, mixing, shown):
    pipeline = [*AUGMENT[:2], *({"_target_": f"{OPERATIONS}.{name}"} for name in mixing), *TENSOR]
    columns, notes = sheet({"image": pipeline}, batch_size=16, indices=[*range(7)])
    assert len(columns["epoch 0"].pictures) == shown
    assert notes == [f"{shown} of 7 samples of scenes.beton"]
    assert "a run would be refused: 7 samples are fewer than one global batch (16 x 1 ranks)" in caplog.text


def test_too_few_samples_for_what_is_mixed_are_told_as_a_run_tells_them(sheet, caplog):
    mosaic = [*AUGMENT[:2], {"_target_": f"{OPERATIONS}.Mosaic"}, *TENSOR]
    with pytest.raises(LoaderError, match="^2 samples are fewer than .*: lower batch_size or devices, or add data$"):
        sheet({"image": mosaic}, batch_size=16, indices=[0, 1])
    assert "a run would be refused" not in caplog.text
