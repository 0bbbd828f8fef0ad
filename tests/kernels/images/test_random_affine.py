import numpy as np
import torch
from scipy import stats
from torchvision.transforms import v2

from ffcv_hydra.kernels.compiling.compilation import kernel
from ffcv_hydra.kernels.images.random_affine import draw_affine
from ffcv_hydra.kernels.random.generator import fold, key_of


@kernel("void(uint64[::1], float64[::1], float64[:, ::1])")
def draw(keys, bounds, drawn):
    for n in range(len(keys)):
        draw_affine(keys[n], bounds, drawn[n])


def test_parameters_are_distributed_as_torchvisions():
    count, height, width = 4_000, 30, 50
    ranges = np.array([[-30.0, 60.0], [0.5, 1.5], [-10.0, 20.0], [-5.0, 0.0]])
    ours = np.empty((count, 6))
    keys = fold(key_of(3), np.arange(count, dtype=np.uint64))
    draw(keys, np.array([*ranges.ravel(), 0.2 * width, 0.1 * height]), ours)
    transform = v2.RandomAffine(ranges[0].tolist(), (0.2, 0.1), ranges[1].tolist(), ranges[2:].reshape(-1).tolist())
    image = torch.empty(3, height, width)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        drawn = [transform.make_params([image]) for _ in range(count)]
    theirs = np.array([[d["angle"], *d["translate"], d["scale"], *d["shear"]] for d in drawn])
    for column in range(6):
        assert stats.ks_2samp(ours[:, column], theirs[:, column]).pvalue > 0.001
    assert np.array_equal(ours[:, 1:3], np.rint(ours[:, 1:3]))
    assert abs(np.corrcoef(ours.T) - np.eye(6)).max() < 0.07
