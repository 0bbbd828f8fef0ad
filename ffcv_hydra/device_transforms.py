"""Torch modules that run on whole batches after these are on the device.

They decide once per batch, as torch modules do, but by a key of their own: the same batch is changed in the same way in
every run of a seed, and the process's generators do not move. Knows batches and modules; nothing of files or loaders.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from ffcv_hydra.errors import PipelineError, describe_error
from ffcv_hydra.loader.modules import generators_seeded

# by output, or a list for the batch as a whole
DeviceTransformSpec = Mapping[str, Sequence[nn.Module]] | Sequence[nn.Module]


class DeviceTransforms:
    """The device-side transforms of one stage.

    Args:
        stage: for messages.
        modules: by output, each given that output's tensor (N, ...); or a list, each given all outputs of the batch as
            arguments and giving as many back, as `torchvision.transforms.v2.MixUp` does.
        outputs: the names of the batch's outputs, in order.

    Raises:
        PipelineError: for what is no module, or an output that is not there.
    """

    def __init__(self, stage: str, modules: DeviceTransformSpec, outputs: Sequence[str]) -> None:
        self.stage = stage
        self._of_batch: list[nn.Module] = []
        self._of_output: dict[int, list[nn.Module]] = {}
        if isinstance(modules, Mapping):
            for output, given in modules.items():
                if output not in outputs:
                    raise PipelineError(
                        f"device transforms of {stage}: no output '{output}'; outputs are {', '.join(outputs)}"
                    )
                self._of_output[outputs.index(output)] = _checked(stage, given)
        else:
            self._of_batch = _checked(stage, modules)

    def __call__(self, batch: tuple[Any, ...] | list[Any], key: int) -> tuple[Any, ...] | list[Any]:
        """Transform a batch.

        Args:
            batch: one tensor, or list of views, per output.
            key: 64 bits, that everything random is drawn by.

        Returns:
            A batch of the same kind.

        Raises:
            PipelineError: a module failed, or gave another number of outputs or samples.
        """
        values = list(batch)
        device = _device_of(values)
        with torch.no_grad(), generators_seeded(device, key):
            for position, modules in self._of_output.items():
                for module in modules:
                    module.to(device)
                    values[position] = self._apply(module, values[position])
            for module in self._of_batch:
                module.to(device)
                values = self._apply_to_all(module, values)
        return type(batch)(values)

    def _apply(self, module: nn.Module, value: Any) -> Any:
        if isinstance(value, list):
            return [self._apply(module, view) for view in value]
        try:
            result = module(value)
        except Exception as error:
            raise self._failed(module, error) from error
        self._check_rows(module, [value, result])
        return result

    def _apply_to_all(self, module: nn.Module, values: list[Any]) -> list[Any]:
        try:
            result = module(*values)
        except Exception as error:
            raise self._failed(module, error) from error
        result = [result] if isinstance(result, torch.Tensor) else list(result)
        if len(result) != len(values):
            raise PipelineError(
                f"device transforms of {self.stage}: {type(module).__name__} got {len(values)} outputs and gave "
                f"{len(result)}"
            )
        self._check_rows(module, result)
        return result

    def _check_rows(self, module: nn.Module, values: list[Any]) -> None:
        """Refuse outputs of different lengths, whose samples would not belong together any more."""
        tensors = [leaf for value in values for leaf in (value if isinstance(value, (list, tuple)) else [value])]
        rows = [len(tensor) for tensor in tensors if isinstance(tensor, torch.Tensor) and tensor.ndim]
        if len(set(rows)) > 1:
            name = type(module).__name__
            raise PipelineError(
                f"device transforms of {self.stage}: {name} made outputs of {rows} samples; give all as many"
            )

    def _failed(self, module: nn.Module, error: Exception) -> PipelineError:
        return PipelineError(f"device transforms of {self.stage}: {type(module).__name__}: {describe_error(error)}")


def _checked(stage: str, modules: Sequence[nn.Module] | None) -> list[nn.Module]:
    found = list(modules or [])
    for module in found:
        if not isinstance(module, nn.Module):
            raise PipelineError(f"device transforms of {stage}: {module!r} is no torch.nn.Module")
    return found


def _device_of(values: Iterable[Any]) -> torch.device:
    for value in values:
        if isinstance(value, torch.Tensor):
            return value.device
        if isinstance(value, (list, tuple)) and value and isinstance(value[0], torch.Tensor):
            return value[0].device
    return torch.device("cpu")
