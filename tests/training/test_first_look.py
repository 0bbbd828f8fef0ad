"""The look at one batch of each stage before the training."""

from types import SimpleNamespace

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from torchvision.transforms import v2

from ffcv_hydra import FFCVDataModule, FFCVPipelineManager
from ffcv_hydra.errors import ConfigError
from ffcv_hydra.models import Classifier, SimCLR, SmallConvNet
from ffcv_hydra.operations import (
    CenterCrop,
    Convert,
    DivideImage255,
    MixedTargets,
    Mixup,
    NormalizeTensor,
    RandomResizedCrop,
    ToTensor,
    ToTorchImage,
)
from ffcv_hydra.pipeline import FieldPipeline
from ffcv_hydra.training.first_look import FirstLook
from ffcv_hydra.training.outputs import describe

pytestmark = pytest.mark.timeout(120)
FLOAT = [ToTensor(), ToTorchImage(), DivideImage255()]
TRAIN = {"image": [RandomResizedCrop(8), *FLOAT], "array": "disabled"}
EVAL = {"image": [CenterCrop(12), *FLOAT], "array": "disabled"}


def data(beton, **pipelines):
    managers = {f"{stage}_manager": FFCVPipelineManager(beton, given) for stage, given in pipelines.items()}
    return FFCVDataModule(8, num_workers=1, seed=1, **managers)


def look(module, model=None):
    FirstLook().setup(SimpleNamespace(datamodule=module), model, "fit")


def of_classes(kind, num_classes):
    return kind(backbone=SmallConvNet(num_classes), num_classes=num_classes, optimizer={})


@pytest.mark.parametrize(
    "pipelines",
    [
        {"train": TRAIN},
        {"train": TRAIN, "val": EVAL, "test": EVAL},
        {"train": TRAIN, "val": EVAL, "test": {**EVAL, "image": [CenterCrop(16), *FLOAT]}},
        {  # mixed targets
            "train": {
                "image": [RandomResizedCrop(8), Mixup(), *FLOAT],
                "label": FieldPipeline([MixedTargets(num_classes=90), ToTensor()], joint_with="image"),
                "array": "disabled",
            },
            "val": EVAL,
        },
        {  # views
            "train": {
                "image": "disabled",
                "array": "disabled",
                "views": FieldPipeline(TRAIN["image"], source="image", views=2),
            },
            "val": EVAL,
        },
    ],
    ids=["train", "all", "sizes", "mixed", "views"],
)
def test_F42_what_recipes_change_is_fine(beton, pipelines):
    look(data(beton, **pipelines))


BYTES = {**EVAL, "image": [CenterCrop(12), ToTensor()]}


@pytest.mark.parametrize(
    ("pipelines", "message"),
    [
        (
            {"train": TRAIN, "val": EVAL, "test": BYTES},
            r"test.image gives uint8 \(12, 12, 3\) per sample, and pipeline.val.image gives float32 \(3, 12, 12\): one",
        ),
        ({"train": TRAIN, "val": BYTES}, r"train.image gives float32 \(3, 8, 8\) per sample, and pipeline.val"),
        ({"train": TRAIN, "test": BYTES}, "pipeline.test.image gives uint8 .* and pipeline.train.image gives float32"),
        (
            {"train": TRAIN, "val": EVAL, "test": {**EVAL, "array": None}},
            "pipeline.test gives image, label, array, and pipeline.val gives image, label: .*test_after_fit=false",
        ),
        (
            {"train": TRAIN, "val": EVAL, "test": {**EVAL, "image": [CenterCrop(12), ToTensor(), ToTorchImage()]}},
            r"pipeline.test.image gives uint8 \(3, 12, 12\)",
        ),
    ],
    ids=["bytes", "train", "no val", "names", "dtype"],
)
def test_F42_stages_that_one_model_cannot_read_are_named(beton, pipelines, message):
    with pytest.raises(ConfigError, match=message):
        look(data(beton, **pipelines))


