"""Loaders as torch's DataLoaders, alone and in the loops of accelerate, Fabric, Hugging Face and timm."""

import copy
import pickle

import pytest
import torch
from lightning_fabric import Fabric
from lightning_fabric.utilities.distributed import DistributedSamplerWrapper

from ffcv_hydra import Loader, as_dataloader
from ffcv_hydra.beton import Beton
from ffcv_hydra.dataloader import Batch, LoaderDataLoader
from ffcv_hydra.errors import LoaderError, SampleError
from ffcv_hydra.loader import notices
from ffcv_hydra.operations import (
    Mixup,
    NormalizeImage,
    PaddedArray,
    RandomResizedCrop,
    Squeeze,
    ToTensor,
    ToTorchImage,
)
from ffcv_hydra.ordering import Random
from tests import processes

pytestmark = pytest.mark.timeout(240)
PIPELINES = {"image": [RandomResizedCrop(16), ToTensor()], "array": "disabled"}


def loader_of(beton, **options) -> Loader:
    return Loader(beton, 8, pipelines=PIPELINES, ordering=Random(), seed=3, num_workers=2, **options)


def same(ours, theirs) -> bool:
    return len(ours) == len(theirs) and all(
        len(one) == len(other) and all(map(torch.equal, one, other)) for one, other in zip(ours, theirs, strict=True)
    )


@pytest.mark.parametrize("drop_last", [False, True])
def test_batches_are_the_loaders_epoch_after_epoch(beton, drop_last):
    loader = loader_of(beton, drop_last=drop_last)
    dataloader = as_dataloader(loader_of(beton, drop_last=drop_last))
    assert isinstance(dataloader, torch.utils.data.DataLoader)
    assert (len(dataloader), dataloader.batch_size, dataloader.drop_last) == (len(loader), 8, drop_last)
    assert len(dataloader.dataset) == loader.num_samples == 90
    epochs = [list(loader) for _ in range(2)]
    assert same(list(dataloader), epochs[0]) and same(list(dataloader), epochs[1]) and not same(*epochs)
    dataloader.sampler.set_epoch(0)
    began = iter(dataloader)
    first = next(began)
    dataloader.sampler.set_epoch(1)  # of the next pass
    assert same([first, *began], epochs[0]) and same(list(dataloader), epochs[1])


def test_a_state_goes_on_in_the_middle_of_an_epoch_here_and_in_a_loader(beton):
    whole = [list(epoch) for epoch in [loader_of(beton)] * 2]
    dataloader = as_dataloader(loader_of(beton))
    for _ in zip(range(5), dataloader, strict=False):
        pass
    state = dataloader.state_dict()
    other, loader = as_dataloader(loader_of(beton)), loader_of(beton)
    other.load_state_dict(state)
    loader.load_state_dict(state)
    assert same(list(other), whole[0][5:]) and same(list(loader), whole[0][5:])
    assert same(list(other), list(loader))
    assert other.state_dict() == loader.state_dict()


def test_a_loop_that_counts_the_passes_of_its_process_goes_on_with_the_epoch_of_a_state(beton):
    """As Fabric does; others say which epoch they mean."""
    whole = [list(epoch) for epoch in [loader_of(beton)] * 3]
    dataloader = as_dataloader(loader_of(beton))
    dataloader.sampler.set_epoch(1)
    next(iter(dataloader))
    state = dataloader.state_dict()
    for said, rest in (((0, 1), [whole[1][1:], whole[2]]), ((1, 2), [whole[1][1:], whole[2]]), ((2, 0), whole[2::-2])):
        other = as_dataloader(loader_of(beton))
        other.load_state_dict(state)
        for epoch, batches in zip(said, rest, strict=True):
            other.sampler.set_epoch(epoch)
            assert same(list(other), batches)


def test_sizes_that_are_set_at_the_loader_reach_the_dataloader(beton):
    loader = loader_of(beton)
    dataloader = as_dataloader(loader)
    sizes = []
    for size in (None, 8, 12):
        if size is not None:
            loader.set_output_size("image", lambda epoch, size=size: size)
        sizes += {images.shape[1] for images, _ in dataloader}
    assert sizes == [16, 8, 12]


