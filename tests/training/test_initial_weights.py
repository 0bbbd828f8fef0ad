"""Weights that a model begins with."""

import logging
import sys
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from ffcv_hydra.errors import ConfigError
from ffcv_hydra.models import Classifier, SimCLR, SmallConvNet, ffcv_resnet
from ffcv_hydra.training.initial_weights import load_initial_weights

OPTIMIZER = {"_target_": "torch.optim.SGD", "lr": 0.1}


def classifier(num_classes=4):
    return Classifier(SmallConvNet(num_classes, width=4), num_classes, OPTIMIZER)


@pytest.fixture(scope="module")
def network():
    return SmallConvNet(4, width=4)


@pytest.fixture
def told(caplog):
    caplog.set_level(logging.INFO)
    return lambda: " ".join(record.getMessage() for record in caplog.records)


def same(model, network):
    return all(torch.equal(model.backbone.state_dict()[name], value) for name, value in network.state_dict().items())


@pytest.mark.parametrize(
    "beginning", ["", "backbone.", "model.", "module.", "module.backbone.", "_orig_mod.", "model._orig_mod.net."]
)
@pytest.mark.parametrize("under", [None, "state_dict", "model"])
def test_names_are_compared_without_what_wraps_the_network(network, tmp_path, beginning, under):
    weights = {beginning + name: value for name, value in network.state_dict().items()}
    torch.save({under: weights, "epoch": 3} if under else weights, tmp_path / "weights.pt")
    model = classifier()
    load_initial_weights(model, str(tmp_path / "weights.pt"))
    assert same(model, network)


def test_the_networks_of_recipes_take_the_weights_of_plain_ones(tmp_path, told):
    torchvision = pytest.importorskip("torchvision")
    plain = torchvision.models.resnet18(num_classes=4)
    torch.save(plain.state_dict(), tmp_path / "weights.pt")
    model = Classifier(ffcv_resnet("resnet18", 4), 4, OPTIMIZER)
    load_initial_weights(model, str(tmp_path / "weights.pt"))
    found = model.backbone.backbone.state_dict()
    assert all(torch.equal(found[name], value) for name, value in plain.state_dict().items())
    assert "left as initialised" not in told()


def test_weights_that_most_of_the_model_lacks_are_a_warning(network, tmp_path, caplog):
    weights = network.state_dict()
    for count, is_warned in ((len(weights) // 2, False), (len(weights) // 2 - 1, True)):
        some = dict([*((name, value) for name, value in weights.items() if value.ndim)][:count])
        torch.save(some, tmp_path / "weights.pt")
        load_initial_weights(classifier(), str(tmp_path / "weights.pt"))
        warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
        assert len(warnings) == is_warned
    assert f"fits only {count} of the model's {len(weights)} weights" in warnings[0]


def test_a_head_of_other_classes_is_left_out_with_a_word(network, tmp_path, told):
    torch.save(network.state_dict(), tmp_path / "weights.pt")
    model = classifier(num_classes=7)
    before = model.backbone.head[1].weight.clone()
    load_initial_weights(model, str(tmp_path / "weights.pt"))
    assert torch.equal(model.backbone.head[1].weight, before)
    assert torch.equal(model.backbone.features[0][0].weight, network.features[0][0].weight)
    assert "left as initialised, of another shape there: backbone.head.1.bias (7) for (4)" in told()


def test_what_is_missing_and_what_is_not_read_is_listed(tmp_path, told):
    features = SimCLR(SmallConvNet(4, width=4), 4, OPTIMIZER)
    torch.save({"state_dict": features.state_dict()}, tmp_path / "features.ckpt")
    model = classifier()
    load_initial_weights(model, str(tmp_path / "features.ckpt"))
    assert torch.equal(model.backbone.features[0][0].weight, features.backbone.features[0][0].weight)
    assert "not there: backbone.head.1.bias and backbone.head.1.weight" in told()
    assert "not in the model: projection.0.bias and projection.0.weight" in told()


@pytest.mark.parametrize("of_file", ["balanced", None])
@pytest.mark.parametrize("of_model", ["balanced", None])
def test_weights_of_classes_are_counted_by_the_fit_itself(tmp_path, told, of_file, of_model):
    first, model = (
        Classifier(SmallConvNet(4, width=4), 4, OPTIMIZER, class_weights=weights) for weights in (of_file, of_model)
    )
    torch.save(first.state_dict(), tmp_path / "weights.pt")
    load_initial_weights(model, str(tmp_path / "weights.pt"))
    assert same(model, first.backbone)
    assert "class_weights" not in told()


def test_one_that_fits_nothing_is_refused_with_what_was_looked_for_and_found(tmp_path):
    torch.save(nn.Linear(3, 2).state_dict(), tmp_path / "weights.pt")
    with pytest.raises(ConfigError) as refused:
        load_initial_weights(classifier(), str(tmp_path / "weights.pt"))
    assert "none of its weights fits Classifier, which has backbone.features.0.0.weight (4, 3, 3, 3)" in str(
        refused.value
    )
    assert str(refused.value).endswith("those in the file are bias (2) and weight (2, 3)")


@pytest.mark.parametrize(
    ("contents", "fault"),
    [
        ({"epoch": 1}, "there are no weights in it, by name or in state_dict or"),
        (torch.zeros(3), "holds a Tensor, and no weights by name"),
        (nn.Linear(2, 2), "holds more than plain data.* add trust_checkpoint=true"),
    ],
)
def test_a_file_without_weights_is_refused(tmp_path, contents, fault):
    torch.save(contents, tmp_path / "other.pt")
    with pytest.raises(ConfigError, match=f"model.init_from=.*other.pt: {fault}"):
        load_initial_weights(classifier(), str(tmp_path / "other.pt"))


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ("nowhere.pt", "no such file or folder"),
        ("torchvision:ResNet18_Weights.V7", "torchvision knows no such weights; write it as"),
        ("torchvision:resnet18", "torchvision knows no such weights; write it as"),
    ],
)
def test_a_name_that_leads_nowhere_is_refused(given, fault):
    with pytest.raises(ConfigError, match=f"model.init_from={given}: {fault}"):
        load_initial_weights(classifier(), given)


