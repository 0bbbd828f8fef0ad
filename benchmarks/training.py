"""Training of a ResNet on the GPU, from a loader and on one batch that stays there."""

import itertools
import time
from collections.abc import Callable, Iterator

import torch
import torchvision

from benchmarks.work import Epochs, Work

WARM_UP_STEPS, STEPS = 20, 100
CLASSES = 1000
Step = Callable[[torch.Tensor], None]


def train(model_name: str, epochs: Epochs, work: Work) -> dict[str, float]:
    """Images per second: `from_loader` and `resident`.

    Args:
        model_name: of a classifier of torchvision.
        epochs: of uint8 batches (N, 3, H, W), on the GPU or not.
        work: what the batches are.
    """
    step = _step_of(getattr(torchvision.models, model_name)(num_classes=CLASSES), work)
    resident = torch.randint(256, (work.batch_size, 3, work.size, work.size), dtype=torch.uint8, device="cuda")
    resident = resident.contiguous(memory_format=torch.channels_last)
    return {
        "resident": _speed(step, itertools.repeat(resident)),
        "from_loader": _speed(step, itertools.chain.from_iterable(itertools.repeat(epochs))),
    }


def _step_of(model: torch.nn.Module, work: Work) -> Step:
    model = model.to("cuda", memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, fused=True)
    labels = torch.randint(CLASSES, (work.batch_size,), device="cuda")

    def step(images: torch.Tensor) -> None:
        images = images.to("cuda", non_blocking=True)
        with torch.autocast("cuda", dtype=torch.bfloat16):
            outputs = model(images.float().div_(255).contiguous(memory_format=torch.channels_last))
            loss = torch.nn.functional.cross_entropy(outputs, labels[: len(images)])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    return step


def _speed(step: Step, batches: Iterator[torch.Tensor]) -> float:
    for images in itertools.islice(batches, WARM_UP_STEPS):
        step(images)
    torch.cuda.synchronize()
    count, begin = 0, time.perf_counter()
    for images in itertools.islice(batches, STEPS):
        step(images)
        count += len(images)
    torch.cuda.synchronize()
    return count / (time.perf_counter() - begin)
