"""Programs that do as the model does."""

import json

import pytest
import torch
from torch import nn

from ffcv_hydra.errors import ConfigError
from ffcv_hydra.export import export
from ffcv_hydra.models import AutoEncoder, Classifier, SmallConvNet

OPTIMIZER = {"_target_": "torch.optim.SGD", "lr": 0.1}


def images(count, side=8):
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(count))


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported") / "export"
    model = Classifier(SmallConvNet(4, width=4), 4, OPTIMIZER, mean=[0.5] * 3, std=[0.2] * 3)
    differences = export(model, [images(5), images(3)], {"shape": [3, 8, 8]}, folder)
    return model, folder, differences


def test_the_program_is_the_model_for_any_number_of_images(exported):
    model, folder, differences = exported
    program = torch.export.load(folder / "model.pt2").module()
    for count in (1, 2, 7):
        assert torch.equal(program(images(count)), model(images(count)))
    assert differences["model.pt2"] == 0
    assert json.loads((folder / "preprocessing.json").read_text()) == {"shape": [3, 8, 8]}
    assert (folder / "example.py").is_file()


def test_the_plain_weights_are_the_networks_by_its_own_names(exported):
    model, folder, _ = exported
    network = SmallConvNet(4, width=4)
    network.load_state_dict(torch.load(folder / "state_dict.pt", weights_only=True))
    assert torch.equal(network.head[1].weight, model.backbone.head[1].weight)


def test_onnx_runtime_gives_the_same(exported):
    onnxruntime = pytest.importorskip("onnxruntime")
    model, folder, differences = exported
    session = onnxruntime.InferenceSession(folder / "model.onnx")
    for count in (1, 6):
        found = torch.from_numpy(session.run(None, {"images": images(count).numpy()})[0])
        torch.testing.assert_close(found, model(images(count)), rtol=1e-4, atol=1e-5)
    assert differences["model.onnx"] < 1e-5


class Counts(nn.Module):
    """What it gives is as long as there are bright pixels."""

    def forward(self, images):
        bright = images.flatten()[: int((images > 0.5).sum())]
        return images.flatten(1)[:, :3] if bright.sum() > 1 else images.flatten(1)[:, 1:4]


def test_a_model_that_cannot_be_exported_is_told_with_what_it_does(tmp_path):
    with pytest.raises(ConfigError, match="^Counts cannot be exported by torch.export: ") as refused:
        export(Counts(), [images(3)], {}, tmp_path)
    assert "\n" not in str(refused.value)


def test_an_operation_that_onnx_lacks_is_named_and_the_rest_is_there(tmp_path):
    pytest.importorskip("onnxscript")

    class Bessel(nn.Module):
        def forward(self, images):
            return torch.special.bessel_j0(images).mean((2, 3))

    with pytest.raises(ConfigError, match=r"^the model cannot be exported to ONNX: [a-z]+.bessel_j0") as refused:
        export(Bessel(), [images(3)], {}, tmp_path)
    assert "\n" not in str(refused.value)
    assert (tmp_path / "example.py").is_file()


def test_a_model_that_gives_no_tensor_is_refused(tmp_path):
    class Pair(nn.Module):
        def forward(self, images):
            return images, images

    with pytest.raises(ConfigError, match="Pair.forward gives tuple; let it give a tensor"):
        export(Pair(), [images(2)], {}, tmp_path)


def test_without_the_packages_of_onnx_there_is_none(tmp_path, monkeypatch):
    monkeypatch.setattr("ffcv_hydra.export.programs.ONNX_PACKAGES", ("no_such_package",))
    assert export(AutoEncoder([3, 8, 8], 4, 2), [images(2)], {}, tmp_path) == {"model.pt2": 0.0}
    assert not (tmp_path / "model.onnx").exists()
