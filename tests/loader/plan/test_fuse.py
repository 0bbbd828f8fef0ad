"""Decoders joined with what follows them give the same, bit for bit, and stand in for nothing that others read."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from ffcv.pipeline.pipeline_spec import PipelineSpec
from ffcv.transforms import ToTensor as FFCVToTensor

from ffcv_hydra.beton import Beton, GrayscaleImageField, ImageArrayField, RandomAccessImageField, write_beton
from ffcv_hydra.errors import PipelineError
from ffcv_hydra.loader import Loader
from ffcv_hydra.loader.plan import passes
from ffcv_hydra.operations import (
    CenterCrop,
    ColorJitter,
    Convert,
    Cutout,
    DivideImage255,
    ImageDecoder,
    NormalizeImage,
    NormalizeTensor,
    RandomCrop,
    RandomHorizontalFlip,
    RandomResizedCrop,
    Resize,
    ResizeShorterSide,
    Squeeze,
    ToTensor,
    ToTorchImage,
    WholeImage,
)
from ffcv_hydra.operations.tensor_operation import TensorOperation
from ffcv_hydra.ordering import Random
from ffcv_hydra.pipeline import FieldPipeline
from tests.loader.configurations import FIELDS, ONLY_IMAGE, Scenes, digests

pytestmark = pytest.mark.timeout(180)

DECODERS = {
    "crop": lambda: RandomResizedCrop(24),
    "larger": lambda: CenterCrop((70, 90)),
    "nearest": lambda: Resize((20, 33), interpolation="nearest"),
    "padded": lambda: ResizeShorterSide(24, (30, 50)),  # zeros around the image
    "uncovered": lambda: ResizeShorterSide(40, (60, 20)),
}
ARRAY_VALUES = {
    "bytes": lambda channels: [],
    "float32": lambda channels: [NormalizeImage([120.0, 110.5, 99.9][:channels], [60.0, 50.0, 77.7][:channels])],
    "float16": lambda channels: [NormalizeImage([120.0, 110.5, 99.9][:channels], [60.0] * channels, "float16")],
}
TENSOR_VALUES = {
    "bytes": lambda channels: [],
    "unit": lambda channels: [DivideImage255("float32")],
    "half": lambda channels: [DivideImage255("float16")],
    "normal": lambda channels: [NormalizeTensor([120.0, 110.5, 99.9][:channels], [60.0] * channels)],
    "both": lambda channels: [
        DivideImage255("float32"),
        NormalizeTensor([0.4] * channels, [0.2] * channels, "float16"),
    ],
    "classes": lambda channels: [Convert("int64")],
    "bfloat16": lambda channels: [DivideImage255("bfloat16"), Convert("float32")],
}


@pytest.fixture(scope="module")
def gray_scenes(tmp_path_factory):
    path = tmp_path_factory.mktemp("gray") / "gray.beton"

    class Gray(Scenes):
        def __getitem__(self, index):
            image, mask, *others = super().__getitem__(index)
            return (image.convert("L"), mask, *others)

    write_beton(Gray(), path, FIELDS | {"image": GrayscaleImageField()}, num_workers=0, page_size=1 << 21)
    return path


@pytest.fixture(params=["jpeg", "raw", "gray"])
def images(request, scenes, raw_scenes, gray_scenes):
    return {"jpeg": (scenes, 3), "raw": (raw_scenes, 3), "gray": (gray_scenes, 1)}[request.param]


@pytest.fixture
def compare(monkeypatch):
    """Compares an epoch with the one of a loader that joins nothing."""

    def check(path, pipelines, joined=1, **options):
        chosen = {"pipelines": pipelines, "ordering": Random(), "num_workers": 2, "seed": 5, **options}
        fused = Loader(path, 16, **chosen)
        assert len({(node.output, node.view) for node in fused.plan.nodes if node.fused}) == joined
        with monkeypatch.context() as patched:
            patched.setattr(passes, "fuse", lambda plan: plan)
            separate = Loader(path, 16, **chosen)
        assert not any(node.fused for node in separate.plan.nodes)
        assert digests(fused) == digests(separate)
        [ours], [theirs] = ([next(iter(loader))] for loader in (fused, separate))
        for one, other in zip(ours, theirs, strict=True):
            if isinstance(one, torch.Tensor):
                assert (one.dtype, one.shape) == (other.dtype, other.shape)
                assert one.is_contiguous() == other.is_contiguous()
        return fused

    return check


@pytest.mark.parametrize("decoder", DECODERS)
def test_each_decoder_mirrors_and_looks_values_up_as_separate_operations_do(images, compare, decoder):
    path, channels = images
    values = ARRAY_VALUES["float32"](channels)
    operations = [DECODERS[decoder](), RandomHorizontalFlip(), *values, ToTensor(), ToTorchImage(False)]
    compare(path, ONLY_IMAGE | {"image": operations})


@pytest.mark.parametrize(("write_mode", "padding", "joined"), [
    ("jpg", 0, 1), ("tiles", 0, 1), ("zstd", 0, 1), ("raw", 0, 0), ("tiles", 2, 0),
])  # fmt: skip
def test_of_whole_images_that_are_cropped_only_the_crops_are_decoded(tmp_path, compare, write_mode, padding, joined):
    pixels = np.random.default_rng(0).integers(0, 256, (20, 40, 50, 3), dtype=np.uint8)
    field = RandomAccessImageField("jpg") if write_mode == "jpg" else ImageArrayField(3, "uint8", write_mode, tile=16)
    write_beton([(one,) for one in pixels], path := tmp_path / "a.beton", {"image": field}, num_workers=0)
    operations = [WholeImage(), RandomCrop((24, 30), padding), RandomHorizontalFlip(), ToTensor(), ToTorchImage()]
    loader = compare(path, {"image": operations}, joined=joined)
    assert not joined or loader.plan.nodes[0].name == "WholeImage + RandomCrop + RandomHorizontalFlip"


@pytest.mark.parametrize("values", ARRAY_VALUES)
@pytest.mark.parametrize("layout", ["array", "last", "first"])
def test_values_of_arrays_come_in_every_layout(images, compare, values, layout):
    path, channels = images
    tail = {"array": [], "last": [ToTensor(), ToTorchImage()], "first": [FFCVToTensor(), ToTorchImage(False)]}[layout]
    operations = [RandomResizedCrop(24), *ARRAY_VALUES[values](channels), *tail]
    compare(path, ONLY_IMAGE | {"image": operations}, joined=int(values != "bytes" or layout == "first"))


@pytest.mark.parametrize("values", TENSOR_VALUES)
@pytest.mark.parametrize("channels_last", [True, False])
def test_values_of_tensors_are_looked_up_too(images, compare, values, channels_last):
    path, channels = images
    tail = [ToTensor(), ToTorchImage(channels_last), *TENSOR_VALUES[values](channels)]
    compare(path, ONLY_IMAGE | {"image": [RandomResizedCrop(24), RandomHorizontalFlip(), *tail]})


def test_class_ids_become_integers_while_masks_are_in_the_cache(scenes, compare):
    mask = [RandomResizedCrop(24), RandomHorizontalFlip(), ToTensor(), Squeeze(3), Convert("int64")]
    loader = compare(scenes, ONLY_IMAGE | {"image": "disabled", "mask": mask})
    assert loader.plan.outputs["mask"].name == "Squeeze"


@pytest.mark.parametrize("values", TENSOR_VALUES)
@pytest.mark.parametrize("channels_last", [True, False])
def test_values_behind_other_operations_are_looked_up_before_they_are_tensors(images, compare, values, channels_last):
    path, channels = images
    tail = [Cutout(6), ToTensor(), ToTorchImage(channels_last), *TENSOR_VALUES[values](channels)]
    finished = values not in ("bytes", "bfloat16") or not channels_last
    compare(path, ONLY_IMAGE | {"image": [RandomResizedCrop(24), *tail]}, joined=int(finished))


class Halve(TensorOperation):
    """A user's, which says that it is a function of single values."""

    def after(self, before):
        return replace(before, dtype=torch.float32)

    def apply(self, batch):
        return batch.float() / 2

    def as_table(self, values):
        return self.apply(values)