def test_what_is_set_at_an_operation_is_compiled_once_and_waiting_counts(beton):
    image = [RandomResizedCrop(16), ToTensor()]
    loader = Loader(beton, 8, pipelines={"image": image, "array": "disabled"}, ordering=Random())
    dataloader = as_dataloader(loader)
    next(iter(dataloader))
    image[0].output_size = (12, 12)
    samples, made = dataloader.dataset, []
    for wanted in ([3, 1], [5, 60]):
        assert samples.__getitems__(wanted).outputs[0].shape[1:3] == (12, 12)
        made.append(loader.passes.executor)
    assert made[0] is made[1] and "(12, 12, 3)" in str(loader.plan)
    waited = loader.seconds_waited
    next(iter(dataloader))
    assert loader.seconds_waited > waited > 0


def test_a_sampler_of_ones_own_says_the_epoch_at_the_dataset(beton):
    samples, expected = as_dataloader(loader_of(beton)).dataset, [list(epoch) for epoch in [loader_of(beton)] * 2]
    own = torch.utils.data.DataLoader(samples, 8, sampler=range(90))
    for epoch in (1, 0):
        samples.set_epoch(epoch)
        assert same(list(own), expected[epoch])


@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize("left_out", [(), ("label",)])
def test_a_dataloader_of_ones_own_collates_as_torch_does(beton, num_workers, left_out):
    """With a sampler, an order and a part of its own: whole batches, and no fields that stand for samples."""
    pipelines = PIPELINES | dict.fromkeys(left_out, "disabled")
    loader = Loader(beton, 8, pipelines=pipelines, ordering=Random(), seed=3, num_workers=1)
    expected = [torch.cat(column) for column in zip(*loader, strict=True)]
    samples = as_dataloader(loader).dataset
    samples.set_epoch(0)
    for part in (samples, torch.utils.data.random_split(samples, [50, 40])[1]):
        order = list(range(len(part)))[::-1]
        own = torch.utils.data.DataLoader(part, 8, sampler=order, num_workers=num_workers)
        places = order if part is samples else [part.indices[place] for place in order]
        found = [torch.cat(column) for column in zip(*own, strict=True)]
        assert same([found], [[column[places] for column in expected]])


def test_samples_of_views_padded_arrays_and_lists_are_each_of_one_sample():
    padded = PaddedArray(torch.arange(6).reshape(2, 3), torch.tensor([3, 1]))
    batch = Batch(([torch.arange(2), torch.arange(2, 4)], padded, ["a", "b"]), (True, False, False))
    assert len(batch) == 2
    views, (data, lengths), names = torch.utils.data.default_collate(batch)
    assert same([views], [batch.outputs[0]]) and names == ("a", "b")
    assert torch.equal(data, padded.data) and torch.equal(lengths, padded.lengths)


def test_ranks_that_each_read_everything_are_told_so_unless_somebody_splits_or_deals(beton, monkeypatch):
    for name, value in {"is_initialized": True, "get_rank": 0, "get_world_size": 2}.items():
        monkeypatch.setattr(torch.distributed, name, lambda value=value: value)
    notices.warn_of_whole_reads.cache_clear()
    dataloader = as_dataloader(loader_of(beton))
    dealt = torch.utils.data.DataLoader(dataloader.dataset, 8, sampler=dataloader.sampler)  # as accelerate does
    assert len(list(dealt)) == 12
    with pytest.warns(UserWarning, match="each of 2 ranks reads all samples: let accelerate's prepare or Fabric's"):
        next(iter(dataloader))


