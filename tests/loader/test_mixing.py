"""Mixup and CutMix: pairs of the global order, and targets that belong to their images."""

import numpy as np
import pytest

from ffcv_hydra.errors import LoaderError, PipelineError
from ffcv_hydra.loader import Loader
from ffcv_hydra.operations import CenterCrop, CutMix, MixedTargets, Mixup, ToTensor
from ffcv_hydra.ordering import Random
from ffcv_hydra.pipeline import FieldPipeline
from tests.loader.configurations import ONLY_IMAGE

pytestmark = pytest.mark.timeout(240)  # kernels are compiled under it, on a loaded machine


def pipelines(*mixing):
    targets = [MixedTargets(5), ToTensor()] if mixing else None
    return ONLY_IMAGE | {
        "image": [CenterCrop(16), *mixing, ToTensor()],
        "label": FieldPipeline(targets, joint_with="image" if mixing else None),
    }


def load(beton, *mixing, batch_size=8, **options):
    options = {"num_workers": 2, "seed": 5, "drop_last": True} | options
    return Loader(beton, batch_size, pipelines=pipelines(*mixing), ordering=Random(), **options)


@pytest.mark.parametrize("mixing", [Mixup(0.4), CutMix(1.0)], ids=["mixup", "cutmix"])
def test_T3_targets_are_those_of_the_pixels_and_sum_to_one(scenes, mixing):
    for (image, label), (mixed, targets) in zip(load(scenes), load(scenes, mixing), strict=True):
        assert np.allclose(targets.sum(1), 1)
        pixels, partner = image.numpy().astype(float), image.numpy().astype(float)[np.arange(8) ^ 1]
        for sample in range(8):
            own, other = int(label[sample]), int(label[sample ^ 1])
            share = float(targets[sample, own]) if own != other else None
            assert set(np.flatnonzero(targets[sample])) <= {own, other}
            if share is None:
                assert targets[sample, own] == 1
            elif isinstance(mixing, Mixup):
                expected = share * pixels[sample] + (1 - share) * partner[sample]
                assert np.abs(mixed[sample].numpy() - expected).max() <= 0.51
            else:
                from_partner = (mixed[sample].numpy() == partner[sample]).all(2) & (
                    mixed[sample].numpy() != pixels[sample]
                ).any(2)
                assert from_partner.mean() == pytest.approx(1 - share, abs=0.05)


def test_T4_labels_can_be_mixed_without_loading_their_images(scenes):
    shown = [targets.numpy().copy() for _, targets in load(scenes, Mixup(0.4))]
    again = [targets.numpy().copy() for _, targets in load(scenes, Mixup(0.4), num_workers=1)]
    assert all(np.array_equal(a, b) for a, b in zip(shown, again, strict=True))


def test_the_last_sample_of_an_odd_number_stays_as_it_is(scenes):
    options = {"drop_last": False, "indices": range(7), "batch_size": 4}
    plain, mixed = list(load(scenes, **options)), list(load(scenes, Mixup(0.4), **options))
    assert np.array_equal(plain[-1][0][-1], mixed[-1][0][-1])
    assert mixed[-1][1][-1, int(plain[-1][1][-1])] == 1
    assert not np.array_equal(plain[-1][0][0], mixed[-1][0][0])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 5}, "batch size must be divisible by 2; it is 5"),
        ({"on_error": "skip"}, "use on_error=raise or zero"),
        ({"rank": 1, "world_size": 2, "drop_last": False}, "with drop_last=true only"),
    ],
)
def test_what_would_tear_a_pair_apart_is_refused(scenes, options, message):
    with pytest.raises(LoaderError, match=message):
        load(scenes, Mixup(), **options)


def test_targets_cannot_follow_two_mixing_operations(scenes):
    with pytest.raises(PipelineError, match="'image' has 2 of them"):
        load(scenes, Mixup(), CutMix())