def test_an_operation_of_a_users_that_says_what_it_can_be_is_joined(scenes, compare):
    loader = compare(scenes, ONLY_IMAGE | {"image": [RandomResizedCrop(24), ToTensor(), ToTorchImage(), Halve()]})
    assert loader.plan.outputs["image"].name == "ToTorchImage"
    compare(scenes, ONLY_IMAGE | {"image": [CenterCrop(24), Cutout(4), ToTensor(), Halve()]})


@pytest.mark.parametrize("before", [[], [Cutout(4)]], ids=["decoder", "other"])
@pytest.mark.parametrize("wrong", [lambda values: values[:, :1], lambda values: values.T], ids=["one column", "rows"])
def test_a_table_of_another_shape_is_refused_by_name(scenes, monkeypatch, before, wrong):
    monkeypatch.setattr(Halve, "as_table", lambda self, values: wrong(values.float() / 2))
    message = r"pipeline of 'image': Halve: as_table gives \(.*\) for values \(256, 3\)"
    with pytest.raises(PipelineError, match=message):
        Loader(scenes, 16, pipelines=ONLY_IMAGE | {"image": [CenterCrop(24), *before, ToTensor(), Halve()]})


def test_what_is_raised_instead_of_a_table_and_what_is_none_name_the_operation(scenes, monkeypatch):
    pipelines = ONLY_IMAGE | {"image": [CenterCrop(24), ToTensor(), Halve()]}
    for given, message in (
        (lambda self, values: {}["boom"], "KeyError: 'boom'"),
        (lambda self, values: [], " list for"),
    ):
        monkeypatch.setattr(Halve, "as_table", given)
        with pytest.raises(PipelineError, match=f"pipeline of 'image': Halve: as_table.*{message}"):
            Loader(scenes, 16, pipelines=pipelines)