def test_torchvisions_weights_come_from_its_cache_or_say_where_to_put_them(tmp_path, monkeypatch):
    torchvision = pytest.importorskip("torchvision")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    (tmp_path / "hub/checkpoints").mkdir(parents=True)
    network = torchvision.models.squeezenet1_1()
    torch.save(network.state_dict(), tmp_path / "hub/checkpoints/squeezenet1_1-b8a52dc0.pth")
    model = Classifier(torchvision.models.squeezenet1_1(), 1000, OPTIMIZER)
    load_initial_weights(model, "torchvision:SqueezeNet1_1_Weights.IMAGENET1K_V1")
    assert same(model, network)

    def offline(*arguments, **options):
        raise OSError("no route")

    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    with pytest.raises(ConfigError, match=r"cannot be had \(no route\); put the file at .*resnet18-f37072fd\.pth"):
        load_initial_weights(model, "torchvision:ResNet18_Weights.IMAGENET1K_V1")


def test_safetensors(network, tmp_path):
    safetensors = pytest.importorskip("safetensors.torch")
    safetensors.save_file(network.state_dict(), tmp_path / "weights.safetensors")
    model = classifier()
    load_initial_weights(model, str(tmp_path / "weights.safetensors"))
    assert same(model, network)
    (tmp_path / "weights.safetensors").write_bytes(b"text")
    with pytest.raises(ConfigError, match="not a safetensors file"):
        load_initial_weights(model, str(tmp_path / "weights.safetensors"))


def test_timms_weights_are_those_it_creates_a_model_with(network, monkeypatch):
    def create_model(name, pretrained):
        if name != "small" or not pretrained:
            raise RuntimeError("Unknown model (large)")
        return network

    monkeypatch.setitem(sys.modules, "timm", SimpleNamespace(create_model=create_model))
    model = classifier()
    load_initial_weights(model, "timm:small")
    assert same(model, network)
    with pytest.raises(ConfigError, match=r"timm has no such weights, or cannot get them: .*Unknown model \(large\)"):
        load_initial_weights(model, "timm:large")
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ConfigError, match="model.init_from=timm:small: this needs the package timm; pip install timm"):
        load_initial_weights(model, "timm:small")