def test_a_shuffled_order_has_no_state_before_its_end(beton):
    """Such as that which Lightning's Trainer makes of an order under DDP."""

    def shuffled() -> LoaderDataLoader:
        whole = as_dataloader(loader_of(beton, drop_last=True))
        part = DistributedSamplerWrapper(whole.sampler, num_replicas=2, rank=1, shuffle=True)
        return LoaderDataLoader(whole.dataset, 8, sampler=part, drop_last=True, collate_fn=whole.collate_fn)

    dataloader = shuffled()
    for _ in zip(range(2), dataloader, strict=False):
        pass
    with pytest.raises(LoaderError, match="or in another order; .* Trainer with the loader itself"):
        dataloader.state_dict()
    assert len(list(dataloader)) == 5 and dataloader.state_dict()["batches"] == 11
    dataloader.load_state_dict(dataloader.state_dict() | {"batches": 4})
    with pytest.raises(LoaderError, match="of another order than a DistributedSamplerWrapper's"):
        next(iter(dataloader))


def test_any_positions_give_the_samples_that_lie_there(beton):
    loader = loader_of(beton)
    samples = as_dataloader(loader_of(beton)).dataset
    images, labels = (torch.cat(column) for column in zip(*loader, strict=True))
    for wanted in ([3, 1, 2], [88, 5, 89, 6, 7, 8, 9, 10], [0], list(range(82, 90))):
        assert same([samples.__getitems__(wanted).outputs], [(images[wanted], labels[wanted])])
    image, label = samples[17]
    assert torch.equal(image, images[17]) and label == labels[17]
    with pytest.raises(IndexError, match="position 90 of 90"):
        samples[90]


def test_copies_and_pickles_are_dataloaders_too(beton):
    dataloader = as_dataloader(loader_of(beton))
    batches = list(dataloader)
    next(iter(dataloader))
    for other in (copy.deepcopy(dataloader), pickle.loads(pickle.dumps(dataloader))):
        other.sampler.set_epoch(0)
        assert same(list(other), batches)


def test_damage_is_raised_or_left_out_as_by_the_loader(beton, tmp_path):
    damaged = tmp_path / "damaged.beton"
    data = bytearray(beton.read_bytes())
    offset = int(Beton(beton).extents("image")[0][17])
    data[offset + 300] ^= 1
    damaged.write_bytes(data)
    with pytest.raises(SampleError, match="differ from their checksum"):
        list(as_dataloader(loader_of(damaged)))
    skipping = loader_of(damaged, on_error="skip")
    assert same(list(as_dataloader(skipping)), list(loader_of(damaged, on_error="skip")))
    assert len(skipping.failed_samples) == 1


def test_a_batch_that_is_all_damage_is_no_gap(beton, tmp_path):
    damaged = tmp_path / "damaged.beton"
    data = bytearray(beton.read_bytes())
    offsets = Beton(beton).extents("image")[0]
    order = torch.cat([labels for _, labels in loader_of(beton)]).flatten().tolist()
    for sample in order[16:24]:  # a label is the sample's id
        data[int(offsets[sample]) + 300] ^= 1
    damaged.write_bytes(data)
    batches = iter(as_dataloader(loader_of(damaged, on_error="skip")))
    assert [next(batches)[1].flatten().tolist() for _ in range(2)] == [order[:8], order[8:16]]
    with pytest.raises(LoaderError, match="every sample of a batch is damaged, .*: use on_error=zero, drop_last=true"):
        next(batches)
    samples = as_dataloader(loader_of(damaged)).dataset
    for _ in range(2):  # each time for the reason that it has
        with pytest.raises(SampleError, match="differ from their checksum"):
            samples.__getitems__(range(16, 24))
    replaced = labels_of(as_dataloader(loader_of(damaged, on_error="skip", drop_last=True)))
    assert replaced[1:4] == [order[8:16], order[8:16], order[24:32]] and len(replaced) == 11


def test_what_would_be_split_twice_or_torn_apart_is_refused(beton):
    with pytest.raises(LoaderError, match="rank 1 of 2, which a loop .* would split again"):
        as_dataloader(loader_of(beton, rank=1, world_size=2))
    with pytest.raises(LoaderError, match="takes an ffcv_hydra.Loader; got one of the class list"):
        as_dataloader([1])
    image = [RandomResizedCrop(16), Mixup(0.2), ToTensor()]
    mixed = Loader(beton, 8, pipelines={"image": image, "label": "disabled", "array": "disabled"})
    samples = as_dataloader(mixed).dataset
    assert same([samples.__getitems__(range(8)).outputs], [next(iter(mixed))])
    with pytest.raises(LoaderError, match="Mixup mixes neighbours .* tears apart"):
        samples.__getitems__(range(1, 9))
    with pytest.raises(LoaderError, match="a batch of 9 samples was asked for; the loader's batch size is 8"):
        samples.__getitems__(range(9))


