"""Sizes that change from epoch to epoch."""

import pickle

import pytest
from ffcv.fields.rgb_image import CenterCropRGBImageDecoder, RandomResizedCropRGBImageDecoder
from ffcv.transforms import ToTensor as FFCVToTensor

from ffcv_hydra.errors import PipelineError
from ffcv_hydra.loader import Loader
from ffcv_hydra.operations import CenterCrop, RandomHorizontalFlip, RandomResizedCrop, ToTensor, ToTorchImage
from ffcv_hydra.ordering import Random
from ffcv_hydra.pipeline import FieldPipeline
from tests.loader.configurations import ONLY_IMAGE, digests

pytestmark = pytest.mark.timeout(60)


def load(beton, size=24):
    def geometry():
        return [RandomResizedCrop(size), RandomHorizontalFlip(), ToTensor()]

    pipelines = ONLY_IMAGE | {
        "image": [*geometry(), ToTorchImage()],
        "mask": FieldPipeline(geometry(), joint_with="image"),
        "small": FieldPipeline([CenterCrop(8), ToTensor()], source="image"),
    }
    return Loader(beton, 8, pipelines=pipelines, ordering=Random(), num_workers=2)


def sizes_of(epoch):
    return 12 + 4 * epoch


def test_size_follows_the_epoch_and_joint_outputs_follow_the_size(scenes):
    loader = load(scenes)
    loader.set_output_size("image", sizes_of)
    for epoch in range(3):
        image, mask, _, small = list(loader)[-1]
        assert image.shape == (8, 3, sizes_of(epoch), sizes_of(epoch))
        assert mask.shape == (8, sizes_of(epoch), sizes_of(epoch), 1)
        assert small.shape == (8, 8, 8, 3)


def test_batches_are_those_of_a_loader_that_was_made_with_the_size(scenes):
    loader = load(scenes)
    loader.set_output_size("image", sizes_of)
    loader.sampler.set_epoch(2)
    same = load(scenes, sizes_of(2))
    same.sampler.set_epoch(2)
    assert digests(loader) == digests(same)


def test_a_held_batch_and_a_pass_under_way_keep_their_size(scenes):
    loader = load(scenes)
    running = iter(loader)
    held = next(running)[0]
    before = held.clone()
    loader.set_output_size("image", lambda epoch: 16)
    other = next(iter(loader))[0]
    assert other.shape[-1] == 16
    assert next(running)[0].shape[-1] == 24
    assert (held == before).all()


def test_F13_a_filtered_loader_keeps_sizes_and_epoch(scenes):
    loader = load(scenes)
    loader.set_output_size("image", sizes_of)
    loader.sampler.set_epoch(2)
    seen = []
    few = loader.filter("image", lambda image: seen.append(image.shape[-1]) or len(seen) % 2 == 0)
    assert set(seen) == {sizes_of(2)}
    for epoch in (2, 3):
        assert {batch[0].shape[-1] for batch in few} == {sizes_of(epoch)}
    again = few.filter("label", lambda label: label == 1)
    assert {batch[0].shape[-1] for batch in again} == {sizes_of(4)}


def test_a_loader_with_other_options_follows_until_it_has_sizes_of_its_own(scenes):
    loader = load(scenes)
    other = loader.with_options(batch_size=4)
    loader.set_output_size("image", lambda epoch: 16)
    assert next(iter(other))[0].shape[-1] == 16
    other.set_output_size("image", sizes_of)
    one_more = pickle.loads(pickle.dumps(other))
    assert [next(iter(one))[0].shape[-1] for one in (loader, other, one_more)] == [16, sizes_of(0), sizes_of(0)]


def test_a_resumed_run_goes_on_with_the_size_it_had(scenes):
    loader, same = load(scenes), load(scenes)
    for one in (loader, same):
        one.set_output_size("image", sizes_of)
    loader.sampler.set_epoch(1)
    expected = digests(loader)
    loader.sampler.set_epoch(1)
    running = iter(loader)
    next(running)
    same.load_state_dict(loader.state_dict())
    assert digests(same) == expected[1:]


