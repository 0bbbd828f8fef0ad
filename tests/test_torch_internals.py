"""What is taken from inside torch is still there, and does what is expected of it."""

import io
from pathlib import PurePosixPath

import pytest
import torch

from ffcv_hydra import torch_internals


def test_references_to_a_storage_are_counted():
    tensor = torch.zeros(4)
    storage = torch_internals.storage_of(tensor)
    alone = torch_internals.references_to(storage)
    view, array = tensor[1:], tensor.numpy()
    assert torch_internals.references_to(storage) == alone + 2
    del view
    assert torch_internals.references_to(storage) == alone + 1
    del array
    assert torch_internals.references_to(storage) == alone


def test_the_class_that_a_checkpoint_must_not_hold_is_named():
    file = io.BytesIO()
    torch.save(PurePosixPath("a"), file)
    file.seek(0)
    with pytest.raises(Exception, match="Weights only") as raised:
        torch.load(file, weights_only=True)
    assert torch_internals.refused_class(raised.value) == "pathlib.PurePosixPath"


def test_memory_that_there_is_not_is_told_from_other_errors():
    with pytest.raises(RuntimeError) as raised:
        torch.empty(1 << 60, dtype=torch.uint8)
    assert torch_internals.is_of_memory(raised.value) and torch_internals.is_of_memory(MemoryError())
    with pytest.raises(RuntimeError) as raised:
        torch.zeros(2) @ torch.zeros(3)
    assert not torch_internals.is_of_memory(raised.value)


@pytest.mark.parametrize(
    "has_gpu, is_in_bad_fork, expected", [(True, False, True), (True, True, False), (False, False, False)]
)
def test_memory_is_not_pinned_where_the_gpu_is_the_parents(has_gpu, is_in_bad_fork, expected, monkeypatch):
    assert torch.cuda._is_in_bad_fork() is False
    monkeypatch.setattr(torch.cuda, "is_available", lambda: has_gpu)
    monkeypatch.setattr(torch.cuda, "_is_in_bad_fork", lambda: is_in_bad_fork)
    assert torch_internals.can_pin() is expected


def test_a_process_leaves_its_ranks_where_it_is_one(tmp_path):
    torch_internals.leave_ranks()
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    torch.distributed.all_reduce(torch.zeros(1), async_op=True)
    torch_internals.leave_ranks()
    assert not torch.distributed.is_initialized()


def test_ranks_of_torchrun_can_leave_words_before_they_are_a_group(monkeypatch):
    assert torch_internals.store_of_ranks() is None
    served = torch.distributed.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    told = {"TORCHELASTIC_RUN_ID": "1", "TORCHELASTIC_USE_AGENT_STORE": "True", "RANK": "1", "WORLD_SIZE": "2"}
    for name, value in {**told, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(served.port)}.items():
        monkeypatch.setenv(name, value)
    served.set("a", "word")
    store = torch_internals.store_of_ranks()
    torch_internals._store_of_torchrun.cache_clear()
    assert store is not None and store.get("a") == b"word"