def test_F42_what_is_changed_on_the_device_is_not_compared(beton):
    managers = {f"{stage}_manager": FFCVPipelineManager(beton, pipeline)
                for stage, pipeline in {"train": TRAIN, "val": BYTES}.items()}  # fmt: skip
    look(FFCVDataModule(8, **managers, device_transforms={"val": {"image": [torch.nn.Identity()]}}))


@pytest.mark.parametrize(("kind", "stages"), [(Classifier, ["train", "val"]), (SimCLR, ["val"])])
def test_F42_labels_out_of_range_are_found_wherever_they_are(beton, kind, stages):
    look(data(beton, train=TRAIN, val=EVAL), of_classes(kind, 90))
    for name in stages:  # sequential: the first batch has labels 0 to 7 only
        with pytest.raises(ConfigError, match=rf"{name}: a label of 89 with model.num_classes=50: .*\[0, 49\]"):
            look(data(beton, **{"train": {**TRAIN, "label": "disabled"}, name: EVAL}), of_classes(kind, 50))


class Elsewhere(torch.Tensor):
    """As if it were on a GPU: it can be brought to the CPU, and takes part in nothing else."""

    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        with torch._C.DisableTorchFunctionSubclass():
            if function is torch.Tensor.cpu:
                return args[0].as_subclass(torch.Tensor)
        raise RuntimeError("is on cuda:0, different from other tensors on cpu")


def test_batches_may_be_on_another_device(beton, monkeypatch):
    module = data(beton, train=TRAIN, val=EVAL)
    first = module.first_batch
    monkeypatch.setattr(
        module, "first_batch", lambda stage: {name: v.as_subclass(Elsewhere) for name, v in first(stage).items()}
    )
    look(module, of_classes(Classifier, 90))
    with pytest.raises(ConfigError, match="model.metrics.mae: MeanAbsolute"):
        metrics = {"mae": {"_target_": "torchmetrics.MeanAbsoluteError"}}
        look(module, Classifier(SmallConvNet(90), 90, {}, metrics=metrics))


F1 = {"_target_": "torchmetrics.classification.MulticlassF1Score"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"task": "multilabel"}, r"model.task=multilabel needs targets \(N, 90\) .* int64 \(8, 1\): store an array"),
        ({"loss": {"_target_": "torch.nn.MSELoss"}}, "model.loss: MSELoss does not take outputs"),
        ({"metrics": {"mae": {"_target_": "torchmetrics.MeanAbsoluteError"}}}, "model.metrics.mae: MeanAbsolute"),
    ],
)
def test_losses_metrics_and_tasks_that_do_not_take_the_data_are_named(beton, options, message):
    plain = {"backbone": SmallConvNet(90), "num_classes": 90, "optimizer": {}}
    with pytest.raises(ConfigError, match=f"train: {message}"):
        look(data(beton, train=TRAIN, val=EVAL), Classifier(**plain, **options))
    look(data(beton, train=TRAIN, val=EVAL), Classifier(**plain, metrics={"f1": F1}))


def test_classes_are_counted_by_the_second_output(beton):
    module = data(beton, train=TRAIN)
    counts = module.class_counts("train", 95)
    assert len(counts) == 95 and counts.sum() == len(module.train_dataloader().indices)
    assert module.class_counts("train", 50) is None  # some are out of range
    assert data(beton, train={**TRAIN, "label": "disabled"}).class_counts("train", 95) is None


BYTES_FIRST = {**EVAL, "image": [CenterCrop(12), ToTensor(), ToTorchImage()]}
LEVELS = {**EVAL, "image": [*BYTES_FIRST["image"], Convert("float32")]}
NORMALIZED = {**EVAL, "image": [*EVAL["image"], NormalizeTensor([0.5] * 3, [0.25] * 3)]}


def with_mean(mean):
    return Classifier(SmallConvNet(90), num_classes=90, optimizer={}, mean=[mean] * 3, std=[mean / 2] * 3)


