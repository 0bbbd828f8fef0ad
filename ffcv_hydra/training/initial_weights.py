"""`model.init_from`: weights that a model begins with, from wherever they were made."""

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities import rank_zero_only
from torch import Tensor

from ffcv_hydra.errors import ConfigError, describe_error
from ffcv_hydra.models import Classifier
from ffcv_hydra.training.checkpoints import briefly, checkpoint_of, read_weights_file

WRAPPERS = ("module", "model", "backbone", "net", "encoder")
"""What the names of weights begin with because of what the network was wrapped in; `_orig_mod` may be anywhere."""

_CONTAINERS = ("state_dict", "model_state_dict", "model", "weights")
"""Where the weights are in files that hold more."""

_SHOWN = 6  # names in a list of what did not fit

log = logging.getLogger(__name__)


def load_initial_weights(model: pl.LightningModule, init_from: str, weights_only: bool = True) -> None:
    """Give a model the weights of a file, or of a library, as far as they fit; tells which did not.

    Where fewer than half of the model's weights are there, that is a warning.

    Names are compared without what they begin with on either side, be it one or several of `WRAPPERS`, such that most
    weights fit. What has another shape, as the head for another number of classes has, stays as it is.

    Args:
        model: changed in place.
        init_from: a file: a Lightning checkpoint of any model, a state dict, or one under a key such as `model`, in
            torch's format or as safetensors; a run's folder, for its best checkpoint;
            `torchvision:ResNet18_Weights.IMAGENET1K_V1` (any name of `torchvision.models`), or
            `timm:resnet18.a1_in1k`, which are downloaded unless they are where the library keeps them.
        weights_only: whether files with objects in them are refused.

    Raises:
        ConfigError: there are no such weights, or none of them fits.
    """
    found = _read(init_from, weights_only)
    own = {name: value for name, value in model.state_dict().items() if isinstance(value, Tensor)}
    if isinstance(model, Classifier):  # what counts classes is no weight: a fit counts its own
        found.pop("class_weights", None), own.pop("class_weights", None)
    names = {name: source for name, source in _best_mapping(found, own).items() if name in own}
    fitting = {name: found[source] for name, source in names.items() if found[source].shape == own[name].shape}
    others = {name for name in names if name not in fitting}
    if not any(own[name].ndim for name in fitting):
        raise ConfigError(
            f"model.init_from={init_from}: none of its weights fits {type(model).__name__}, which has "
            f"{_shapes(own, own)}; those in the file are {_shapes(found, found)}"
        )
    model.load_state_dict({**model.state_dict(), **fitting})
    tell = rank_zero_only(log.info)
    tell("model.init_from=%s: %d of the model's %d weights are from it", init_from, len(fitting), len(own))
    unread = found.keys() - set(names.values())
    left = {
        "of another shape there": [f"{name} {_shape(own[name])} for {_shape(found[names[name]])}" for name in others],
        "not there": own.keys() - names.keys(),
    }
    for reason, listed in left.items():
        if listed:
            tell("left as initialised, %s: %s", reason, briefly(listed, _SHOWN))
    if unread:
        tell("not in the model: %s", briefly(unread, _SHOWN))
    if 2 * len(fitting) < len(own):
        rank_zero_only(log.warning)(
            "model.init_from=%s fits only %d of the model's %d weights: the rest begins as it was initialised; see "
            "that it is of this network", init_from, len(fitting), len(own),
        )  # fmt: skip


def _read(init_from: str, weights_only: bool) -> dict[str, Tensor]:
    library, _, name = init_from.partition(":")
    key = f"model.init_from={init_from}"
    if library == "torchvision":
        return _of_torchvision(key, name)
    if library == "timm":
        return _of_timm(key, name)
    path = checkpoint_of(init_from, "best", "model.init_from")
    if path.suffix == ".safetensors":
        return _of_safetensors(key, path)
    return _weights_in(key, read_weights_file(key, path, weights_only))


def _weights_in(key: str, contents: Any) -> dict[str, Tensor]:
    """The tensors by name, of a file's contents; raises `ConfigError` where there are none."""
    places = [contents]
    if isinstance(contents, Mapping):
        places = [contents[name] for name in _CONTAINERS if isinstance(contents.get(name), Mapping)] or places
    for place in places:
        found = {
            str(name).replace("_orig_mod.", ""): value.detach()
            for name, value in (place.items() if isinstance(place, Mapping) else ())
            if isinstance(value, Tensor)
        }
        if found:
            return found
    if isinstance(contents, Mapping):
        raise ConfigError(f"{key}: there are no weights in it, by name or in {' or '.join(_CONTAINERS)}")
    raise ConfigError(f"{key}: holds a {type(contents).__name__}, and no weights by name; save model.state_dict()")


def _of_safetensors(key: str, path: Path) -> dict[str, Tensor]:
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load_file
    except ImportError:
        raise ConfigError(f"{key}: this needs the package safetensors; pip install safetensors") from None
    try:
        return _weights_in(key, load_file(path))
    except (SafetensorError, OSError) as error:
        raise ConfigError(f"{key}: not a safetensors file: {error}") from error


def _of_torchvision(key: str, name: str) -> dict[str, Tensor]:
    from torchvision.models import get_weight

    try:
        weights = get_weight(name)
    except (ValueError, KeyError):
        advice = "write it as ResNet18_Weights.IMAGENET1K_V1, as torchvision.models lists them"
        raise ConfigError(f"{key}: torchvision knows no such weights; {advice}") from None
    try:
        found = torch.hub.load_state_dict_from_url(weights.url, map_location="cpu", check_hash=True, weights_only=True)
    except (OSError, RuntimeError) as error:
        place = Path(torch.hub.get_dir()) / "checkpoints" / Path(weights.url).name
        raise ConfigError(f"{key}: {weights.url} cannot be had ({error}); put the file at {place}") from error
    return _weights_in(key, found)


def _of_timm(key: str, name: str) -> dict[str, Tensor]:
    try:
        import timm
    except ImportError:
        raise ConfigError(f"{key}: this needs the package timm; pip install timm") from None
    try:
        return _weights_in(key, timm.create_model(name, pretrained=True).state_dict())
    except Exception as error:  # of the hub's, of which there are many
        raise ConfigError(f"{key}: timm has no such weights, or cannot get them: {describe_error(error)}") from error


def _best_mapping(found: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, str]:
    """The weights of the file by names of the model's, so that most of these fit."""
    return max(
        (
            {inside + name.removeprefix(outside): name for name in found if name.startswith(outside)}
            for outside in sorted(_beginnings(found, WRAPPERS), key=len)
            for inside in sorted(_beginnings(own, [*WRAPPERS, *(name.partition(".")[0] for name in own)]), key=len)
        ),
        key=lambda names: sum(name in own and own[name].shape == found[source].shape for name, source in names.items()),
    )


def _beginnings(names: Iterable[str], words: Iterable[str]) -> set[str]:
    """What names begin with that is made of such words, up to four: nothing, `model.`, `module.model.`, ..."""
    known, beginnings = set(words), {""}
    for name in names:
        beginning = ""
        for word in name.split(".")[:-1][:4]:
            if word not in known:
                break
            beginning += f"{word}."
            beginnings.add(beginning)
    return beginnings


def _shapes(names: Iterable[str], weights: Mapping[str, Tensor]) -> str:
    return briefly([f"{name} {_shape(weights[name])}" for name in names if weights[name].ndim], 3) or "none"


def _shape(value: Tensor) -> str:
    return str(tuple(value.shape)).replace(",)", ")")