def labels_of(batches) -> list[list[int]]:
    return [labels.flatten().tolist() for _, labels in batches]


def _by_accelerate(rank: int, beton: str):
    """The labels of an epoch's steps, of those behind two skipped ones, and all gathered from an evaluation."""
    from accelerate import Accelerator

    dataloader, gathered = as_dataloader(loader_of(beton, drop_last=True)), []
    accelerator = Accelerator(cpu=True)
    for _, labels in accelerator.prepare(as_dataloader(loader_of(beton))):
        gathered += accelerator.gather_for_metrics(labels).flatten().tolist()
    prepared = accelerator.prepare(dataloader)
    skipped = accelerator.skip_first_batches(prepared, 2)
    steps = labels_of(prepared)
    dataloader.sampler.set_epoch(0)
    return steps, labels_of(skipped), gathered


@pytest.mark.slow
def test_two_ranks_of_accelerate_share_the_batches(beton):
    pytest.importorskip("accelerate")
    order = torch.cat([labels for _, labels in loader_of(beton, drop_last=True)]).flatten().tolist()
    for rank, (steps, skipped, gathered) in enumerate(processes.on_two_ranks(_by_accelerate, str(beton))):
        # as ranks of our own
        assert steps == [order[16 * step + 8 * rank : 16 * step + 8 * rank + 8] for step in range(5)]
        assert skipped == steps[2:]
        assert sorted(gathered) == list(range(90))  # evaluated once each


def _by_fabric(rank: int, beton: str):
    """The labels of two epochs' steps, the states in the middle and at the end of each, and what comes behind these."""
    fabric = Fabric(accelerator="cpu", devices=2, strategy="ddp")
    fabric.launch()
    dataloader = as_dataloader(loader_of(beton, drop_last=True))
    prepared, epochs, states, behind = fabric.setup_dataloaders(dataloader), [], [], []
    for _ in range(2):
        epochs.append([])
        for _, labels in prepared:
            epochs[-1].append(labels.flatten().tolist())
            if len(epochs[-1]) in (2, 5):
                states.append(dataloader.state_dict())

    def at(state):
        again = as_dataloader(loader_of(beton, drop_last=True))
        prepared_again = fabric.setup_dataloaders(again)
        again.load_state_dict(state)
        return prepared_again

    for state, passes in zip(states[:3], (2, 1, 1), strict=True):
        again = at(state)
        behind.append([labels_of(again) for _ in range(passes)])
    with pytest.raises(LoaderError, match="3 batches of 8 samples, which are no whole number of steps of 2 ranks"):
        next(iter(at(states[0] | {"batches": 3})))
    return epochs, [(state["epoch"], state["batches"]) for state in states], behind


@pytest.mark.slow
def test_two_ranks_of_fabric_share_the_steps_and_go_on_in_the_middle_of_an_epoch(beton):
    whole = loader_of(beton, drop_last=True)
    orders = [torch.cat([labels for _, labels in whole]).flatten().tolist() for _ in range(2)]
    found = processes.on_two_ranks(_by_fabric, str(beton))
    for epoch, order in enumerate(orders):
        steps = [sorted(step + other) for step, other in zip(*(rank[0][epoch] for rank in found), strict=True)]
        assert steps == [sorted(order[16 * step : 16 * step + 16]) for step in range(5)]
    for (first, second), states, behind in found:
        assert states == [(0, 4), (0, 11), (1, 4), (1, 11)]
        assert behind == [[first[2:], second], [second], [second[2:]]]


