"""Parts of a model from plain dictionaries, as configs write them: optimizers, schedules, losses, metrics.

Plain dictionaries, and not objects or partials, keep a model's hyper-parameters loadable with `weights_only=True`.
"""

import inspect
import pkgutil
from collections.abc import Mapping
from typing import Any

from torch import nn
from torchmetrics import Metric

from ffcv_hydra.errors import ConfigError, describe_error


def built(key: str, node: Any, *arguments: Any, **defaults: Any) -> Any:
    """What a dictionary with a `_target_` describes; those within it are built first.

    Args:
        key: where it is in the config, for errors.
        node: `{"_target_": "torch.optim.AdamW", "lr": 1e-3}`.
        arguments: further ones, by position.
        defaults: further ones by name, where the target takes them and the node says nothing.

    Raises:
        ConfigError: the target does not exist, or refuses its arguments.
    """
    if not isinstance(node, Mapping) or "_target_" not in node:
        raise ConfigError(f"{key}: no _target_; name a class, such as torch.optim.AdamW")
    given = {name: _built_within(f"{key}.{name}", value) for name, value in node.items()}
    name = given.pop("_target_")
    arguments += tuple(given.pop("_args_", ()))
    given = {key: value for key, value in given.items() if key not in ("_convert_", "_recursive_")}
    try:
        target = pkgutil.resolve_name(name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(f"{key}._target_={name!r}: no such class ({error})") from error
    if defaults:
        accepted = inspect.signature(target).parameters
        given = {name: value for name, value in defaults.items() if name in accepted} | given
    try:
        return target(*arguments, **given)
    except (TypeError, ValueError, RuntimeError, ImportError) as error:
        raise ConfigError(f"{key}: {target.__name__} refuses its arguments: {describe_error(error)}") from error


def _built_within(key: str, value: Any) -> Any:
    if isinstance(value, Mapping):
        return built(key, value) if "_target_" in value else dict(value)
    if isinstance(value, list):
        return [_built_within(f"{key}.{number}", one) for number, one in enumerate(value)]
    return value


def built_network(backbone: Any) -> nn.Module:
    """A network as it is, or what a dictionary describes; raises `ConfigError` as `built`, or if it is no module."""
    network = backbone if isinstance(backbone, nn.Module) else built("model.backbone", backbone)
    if not isinstance(network, nn.Module):
        raise ConfigError(f"model.backbone: {type(network).__name__} is no torch.nn.Module")
    return network


def built_loss(node: Any) -> nn.Module | None:
    """The module that `model.loss` describes; None if it is null. Raises `ConfigError` as `built`, or if it is none."""
    loss = None if node is None else built("model.loss", node)
    if loss is not None and not isinstance(loss, nn.Module):
        raise ConfigError(f"model.loss: {node['_target_']} is no torch.nn.Module; name a class of losses")
    return loss


def built_metrics(nodes: Any, defaults: Mapping[str, Any]) -> dict[str, Metric]:
    """The metrics that `model.metrics` describes, by name.

    Args:
        nodes: a dictionary with a `_target_` for each name; None for none.
        defaults: arguments for those that take them: `num_classes`, `task` and the like.

    Raises:
        ConfigError: as `built`; one is no metric of torchmetrics, is for another number of classes, or has a name that
            cannot be.
    """
    if not isinstance(nodes or {}, Mapping) or "_target_" in (nodes or {}):
        raise ConfigError("model.metrics: give each metric a name, as {f1: {_target_: ...}}")
    metrics = {}
    for name, node in (nodes or {}).items():
        key = f"model.metrics.{name}"
        if node is None:
            continue
        if not str(name).isidentifier() or name == "loss":
            raise ConfigError(f"{key}: use letters, digits and _ for a metric's name, and another one than loss")
        metrics[str(name)] = metric = built(key, node, **defaults)
        if not isinstance(metric, Metric):
            raise ConfigError(f"{key}: {node['_target_']} is no torchmetrics.Metric")
        for argument in defaults.keys() & node.keys():
            if node[argument] != defaults[argument] and argument != "ignore_index":
                given, ours = node[argument], defaults[argument]
                raise ConfigError(f"{key}.{argument}={given}, and of the model it is {ours}; leave it out")
    return metrics