@pytest.mark.parametrize(
    ("pipeline", "mean", "message"),
    [
        (NORMALIZED, 0.5, "pipeline.train.image and model.mean both normalise the images: leave"),
        (EVAL, 120.0, "for images of 0 to 1, as pipeline.train.image is: divide both by 255"),
        (BYTES_FIRST, 120.0, "for images of 0 to 1"),
        (LEVELS, 0.5, "pipeline.train.image has levels of 0 to 255, .* add DivideImage255"),
    ],
)
def test_F7_a_models_mean_is_in_the_images_unit_and_the_only_one(beton, pipeline, mean, message):
    with pytest.raises(ConfigError, match=message):
        look(data(beton, train=pipeline, val=pipeline), with_mean(mean))
    for fitting, unit in ((EVAL, 0.5), (BYTES_FIRST, 0.5), (LEVELS, 120.0)):
        look(data(beton, train=fitting, val=fitting), with_mean(unit))


def test_F7_a_models_mean_is_compared_with_what_the_device_does(beton):
    def on_device(*modules):
        managers = {"train_manager": FFCVPipelineManager(beton, BYTES_FIRST)}
        return FFCVDataModule(8, num_workers=1, **managers, device_transforms={"train": {"image": modules}})

    scaled = v2.ToDtype(torch.float32, scale=True)
    look(on_device(scaled), with_mean(0.5))
    with pytest.raises(ConfigError, match="both normalise"):
        look(on_device(scaled, v2.Normalize([0.5] * 3, [0.25] * 3)), with_mean(0.5))
    with pytest.raises(ConfigError, match="has levels of 0 to 255"):
        look(on_device(v2.ToDtype(torch.float32)), with_mean(0.5))


class OwnClasses(pl.LightningModule):
    """As one that leaves out some labels, by `ignore_index` of torch's cross-entropy."""

    num_classes = 50


def test_F42_labels_that_a_model_does_not_learn_are_its_own_affair(beton):
    look(data(beton, train=TRAIN, val=EVAL), OwnClasses())
    look(data(beton, train=TRAIN, val={**EVAL, "label": "disabled"}), of_classes(SimCLR, 50))


def test_F42_a_look_into_a_loader_is_no_pass(beton):
    module, other = data(beton, train=TRAIN), data(beton, train=TRAIN)
    loader = module.train_dataloader()
    passing = iter(loader)
    next(passing)
    before = module.state_dict()
    first = module.first_batch("train")
    assert module.state_dict() == before
    assert loader.sampler.epoch == 0
    module.load_state_dict(before)
    assert module.train_dataloader() is loader
    module.first_batch("train")
    rest = [batch[1].tolist() for batch in loader]
    whole = [batch[1].tolist() for batch in other.train_dataloader()]
    assert [first["label"].tolist(), *rest] == whole


class Sums(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer, self.seen = torch.nn.Linear(1, 1), []

    def training_step(self, batch, batch_idx):
        self.seen.append((self.current_epoch, float(batch[0].sum())))
        return self.layer(batch[0].mean()[None]).sum()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)


@pytest.mark.parametrize("resumed", [False, True])
def test_F42_the_look_moves_nothing(beton, tmp_path, resumed):
    seen = []
    for callbacks in ([], [FirstLook()]):
        path = None
        for max_steps in (5, 14) if resumed else (14,):
            model = Sums()
            torch.manual_seed(0)
            trainer = pl.Trainer(
                accelerator="cpu", max_steps=max_steps, callbacks=[*callbacks], logger=False, default_root_dir=tmp_path,
                enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
            )  # fmt: skip
            trainer.fit(model, data(beton, train=TRAIN), ckpt_path=path)
            path = tmp_path / "saved.ckpt"
            trainer.save_checkpoint(path)
            seen.append((model.seen, float(torch.rand(()))))
    assert seen[: len(seen) // 2] == seen[len(seen) // 2 :]


def test_batches_are_described_with_their_names():
    batch = (torch.zeros(2, 3, dtype=torch.uint8), [np.zeros((2, 1))] * 2, "text")
    assert describe(batch, ["image", "views", "name"]) == (
        "image uint8 (2, 3), views list of float64 (2, 1), float64 (2, 1), name str"
    )
    assert describe({"image": torch.zeros(2)}) == "image float32 (2,)"
    assert describe(batch[:1]) == "[0] uint8 (2, 3)"
