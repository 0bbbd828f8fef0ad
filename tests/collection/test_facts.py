"""Names of many files' classes and samples, without those of others."""

import pytest

from ffcv_hydra import FFCVDataModule, FFCVPipelineManager, Loader, Mixture
from ffcv_hydra.beton import Beton, Manifest, write_beton
from ffcv_hydra.collection import write_sharded_beton
from ffcv_hydra.collection.shards import opened
from ffcv_hydra.errors import BetonError, SampleError

pytestmark = pytest.mark.timeout(60)
CLASSES = ("cat", "dog")


class Named(list):
    """Texts with a label."""

    def __init__(self, kind, number, classes=CLASSES):
        super().__init__((f"text {n}", n % 2) for n in range(number))
        self._manifest = Manifest([f"{kind}/{n}" for n in range(number)], classes=classes)

    def manifest(self):
        return self._manifest


FIELDS = {"text": None, "label": None}


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    """A file of 3 samples, and a sharded beton of 4 in 2 shards."""
    folder = tmp_path_factory.mktemp("named")
    write_beton(Named("a", 3), folder / "a.beton", FIELDS, num_workers=0)
    write_sharded_beton(Named("b", 4), folder / "b.beton", FIELDS, shards=2, num_workers=0)
    return [folder / "a.beton", folder / "b.beton"]


@pytest.mark.parametrize("whole", [list, lambda paths: Mixture(dict.fromkeys(paths, 0.5)), Mixture])
def test_samples_of_several_betons_have_their_members_names(paths, whole):
    loader = Loader(whole(paths), 2)
    assert loader.class_names == CLASSES
    assert [loader.sample_name(sample) for sample in range(7)] == ["a/0", "a/1", "a/2", "b/0", "b/1", "b/2", "b/3"]
    with pytest.raises(IndexError, match="no sample 4"):
        loader.sample_name(7)


def test_a_sharded_beton_is_named_by_its_index(paths):
    names = opened(paths[1])
    assert (names.class_names, names.sample_name(3)) == (CLASSES, "b/3")
    assert names.num_opened == 1


def test_classes_that_contradict_are_told_and_not_named(paths, tmp_path, caplog):
    write_beton(Named("c", 2, ("dog", "cat")), tmp_path / "c.beton", FIELDS, num_workers=0)
    loader = Loader([paths[0], tmp_path / "c.beton"], 2)
    assert loader.class_names is None and loader.class_names is None
    [told] = caplog.messages
    assert told.endswith("class 0 is 'dog', and in " + f"{paths[0]} 'cat': no names of classes are shown")
    assert loader.sample_name(3) == "c/0"


def test_a_member_without_names_leaves_the_others_theirs(paths, tmp_path):
    write_beton([("text", 1)], tmp_path / "plain.beton", FIELDS, num_workers=0)
    whole = opened([tmp_path / "plain.beton", paths[0]])
    assert (whole.class_names, whole.sample_name(0), whole.sample_name(1)) == (None, None, "a/0")


def test_a_missing_manifest_of_shards_is_told(tmp_path):
    write_sharded_beton(Named("b", 4), tmp_path / "b.beton", FIELDS, shards=2, num_workers=0)
    whole = opened(tmp_path / "b.beton")
    [manifest] = (tmp_path / "b.beton").glob("manifest-*")
    manifest.unlink()
    with pytest.raises(BetonError, match=f"{manifest}: cannot be read: No such file"):
        whole.sample_name(0)


def test_a_data_module_has_the_classes_of_the_first_stage_that_names_them(paths, tmp_path):
    write_beton([("text", 1)], tmp_path / "plain.beton", FIELDS, num_workers=0)
    managers = {"train_manager": tmp_path / "plain.beton", "val_manager": paths[1]}
    data = FFCVDataModule(1, **{name: FFCVPipelineManager(path, {}) for name, path in managers.items()})
    assert data.class_names == CLASSES
    data.val_dataloader()
    assert data.class_names == CLASSES
    only = FFCVDataModule(1, train_manager=FFCVPipelineManager(tmp_path / "plain.beton", {}))
    assert only.class_names is None


def test_a_damaged_sample_is_told_by_its_name_too(paths, tmp_path):
    content = bytearray(paths[0].read_bytes())
    content[int(Beton(paths[0]).extents("text")[0][1])] ^= 1
    (tmp_path / "a.beton").write_bytes(content)
    with pytest.raises(SampleError, match=r"a.beton: field 'text', sample 1 \(a/1\): the stored bytes differ"):
        list(Loader(tmp_path / "a.beton", 1, pipelines={"text": None}))
