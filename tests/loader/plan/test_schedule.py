"""Batches that are lent in their final form: `ToTensor`, and views of what it gives."""

import numpy as np
import pytest
import torch

from ffcv_hydra import Loader
from ffcv_hydra.beton import RandomAccessImageField, write_beton
from ffcv_hydra.loader.plan.schedule import chunk_size
from ffcv_hydra.operations import CenterCrop, RandomHorizontalFlip, ToDevice, ToTensor, ToTorchImage, WholeImage

COUNT, BATCH = 40, 8


class Images:
    def __len__(self):
        return COUNT

    def __getitem__(self, index):
        return np.random.default_rng(index).integers(0, 256, (6, 5, 3), dtype=np.uint8), index


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    path = tmp_path_factory.mktemp("forms") / "images.beton"
    write_beton(Images(), path, {"image": RandomAccessImageField("raw"), "label": None}, num_workers=0)
    return path


def loader(images, *behind, num_workers=2):
    pipeline = [WholeImage(), RandomHorizontalFlip(), ToTensor(), *behind]
    return Loader(images, BATCH, pipelines={"image": pipeline, "label": "disabled"}, num_workers=num_workers)


def forms(of):
    return [step.form for step in of.plan.steps if step.form is not None]


def values(held):
    return held.numpy() if isinstance(held, torch.Tensor) else held


HELD = {
    "tensor": lambda batch: batch,
    "array": lambda batch: batch.numpy(),
    "one sample": lambda batch: batch[3],
    "view": lambda batch: batch.permute(0, 2, 3, 1)[1:, :2],
    "slice of an array": lambda batch: batch.numpy()[2:4],
    "storage": lambda batch: torch.tensor([], dtype=torch.uint8).set_(batch.untyped_storage()),
}


@pytest.mark.parametrize("held", HELD.values(), ids=HELD)
@pytest.mark.parametrize("channels_last", [True, False])
def test_whatever_is_held_of_a_batch_stays_as_it_was(images, held, channels_last):
    of = loader(images, ToTorchImage(channels_last))
    kept, copies = [], []
    for _ in range(3):
        for (batch,) in of:
            kept.append(held(batch))
            copies.append(values(kept[-1]).copy())
            del batch
    assert all(np.array_equal(values(one), copy) for one, copy in zip(kept, copies, strict=True))
    assert len({one.tobytes() for one in copies}) > COUNT // BATCH


def test_batches_have_the_values_and_the_layout_that_the_operations_give(images):
    plain = loader(images, num_workers=1)
    for behind, layout in (((ToTorchImage(),), torch.channels_last), ((ToTorchImage(False),), torch.contiguous_format)):
        for (expected,), (batch,) in zip(plain, loader(images, *behind), strict=True):
            assert torch.equal(batch, expected.permute(0, 3, 1, 2))
            assert batch.is_contiguous(memory_format=layout)
        plain.sampler.set_epoch(0)


def test_a_short_last_batch_is_lent_in_the_same_form(images):
    of = Loader(
        images, 7, pipelines={"image": [WholeImage(), ToTensor(), ToTorchImage()], "label": "disabled"}, num_workers=2
    )
    for _ in range(2):
        images_seen = torch.cat([batch for (batch,) in of])
        assert images_seen.shape == (COUNT, 3, 6, 5)
        expected = np.stack([Images()[index][0] for index in range(COUNT)]).transpose(0, 3, 1, 2)
        assert np.array_equal(images_seen.numpy(), expected)


def test_memory_that_nobody_holds_is_used_again(images):
    of = loader(images, ToTorchImage())
    for _ in range(6):
        for (batch,) in of:
            size = batch.nbytes
    assert of.passes.executor.memory.pool.allocated() <= (of.batches_ahead + 4) * size


def test_only_what_looks_at_memory_in_another_way_is_a_form(images):
    (form,) = forms(loader(images, ToTorchImage()))
    assert [node.name for node in form.nodes] == ["ToTensor", "ToTorchImage"]
    assert not forms(loader(images, ToDevice("cpu")))


@pytest.mark.parametrize(
    ("batch_size", "num_workers", "expected"), [(256, 2, 64), (256, 4, 64), (600, 4, 76), (256, 1, 86), (40, 4, 14)]
)
def test_there_are_as_many_chunks_for_each_thread_unless_they_are_small(images, batch_size, num_workers, expected):
    decoded = {"image": [CenterCrop(224, 1.0)], "label": "disabled"}
    (step,) = Loader(images, BATCH, pipelines=decoded).plan.steps
    assert chunk_size(step, step.links, batch_size, num_workers) == expected
