"""From a node of a config to the object that it names."""

from collections.abc import Mapping
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import OmegaConf

from ffcv_hydra.errors import ConfigError, FFCVHydraError, PipelineError, describe_error
from ffcv_hydra.hydra_internals import instantiation_failure

Config = Mapping[str, Any]


def build(key: str, node: Any, **options: Any) -> Any:
    """Instantiate a node of the config; lists and mappings in it arrive as plain ones.

    Args:
        key: where the node is in the config, for errors.
        node: plain containers with a `_target_`.
        options: of `hydra.utils.instantiate`.

    Raises:
        ConfigError: the target cannot be built; says where and why. Errors of this package
            pass as they are, but for an operation's, which say where it is, too.
    """
    if isinstance(node, list):  # Hydra runs the name of a list and the number in it together
        return [build(f"{key}.{number}", one, **options) for number, one in enumerate(node)]
    try:
        return instantiate_at(key, node, **options)
    except InstantiationException as error:
        cause = error.__cause__
        _, where, message = instantiation_failure(error)
        if isinstance(cause, PipelineError):  # names the operation, of which there may be several
            raise PipelineError(f"{where or key}: {cause}") from cause.__cause__
        if isinstance(cause, FFCVHydraError):
            raise cause from cause.__cause__
        reason = " ".join(message.split()) if cause is None else describe_error(cause)
        if isinstance(cause, ImportError) and key.startswith(("logger.", "callbacks.")):
            reason += f"; or leave it out: {key}=null"
        raise ConfigError(f"{where or key}: {reason}") from error


def instantiate_at(key: str, node: Mapping[str, Any], **options: Any) -> Any:
    """Instantiate a node as `build` does; Hydra's error, an `InstantiationException`, names the key in the config."""
    root: Any = {}
    for part in reversed(key.split(".")):
        root = {part: root if root else node}
    return instantiate(OmegaConf.select(OmegaConf.create(root), key), _convert_="all", **options)
