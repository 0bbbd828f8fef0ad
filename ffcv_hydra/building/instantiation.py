"""From a node of a config to the object that it names."""

from collections.abc import Mapping
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import OmegaConf

from ffcv_hydra.errors import ConfigError, FFCVHydraError, describe_error
from ffcv_hydra.hydra_internals import instantiation_failure

Config = Mapping[str, Any]


def build(key: str, node: Any, **options: Any) -> Any:
    """Instantiate a node of the config; lists and mappings in it arrive as plain ones.

    Args:
        key: where the node is in the config, for errors.
        node: plain containers with a `_target_`.
        options: of `hydra.utils.instantiate`.

    Raises:
        ConfigError: the target cannot be built; says where and why. Errors of this package pass as they are.
    """
    root: Any = {}
    for part in reversed(key.split(".")):
        root = {part: root if root else node}
    try:
        return instantiate(OmegaConf.select(OmegaConf.create(root), key), _convert_="all", **options)
    except InstantiationException as error:
        cause = error.__cause__
        if isinstance(cause, FFCVHydraError):
            raise cause from cause.__cause__
        _, where, message = instantiation_failure(error)
        reason = " ".join(message.split()) if cause is None else describe_error(cause)
        raise ConfigError(f"{where or key}: {reason}") from error