def test_what_draws_is_no_table_and_what_does_not_draw_no_flip(scenes, compare, monkeypatch):
    monkeypatch.setattr(Halve, "random", True)
    compare(scenes, ONLY_IMAGE | {"image": [CenterCrop(24), ToTensor(), Halve()]}, joined=0)
    monkeypatch.setattr(Halve, "random", False)
    monkeypatch.setattr(Halve, "as_table", lambda self, values: None)
    monkeypatch.setattr(Halve, "as_flip", lambda self: 1.0)
    compare(scenes, ONLY_IMAGE | {"image": [CenterCrop(24), ToTensor(), Halve()]}, joined=0)


def test_what_cannot_be_joined_ends_the_joining(scenes, compare):
    jitter = [RandomResizedCrop(24), RandomHorizontalFlip(), ColorJitter(0.4), RandomHorizontalFlip(), ToTensor()]
    loader = compare(scenes, ONLY_IMAGE | {"image": jitter})
    names = [node.name for node in loader.plan.nodes if node.output == "image"]
    assert names == ["RandomResizedCrop + RandomHorizontalFlip", "ColorJitter", "RandomHorizontalFlip", "ToTensor"]
    twice = [RandomResizedCrop(24), RandomHorizontalFlip(), RandomHorizontalFlip(), ToTensor()]
    compare(scenes, ONLY_IMAGE | {"image": twice})
    moved_twice = [RandomResizedCrop(24), ToTensor(), ToTorchImage(False), ToTorchImage(False), ToTorchImage()]
    compare(scenes, ONLY_IMAGE | {"image": moved_twice})


