"""The same batches and states, however the samples are cut into files; what does not fit together is named."""

import copy
import os
import pickle
import shutil
import threading
import time
from collections import deque
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ffcv_hydra.beton import Beton, write_beton
from ffcv_hydra.beton.data_digest import fields_identity
from ffcv_hydra.beton.summary import describe_fields
from ffcv_hydra.collection.entries import shard_entry
from ffcv_hydra.collection.index import Index, read_index, write_index
from ffcv_hydra.collection.merging import merge
from ffcv_hydra.collection.shard_files import ShardFiles
from ffcv_hydra.collection.shards import identity_of, opened
from ffcv_hydra.datasets import ImageFolder, SplitFraction
from ffcv_hydra.errors import BetonError, LoaderError, SampleError
from ffcv_hydra.loader import Loader
from ffcv_hydra.loader.engine import files
from ffcv_hydra.operations import CenterCrop, ToTensor
from ffcv_hydra.ordering import ClassBalanced, QuasiRandom, Random
from tests.loader.configurations import FIELDS, NUM_SAMPLES, ORDERINGS, Scenes, check_resume, digests, joined, make

pytestmark = pytest.mark.timeout(180)
CUTS = (0, 1, 9, 10, 25, 31, 46, NUM_SAMPLES)
SAME = ["default", "views", "MixedTargets", "RandomCrop", *sorted(set(ORDERINGS) - {"quasi_random"})]  # pages differ
LABELS = {name: "disabled" for name in FIELDS if name != "label"}
IMAGES = {"image": [CenterCrop(16), ToTensor()]}


def index_of(folder: Path, paths: list[Path], is_old: bool = False) -> None:
    betons = [Beton(path) for path in paths]
    shards = tuple(shard_entry(beton, str(path)) for path, beton in zip(paths, betons, strict=True))
    if is_old:
        shards = tuple(replace(shard, page_size=0, extremes={}) for shard in shards)
    write_index(folder, Index(shards, fields_identity(betons[0]), describe_fields(betons[0].fields)))


@pytest.fixture(scope="module")
def parts(tmp_path_factory) -> list[Path]:
    """The 48 scenes in seven files, the pages of one of which are larger."""
    folder = tmp_path_factory.mktemp("parts")
    paths = []
    for number, (start, stop) in enumerate(zip(CUTS[:-1], CUTS[1:], strict=True)):
        paths.append(folder / f"{number}.beton")
        page_size = 1 << (22 if number == 3 else 21)
        write_beton(Scenes(), paths[-1], FIELDS, num_workers=0, page_size=page_size, indices=range(start, stop))
    return paths


@pytest.fixture(scope="module")
def folder(parts, tmp_path_factory) -> Path:
    """A sharded beton of these."""
    folder = tmp_path_factory.mktemp("sharded") / "scenes.beton"
    folder.mkdir()
    index_of(folder, parts)
    return folder


@pytest.mark.parametrize("is_old", [False, True])
def test_what_an_index_does_not_say_is_found_in_the_shards(parts, tmp_path, is_old):
    index_of(tmp_path, parts, is_old)
    whole = opened(tmp_path)
    label, (offsets, sizes) = whole.field_metadata("label"), whole.extents("image")
    values = np.concatenate([Beton(path).field_metadata("label") for path in parts])
    assert (label.min(), label.max()) == (values.min(), values.max())
    assert (whole.num_opened == 1) is not is_old
    stored = np.concatenate([Beton(path).extents("image")[1] for path in parts])
    assert (sizes.min(), sizes.max(), sizes.max(initial=2**40)) == (stored.min(), stored.max(), 2**40)
    assert whole.page_size == 1 << 22
    assert offsets[CUTS[3]] == Beton(parts[3]).extents("image")[0][0] + whole.files[3].start


