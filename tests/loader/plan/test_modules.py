"""Torch modules in pipelines."""

import random

import numpy as np
import pytest
import torch
from ffcv.transforms import ModuleWrapper, ToTorchImage
from torchvision.transforms import ColorJitter, Normalize, RandomErasing, RandomHorizontalFlip, RandomResizedCrop

from ffcv_hydra.loader import Loader
from ffcv_hydra.loader.plan.modules import probe
from ffcv_hydra.operations import CenterCrop
from ffcv_hydra.operations.to_tensor import ToTensor

pytestmark = pytest.mark.timeout(120)
CPU = torch.device("cpu")


class ByPython(torch.nn.Module):
    def forward(self, batch):
        return batch * 0 + random.randrange(256)


class ByNumpy(torch.nn.Module):
    def forward(self, batch):
        return batch * 0 + np.random.randint(256)


def images(beton, *modules, **options):
    loader = Loader(beton, 30, pipelines={"image": [CenterCrop(16), ToTensor(), ToTorchImage(), *modules]}, **options)
    return torch.cat([batch[0] for batch in loader])


@pytest.mark.parametrize("wrap", [lambda module: module, ModuleWrapper])
def test_T6_a_random_module_decides_per_sample(beton, wrap):
    plain, flipped = images(beton), images(beton, wrap(RandomHorizontalFlip()))
    changed = (plain != flipped).flatten(1).any(1)
    assert 20 < changed.sum() < 70
    assert torch.equal(flipped[changed], plain[changed].flip(3))
    assert len(set(changed[:30].tolist())) == 2


@pytest.mark.parametrize(
    "module", [RandomHorizontalFlip(), RandomResizedCrop(8), ColorJitter(0.5), ByPython(), ByNumpy()]
)
def test_T8_a_random_module_gives_the_same_on_every_run(beton, module):
    first = images(beton, module)
    torch.manual_seed(99), np.random.seed(99), random.seed(99)
    assert torch.equal(first, images(beton, module, num_workers=1))
    assert not torch.equal(first, images(beton, module, seed=1))
    assert len(first.unique(dim=0)) > 40


def test_T6_global_generators_are_left_as_they_were(beton):
    torch.manual_seed(5), np.random.seed(5), random.seed(5)
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    images(beton, RandomErasing(), ByPython(), ByNumpy())
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])
    assert random.getstate() == before[2]


def test_a_deterministic_module_runs_once_for_the_whole_batch(beton):
    class Counts(torch.nn.Module):
        sizes: list[int] = []

        def forward(self, batch):
            self.sizes.append(len(batch))
            return batch

    images(beton, Counts())
    assert Counts.sizes == [2, 30, 30, 30]  # the first is the dry run


def test_a_probe_says_which_generators_are_used():
    assert not probe(Normalize([0.5], [0.5]), (1, 4, 4), torch.float32, CPU).random
    assert probe(RandomHorizontalFlip(), (3, 4, 4), torch.uint8, CPU).drew_from == (True, False, False)
    assert probe(ByPython(), (3,), torch.uint8, CPU).drew_from == (False, False, True)
    assert probe(ByNumpy(), (3,), torch.uint8, CPU).drew_from == (False, True, False)
    found = probe(RandomResizedCrop(8), (3, 16, 16), torch.uint8, CPU)
    assert found.shape == (3, 8, 8) and found.dtype == torch.uint8
