"""Torch modules that run on whole batches after these are on the device.

They decide once per batch, as torch modules do, but by a key of their own: the same batch is changed in the same way in
every run of a seed, and the process's generators do not move. torchvision's are told which outputs of a list for the
batch are images and masks, so that they move both alike. Knows batches and modules; nothing of files or loaders.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torchvision import tv_tensors

from ffcv_hydra.errors import PipelineError, describe_error
from ffcv_hydra.loader.plan.levels import behind_modules
from ffcv_hydra.loader.plan.modules import generators_seeded
from ffcv_hydra.loader.plan.movement import changes_values_alone, moves_of_modules
from ffcv_hydra.loader.plan.plan import Picture
from ffcv_hydra.pipeline import DISABLED

# by output, or a list for the batch as a whole
DeviceTransformSpec = Mapping[str, Sequence[nn.Module]] | Sequence[nn.Module]


class DeviceTransforms:
    """The device-side transforms of one stage.

    Args:
        stage: for messages.
        modules: by output, each given that output's tensor (N, ...); or a list, each given all outputs of the batch as
            arguments and giving as many back, as `torchvision.transforms.v2.MixUp` does.
        outputs: the names of the batch's outputs, in order.
        pictures: which of them are images or hold places in images, and what must be moved together.

    Attributes:
        pictures: as given, with what the modules do to the values.

    Raises:
        PipelineError: for what is no module, an output that is not there, what would tear outputs apart, or a
            normalisation by constants of another unit than the images'.
    """

    def __init__(
        self, stage: str, modules: DeviceTransformSpec, outputs: Sequence[str], pictures: Mapping[str, Picture]
    ) -> None:
        self._stage = stage
        self._outputs = outputs
        self._of_output: dict[str, list[nn.Module]] = {}
        self._of_batch: list[nn.Module] = []
        if isinstance(modules, Mapping):
            for output, given in modules.items():
                if output not in outputs:
                    raise self._error(f"no output '{output}'; outputs are {', '.join(outputs)}")
                self._of_output[output] = self._checked(given)
            self._check_together(pictures)
        else:
            self._of_batch = self._checked(modules)
            for module in self._of_batch:
                if _is_of_torchvision(module) and not changes_values_alone(module):
                    self._check_layouts(module, pictures)
        self.pictures = {output: self._behind(output, picture) for output, picture in pictures.items()}

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
        device = next((tensor.device for tensor in _tensors(values)), torch.device("cpu"))
        with torch.no_grad(), generators_seeded(device, key):
            for output, modules in self._of_output.items():
                position = self._outputs.index(output)
                for module in modules:
                    values[position] = self._apply(module.to(device), values[position])
            for module in self._of_batch:
                values = self._apply_to_all(module.to(device), values)
        return type(batch)(values)

    def _checked(self, modules: Sequence[nn.Module] | None) -> list[nn.Module]:
        for module in modules or []:
            if not isinstance(module, nn.Module):
                raise self._error(f"{module!r} is no torch.nn.Module")
        return list(modules or [])

    def _check_together(self, pictures: Mapping[str, Picture]) -> None:
        """Refuse to move an output alone that others must be moved with."""
        moves = {
            output: moves_of_modules(self._of_output.get(output, []), picture.state)
            for output, picture in pictures.items()
            if picture.is_image and picture.together
        }
        for output, found in moves.items():
            for other in sorted(pictures[output].together):
                if found != moves.get(other, []):
                    move = (found or moves[other])[0]
                    raise self._error(
                        f"{move} would tear '{output}' and '{other}' apart, which belong together: "
                        "give a list for the whole batch in place of the outputs' names, or say "
                        f"joint_with: {DISABLED} for what shall not follow"
                    )

    def _behind(self, output: str, picture: Picture) -> Picture:
        if not picture.is_image or picture.is_mask:
            return picture
        try:
            return behind_modules(self._of_batch or self._of_output.get(output, []), picture)
        except PipelineError as error:
            raise self._error(f"'{output}': {error}") from None

    def _check_layouts(self, module: nn.Module, pictures: Mapping[str, Picture]) -> None:
        """Refuse outputs that torchvision cannot move, but would leave where they are."""
        for output, picture in pictures.items():
            shape, advice = tuple(picture.state.shape), None
            if not picture.is_image and picture.together:
                advice = f"which are no images: say joint_with: {DISABLED} and move them yourself"
            elif len(shape) == 3 and shape[2] in (1, 3) and shape[0] not in (1, 3):
                advice = f"{shape}, as it moves (C, H, W) or (H, W): put ToTorchImage or Squeeze behind ToTensor"
            if advice is not None:
                raise self._error(f"{type(module).__name__} cannot move '{output}', {advice}")

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
        if _is_of_torchvision(module):
            names = dict(enumerate(self._outputs))
            values = [self._named(names.get(position, ""), value) for position, value in enumerate(values)]
        try:
            result = module(*values)
        except Exception as error:
            raise self._failed(module, error) from error
        result = [_plain(value) for value in ([result] if isinstance(result, torch.Tensor) else result)]
        if len(result) != len(values):
            raise self._error(f"{type(module).__name__} got {len(values)} outputs and gave {len(result)}")
        self._check_rows(module, result)
        return result

    def _named(self, output: str, value: Any) -> Any:
        """An output, or each of its views, as what torchvision knows it by."""
        if isinstance(value, list):
            return [self._named(output, view) for view in value]
        picture = self.pictures.get(output)
        if picture is None or not picture.is_image or not isinstance(value, torch.Tensor) or value.ndim < 3:
            return value
        return (tv_tensors.Mask if picture.is_mask else tv_tensors.Image)(value)

    def _check_rows(self, module: nn.Module, values: list[Any]) -> None:
        """Refuse outputs of different lengths, whose samples would not belong together any more."""
        rows = [len(tensor) for tensor in _tensors(values) if tensor.ndim]
        if len(set(rows)) > 1:
            raise self._error(f"{type(module).__name__} made outputs of {rows} samples; give all as many")

    def _failed(self, module: nn.Module, error: Exception) -> PipelineError:
        return self._error(f"{type(module).__name__}: {describe_error(error)}")

    def _error(self, text: str) -> PipelineError:
        return PipelineError(f"device transforms of {self._stage}: {text}")


def _is_of_torchvision(module: nn.Module) -> bool:
    return any(kind.__module__.startswith("torchvision.transforms.v2") for kind in type(module).__mro__)


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(view) for view in value]
    return value.as_subclass(torch.Tensor) if isinstance(value, tv_tensors.TVTensor) else value


def _tensors(values: Iterable[Any]) -> list[torch.Tensor]:
    """The tensors among outputs and their views."""
    leaves = (leaf for value in values for leaf in (value if isinstance(value, (list, tuple)) else [value]))
    return [leaf for leaf in leaves if isinstance(leaf, torch.Tensor)]