@pytest.mark.parametrize(
    ("output", "size", "message"),
    [
        ("imgae", 8, "'imgae', which is no output"),
        ("mask", 8, "'mask', which is joint with 'image'; set that one's"),
        ("label", 8, "a size is set for 'label', but the decoder of 'label', ScalarDecoder, has none"),
        ("image", 0, "size"),
    ],
)
def test_sizes_that_cannot_be_are_refused_at_once(scenes, output, size, message):
    with pytest.raises(PipelineError, match=message):
        load(scenes).set_output_size(output, lambda epoch: size)


DECODERS = [CenterCropRGBImageDecoder((24, 24), 1), RandomResizedCropRGBImageDecoder((24, 24))]


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("replace", [True, False])
def test_F12_what_is_set_on_ffcvs_decoder_holds_from_the_next_pass_on(scenes, decoder, replace):
    decoder.output_size = (24, 24)
    pipelines = ONLY_IMAGE | {"image": [decoder, FFCVToTensor()]}
    loader = Loader(scenes, 8, pipelines=pipelines, num_workers=1, replace_ffcv_operations=replace)
    assert next(iter(loader))[0].shape == (8, 24, 24, 3)
    running = iter(loader)
    next(running)
    for size in ((16, 20), (28, 28)):
        decoder.output_size = size
        assert next(iter(loader))[0].shape == (8, *size, 3)
    assert next(running)[0].shape == (8, 24, 24, 3)


def test_F12_what_is_set_on_our_operations_holds_from_the_next_pass_on(scenes):
    decoder, flip = RandomResizedCrop(24), RandomHorizontalFlip(0)
    loader = Loader(scenes, 8, pipelines=ONLY_IMAGE | {"image": [decoder, flip, ToTensor()]}, num_workers=1)
    before = next(iter(loader))[0]
    executor = loader.passes.executor
    assert (next(iter(loader))[0] == before).all() and loader.passes.executor is executor
    flip.p = 1.0
    assert (next(iter(loader))[0] == before.flip(2)).all()
    decoder.scale = (1.0, 1.0)
    assert (next(iter(loader))[0] != before.flip(2)).any()
    for decoder.output_size, shape in ((12, (12, 12)), ([16, 20], (16, 20))):
        assert next(iter(loader))[0].shape == (8, *shape, 3)
    loader.set_output_size("image", lambda epoch: 8)
    assert next(iter(loader))[0].shape == (8, 8, 8, 3)


def test_F12_an_impossible_size_is_refused_each_time(scenes):
    decoder = CenterCropRGBImageDecoder((24, 24), 1)
    loader = Loader(scenes, 8, pipelines=ONLY_IMAGE | {"image": [decoder, ToTensor()]}, num_workers=1)
    decoder.output_size = (0, 24)
    for _ in range(2):
        with pytest.raises(PipelineError, match=r"CenterCrop: size is \[height, width\] in pixels, or one number; got"):
            next(iter(loader))
    with pytest.raises(PipelineError, match="CenterCrop: size is"):
        CenterCrop(8).size = (8, 8, 3)


def test_an_impossible_value_set_on_an_operation_is_refused_each_time(scenes):
    decoder, flip = RandomResizedCrop(24), RandomHorizontalFlip()
    loader = Loader(scenes, 8, pipelines=ONLY_IMAGE | {"image": [decoder, flip, ToTensor()]}, num_workers=1)
    next(iter(loader))
    flip.p = 7
    for _ in range(2):
        with pytest.raises(PipelineError, match="pipeline of 'image': RandomHorizontalFlip: p is a number"):
            next(iter(loader))
    flip.p, decoder.scale = 1, (5, 1)
    with pytest.raises(PipelineError, match="pipeline of 'image': RandomResizedCrop: scale is"):
        next(iter(loader))
    decoder.scale = (1, 1)
    assert next(iter(loader))[0].shape == (8, 24, 24, 3)
