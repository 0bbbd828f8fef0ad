import numpy as np
import pytest
import torch
from scipy import stats
from torchvision.transforms import v2

from ffcv_hydra.beton import write_beton
from ffcv_hydra.errors import PipelineError, SampleError
from ffcv_hydra.kernels.images.mix import draw_mixed_boxes
from ffcv_hydra.kernels.random.generator import fold, key_of
from ffcv_hydra.loader import Loader
from ffcv_hydra.operations import (
    Chunk,
    CutMix,
    FailedSample,
    MixedTargets,
    Mixup,
    RandomHorizontalFlip,
    ToTensor,
)
from ffcv_hydra.operations.base import Scratch
from ffcv_hydra.operations.operation import State
from ffcv_hydra.pipeline import FieldPipeline

pytestmark = pytest.mark.timeout(120)
each = pytest.mark.parametrize("mixing", [Mixup(0.4), CutMix(0.4)], ids=["Mixup", "CutMix"])


def chunk(count: int, seed: int = 0) -> Chunk:
    samples = np.arange(count)
    return Chunk(samples, fold(key_of(seed), samples.astype(np.uint64)), Scratch())


def targets(mixing, labels: list[int], classes: int, seed: int = 0) -> np.ndarray:
    operation = MixedTargets(classes).following(mixing, (13, 17))
    found = np.full((len(labels), classes), 7, dtype=np.float32)
    operation.run(np.array(labels)[:, None], found, chunk(len(labels), seed))
    return found


def test_mixup_blends_pairs_by_their_weights(apply, noise):
    mixing = Mixup(0.4)
    weights = mixing.weights(np.ascontiguousarray(chunk(len(noise)).keys[::2]), (13, 17))
    share = np.repeat(weights, 2)[:, None, None, None]
    partners = noise.reshape(-1, 2, *noise.shape[1:])[:, ::-1].reshape(noise.shape)
    expected = share * noise + (1 - share) * partners
    assert abs(apply(mixing, noise) - expected).max() <= 0.501  # rounded to the next level
    assert np.allclose(apply(mixing, noise.astype(np.float32)), expected, atol=1e-4)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_cutmix_exchanges_a_box_of_pairs(dtype, apply, noise):
    mixing, images = CutMix(1.0), noise.astype(dtype)
    weights = mixing.weights(np.ascontiguousarray(chunk(len(noise)).keys[::2]), (13, 17))
    mixed = apply(mixing, images)
    for j, weight in enumerate(weights):
        one, other = images[2 * j], images[2 * j + 1]
        pasted = (mixed[2 * j] == other).all(2)
        assert np.array_equal(np.where(pasted[..., None], other, one), mixed[2 * j])
        assert np.array_equal(np.where(pasted[..., None], one, other), mixed[2 * j + 1])
        assert pasted.sum() == pasted.any(1).sum() * pasted.any(0).sum()
        assert 1 - pasted.mean() == pytest.approx(weight)


def test_boxes_are_distributed_as_torchvisions():
    count, height, width, alpha = 4_000, 40, 60, 0.7
    ours = np.empty((count, 4), dtype=np.int64)
    draw_mixed_boxes(fold(key_of(1), np.arange(count, dtype=np.uint64)), alpha, height, width, ours)
    transform, images = v2.CutMix(alpha=alpha, num_classes=2), torch.empty(2, 3, height, width)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        drawn = [transform.make_params([images]) for _ in range(count)]
    boxes = np.array([d["box"] for d in drawn])
    theirs = np.stack([boxes[:, 1], boxes[:, 0], boxes[:, 3] - boxes[:, 1], boxes[:, 2] - boxes[:, 0]], axis=1)
    for column in range(4):
        assert stats.ks_2samp(ours[:, column], theirs[:, column]).pvalue > 0.001
    kept = 1 - ours[:, 2] * ours[:, 3] / (height * width)
    assert stats.ks_2samp(kept, [d["lam_adjusted"] for d in drawn]).pvalue > 0.001
    assert (ours >= 0).all() and (ours[:, 0] + ours[:, 2] <= height).all() and (ours[:, 1] + ours[:, 3] <= width).all()