class Seen(torch.nn.Module):
    """Its loss is of no interest; it keeps the labels that it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.labels: list[int] = []

    def forward(self, pixel_values, labels):
        self.labels += labels.flatten().tolist()
        return {"loss": self.weight.sum() + 0 * pixel_values.float().mean()}


@pytest.mark.parametrize("epoch", [0, 2])
def test_accelerates_loop_goes_on_behind_skipped_batches(beton, epoch):
    accelerate = pytest.importorskip("accelerate")
    accelerator = accelerate.Accelerator(cpu=True)
    model = Seen()
    dataloader = as_dataloader(loader_of(beton, drop_last=True))
    model, optimizer, prepared = accelerator.prepare(model, torch.optim.SGD(model.parameters(), 0.1), dataloader)
    skipped = accelerator.skip_first_batches(prepared, 4)
    skipped.set_epoch(epoch)
    for images, labels in skipped:
        accelerator.backward(model(images, labels)["loss"])
        optimizer.step()
    expected = loader_of(beton, drop_last=True)
    expected.sampler.set_epoch(epoch)
    assert model.labels == torch.cat([labels for _, labels in expected]).flatten().tolist()[32:]
    with pytest.raises(LoaderError, match="given by a DataLoader that was made from this one"):
        dataloader.state_dict()


def test_hugging_faces_trainer_takes_dictionaries(beton, tmp_path):
    transformers = pytest.importorskip("transformers")

    class Trainer(transformers.Trainer):
        def get_train_dataloader(self):
            named = lambda batch: dict(zip(("pixel_values", "labels"), batch, strict=True))  # noqa: E731
            return self.accelerator.prepare(as_dataloader(loader_of(beton, drop_last=True), named))

    model = Seen()
    arguments = transformers.TrainingArguments(
        str(tmp_path), num_train_epochs=2, report_to=[], use_cpu=True, save_strategy="no", disable_tqdm=True
    )
    Trainer(model, arguments).train()
    expected = loader_of(beton, drop_last=True)
    assert model.labels == torch.cat([labels for _ in range(2) for _, labels in expected]).flatten().tolist()


def test_fabric_takes_it(beton):
    prepared = Fabric(accelerator="cpu", devices=1).setup_dataloaders(as_dataloader(loader_of(beton)))
    assert len(prepared) == 12 and same(list(prepared), list(loader_of(beton)))


def test_a_loop_of_timms_parts_takes_it(beton):
    """What timm's training script asks of its loader, with its model, optimizer, schedule, mixup and meters."""
    timm = pytest.importorskip("timm")
    from timm.data import Mixup as TimmsMixup
    from timm.loss import SoftTargetCrossEntropy
    from timm.optim import create_optimizer_v2
    from timm.scheduler import create_scheduler_v2
    from timm.utils import AverageMeter

    pipelines = {
        "image": [RandomResizedCrop(32), NormalizeImage([127.5] * 3, [127.5] * 3), ToTensor(), ToTorchImage()],
        "label": [ToTensor(), Squeeze()],
        "array": "disabled",
    }
    made = [Loader(beton, 8, pipelines=pipelines, ordering=Random(), seed=3, drop_last=True) for _ in range(2)]
    loader, expected = as_dataloader(made[0]), made[1]
    mixup, loss_fn, losses, seen = TimmsMixup(num_classes=90), SoftTargetCrossEntropy(), AverageMeter(), []
    model = timm.create_model("test_resnet", num_classes=90)
    optimizer = create_optimizer_v2(model, opt="sgd", lr=0.01)
    scheduler, num_epochs = create_scheduler_v2(
        optimizer, num_epochs=2, updates_per_epoch=len(loader), step_on_epochs=False
    )
    for epoch in range(num_epochs):
        if hasattr(loader.sampler, "set_epoch"):
            loader.sampler.set_epoch(epoch)
        for index, (images, target) in enumerate(loader):
            seen.append(target)
            images, soft = mixup(images, target)
            loss = loss_fn(model(images), soft)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.update(loss.item(), images.size(0))
            scheduler.step_update(epoch * len(loader) + index)
    assert losses.count == num_epochs * len(loader) * 8 and len(loader.dataset) == 90
    assert same([seen], [[labels for _ in range(num_epochs) for _, labels in expected]])