def test_shards_are_opened_when_a_sample_of_theirs_is_needed(folder):
    loader = Loader(folder, 8, pipelines=LABELS | IMAGES, batches_ahead=1)
    assert (loader._beton.num_opened, len(loader._beton.files)) == (1, len(CUTS) - 1)
    batches = iter(loader)
    next(batches)
    assert loader._beton.num_opened in (2, 3, 4)  # the next batch may have been begun
    list(batches)
    assert loader._beton.num_opened == len(CUTS) - 1


def test_a_shard_that_threads_need_at_once_is_opened_once(folder, monkeypatch):
    opening, together = [], threading.Barrier(4)
    begin = ShardFiles._open
    monkeypatch.setattr(
        ShardFiles, "_open", lambda *args: (opening.append(args[-1].file), time.sleep(0.05), begin(*args))[2]
    )
    labels, found = opened(folder).field_metadata("label"), []
    del opening[:]

    def read():
        together.wait()
        found.append(labels[np.arange(NUM_SAMPLES)].tolist())

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(opening) == len(set(opening)) == len(CUTS) - 2
    assert found == [labels.tolist()] * 4


def test_labels_of_a_shard_that_is_cut_end_no_process(parts, tmp_path):
    paths = [Path(shutil.copy(path, tmp_path)) for path in parts]
    index_of(tmp_path, paths)
    loader = Loader(tmp_path, 8, pipelines=LABELS, num_workers=1)
    list(loader)  # to its end: what is cut while a thread reads it ends the process
    os.truncate(paths[4], 100)
    with pytest.raises(BetonError, match=r"4\.beton: the file was changed while it was open"):
        list(loader)
    with pytest.raises(BetonError, match=r"4\.beton: is not the shard .*: it has 100 bytes, not "):
        Loader(tmp_path, 8, pipelines=LABELS)


@pytest.mark.parametrize("os_cache", [True, False])
@pytest.mark.parametrize("ordering", [QuasiRandom(2), ClassBalanced(), Random()], ids=lambda one: type(one).__name__)
@pytest.mark.parametrize("cuts", [1, 7])
def test_tables_that_are_cut_before_they_are_read_end_no_process(parts, tmp_path, ordering, os_cache, cuts):
    paths = [Path(shutil.copy(path, tmp_path)) for path in parts[-cuts:]]
    index_of(tmp_path, paths)
    loader = Loader(tmp_path, 1, pipelines=LABELS | IMAGES, ordering=ordering, os_cache=os_cache)
    for number in range(cuts):
        loader._beton.beton(number)
    for path in paths:
        os.truncate(path, 100)
    with pytest.raises(BetonError, match=r"\.beton: the file was changed while it was open"):
        list(loader)


def test_an_index_that_lies_of_columns_is_told(parts, tmp_path):
    paths = [Path(shutil.copy(path, tmp_path)) for path in parts]
    index_of(tmp_path, paths)
    index = read_index(tmp_path)
    for number, changed in ((0, {"label": (-4, 0)}), (4, {"image.height": (8, 8)}), (4, {"image.none": (0, 1)})):
        shards = list(index.shards)
        shards[number] = replace(shards[number], extremes={**shards[number].extremes, **changed})
        write_index(tmp_path, replace(index, shards=tuple(shards)))
        with pytest.raises(
            BetonError, match=rf"{number}\.beton: is not the shard .* its {next(iter(changed))} goes from"
        ):
            list(Loader(tmp_path, 4, pipelines=LABELS))
    shards = [*index.shards[:3], replace(index.shards[3], page_size=1 << 23), *index.shards[4:]]
    write_index(tmp_path, replace(index, shards=tuple(shards)))
    with pytest.raises(BetonError, match=r"3\.beton: is not the shard .* its pages have 4194304 bytes, not 8388608"):
        list(Loader(tmp_path, 4, pipelines=LABELS))


def test_loaders_share_what_may_be_held_open(parts, monkeypatch):
    monkeypatch.setattr(files, "_may_be_held", deque([None] * 10))
    loaders = [Loader(parts, 8, pipelines=LABELS | IMAGES) for _ in range(2)]
    for loader in loaders:
        list(loader)
    assert [len(loader.passes.storage.files._held) for loader in loaders] == [7, 3]
    for loader in loaders:
        loader.passes.storage.files.close()
    assert len(files._may_be_held) == 10


