"""Several views of one image, decoded once, each with its own draws."""

import numpy as np
import pytest
import torch

from ffcv_hydra.loader import Loader
from ffcv_hydra.operations import CenterCrop, ColorJitter, RandomHorizontalFlip, RandomResizedCrop, ToTensor
from ffcv_hydra.operations import image_decoder as image_decoder_module
from ffcv_hydra.pipeline import FieldPipeline
from tests.loader.configurations import ONLY_IMAGE

pytestmark = pytest.mark.timeout(60)


def crops(size: int):
    return [RandomResizedCrop(size), RandomHorizontalFlip(), ColorJitter(0.4, 0.4), ToTensor()]


def load(beton, batch_size=16, **pipelines):
    return Loader(beton, batch_size, pipelines=ONLY_IMAGE | {"label": "disabled"} | pipelines, num_workers=2, seed=1)


def test_views_are_a_list_of_tensors_that_differ(scenes):
    loader = load(scenes, image="disabled", views=FieldPipeline(crops(24), source="image", views=3))
    (views,) = next(iter(loader))
    assert [view.shape for view in views] == [(16, 24, 24, 3)] * 3
    for left, right in ((0, 1), (0, 2), (1, 2)):
        assert not any(torch.equal(a, b) for a, b in zip(views[left], views[right], strict=True))


def test_more_views_do_not_change_the_ones_there_are(scenes):
    def made(count):
        loader = load(scenes, image="disabled", views=FieldPipeline(crops(24), source="image", views=count))
        return [view.numpy() for view in next(iter(loader))[0]]

    two, four = made(2), made(4)
    assert all(np.array_equal(a, b) for a, b in zip(two, four, strict=False))
    (one,) = next(iter(load(scenes, image="disabled", views=FieldPipeline(crops(24), source="image"))))
    assert np.array_equal(one, two[0])


def test_global_and_local_views_share_one_decoding(scenes, monkeypatch):
    calls = []
    decode = image_decoder_module.decode_shared

    def counting(decoders, *rest):
        calls.append(len(decoders))
        return decode(decoders, *rest)

    monkeypatch.setattr(image_decoder_module, "decode_shared", counting)
    monkeypatch.setattr("ffcv_hydra.loader.engine.decoding.decode_shared", counting)
    loader = load(
        scenes,
        image=[CenterCrop(8), ToTensor()],
        large=FieldPipeline(crops(24), source="image", views=2),
        small=FieldPipeline(crops(12), source="image", views=4),
    )
    shared = [(image.clone(), [v.clone() for v in large], [v.clone() for v in small]) for image, large, small in loader]
    assert set(calls) == {7}
    alone = load(scenes, image="disabled", small=FieldPipeline(crops(12), source="image", views=4))
    for (_, _, expected), (found,) in zip(shared, alone, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(expected, found, strict=True))


def test_views_of_an_image_and_of_its_mask_belong_together(raw_scenes):
    def geometry():
        return [RandomResizedCrop(24, interpolation="nearest"), RandomHorizontalFlip(), ToTensor()]

    loader = load(
        raw_scenes,
        image=FieldPipeline(geometry(), views=2),
        mask=FieldPipeline(geometry(), joint_with="image", views=2),
    )
    for images, masks in loader:
        for image, mask in zip(images, masks, strict=True):
            assert (image[..., :1] // 64 == mask).all()


def test_filter_is_given_all_views_of_a_sample(scenes):
    loader = load(scenes, image="disabled", views=FieldPipeline([CenterCrop(8), ToTensor()], source="image", views=2))
    sums = [int(sample.sum()) for (views,) in loader for sample in views[1]]
    bright = sorted(sums)[24]
    kept = loader.filter("views", lambda views: len(views) == 2 and views[0].sum() >= bright)
    assert kept.indices.tolist() == [index for index, total in enumerate(sums) if total >= bright]


def test_a_damaged_image_is_left_out_of_all_views(scenes, tmp_path):
    path = tmp_path / "damaged.beton"
    data = bytearray(scenes.read_bytes())
    whole = load(scenes, image="disabled", views=FieldPipeline(crops(24), source="image", views=2))
    offset = int(whole._beton.extents("image")[0][5]) + 300
    data[offset] ^= 0xFF
    path.write_bytes(data)
    pipelines = ONLY_IMAGE | {"image": "disabled", "views": FieldPipeline(crops(24), source="image", views=2)}
    labels, views = next(iter(Loader(path, 16, pipelines=pipelines, on_error="skip")))
    assert [len(view) for view in (labels, *views)] == [15, 15, 15]
