"""One sample, as it is stored and as it is augmented in an epoch."""

import numpy as np
import pytest
import torch

from ffcv_hydra import Loader, Mixture
from ffcv_hydra.beton import write_beton
from ffcv_hydra.errors import LoaderError
from ffcv_hydra.operations import Mixup, Mosaic, RandomHorizontalFlip, RandomResizedCrop, ToTensor
from ffcv_hydra.ordering import Random
from tests.loader.configurations import FIELDS, Scenes

pytestmark = pytest.mark.timeout(240)


def loader_of(beton, **options) -> Loader:
    image = {"operations": [RandomResizedCrop(16), RandomHorizontalFlip(), ToTensor()], "views": 2}
    pipelines = {"image": image, "array": "disabled"}
    return Loader(beton, 8, pipelines=pipelines, ordering=Random(), seed=3, num_workers=2, **options)


def test_it_is_that_of_its_batch_in_any_epoch_and_moves_nothing(beton):
    loader = loader_of(beton, drop_last=True, rank=1, world_size=2)
    for epoch in range(2):
        loader.sampler.set_epoch(epoch)
        ids, batch = loader.sample_ids(2), [*loader][2]
        before = loader.state_dict()
        shown = loader.sample(int(ids[5]), epoch)
        assert list(shown) == ["image", "label"] and shown["label"] == batch[1][5]
        assert all(torch.equal(one, view[5]) for one, view in zip(shown["image"], batch[0], strict=True))
        assert loader.state_dict() == before
    with pytest.raises(IndexError, match="there is no sample 90; it has 90"):
        loader.sample(90)
    with pytest.raises(IndexError, match="there is no sample -1"):
        loader.sample(-1)
    with pytest.raises(LoaderError, match="epochs are numbers from 0 on; got -1"):
        loader.sample(7, -1)
    for wrong, text in ((("a",), "ids are whole numbers; got 'a'"), ((7, 0.5), "epochs are whole numbers; got 0.5")):
        with pytest.raises(LoaderError, match=text):
            loader.sample(*wrong)
    pipelines = {"image": [RandomResizedCrop(16), Mosaic()], "label": "disabled", "array": "disabled"}
    mosaic = Loader(beton, 8, pipelines=pipelines, drop_last=True)
    with pytest.raises(LoaderError, match="Mosaic makes the images of 'image' of 4 samples each; leave the epoch out"):
        mosaic.sample(7, 0)
    assert mosaic.sample(7)["label"] == 7


def test_what_is_stored_is_shown_in_its_own_size_without_padding(scenes):
    left_out = dict.fromkeys(("mask", "depth", "boxes"), "disabled")
    loader = Loader(scenes, 8, pipelines={"image": [RandomResizedCrop(16)], **left_out})
    for index in (0, 17):
        shown, item = loader.sample(index), dict(zip(FIELDS, Scenes()[index], strict=True))
        assert list(shown) == list(FIELDS)
        assert shown["image"].shape[:2] == np.asarray(item["image"]).shape[:2]
        assert np.array_equal(np.asarray(shown["mask"])[..., 0], np.asarray(item["mask"]))
        assert bytes(shown["text"]).decode() == item["text"]
        assert np.allclose(shown["boxes"], item["boxes"]) and len(shown["boxes"]) == len(item["boxes"])
        assert shown["label"] == item["label"]


def test_of_a_mixture_and_of_what_is_mixed_with_neighbours(beton, tmp_path):
    second = tmp_path / "second.beton"
    write_beton(Scenes(), second, FIELDS, num_workers=0)
    both = loader_of(Mixture({beton: 0.5, second: 0.5}))
    assert both.sample(90 + 3)["label"] == Scenes()[3][list(FIELDS).index("label")]
    assert both.sample(3)["label"] == 3
    pipelines = {"array": "disabled", "label": {"joint_with": "disabled"}}
    mixing, alone = (
        Loader(beton, 8, pipelines=pipelines | {"image": [RandomResizedCrop(16), *mix, ToTensor()]})
        for mix in ([Mixup(0.5)], [])
    )
    assert torch.equal(mixing.sample(7, 0)["image"], alone.sample(7, 0)["image"])