def test_what_another_output_reads_stays_on_its_own(scenes, compare):
    crop, flip = RandomResizedCrop(24), RandomHorizontalFlip()
    pipelines = ONLY_IMAGE | {"image": [crop, flip, ToTensor()], "plain": PipelineSpec(crop, transforms=[ToTensor()])}
    compare(scenes, pipelines, joined=0)
    pipelines = ONLY_IMAGE | {"image": [crop, ToTensor()], "flipped": PipelineSpec(crop, transforms=[flip, ToTensor()])}
    compare(scenes, pipelines, joined=0)
    pipelines = ONLY_IMAGE | {"image": [crop], "flipped": PipelineSpec(crop, transforms=[flip])}
    compare(scenes, pipelines, joined=0)
    after = [NormalizeImage([120.0] * 3, [60.0] * 3), ToTensor()]
    compare(scenes, ONLY_IMAGE | {"image": [crop, flip, *after], "plain": PipelineSpec(flip, transforms=[ToTensor()])})


@pytest.mark.parametrize("options", [{"os_cache": False}, {"num_workers": 1}, {"num_workers": 4}])
def test_views_and_joint_outputs_share_the_decoding_and_their_draws(scenes, compare, options):
    def chain(size, *tail):
        return [RandomResizedCrop(size), RandomHorizontalFlip(), *tail]

    unit = [ToTensor(), ToTorchImage(), DivideImage255()]
    pipelines = ONLY_IMAGE | {
        "image": chain(24, *unit),
        "mask": FieldPipeline(chain(24, ToTensor()), joint_with="image"),
        "depth": FieldPipeline(chain(24, ToTensor()), joint_with="image"),
        "large": FieldPipeline(chain(30, *unit), source="image", views=2),
        "small": FieldPipeline(chain(12, ToTensor(), ToTorchImage(False)), source="image", views=3),
    }
    compare(scenes, pipelines, joined=1 + 1 + 1 + 2 + 3, **options)


@pytest.mark.parametrize("on_error", ["zero", "skip"])
def test_R1_a_damaged_image_gives_what_it_gives_without_joining(scenes, tmp_path, compare, on_error):
    data = bytearray(scenes.read_bytes())
    offsets, sizes = Beton(scenes).extents("image")
    for sample in (3, 20):
        middle = int(offsets[sample]) + int(sizes[sample]) // 2
        data[middle : middle + 20] = bytes(20)
    path = tmp_path / "damaged.beton"
    path.write_bytes(data)
    tail = [NormalizeImage([120.0, 110.0, 90.0], [60.0] * 3), ToTensor(), ToTorchImage(False)]
    for layout in (tail, tail[:1]):
        operations = [RandomResizedCrop(24), RandomHorizontalFlip(), *layout]
        loader = compare(path, ONLY_IMAGE | {"image": operations}, on_error=on_error)
        assert loader.failed_samples == [3, 20]


def test_another_output_size_is_joined_anew(scenes, compare):
    loader = compare(scenes, ONLY_IMAGE | {"image": [RandomResizedCrop(24), RandomHorizontalFlip(), ToTensor()]})
    loader.set_output_size("image", lambda epoch: 16)
    image, *_ = next(iter(loader))
    assert image.shape == (16, 16, 16, 3)


def test_users_operations_are_left_as_they_are(scenes):
    operations = [RandomResizedCrop(24), RandomHorizontalFlip(), DivideImage255()]
    before = [dict(vars(operation)) for operation in operations]
    Loader(scenes, 16, pipelines=ONLY_IMAGE | {"image": [*operations[:2], ToTensor(), operations[2]]})
    assert [vars(operation) for operation in operations] == before


def test_an_unexpected_failure_names_the_operations(scenes, monkeypatch):
    loader = Loader(scenes, 16, pipelines=ONLY_IMAGE | {"image": [CenterCrop(24), RandomHorizontalFlip(), ToTensor()]})

    def fail(self, chunk):
        raise ValueError("broken")

    monkeypatch.setattr(ImageDecoder, "mirrored", fail)
    with pytest.raises(Exception, match=r"CenterCrop \+ RandomHorizontalFlip: ValueError: broken"):
        next(iter(loader))