def test_columns_are_like_arrays(parts, folder):
    images, ids = opened(folder).field_metadata("image"), np.array([47, 0, 9, 9, 30])
    whole = np.asarray(images)
    assert images.dtype == whole.dtype and images.shape == whole.shape and images.nbytes == whole.nbytes
    assert np.array_equal(images[ids], whole[ids]) and np.array_equal(images[8:40:3], whole[8:40:3])
    assert np.array_equal(images["height"][ids], whole["height"][ids]) and images["width"][9] == whole["width"][9]
    assert np.array_equal(images["data_ptr"][ids], opened(folder).extents("image")[0][ids])
    assert np.array_equal(images["height"] > 40, whole["height"] > 40)
    assert np.array_equal(images[whole["height"] > 40], whole[whole["height"] > 40])
    for wrong in (-1, NUM_SAMPLES):
        with pytest.raises(IndexError, match="image: of 48 samples"):
            images[np.array([0, wrong])]


@pytest.mark.parametrize("name", SAME)
def test_an_epoch_is_the_same_from_one_file_and_from_seven(scenes, parts, name):
    expected = digests(make(scenes, name))
    assert digests(make(parts, name)) == expected
    assert digests(make(parts, name, os_cache=False, num_workers=1)) == expected


@pytest.mark.parametrize("name", ["random", "class_balanced", "views"])
def test_a_state_of_one_file_goes_on_with_seven_and_a_folder(scenes, parts, folder, name):
    for first, second in ((scenes, parts), (parts, folder), (folder, scenes)):
        check_resume(make(first, name), make(second, name), batches=2)


def test_ranks_share_a_folder(scenes, folder):
    expected = digests(joined([batch]) for batch in make(scenes, "random", 12))
    ranks = [make(folder, "random", 6, rank=rank, world_size=2) for rank in (0, 1)]
    assert digests(joined(list(batch)) for batch in zip(*ranks, strict=True)) == expected


def test_what_is_known_of_samples_is_that_of_one_file(scenes, parts, folder):
    whole = Beton(scenes)
    for cut in (opened(parts), opened(folder), opened([folder])):
        assert (cut.num_samples, list(cut.fields)) == (whole.num_samples, list(whole.fields))
        assert identity_of(cut) == identity_of(whole)
        assert np.array_equal(cut.checksums_of("image"), whole.checksums_of("image"))
        assert np.array_equal(cut.extents("boxes")[1], whole.extents("boxes")[1])
        assert np.array_equal(cut.field_metadata("label"), whole.field_metadata("label"))
        assert not cut.metadata.flags.writeable
        for column in ("sample_ids", "sizes", "checksums"):
            assert np.array_equal(getattr(cut, column), getattr(whole, column))
        assert np.all(np.diff(cut.pointers.astype(np.int64)) > 0)
    assert identity_of(opened(parts[::-1])) != identity_of(whole)


def test_reading_by_pages_gives_every_sample_once(parts):
    expected = np.concatenate([np.asarray(batch[-1]) for batch in Loader(parts, 8, pipelines=LABELS)])
    for os_cache in (True, False):
        loader = Loader(parts, 5, pipelines=LABELS | IMAGES, ordering=QuasiRandom(2), os_cache=os_cache)
        found = np.concatenate([np.asarray(batch[-1]) for batch in loader])
        assert len(loader) == 10 and sorted(found.tolist()) == sorted(expected.tolist())


def test_copies_open_the_files_again(parts, folder):
    for path in (parts, folder):
        loader = make(path, "random")
        expected = digests(loader)
        for other in (copy.deepcopy(loader), pickle.loads(pickle.dumps(make(path, "random")))):
            other.sampler.set_epoch(0)
            assert digests(other) == expected


