"""Training of a ResNet, in bfloat16 and channels_last, from a loader and on one batch that stays on the device."""

import itertools
import time
from collections.abc import Callable, Iterator

import torch
import torchvision

from benchmarks.work import Work

WARM_UP_STEPS, ROUNDS = 5, 2
CLASSES = 1000
Step = Callable[[torch.Tensor], None]


def train(model: str, compiled: bool, seconds: float, batches: Iterator[torch.Tensor], work: Work) -> dict[str, float]:
    """Images per second: `from_loader` and `resident`, the best of rounds that take turns.

    Args:
        model: a name in `MODELS`.
        compiled: whether by `torch.compile`.
        seconds: about how long each is measured.
        batches: without end, uint8 (N, 3, H, W), on the device or not.
        work: what the batches are, and the device.
    """
    device = torch.device(work.device)
    step = _step_of(MODELS[model](), compiled, work.batch_size, device)
    resident = torch.randint(256, (work.batch_size, 3, work.size, work.size), dtype=torch.uint8, device=device)
    resident = resident.contiguous(memory_format=torch.channels_last)
    speeds: dict[str, list[float]] = {"resident": [], "from_loader": []}
    for _ in range(ROUNDS):
        speeds["resident"].append(_speed(step, itertools.repeat(resident), seconds, device))
        speeds["from_loader"].append(_speed(step, batches, seconds, device))
    return {name: max(values) for name, values in speeds.items()}


def small_resnet() -> torch.nn.Module:
    """Four blocks for images of 32 x 32: no stride and no pooling before them."""
    model = torchvision.models.ResNet(torchvision.models.resnet.BasicBlock, [1, 1, 1, 1], num_classes=CLASSES)
    model.conv1 = torch.nn.Conv2d(3, 64, 3, padding=1, bias=False)
    model.maxpool = torch.nn.Identity()
    return model


MODELS: dict[str, Callable[[], torch.nn.Module]] = {
    "resnet18": torchvision.models.resnet18,
    "resnet50": torchvision.models.resnet50,
    "small_resnet": small_resnet,
}


def _step_of(model: torch.nn.Module, compiled: bool, batch_size: int, device: torch.device) -> Step:
    model = model.to(device, memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, fused=True)
    labels = torch.randint(CLASSES, (batch_size,), device=device)

    def loss_of(images: torch.Tensor) -> torch.Tensor:
        with torch.autocast(device.type, dtype=torch.bfloat16):
            return torch.nn.functional.cross_entropy(model(images.float().div(255)), labels)

    if compiled:
        loss_of = torch.compile(loss_of)

    def step(images: torch.Tensor) -> None:
        images = images.to(device, non_blocking=True).contiguous(memory_format=torch.channels_last)
        loss = loss_of(images)  # given one layout, so that it is compiled once
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    return step


def _speed(step: Step, batches: Iterator[torch.Tensor], seconds: float, device: torch.device) -> float:
    """Images per second, over as many steps as take so long; how long one takes is found out first."""
    _run(step, batches, 3, device)  # what is compiled, and cuDNN's choices, count for nothing
    steps = max(WARM_UP_STEPS, round(WARM_UP_STEPS * seconds / _run(step, batches, WARM_UP_STEPS, device)[1]))
    images, taken = _run(step, batches, steps, device)
    return images / taken


def _run(step: Step, batches: Iterator[torch.Tensor], steps: int, device: torch.device) -> tuple[int, float]:
    """Do steps; the number of images and the seconds, to the end of the last one."""
    images, begin = 0, time.perf_counter()
    for batch in itertools.islice(batches, steps):
        step(batch)
        images += len(batch)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return images, time.perf_counter() - begin
