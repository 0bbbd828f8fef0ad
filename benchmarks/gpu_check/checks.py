"""What has to be right where batches are copied to a GPU while others are made.

Each check compares with what a loader without a device gives in the same epoch, and raises what differs; one that
cannot be done here says why. To show what
is used before its time, a stream is held up beforehand for far longer than all batches take to be made. On the CPU the
same is checked as far as there is such a thing.
"""

import json
import multiprocessing
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torchvision.transforms import v2

from benchmarks.work import Work
from ffcv_hydra import FFCVDataModule, FFCVPipelineManager, Loader
from ffcv_hydra.device_transforms import DeviceTransforms
from ffcv_hydra.errors import describe_error
from ffcv_hydra.operations import (
    NormalizeTensor,
    RandomHorizontalFlip,
    RandomResizedCrop,
    Squeeze,
    ToDevice,
    ToTensor,
    ToTorchImage,
)
from ffcv_hydra.ordering import Random

MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
ROOT = Path(__file__).parents[2]
EXPERIMENT = "digits"
LAST_BIT = 0.003  # of a float16 below 4
CYCLES_HELD_UP = 1_000_000_000  # half a second
EPOCHS_AT_ONCE = 3
SECONDS_FOR_CHILD = 60.0


def memory_of_copies(beton: Path, work: Work) -> None:
    """Pinned memory is not used again before copies from it end"""
    expected = [images.clone() for images, _ in _loader(beton, work)]
    loader = _loader(beton, work, batches_ahead=1)
    _hold_up(work)
    copies: list[list[torch.Tensor]] = []
    for _ in range(EPOCHS_AT_ONCE):
        loader.sampler.set_epoch(0)
        for images, _ in loader:
            assert images.is_pinned() or work.device == "cpu", "the loader's memory is not pinned"
            parts = images.split(-(-len(images) // 2))  # the second one begins in the middle of the memory
            copies.append([part.to(work.device, non_blocking=True) for part in parts])
    _check_equal((torch.cat(parts) for parts in copies), expected * EPOCHS_AT_ONCE)


def held_batches(beton: Path, work: Work) -> None:
    """Batches on the device stay as they are while they are held"""
    expected = [images.clone() for images, _ in _loader(beton, work)]
    _check_equal([images for images, _ in _loader(beton, work, on_device=True, batches_ahead=1)], expected)


def to_device(beton: Path, work: Work) -> None:
    """ToDevice and what follows it give what the CPU gives"""
    for behind in ([], [NormalizeTensor(MEAN, STD)], [NormalizeTensor(MEAN, STD, "float16")]):
        expected, found = (list(_loader(beton, work, on_device, behind)) for on_device in (False, True))
        for output in range(2):
            _check_equal(*([batch[output] for batch in batches] for batches in (found, expected)), LAST_BIT)
        device, strides = torch.device(work.device), expected[0][0].stride()
        assert found[0][0].device == device, f"images are on {found[0][0].device}, not on {device}"
        assert found[0][0].stride() == strides, f"strides are {found[0][0].stride()}, not {strides}"


def device_transforms(beton: Path, work: Work) -> None:
    """Device transforms give what the CPU gives, and move no generator"""
    loader, loader_on_device = (_loader(beton, work, on_device) for on_device in (False, True))
    alike = [v2.RandomHorizontalFlip(), v2.ToDtype(torch.float32, scale=True), v2.Normalize((0.5,) * 3, (0.2,) * 3)]
    transforms = DeviceTransforms("train", {"image": alike}, loader.output_names, loader.pictures)
    drawing = DeviceTransforms("train", {"image": [_Noise()]}, loader.output_names, loader.pictures)
    batches, batches_on_device = list(loader), list(loader_on_device)
    before = _generators(work)
    expected = [transforms(batch, key)[0] for key, batch in enumerate(batches)]
    found = [transforms(batch, key)[0] for key, batch in enumerate(batches_on_device)]
    drawn, again = ([drawing(batch, key)[0] for key, batch in enumerate(batches_on_device)] for _ in range(2))
    moved = any(not torch.equal(*states) for states in zip(before, _generators(work), strict=True))
    assert not moved, "the process's generators have moved"
    _check_equal(found, expected, tolerance=1e-4)
    _check_equal(drawn, [images.cpu() for images in again])
    noises = [one.cpu() - images for one, (images, _) in zip(drawn[:2], batches, strict=False)]
    assert not torch.allclose(*noises, atol=0.01), "two keys draw the same numbers"


def two_streams(beton: Path, work: Work) -> None:
    """Batches can be used on other streams, by two loaders at once"""
    expected = [images.clone() for images, _ in _loader(beton, work)]
    streams = [_Stream(work) for _ in range(2)]
    passes = [iter(_loader(beton, work, on_device=True, batches_ahead=1)) for _ in streams]
    found: list[list[torch.Tensor]] = [[] for _ in streams]
    _hold_up(work)  # copies that the consumers' streams do not wait for come too late
    for turn in range(len(expected)):
        for number, stream in enumerate(streams):
            with stream.current():
                if number == 0 and turn == 1:
                    _hold_up(work)  # batches that are let go of before they are read must not be written to
                images = next(passes[number])[0]
                found[number].append(images if work.device == "cpu" else images.clone())
                del images
    for images_of_stream in found:
        _check_equal(images_of_stream, expected)


def resume(beton: Path, work: Work) -> None:
    """A loader goes on in the middle of an epoch"""
    whole = _loader(beton, work, on_device=True)
    expected = [images.cpu().clone() for _ in range(2) for images, _ in whole]
    begun = _loader(beton, work, on_device=True)
    before = [images.clone() for _, (images, _) in zip(range(len(begun) // 2), begun, strict=False)]
    resumed = _loader(beton, work, on_device=True)
    resumed.load_state_dict(json.loads(json.dumps(begun.state_dict())))
    _check_equal([*before, *(images for _ in range(2) for images, _ in resumed)], expected)


def resumed_run(beton: Path, work: Work) -> None:
    """A run under Lightning, with device transforms, goes on in the middle of an epoch"""
    import pytorch_lightning as pl
    from pytorch_lightning.callbacks import ModelCheckpoint

    def run(folder: Path, stop_at: int, checkpoint: Path | None = None) -> tuple[list[float], Path]:
        image = [RandomResizedCrop(work.size), ToTensor(), ToTorchImage()]
        manager = FFCVPipelineManager(beton, {"image": image, "label": None}, ordering=Random())
        transforms = {"train": {"image": [_Noise(), v2.RandomHorizontalFlip()]}}
        data = FFCVDataModule(work.batch_size, work.workers, train_manager=manager, device_transforms=transforms)
        middle = ModelCheckpoint(folder, "{step}", every_n_train_steps=stop_at, save_top_k=-1)
        model, quiet = _records_of(pl), {"enable_progress_bar": False, "enable_model_summary": False, "logger": False}
        accelerator = "cpu" if work.device == "cpu" else "gpu"
        options = {"max_epochs": 2, "callbacks": [middle], "default_root_dir": folder}
        trainer = pl.Trainer(accelerator=accelerator, devices=1, **options, **quiet)
        trainer.fit(model, data, ckpt_path=checkpoint, weights_only=True)
        return model.sums, folder / f"step={stop_at}.ckpt"

    half = max(1, work.photos // work.batch_size // 2)
    with tempfile.TemporaryDirectory() as folder:
        whole, checkpoint = run(Path(folder) / "whole", half)
        rest, _ = run(Path(folder) / "rest", half, checkpoint)
    assert len(whole) == 2 * (work.photos // work.batch_size), f"{len(whole)} batches in two epochs"
    assert rest == whole[half:], "the batches behind the checkpoint are other ones in the run that goes on from it"


def forked_process(beton: Path, work: Work) -> None:
    """A process that was forked when the GPU was in use already can read"""
    loader, context = _loader(beton, work), multiprocessing.get_context("fork")
    expected = [images.sum().item() for images, _ in loader]
    _hold_up(work, cycles=1)
    receiver, sender = context.Pipe(duplex=False)

    def read() -> None:
        torch.set_num_threads(1)  # OpenMP's are the parent's
        loader.sampler.set_epoch(0)
        try:
            sender.send([images.sum().item() for images, _ in loader])
        except Exception as error:
            sender.send(describe_error(error))

    child = context.Process(target=read, daemon=True)
    child.start()
    try:
        assert receiver.poll(SECONDS_FOR_CHILD), "it gave nothing in a minute"
        found = receiver.recv()
        assert found == expected, f"not the same batches, but {found}"
    finally:
        child.kill()
        child.join()


def composed_run(beton: Path, work: Work) -> str | None:
    """run.py trains and tests on the device"""
    if find_spec("hydra") is None:
        return "not done: Hydra is not installed"
    trainer = ["trainer=cpu" if work.device == "cpu" else "trainer=gpu", "trainer.max_epochs=1"]
    limits = [f"trainer.limit_{stage}_batches=2" for stage in ("train", "val", "test")]
    command = [sys.executable, str(ROOT / "run.py"), f"experiment={EXPERIMENT}", *trainer, *limits]
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    said = [line for line in done.stderr.splitlines() if line.strip()] or ["it said nothing"]
    assert done.returncode == 0, f"{said[-1]} (status {done.returncode})"
    return None


_ALL = (
    memory_of_copies,
    held_batches,
    to_device,
    device_transforms,
    two_streams,
    resume,
    resumed_run,
    forked_process,
    composed_run,
)
CHECKS: dict[str, Callable[[Path, Work], str | None]] = {check.__name__: check for check in _ALL}


def _loader(beton: Path, work: Work, on_device: bool = False, behind: Sequence[Any] = (), **options: Any) -> Loader:
    """Images behind random operations, and labels; the same in each epoch of each loader."""
    move = [ToDevice(work.device)] if on_device else []
    image = [RandomResizedCrop(work.size), RandomHorizontalFlip(), ToTensor(), *move, ToTorchImage(), *behind]
    return Loader(
        beton,
        work.batch_size,
        pipelines={"image": image, "label": [ToTensor(), *move, Squeeze(1)]},
        ordering=Random(),
        num_workers=work.workers,
        **options,
    )


class _Noise(nn.Module):
    """Adds what is drawn on the device."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.float() + torch.rand(images.shape, device=images.device)


def _records_of(pl: Any) -> Any:
    """A model that keeps the sum of each batch it is given."""

    class Records(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(1))
            self.sums: list[float] = []

        def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
            self.sums.append(batch[0].double().sum().item())
            return (batch[0].mean() * self.weight).sum()

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), lr=0.1)

    return Records()


class _Stream:
    """A stream of the consumer's; on the CPU there is only one."""

    def __init__(self, work: Work) -> None:
        self._stream = None if work.device == "cpu" else torch.cuda.Stream(work.device)

    def current(self) -> AbstractContextManager[Any]:
        return nullcontext() if self._stream is None else torch.cuda.stream(self._stream)


def _hold_up(work: Work, cycles: int = CYCLES_HELD_UP) -> None:
    """Keep the current stream busy."""
    if work.device != "cpu":
        torch.cuda._sleep(cycles)


def _generators(work: Work) -> list[torch.Tensor]:
    return [torch.get_rng_state()] + ([] if work.device == "cpu" else [torch.cuda.get_rng_state(work.device)])


def _check_equal(found: Iterable[torch.Tensor], expected: Sequence[torch.Tensor], tolerance: float = 0.0) -> None:
    """Raise if batches on the device differ from those on the CPU; says by how much, and which."""
    batches = list(found)
    if torch.cuda.is_available():
        torch.cuda.synchronize()  # streams other than this one, too
    tensors = [batch.cpu() for batch in batches]
    assert len(tensors) == len(expected), f"{len(tensors)} batches, not {len(expected)}"
    for number, (one, other) in enumerate(zip(tensors, expected, strict=True)):
        assert (one.shape, one.dtype) == (other.shape, other.dtype), (
            f"batch {number} is {one.dtype} {tuple(one.shape)}, not {other.dtype} {tuple(other.shape)}"
        )
        difference = (one.double() - other.double()).abs()
        bad = int((~(difference <= tolerance)).sum())
        assert not bad, (
            f"batch {number}: {bad:,} of {one.numel():,} values differ, by {difference.max().item():g} or less"
        )
