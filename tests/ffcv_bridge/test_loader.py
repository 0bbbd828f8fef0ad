"""What FFCV's loader has of this package's, by its own order; and its copies."""

import copy
import pickle

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from ffcv.fields import IntField, RGBImageField
from ffcv.fields.decoders import IntDecoder, SimpleRGBImageDecoder
from ffcv.loader import OrderOption
from ffcv.transforms import RandomHorizontalFlip, ToTensor
from ffcv.traversal_order.base import TraversalOrder
from lightning_fabric.utilities.types import _Stateful

from ffcv_hydra import loader as engine
from ffcv_hydra.dataloader import as_dataloader
from ffcv_hydra.errors import LoaderError
from ffcv_hydra.ffcv_bridge import DatasetWriter, Loader
from ffcv_hydra.loader import notices

pytestmark = pytest.mark.timeout(120)
COUNT = 20


@pytest.fixture(scope="module")
def path(tmp_path_factory) -> str:
    path = str(tmp_path_factory.mktemp("loader") / "a.beton")
    fields = {"label": IntField(), "image": RGBImageField()}
    images = np.random.default_rng(0).integers(0, 256, (COUNT, 8, 8, 3), np.uint8)
    DatasetWriter(path, fields, num_workers=1).from_indexed_dataset([*enumerate(images)])
    return path


def loader_of(path: str, **options) -> Loader:
    return Loader(path, 4, 1, **{"order": OrderOption.RANDOM, "seed": 3, "pipelines": {"image": None}, **options})


def labels(loader: Loader) -> list[int]:
    return [label for batch in loader for label in batch[0].flatten().tolist()]


class Turning(TraversalOrder):
    """Begins one sample further on whenever it is asked, whatever the epoch."""

    def __init__(self, loader):
        super().__init__(loader)
        self.first = [0]

    def sample_order(self, epoch):
        self.first[0] += 1
        return np.roll(self.indices, -self.first[0])


class Mine(Loader):
    """Takes another argument than its base, and has an attribute that its order depends on."""

    def __init__(self, path: str, step: int, **options):
        self.step = step
        super().__init__(path, 4, 1, pipelines={"image": None}, **options)

    def next_traversal_order(self):
        return super().next_traversal_order()[:: self.step]


# -- looking ahead


@pytest.mark.parametrize("order", [OrderOption.SEQUENTIAL, OrderOption.RANDOM, OrderOption.QUASI_RANDOM, Turning])
def test_a_look_shows_the_next_pass_and_does_not_count(path, order):
    loader, untouched = (loader_of(path, order=order) for _ in range(2))
    for _ in range(2):
        looked = loader.peek()[0].flatten().tolist()
        if not loader.next_epoch:
            assert loader.sample_ids(0).tolist() == looked
        expected = labels(untouched)
        assert looked == expected[:4] and labels(loader) == expected
        assert [loader.sample_ids(batch).tolist() for batch in range(5)] == np.reshape(expected, (5, 4)).tolist()
    loader.next_epoch = 7
    untouched.next_epoch = 7
    assert loader.peek()[0].flatten().tolist() == labels(untouched)[:4]


def test_one_sample_is_as_in_the_pass_of_its_epoch(path):
    pipelines = {
        "label": [IntDecoder(), ToTensor()],
        "image": [SimpleRGBImageDecoder(), RandomHorizontalFlip(), ToTensor()],
    }
    loader = loader_of(path, pipelines=pipelines)
    for epoch in range(2):
        for numbers, images in loader:
            for number, image in zip(numbers.flatten().tolist(), images, strict=True):
                sample = loader.sample(number, epoch)
                assert sample["label"].tolist() == [number] and torch.equal(sample["image"], image)


def test_other_options_are_ffcvs(path):
    loader = loader_of(path)
    loader.next_epoch = 2
    other = loader.with_options(batch_size=5, drop_last=False)
    assert type(other) is Loader and other.batch_size == 5 and len(other) == 4
    assert labels(other) == labels(loader)


def test_it_has_no_state_to_go_on_from_and_lightning_knows(path):
    assert not isinstance(loader_of(path), _Stateful) and isinstance(engine.Loader(path, 4), _Stateful)
    with pytest.raises(LoaderError, match="iterate over that loader itself, or give an ffcv_hydra.Loader"):
        as_dataloader(loader_of(path))


