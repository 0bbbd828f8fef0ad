"""The order of work on a GPU, shown on tensors without data, by streams and events that only take note of it."""

import threading
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import torch

from ffcv_hydra import Loader
from ffcv_hydra.loader.engine import streams
from ffcv_hydra.operations import CenterCrop, ToDevice, ToTensor, ToTorchImage

DEVICE = "meta"


class Stream:
    def __init__(self, device):
        self.device, self.events, self.waited_for = device, [], []

    def record_event(self):
        self.events.append(SimpleNamespace(device=self.device))
        return self.events[-1]

    def wait_event(self, event):
        self.waited_for.append(event)


@pytest.fixture
def gpu(monkeypatch):
    """A device without data as a GPU: the consumer's stream, what memory it keeps, and the stream of each thread."""
    seen = SimpleNamespace(consumer=Stream(torch.device(DEVICE)), kept=[], made=[], now=threading.local())

    def make(device):
        seen.made.append(Stream(device))
        return seen.made[-1]

    @contextmanager
    def within(stream):
        seen.now.stream = stream
        yield
        seen.now.stream = seen.consumer

    monkeypatch.setattr(streams, "GPU", DEVICE)
    monkeypatch.setattr(streams, "_streams", {})
    monkeypatch.setattr(torch.cuda, "Stream", make)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "stream", within)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: getattr(seen.now, "stream", seen.consumer))
    monkeypatch.setattr(torch.Tensor, "record_stream", lambda tensor, stream: seen.kept.append((tensor, stream)))
    return seen


class Records(ToDevice):
    """Takes note of the stream on which it copies."""

    seen: SimpleNamespace

    def apply(self, batch):
        self.seen.copied_on.append(getattr(self.seen.now, "stream", None))
        return super().apply(batch)


class Shifts(torch.nn.Module):
    """Draws, and so is run by the consumer."""

    def __init__(self, seen):
        super().__init__()
        self.seen = seen

    def forward(self, images):
        self.seen.waited_before.append(len(self.seen.consumer.waited_for))
        return images + torch.rand(1).item()


def images(*behind):
    return {"image": [CenterCrop(8), ToTensor(), *behind, ToTorchImage()], "label": "disabled", "array": "disabled"}


def test_threads_copy_on_one_stream_which_the_consumers_waits_for(beton, gpu):
    gpu.copied_on, Records.seen = [], gpu
    loader = Loader(beton, 8, pipelines=images(Records(DEVICE)), num_workers=2)
    for number, (batch,) in enumerate(loader, start=1):
        assert len(gpu.consumer.waited_for) == number
        assert gpu.kept[-1][0] is batch and gpu.kept[-1][1] is gpu.consumer
    (own,) = gpu.made
    assert set(gpu.copied_on) == {own} and len(gpu.copied_on) == len(loader)
    assert gpu.consumer.waited_for == own.events


def test_two_loaders_use_one_stream(beton, gpu):
    for _ in range(2):
        list(Loader(beton, 30, pipelines=images(ToDevice(DEVICE))))
    assert len(gpu.made) == 1


def test_what_the_consumer_runs_waits_for_what_it_reads(beton, gpu):
    gpu.waited_before = []
    pipeline = [CenterCrop(8), ToTensor(), ToDevice(DEVICE), Shifts(gpu)]
    loader = Loader(beton, 8, pipelines={**images(), "image": pipeline}, num_workers=1)
    gpu.waited_before.clear()
    next(iter(loader))
    assert gpu.waited_before == [1] * 8
    ((_, stream),) = gpu.kept
    assert stream is gpu.consumer


def test_work_that_fails_is_not_waited_for(gpu):
    done = []
    with pytest.raises(KeyError), streams.working_on([torch.device(DEVICE)], done):
        raise KeyError
    assert not done


def test_parts_of_outputs_are_kept_wherever_they_are(gpu):
    one, two, three = (torch.empty(2, device=DEVICE) for _ in range(3))
    streams.hand_over([], [[one, (two, None)], {"name": three, "text": "none"}, torch.empty(2), 5])
    assert [id(tensor) for tensor, _ in gpu.kept] == [id(tensor) for tensor in (one, two, three)]


def test_on_the_cpu_there_are_no_streams(beton, monkeypatch):
    monkeypatch.setattr(torch.cuda, "Stream", None)
    assert len(list(Loader(beton, 8, pipelines=images(ToDevice("cpu"))))) == 12
