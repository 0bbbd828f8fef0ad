"""What a beton says of its source."""

import io
import os
from dataclasses import replace
from importlib import metadata

import numpy as np
import pytest
import torch
from PIL import Image

from ffcv_hydra.beton import Beton, Manifest, appendix, write_beton
from ffcv_hydra.beton.inspection.manifest_difference import compare
from ffcv_hydra.beton.manifest import decode
from ffcv_hydra.beton.reading.reader import read_appendix, read_manifest
from ffcv_hydra.beton.writing.source_manifest import manifest_of
from ffcv_hydra.errors import BetonError, ConversionError

pytestmark = pytest.mark.timeout(60)
CATS = Manifest(["cat/1", "cat/2", "dog/1"], [10, 20, 30], [0, 0, 1], ["cat", "dog"], kind="images")


class Listed(list):
    """A dataset of tuples that says how it looks."""

    def __init__(self, items, manifest):
        super().__init__(items)
        self._manifest = manifest

    def manifest(self):
        return self._manifest


class Falling:
    """Three items of which the second fails, and a counter."""

    def __len__(self):
        return 3

    def __getitem__(self, index):
        if index == 1:
            raise ValueError("damaged")
        return (index,)


class Drawn:
    def __len__(self):
        return 3

    def __getitem__(self, index):
        return (index, float(np.random.rand()))


class Deadly:
    def __len__(self):
        return 3

    def __getitem__(self, index):
        os._exit(3)


def test_a_source_that_is_a_damaged_beton_is_not_taken_for_one_that_says_little():
    class Stored:
        def __len__(self):
            return 1

        def manifest(self):
            raise BetonError("a.beton: the manifest is lost")

    with pytest.raises(BetonError, match="the manifest is lost"):
        manifest_of(Stored())


@pytest.mark.parametrize(
    ("now", "difference"),
    [
        (CATS, ""),
        (Manifest(["dog/1", "cat/2", "cat/1"], [30, 20, 10], [1, 0, 0], ["cat", "dog"], kind="images"), ""),
        (
            Manifest(["cat/1", "dog/1", "dog/2"], [10, 31, 5], [0, 1, 1], ["cat", "dog"], kind="images"),
            "images added: 1 (dog/2), images removed: 1 (cat/2), images changed: 1 (dog/1)",
        ),
        (
            Manifest(["cat/1", "cat/2", "dog/1"], [10, 20, 30], [1, 1, 2], ["ant", "cat", "dog"], kind="images"),
            "classes added: 1 (ant), classes renumbered: 2 (cat from 0 to 1, dog from 1 to 2)",
        ),
        (
            Manifest(["cat/1", "cat/2", "dog/1"], [10, 20, 30], [0, 1, 1], ["cat", "dog"], kind="images"),
            "images changed: 1 (cat/2)",
        ),
        (Manifest(["cat/1"], [10], [0], ["cat"]), "items removed: 2 (cat/2, dog/1), classes removed: 1 (dog)"),
        (Manifest(num_items=4), "number of items: 4, was 3"),
    ],
)
def test_F1_a_difference_is_what_was_added_removed_changed_or_renumbered(now, difference):
    assert compare(CATS, now) == difference


def test_items_whose_hashes_differ_have_changed():
    stored, now = replace(CATS, hashes=[1, 2, 3]), replace(CATS, hashes=[1, 2, 4])
    assert compare(stored, now) == compare(decode(stored.encode()), now) == "images changed: 1 (dog/1)"
    assert compare(stored, CATS) == ""  # which says nothing of them
    assert now.of_samples([2, 0], 3).hashes == [4, 1]


def test_F1_without_names_the_number_and_a_few_items_are_compared():
    stored = manifest_of([(n,) for n in range(100)])
    assert compare(stored, manifest_of([(n,) for n in range(100)])) == ""
    assert compare(stored, manifest_of([(n,) for n in range(101)])) == "number of items: 101, was 100"
    changed = manifest_of([(n + (n == 99),) for n in range(100)])
    assert compare(stored, changed) == "items changed among 5 looked at: 1 (99)"