class Model(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def training_step(self, batch, batch_idx):
        return self.weight.sum()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def test_a_trainer_leaves_it_alone_after_it_has_changed_one_of_this_package(path):
    for given in (engine.Loader(path, 4, ordering="random", num_workers=1), loader_of(path)):
        trainer = pl.Trainer(
            accelerator="cpu", logger=False, max_epochs=1, overfit_batches=2, enable_progress_bar=False,
            enable_checkpointing=False, enable_model_summary=False,
        )  # fmt: skip
        trainer.fit(Model(), given)
        assert (trainer.train_dataloader is given) == isinstance(given, Loader)


# -- no samples


@pytest.mark.parametrize("order", [OrderOption.SEQUENTIAL, OrderOption.RANDOM, OrderOption.QUASI_RANDOM])
def test_no_indices_are_no_samples(path, order):
    loader = loader_of(path, indices=[], order=order)
    assert (len(loader), loader.num_samples, labels(loader), loader.peek()) == (0, 0, [], None)
    assert loader.stored_numbers("label").tolist() == []
    iter(loader).close()


# -- copies


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda loader: pickle.loads(pickle.dumps(loader))])
def test_copies_have_all_that_their_loader_had_come_to(path, copied):
    loader = Mine(path, step=2, order=Turning)
    loader.purpose = {"of": "a user"}
    loader.drop_last = False
    assert labels(loader) == [*range(2, COUNT, 2), 0]
    other = copied(loader)
    assert type(other) is Mine and (other.step, other.purpose, other.drop_last) == (2, {"of": "a user"}, False)
    assert other.next_epoch == 1 and len(other) == 3
    assert other.first_traversal_order.tolist() == loader.first_traversal_order.tolist()
    expected = [*range(3, COUNT, 2), 1]
    assert labels(other) == expected
    if copied is not copy.copy:  # which shares the order
        assert other.traversal_order.loader is other and labels(loader) == expected


def test_a_copy_of_a_rank_reads_what_that_rank_does(path, monkeypatch):
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda *_: 2)
    monkeypatch.setattr(torch.distributed, "get_rank", lambda *_: 1)
    loader = loader_of(path, distributed=True)
    monkeypatch.undo()
    assert labels(pickle.loads(pickle.dumps(loader))) == labels(loader)


def test_a_loader_that_is_not_distributed_says_once_that_each_rank_reads_everything(path, monkeypatch):
    for name, value in {"is_initialized": True, "get_rank": 0, "get_world_size": 2}.items():
        monkeypatch.setattr(torch.distributed, name, lambda *_, value=value: value)
    notices.warn_of_whole_reads.cache_clear()
    loader = loader_of(path)
    iter(loader_of(path, distributed=True)).close()
    iter(loader_of(path, order=Turning)).close()  # which may know of the ranks
    assert len(loader.filter("label", lambda label: True).indices) == COUNT and loader.peek() is not None
    with pytest.warns(UserWarning, match="each of 2 ranks reads all samples: give distributed=True"):
        labels(loader)
    labels(loader)  # a second warning would be an error here


def test_a_copy_of_a_loader_of_another_file_is_refused(tmp_path):
    path = str(tmp_path / "a.beton")
    writer = DatasetWriter(path, {"label": IntField()}, num_workers=1)
    writer.from_indexed_dataset([(number,) for number in range(8)])
    pickled = pickle.dumps(Loader(path, 4))
    writer.from_indexed_dataset([(number,) for number in range(8, 0, -1)])
    with pytest.raises(LoaderError, match="the loader was copied with another beton"):
        pickle.loads(pickled)


def test_what_is_set_on_a_copys_operations_holds_for_it(path):
    decoder = SimpleRGBImageDecoder()
    flip = RandomHorizontalFlip(0.0)
    loader = loader_of(path, order=OrderOption.SEQUENTIAL, pipelines={"image": [decoder, flip, ToTensor()]})
    other = copy.deepcopy(loader)
    other._args["pipelines"]["image"][1].flip_prob = 1.0
    (_, image), (_, flipped) = next(iter(loader)), next(iter(other))
    assert torch.equal(image.flip(2), flipped)