def test_few_files_are_held_open(parts, monkeypatch):
    expected = digests(make(parts, "random"))
    monkeypatch.setattr(files, "_may_be_held", deque([None] * 2))
    for os_cache in (True, False):
        assert digests(make(parts, "random", os_cache=os_cache)) == expected


@pytest.mark.parametrize("held", [0, 256])
@pytest.mark.parametrize("os_cache", [True, False])
def test_a_shard_that_is_cut_while_it_is_read_is_named(parts, tmp_path, monkeypatch, held, os_cache):
    monkeypatch.setattr(files, "_may_be_held", deque([None] * held))
    paths = [Path(shutil.copy(path, tmp_path)) for path in parts]
    loader = make(paths, "random", os_cache=os_cache)
    list(loader)  # to its end: what is cut while a thread reads it ends the process
    with open(paths[4], "r+b") as file:
        file.truncate(4096)
    with pytest.raises(BetonError, match=r"4\.beton: the file was changed while it was open"):
        list(loader)


def test_a_damaged_sample_is_named_by_its_shard_and_its_id_in_the_whole(parts, tmp_path):
    paths = [Path(shutil.copy(path, tmp_path)) for path in parts]
    offset, size = (int(column[3]) for column in Beton(paths[4]).extents("image"))
    with open(paths[4], "r+b") as file:
        file.seek(offset + size // 2)
        byte = file.read(1)[0]
        file.seek(offset + size // 2)
        file.write(bytes([byte ^ 255]))
    with pytest.raises(SampleError, match=r"4\.beton: field 'image', sample 28: "):
        list(Loader(paths, 8, pipelines=LABELS | IMAGES))


def test_members_of_other_fields_are_named(parts, tmp_path):
    class Labels:
        def __len__(self) -> int:
            return 3

        def __getitem__(self, index: int):
            return index, 0.5

    for number, names in enumerate((["label", "text"], ["label", "value"])):
        write_beton(Labels(), tmp_path / f"{number}.beton", dict.fromkeys(names), num_workers=0)
    with pytest.raises(BetonError, match=r"0\.beton: field 'image' is missing, and in .*0\.beton image"):
        opened([parts[0], tmp_path / "0.beton"])
    with pytest.raises(BetonError, match=r"1\.beton: field 'text' is missing"):
        opened([tmp_path / "0.beton", tmp_path / "1.beton"])
    with pytest.raises(BetonError, match="a list of betons is empty"):
        Loader([], 1)


def test_a_shard_that_is_not_the_index_s_is_named(parts, tmp_path):
    paths = [Path(shutil.copy(path, tmp_path)) for path in parts]
    index_of(tmp_path, paths)
    shutil.copy(paths[2], paths[4])
    with pytest.raises(BetonError, match=r"4\.beton: is not the shard that the index of .*: it has \d+ bytes, not "):
        Loader(tmp_path, 4)
    shutil.copy(parts[4], paths[4])
    index = read_index(tmp_path)
    others = replace(index.shards[4], tables="0" * 64)
    write_index(tmp_path, replace(index, shards=(*index.shards[:4], others, *index.shards[5:])))
    for pipelines in (LABELS, LABELS | IMAGES):
        loader = Loader(tmp_path, 4, pipelines=pipelines)
        with pytest.raises(BetonError, match=r"4\.beton: is not the shard .* names: its tables are others"):
            list(loader)
    paths[4].unlink()
    with pytest.raises(BetonError, match=r"4\.beton: no such file"):
        Loader(tmp_path, 4)


def test_a_state_of_other_data_is_refused(parts):
    state = make(parts, "random").state_dict()
    told = r"the checkpoint was made with another beton \(\d+ samples, digest \S+, now \d+ samples, digest \S+\)"
    with pytest.raises(LoaderError, match=rf"{parts[0].parent}: {told}"):
        make(parts[::-1], "random").load_state_dict(state)


@pytest.mark.parametrize("make_ordering", [lambda: QuasiRandom(2), lambda: ByPage()])
def test_an_order_that_depends_on_the_files_goes_on_with_these_alone(scenes, parts, make_ordering):
    state = make(scenes, "random", ordering=make_ordering()).state_dict()
    make(scenes, "random", ordering=make_ordering()).load_state_dict(state)
    with pytest.raises(LoaderError, match="made with another beton"):
        make(parts, "random", ordering=make_ordering()).load_state_dict(state)


class ByPage(Random):
    """Derived from an order that files are nothing to; it is not like that itself."""

    def sample_order(self, samples, epoch):
        return samples.at(np.argsort(samples.pages(), kind="stable"))


def test_a_state_of_other_fields_is_refused(tmp_path):
    for name, names in (("a", ["first", "second"]), ("b", ["second", "first"])):
        write_beton([(1, 2), (3, 4)], tmp_path / f"{name}.beton", dict.fromkeys(names), num_workers=0)
    state = Loader(tmp_path / "a.beton", 1).state_dict()
    with pytest.raises(LoaderError, match="another fields"):
        Loader(tmp_path / "b.beton", 1).load_state_dict(state)
    del state["of"]["fields"]  # as before there was such a thing
    Loader(tmp_path / "a.beton", 1).load_state_dict(state)


def test_a_path_that_is_listed_twice_is_refused(parts):
    with pytest.raises(BetonError, match=r"0\.beton is listed twice; for samples to come more often, use a Mixture"):
        Loader([parts[0], parts[1], parts[0]], 1)
    with pytest.raises(BetonError, match="shares of betons are given as ffcv_hydra.Mixture"):
        Loader({parts[0]: 0.5, parts[1]: 0.5}, 1)
    with pytest.raises(BetonError, match="betons are named by a path, a URL or a list of these; got 12"):
        Loader(12, 1)


def test_a_sample_is_in_the_split_that_it_was_in(tmp_path):
    for number, first in enumerate((0, 30)):
        folder = tmp_path / f"images{number}" / "label"
        folder.mkdir(parents=True)
        for name in range(first, first + 30):
            Image.new("RGB", (8, 8)).save(folder / f"{name}.png")
        dataset = ImageFolder(tmp_path / f"images{number}", "train", {"train": 1.0})
        write_beton(dataset, tmp_path / f"{number}.beton", {"image": None, "label": None}, num_workers=0)
    paths, share = [tmp_path / "0.beton", tmp_path / "1.beton"], SplitFraction(0.0, 0.5)
    merge(paths, tmp_path / "all.beton")
    alone = [Loader(path, 1, indices=share).indices for path in paths]
    expected = [*alone[0], *(alone[1] + 30)]
    assert 10 < len(expected) < 50
    assert Loader(paths, 1, indices=share).indices.tolist() == expected
    assert Loader(tmp_path / "all.beton", 1, indices=share).indices.tolist() == expected


def test_a_shard_that_was_replaced_is_not_read_as_it_is_now(parts, tmp_path):
    paths = [Path(shutil.copy(path, tmp_path)) for path in parts[:2]]
    cut = opened(paths)
    write_beton(Scenes(), paths[1], FIELDS, num_workers=0, page_size=1 << 21, indices=range(20, 28), overwrite=True)
    with pytest.raises(BetonError, match=r"1\.beton: was changed while it was open"):
        cut.sample_ids  # noqa: B018


def test_operations_of_ffcv_read_shards(parts, scenes):
    decoders = pytest.importorskip("ffcv.fields.decoders")
    pipelines = LABELS | {"image": [decoders.CenterCropRGBImageDecoder((16, 16), 0.9), ToTensor()]}
    expected = digests(Loader(scenes, 8, pipelines=pipelines, replace_ffcv_operations=False))
    for os_cache in (True, False):
        found = Loader(parts, 8, pipelines=pipelines, replace_ffcv_operations=False, os_cache=os_cache)
        assert digests(found) == expected
