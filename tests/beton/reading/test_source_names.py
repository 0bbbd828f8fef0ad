"""Names of samples and classes, read from a beton when they are asked for."""

import json
import zlib

import pytest

from ffcv_hydra.beton import Beton, Manifest, write_beton
from ffcv_hydra.beton.manifest import DAMAGED
from ffcv_hydra.beton.reading.source_names import SourceNames, with_name
from ffcv_hydra.errors import BetonError

CATS = Manifest(["cat/1", "cat/2", "dog/1"], [10, 20, 30], [0, 0, 1], ["cat", "dog"], kind="images")


class Listed(list):
    def __init__(self, items, manifest=None, **attributes):
        super().__init__(items)
        vars(self).update(attributes)
        if manifest is not None:
            self.manifest = lambda: manifest


def written(tmp_path, dataset, **options):
    write_beton(dataset, tmp_path / "a.beton", num_workers=0, **options)
    return Beton(tmp_path / "a.beton")


def stored(tmp_path, encoded):
    (tmp_path / "manifest").write_bytes(b"before" + encoded)
    return SourceNames(tmp_path / "manifest", 6, 6 + len(encoded), 3)


def test_a_beton_names_its_classes_and_samples(tmp_path):
    beton = written(tmp_path, Listed([(1,), (2,), (3,)], CATS), indices=[2, 0])
    assert beton.class_names == ("cat", "dog")
    assert [beton.sample_name(sample) for sample in range(2)] == ["dog/1", "cat/1"]
    for outside in (-1, 2):
        with pytest.raises(IndexError, match=f"there is no sample {outside}; there are 2"):
            beton.sample_name(outside)


@pytest.mark.parametrize(
    ("classes", "names"),
    [
        (["cat", "dog"], ("cat", "dog")),
        ([("tench", "Tinca tinca"), ("goldfish",)], ("tench, Tinca tinca", "goldfish")),  # torchvision's ImageNet
        ([3, 7], ("3", "7")),
        (10, None),
        ([None], None),
    ],
)
def test_classes_are_taken_from_the_attribute_of_that_name(tmp_path, classes, names):
    beton = written(tmp_path, Listed([(1,)], classes=classes))
    assert (beton.class_names, beton.sample_name(0)) == (names, None)


def test_what_has_no_names_has_none(tmp_path):
    assert written(tmp_path, Listed([(1,)])).class_names is None
    shards = Manifest(["a.tar", "b.tar"], kind="shards")  # are no samples
    beton = written(tmp_path, Listed([(1,), (2,), (3,)], shards))
    assert (beton.class_names, beton.sample_name(2)) == (None, None)


def test_manifests_of_earlier_versions_name_theirs(tmp_path):
    content = {name: value for name, value in vars(CATS).items() if value is not None}
    names = stored(tmp_path, zlib.compress(json.dumps(content).encode()))
    assert names.classes == ("cat", "dog")
    assert names.sample_name(2) == "dog/1"


def test_a_damaged_manifest_is_told_with_its_file(tmp_path):
    encoded = CATS.encode()
    names = stored(tmp_path, encoded)
    (tmp_path / "manifest").write_bytes(b"before" + encoded[:-100] + bytes(100))  # the lists
    with pytest.raises(BetonError, match=f"manifest: {DAMAGED}"):
        names.sample_name(0)
    for damaged in (encoded[:20], b"neither of them", b""):
        with pytest.raises(BetonError, match=f"manifest: {DAMAGED}"):
            stored(tmp_path, damaged)
    (tmp_path / "manifest").unlink()
    with pytest.raises(BetonError, match="manifest: no such file"):
        names.sample_name(0)
    assert with_name(0, names.sample_name) == "0"  # where something else is told


def test_errors_show_names_without_what_a_terminal_would_obey():
    assert with_name(4, lambda sample: None) == "4"
    assert with_name(4, lambda sample: "dogs/\x1b[2J\n4.jpg") == r"4 (dogs/\x1b[2J 4.jpg)"