def test_F1_a_million_names_are_encoded_and_compared():
    number = 1_000_000
    manifest = Manifest(
        [f"class{n // 1000:04}/image_{n:07}.jpg" for n in range(number)],
        np.random.default_rng(0).integers(50_000, 150_000, number),
        [n // 1000 for n in range(number)],
    )
    encoded = manifest.encode()
    assert len(encoded) < 8 * number
    assert compare(decode(encoded), manifest) == ""


def test_a_manifest_that_cannot_be_is_refused():
    for wrong, message in (
        ({"names": ["a", "a"]}, "the name 'a' comes twice"),
        ({"names": ["a", "b"], "sizes": [1]}, "1 sizes for 2 items"),
        ({"names": ["a"], "labels": [2], "classes": ["x"]}, "label 2 has no name"),
    ):
        with pytest.raises(ConversionError, match=message):
            Manifest(**wrong)
    with pytest.raises(ConversionError, match="give names as str"):
        Manifest(["a"], ["large"])
    with pytest.raises(BetonError, match="manifest of its source is damaged"):
        decode(CATS.encode()[:-3])


def test_F1_a_beton_holds_the_manifest_of_its_source(tmp_path):
    path = tmp_path / "a.beton"
    write_beton(Listed([(1,), (2,), (3,)], CATS), path, indices=[2, 0], num_workers=0)
    assert read_manifest(path) == Beton(path).manifest == Manifest(**{**vars(CATS), "order": [2, 0]})
    assert Beton(path).manifest.sample_names(2) == ["dog/1", "cat/1"]


def test_F1_files_of_version_2_have_no_manifest():
    text = b'{"description":null,"fingerprint":null,"num_checksums":0,"package_version":"0.1","version":2}'
    packed = bytes(16) + text + len(text).to_bytes(8, "little") + appendix.MAGIC
    found = appendix.unpack(io.BytesIO(packed), 0, len(packed))
    assert (found.version, found.manifest) == (2, None)


def test_a_damaged_manifest_is_a_damaged_file(tmp_path):
    path = tmp_path / "a.beton"
    write_beton(Listed([(1,), (2,), (3,)], CATS), path, num_workers=0)
    content = bytearray(path.read_bytes())
    begin, end = read_appendix(path).manifest
    content[(begin + end) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(BetonError, match="header or tables are damaged"):
        Beton(path)


def test_F1_the_file_is_the_same_for_any_workers_and_on_another_conversion(tmp_path):
    content = []
    for number, workers in enumerate((0, 2, 0)):
        dataset = [(n, float(n), Image.new("RGB", (4, 4), (n, n, n))) for n in range(20)]
        write_beton(dataset, tmp_path / f"{number}.beton", num_workers=workers, chunksize=3)
        content.append((tmp_path / f"{number}.beton").read_bytes())
    assert content[0] == content[1] == content[2]


@pytest.mark.parametrize(("dataset", "digests"), [(Falling(), {"0", "2"}), (Drawn(), None), (Deadly(), None)])
def test_F1_items_that_fail_or_are_random_never_cry_wolf(dataset, digests):
    found = manifest_of(dataset)
    assert found.num_items == 3
    assert (None if found.digests is None else set(found.digests)) == digests


def test_F1_a_look_leaves_generators_and_file_positions_alone(tmp_path):
    (tmp_path / "a").write_bytes(bytes(range(100)))

    class Reading:
        def __init__(self):
            self.file = (tmp_path / "a").open("rb", buffering=0)

        def __len__(self):
            return 50

        def __getitem__(self, index):
            self.file.seek(index)
            return self.file.read(1)[0], float(torch.rand(())), 1 if np.random.rand() else 0

    dataset = Reading()
    dataset.file.seek(7)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    manifest_of(dataset)
    assert dataset.file.tell() == 7
    assert torch.equal(before[0], torch.get_rng_state()) and np.array_equal(before[1], np.random.get_state()[1])
    dataset.file.close()


def test_F1_values_of_every_kind_have_a_digest():
    item = (
        1, 2.5, "text", b"bytes", True, None, np.float32(1), np.arange(3), torch.ones(2, dtype=torch.bfloat16),
        torch.tensor(3), {"b": [1], "a": None}, Image.new("L", (2, 2)),
    )  # fmt: skip
    assert set(manifest_of([item]).digests) == {"0"}
    assert manifest_of([(object(),)]).digests == {}


class Opened(list):
    """Images of paths, opened or decoded."""

    def __init__(self, paths, decode):
        super().__init__(paths)
        self.decode = decode

    def __getitem__(self, index):
        image = Image.open(super().__getitem__(index))
        if self.decode:
            image.load()
        return image, np.int64(index), torch.tensor(index)


def test_F1_what_is_decoded_or_computed_is_compared_where_it_would_be_the_same(tmp_path, monkeypatch):
    for n in range(3):
        noise = np.random.default_rng(n).integers(0, 255, (8, 8, 3), np.uint8)
        Image.fromarray(noise).save(tmp_path / f"{n}.jpg")
    paths = sorted(tmp_path.glob("*.jpg"))
    files, pixels = (manifest_of(Opened(paths, decode)) for decode in (False, True))
    floats = [(torch.ones(2),)], [(1.5,)], [(np.ones(2),)], [{"a": np.float32(1)}]
    assert files.environment is None and len(files.digests) == 3
    assert all(manifest_of(dataset).environment == pixels.environment is not None for dataset in floats)
    monkeypatch.setattr(metadata, "version", lambda package: "another")
    assert manifest_of(Opened(paths[::-1], True)).environment != pixels.environment
    assert compare(pixels, manifest_of(Opened(paths[::-1], True))) == ""
    assert compare(files, manifest_of(Opened(paths[::-1], False))) == "items changed among 3 looked at: 2 (0, 2)"
    monkeypatch.undo()
    assert compare(pixels, manifest_of(Opened(paths[::-1], True))) == "items changed among 3 looked at: 2 (0, 2)"


def test_a_method_of_that_name_that_gives_something_else_is_told(caplog):
    assert manifest_of(Listed([(1,)], "a path")).num_items == 1
    told = (
        "Listed.manifest() gave str, not ffcv_hydra.beton.Manifest; "
        "its length and a few items tell whether the dataset changes"
    )
    assert caplog.messages == [told]
