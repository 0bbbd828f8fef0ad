"""Moving of batches to the device that they are used on."""

import os
from dataclasses import replace

import torch

from ffcv_hydra.errors import PipelineError
from ffcv_hydra.operations.operation import State
from ffcv_hydra.operations.tensor_operation import TensorOperation, check_is_tensor


def device_of_rank() -> torch.device:
    """This rank's CUDA device: the current one, else the one numbered LOCAL_RANK; the CPU if there is none at all."""
    count = torch.cuda.device_count()
    if count == 0:
        return torch.device("cpu")
    index = torch.cuda.current_device()
    local_rank = os.environ.get("LOCAL_RANK", "")
    # a rank that has set no device is at 0; with one visible device per rank, 0 is right for all of them
    if index == 0 and local_rank.isdecimal() and int(local_rank) < count:
        index = int(local_rank)
    return torch.device("cuda", index)


class ToDevice(TensorOperation):
    """Move tensors to a device; their memory format stays.

    Args:
        device: a torch device, its name, or the number of a CUDA device; that of this rank by default, and for `cuda`
            without a number (see `device_of_rank`), so that one config serves any number of ranks.
        non_blocking: do not wait for a copy to the device. The loader's memory is pinned where there is a GPU, and is
            not used again before the copy is done. It is made beside the training, on a stream of the loaders' own;
            the stream that is current when a batch is taken waits for it.
    """

    keeps_levels = True

    def __init__(self, device: torch.device | str | int | None = None, non_blocking: bool = True) -> None:
        try:
            self.device = None if device is None else torch.device(device)
        except (RuntimeError, TypeError, ValueError) as error:
            raise PipelineError(f"ToDevice: device is a name such as cuda:0, or a number; got {device}") from error
        self.non_blocking = bool(non_blocking)

    def after(self, before: State) -> State:
        """On the device, which is settled here, where the rank is known; threads have a current one of their own."""
        check_is_tensor(before)
        if self.device is None or (self.device == torch.device("cuda") and torch.cuda.device_count() > 0):
            self.device = device_of_rank()
        return replace(before, device=self.device)

    def apply(self, batch: torch.Tensor) -> torch.Tensor:
        """The batch on the device."""
        assert self.device is not None
        # a copy to the CPU that nobody waits for would be read half done
        return batch.to(self.device, non_blocking=self.non_blocking and self.device.type != "cpu")
