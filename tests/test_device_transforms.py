"""Torch modules on whole batches, behind the transfer to the device."""

import pytest
import pytorch_lightning as pl
import torch
from torch import nn
from torchvision.transforms import v2

from ffcv_hydra import FFCVDataModule, FFCVPipelineManager
from ffcv_hydra.device_transforms import DeviceTransforms
from ffcv_hydra.errors import LoaderError, PipelineError
from ffcv_hydra.loader import Loader
from ffcv_hydra.operations import CenterCrop, DivideImage255, Squeeze, ToTensor, ToTorchImage
from ffcv_hydra.ordering import Random

pytestmark = pytest.mark.timeout(120)


class Noise(nn.Module):
    def forward(self, batch):
        return batch + torch.rand_like(batch)


class Scale(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("factor", torch.tensor(2.0))

    def forward(self, batch):
        return batch * self.factor


class Records(pl.LightningModule):
    def __init__(self, fail_at: int = -1) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.sums: dict[str, list[float]] = {"train": [], "val": [], "test": [], "predict": []}
        self.fail_at = fail_at

    def note(self, stage, batch):
        self.sums[stage].append(float(batch[0].double().sum()))

    def training_step(self, batch, batch_idx):
        if self.global_step == self.fail_at:
            raise KeyError("stopped")
        self.note("train", batch)
        return (batch[0].mean() * self.weight).sum()

    def validation_step(self, batch, batch_idx):
        self.note("val", batch)

    def test_step(self, batch, batch_idx):
        self.note("test", batch)

    def predict_step(self, batch, batch_idx):
        self.note("predict", batch)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def data(beton, **device_transforms):
    image = [CenterCrop(8), ToTensor(), ToTorchImage(), DivideImage255()]
    pipelines = {"image": image, "label": [ToTensor(), Squeeze(1)], "array": "disabled"}
    managers = {
        f"{stage}_manager": FFCVPipelineManager(beton, pipelines, ordering=Random())
        for stage in ("train", "val", "test", "predict")
    }
    return FFCVDataModule(30, seed=1, device_transforms=device_transforms, **managers)


def trainer(tmp_path, **options):
    quiet = {"accelerator": "cpu", "logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    return pl.Trainer(default_root_dir=tmp_path, **{**quiet, "max_epochs": 2, "num_sanity_val_steps": 0, **options})


def fitted(beton, tmp_path, **device_transforms):
    model = Records()
    trainer(tmp_path, enable_checkpointing=False).fit(model, data(beton, **device_transforms))
    return model.sums


def test_each_stage_has_its_own(beton, tmp_path):
    plain = fitted(beton, tmp_path)
    scaled = fitted(beton, tmp_path, val={"image": [Scale()]})
    assert scaled["train"] == plain["train"]
    assert scaled["val"] == pytest.approx([2 * value for value in plain["val"]])
    module, run, model = data(beton, test={"image": [Scale()]}, predict={"image": []}), trainer(tmp_path), Records()
    run.test(model, module, verbose=False)
    run.predict(model, module)
    assert sorted(model.sums["test"]) == pytest.approx(sorted(2 * value for value in model.sums["predict"]))


def test_random_ones_give_the_same_on_every_run_and_differ_from_batch_to_batch(beton, tmp_path):
    plain = fitted(beton, tmp_path)
    torch.manual_seed(1)
    first = fitted(beton, tmp_path, train={"image": [Noise()]}, val={"image": [Noise()]})
    torch.manual_seed(2)
    assert fitted(beton, tmp_path, train={"image": [Noise()]}, val={"image": [Noise()]}) == first
    for stage in ("train", "val"):
        added = [noisy - value for noisy, value in zip(first[stage], plain[stage], strict=True)]
        assert len({round(value, 3) for value in added}) == 6


def test_they_go_on_where_a_run_was_stopped(beton, tmp_path):
    def saving():
        return pl.callbacks.ModelCheckpoint(tmp_path, filename="{step}", every_n_train_steps=1, save_top_k=-1)

    straight = fitted(beton, tmp_path, train={"image": [Noise()]})["train"]
    stopped, resumed = Records(fail_at=4), Records()
    with pytest.raises(KeyError):
        trainer(tmp_path, callbacks=[saving()]).fit(stopped, data(beton, train={"image": [Noise()]}))
    module = data(beton, train={"image": [Noise()]})
    trainer(tmp_path, callbacks=[saving()]).fit(resumed, module, ckpt_path=tmp_path / "step=4.ckpt")
    assert stopped.sums["train"] + resumed.sums["train"] == straight


def test_global_generators_do_not_move(beton, tmp_path):
    class Draws(Records):
        def training_step(self, batch, batch_idx):
            self.drawn = float(torch.rand(1))
            return super().training_step(batch, batch_idx)

    drawn = []
    for transforms in ({}, {"train": {"image": [Noise()]}}):
        model = Draws()
        torch.manual_seed(7)
        trainer(tmp_path, enable_checkpointing=False).fit(model, data(beton, **transforms))
        drawn.append(model.drawn)
    assert drawn[0] == drawn[1]


def test_a_list_is_given_the_whole_batch(beton, tmp_path):
    modules = [v2.MixUp(num_classes=90)]
    module = data(beton, train=modules)

    class Targets(Records):
        def training_step(self, batch, batch_idx):
            assert batch[1].shape == (30, 90)
            return super().training_step(batch, batch_idx)

    trainer(tmp_path, enable_checkpointing=False, max_epochs=1).fit(Targets(), module)


def test_views_are_transformed_each():
    transforms = DeviceTransforms("train", {"views": [Scale()]}, ("label", "views"), {})
    label, views = transforms((torch.ones(2), [torch.ones(2, 3), torch.ones(2, 5)]), key=1)
    assert label.sum() == 2 and [float(view.sum()) for view in views] == [12, 20]


def test_what_cannot_be_is_refused_in_one_line(beton):
    with pytest.raises(LoaderError, match="no stage 'trian'; stages are train, val"):
        data(beton, trian=[Scale()])
    with pytest.raises(PipelineError, match="train: no output 'imgae'; outputs are image, label"):
        DeviceTransforms("train", {"imgae": [Scale()]}, ("image", "label"), {})
    with pytest.raises(PipelineError, match="3 is no torch.nn.Module"):
        DeviceTransforms("train", [3], ("image",), {})
    with pytest.raises(PipelineError, match="of train: Conv2d: RuntimeError: ") as found:
        DeviceTransforms("train", {"image": [nn.Conv2d(5, 1, 1)]}, ("image",), {})((torch.zeros(1, 3, 4, 4),), key=1)
    assert "\n" not in str(found.value)
    with pytest.raises(PipelineError, match="Flatten got 2 outputs and gave 1"):
        DeviceTransforms("val", [Flatten()], ("image", "label"), {})((torch.zeros(2, 3), torch.zeros(2)), key=1)


class FlattenFirst(nn.Module):
    def forward(self, image, label):
        return image.flatten(0, 1), label


@pytest.mark.parametrize("modules", [{"image": [nn.Flatten(0, 1)]}, [FlattenFirst()]], ids=["output", "batch"])
def test_F14_outputs_of_different_lengths_are_refused(modules):
    transforms = DeviceTransforms("train", modules, ("image", "label"), {})
    with pytest.raises(PipelineError, match=r"train: \w+ made outputs of \[2, 6\] samples|\[6, 2\]"):
        transforms((torch.zeros(2, 3, 4), torch.zeros(2)), key=1)


class Flatten(nn.Module):
    def forward(self, *outputs):
        return outputs[0].flatten()


@pytest.mark.parametrize("by_output", [True, False])
def test_F7_constants_of_another_unit_are_refused_on_the_device(beton, by_output):
    images = [CenterCrop(8), ToTensor(), ToTorchImage()]
    loader = Loader(beton, 8, pipelines={"image": images, "array": "disabled"}, num_workers=1)

    def make(*modules):
        given = {"image": modules} if by_output else modules
        return DeviceTransforms("train", given, loader.output_names, loader.pictures)

    normalize = v2.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    with pytest.raises(PipelineError, match="of train: 'image': Normalize: mean .* 0 to 1, but these"):
        make(v2.ToDtype(torch.float32), v2.RandomHorizontalFlip(), normalize)
    known = make(v2.ToDtype(torch.float32, scale=True), v2.RandomHorizontalFlip(), normalize).pictures["image"]
    assert (known.level, known.is_normalized, known.state.dtype) == (None, True, torch.float32)
    assert make(Noise()).pictures["image"].level is None