@each
def test_a_last_sample_without_partner_stays(mixing, apply, noise):
    for count in (1, 5):
        mixed = apply(mixing, noise[:count])
        assert np.array_equal(mixed[-1], noise[count - 1])
        assert np.array_equal(mixed[:-1], apply(mixing, noise[: count - 1]) if count > 1 else mixed[:-1])
        assert targets(mixing, [3] * count, 4)[-1].tolist() == [0, 0, 0, 1]


@each
def test_T4_pairs_depend_on_their_key_alone_and_no_generator_is_touched(mixing, apply, noise):
    numpy_state, torch_state = np.random.get_state()[1].copy(), torch.get_rng_state()
    whole = apply(mixing, noise)
    parts = np.concatenate([apply(mixing, noise[begin : begin + 8], start=begin) for begin in range(0, len(noise), 8)])
    assert np.array_equal(whole, parts)
    assert not np.array_equal(whole, apply(mixing, noise, seed=1))
    assert np.array_equal(np.random.get_state()[1], numpy_state) and torch.equal(torch.get_rng_state(), torch_state)


@each
def test_T3_targets_sum_to_one_with_equal_labels_too(mixing):
    found = targets(mixing, [0, 1, 2, 2, 1, 1, 3, 0, 3], 4)
    assert np.allclose(found.sum(1), 1, atol=1e-6) and (found >= 0).all()
    assert found[2].tolist() == found[3].tolist() == [0, 0, 1, 0]
    weight = mixing.weights(chunk(2).keys[:1], (13, 17))[0]
    assert found[0] == pytest.approx([weight, 1 - weight, 0, 0])
    assert found[1] == pytest.approx([1 - weight, weight, 0, 0])


@pytest.mark.parametrize("label", [-1, 4, 2**40])
def test_a_label_that_is_no_class_is_named(label):
    with pytest.raises(
        FailedSample, match=f"label {label} is no class: num_classes is 4, so labels are 0 to 3"
    ) as error:
        targets(Mixup(), [0, 1, label], 4)
    assert error.value.position == 2


class Flat:
    """Float32 images of one value each, with that value as label."""

    def __len__(self) -> int:
        return 23

    def __getitem__(self, index: int):
        return np.full((8, 10, 2), index, dtype=np.float32), index


@each
@pytest.mark.parametrize("num_workers", [1, 2])
def test_targets_say_what_is_in_the_images(mixing, num_workers, tmp_path):
    path = tmp_path / "flat.beton"
    write_beton(Flat(), path, {"image": None, "label": None}, num_workers=0)
    pipelines = {
        "image": [RandomHorizontalFlip(), mixing, ToTensor()],
        "label": FieldPipeline([MixedTargets(23), ToTensor()], joint_with="image"),
    }
    mixed = 0
    for images, shares in Loader(path, 6, pipelines=pipelines, num_workers=num_workers):
        assert shares.dtype == torch.float32 and torch.allclose(shares.sum(1), torch.ones(len(shares)))
        assert torch.allclose(images.mean((1, 2, 3)), shares @ torch.arange(23.0), atol=1e-4)
        mixed += int((shares > 0).sum() - len(shares))
    assert mixed >= 10
    pipelines["label"] = FieldPipeline([MixedTargets(20), ToTensor()], joint_with="image")
    with pytest.raises(SampleError, match="field 'label', sample 20: label 20 is no class"):
        list(Loader(path, 6, pipelines=pipelines))


def test_impossible_arguments_are_named():
    for alpha in (0, -1, float("nan"), float("inf"), "1"):
        with pytest.raises(PipelineError, match="Mixup: alpha is a number above 0; got"):
            Mixup(alpha)
    with pytest.raises(PipelineError, match="MixedTargets: num_classes is a number from 1 on; got 0"):
        MixedTargets(0)
    cpu = torch.device("cpu")
    with pytest.raises(PipelineError, match="takes images .H, W, C. of uint8 or float32"):
        CutMix().declare_state_and_memory(State(True, cpu, (4, 4, 3), np.dtype("u2")))
    for shape, dtype in [((1,), "f8"), ((2,), "i8")]:
        with pytest.raises(PipelineError, match="takes one integer label per sample"):
            MixedTargets(3).declare_state_and_memory(State(True, cpu, shape, np.dtype(dtype)))
    with pytest.raises(PipelineError, match="no Mixup or CutMix to follow; name the image's output in joint_with"):
        MixedTargets(3).run(np.zeros((2, 1), np.int64), np.zeros((2, 3), np.float32), chunk(2))
