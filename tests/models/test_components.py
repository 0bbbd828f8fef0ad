"""Parts of models from plain dictionaries."""

import pytest
import torch

from ffcv_hydra.errors import ConfigError
from ffcv_hydra.models.components import built, built_loss


def test_what_a_dictionary_describes_is_built_from_within():
    node = {
        "_target_": "torch.nn.CrossEntropyLoss",
        "weight": {"_target_": "torch.tensor", "data": [1.0, 2.0]},
        "label_smoothing": 0.1,
    }
    loss = built_loss(node)
    assert loss.weight.tolist() == [1, 2] and loss.label_smoothing == 0.1
    assert built("model.schedules", {"_target_": "builtins.list"}, [1, 2]) == [1, 2]


def test_defaults_are_for_those_that_take_them():
    node = {"_target_": "torch.nn.CrossEntropyLoss", "reduction": "sum"}
    assert built("model.loss", node, reduction="mean", num_classes=3).reduction == "sum"
    assert built("model.loss", {"_target_": "torch.nn.CrossEntropyLoss"}, reduction="none").reduction == "none"


@pytest.mark.parametrize(
    ("node", "message"),
    [
        ({}, "model.loss: no _target_"),
        (3, "model.loss: no _target_"),
        ({"_target_": "torch.nn.NoLoss"}, "model.loss._target_='torch.nn.NoLoss': no such class"),
        ({"_target_": "torch.nn.MSELoss", "speed": 1}, "model.loss: MSELoss refuses its arguments: .*'speed'"),
        ({"_target_": "torch.nn.CrossEntropyLoss", "weight": [1.0]}, "model.loss: CrossEntropyLoss refuses .*'list'"),
        (
            {"_target_": "torch.nn.CrossEntropyLoss", "weight": {"_target_": "torch.tensor", "dta": 1}},
            "model.loss.weight: tensor refuses its arguments",
        ),
    ],
)
def test_what_cannot_be_built_is_named(node, message):
    with pytest.raises(ConfigError, match=message):
        built_loss(node)
    assert built_loss(None) is None
    assert isinstance(built_loss({"_target_": "torch.nn.MSELoss"}), torch.nn.Module)
