"""Conversions that were interrupted go on from what was finished, and end in the file of an uninterrupted one."""

import logging
import os
import threading
from pathlib import Path

import numpy as np
import pytest
import torch

from ffcv_hydra.beton import Beton, write_beton
from ffcv_hydra.beton.writing import partial
from ffcv_hydra.conversion import convert, create_beton_wrapper
from ffcv_hydra.errors import ConversionError

pytestmark = pytest.mark.timeout(120)
KEPT = {"a.beton.partial", "a.beton.partial.journal"}
OPTIONS = {"num_workers": 0, "chunksize": 10, "page_size": 1 << 21}
DESCRIPTION = {"name": "numbers"}
read_indices: list[int] = []


class Numbers:
    """200 samples of 10 kB each; some fail while `broken` says so."""

    broken: set[int] = set()

    def __init__(self, offset=0):
        self.offset = offset

    def __len__(self):
        return 200

    def __getitem__(self, index):
        read_indices.append(index)
        if index in self.broken:
            raise ValueError("broken")
        data = np.random.default_rng(index + self.offset).integers(0, 256, 10_000 + index, dtype=np.uint8)
        return data, index, np.random.rand()


read_number = Numbers.__getitem__


@pytest.fixture(autouse=True)
def _all_in_order(monkeypatch):
    read_indices.clear()
    monkeypatch.setattr(partial, "COMMIT_SECONDS", 0)
    monkeypatch.setattr(partial, "COMMIT_SHARE", 0)
    monkeypatch.setattr(Numbers, "broken", set())


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    path = tmp_path_factory.mktemp("reference") / "a.beton"
    write_beton(Numbers(), path, **OPTIONS)
    return path.read_bytes()


def interrupt(path, monkeypatch, at=117, **options):
    """Convert up to sample `at`, which fails; mend it."""
    with monkeypatch.context() as patch:
        patch.setattr(Numbers, "broken", {at})
        with pytest.raises(ConversionError, match=f"sample {at}: the dataset raised ValueError: broken"):
            write_beton(Numbers(), path, **(OPTIONS | options))
    assert not path.exists()
    read_indices.clear()


@pytest.mark.parametrize("num_workers", [0, 2])
def test_W2_a_conversion_goes_on_from_the_chunks_that_were_finished(tmp_path, monkeypatch, reference, num_workers):
    path = tmp_path / "a.beton"
    interrupt(path, monkeypatch)
    assert set(os.listdir(tmp_path)) == KEPT
    write_beton(Numbers(), path, **(OPTIONS | {"num_workers": num_workers}))
    assert path.read_bytes() == reference
    assert os.listdir(tmp_path) == ["a.beton"]
    if num_workers == 0:  # the first sample and two portions are looked at again
        assert read_indices == [0, *range(10), *range(100, 110), *range(110, 200)]


def test_W2_a_conversion_may_be_interrupted_again_and_again(tmp_path, monkeypatch, reference):
    path = tmp_path / "a.beton"
    for at in (25, 60, 61, 199):
        interrupt(path, monkeypatch, at)
    write_beton(Numbers(), path, **OPTIONS)
    assert path.read_bytes() == reference


def test_W2_a_killed_workers_conversion_keeps_what_was_finished(tmp_path, monkeypatch, reference):
    with monkeypatch.context() as patch:
        patch.setattr(Numbers, "__getitem__", lambda self, n: os._exit(1) if n == 150 else read_number(self, n))
        with pytest.raises(ConversionError, match=r"a worker process ended .* \(exit status 1\)"):
            write_beton(Numbers(), tmp_path / "a.beton", **(OPTIONS | {"num_workers": 1}))
    assert set(os.listdir(tmp_path)) == KEPT
    write_beton(Numbers(), tmp_path / "a.beton", **OPTIONS)
    assert (tmp_path / "a.beton").read_bytes() == reference
    assert 50 not in read_indices


def test_progress_begins_at_what_was_taken_over(tmp_path, monkeypatch, capsys):
    interrupt(tmp_path / "a.beton", monkeypatch)
    write_beton(Numbers(), tmp_path / "a.beton", progress=True, **OPTIONS)
    assert "| 110/200" in capsys.readouterr().err


@pytest.mark.parametrize("change", [{"chunksize": 20}, {"seed": 1}, {"page_size": 1 << 22}, {"indices": range(199)}])
def test_W2_what_another_conversion_left_is_replaced_in_one_line(tmp_path, monkeypatch, caplog, change):
    path = tmp_path / "a.beton"
    write_beton(Numbers(), path, **(OPTIONS | change))
    expected = path.read_bytes()
    path.unlink()
    interrupt(path, monkeypatch)
    write_beton(Numbers(), path, **(OPTIONS | change))
    assert path.read_bytes() == expected
    assert f"{path}.partial is of another conversion; it is replaced" in caplog.messages


@pytest.mark.parametrize("fields", [["data", "number", "random"], ["byte", "int", "float"]])
def test_W2_other_fields_are_another_conversion(tmp_path, monkeypatch, caplog, fields):
    interrupt(tmp_path / "a.beton", monkeypatch)
    write_beton(Numbers(), tmp_path / "a.beton", dict.fromkeys(fields), **OPTIONS)
    assert "is of another conversion" in caplog.text
    assert list(Beton(tmp_path / "a.beton").fields) == fields


def test_W2_a_dataset_in_another_state_is_another_conversion(tmp_path, monkeypatch, caplog):
    interrupt(tmp_path / "a.beton", monkeypatch)
    write_beton(Numbers(offset=1), tmp_path / "a.beton", **OPTIONS)
    assert "is of another conversion" in caplog.text


def test_W2_without_a_description_tensors_count_by_their_values(tmp_path, monkeypatch, caplog):
    class Broken(Exception):
        pass

    def end_portion(self):
        end(self)
        raise Broken

    end = partial.Partial.end_portion
    values = torch.arange(40)
    for other, is_taken_over in ((values.clone(), True), (values + 1, False)):
        with monkeypatch.context() as patch:
            patch.setattr(partial.Partial, "end_portion", end_portion)
            with pytest.raises(Broken):
                write_beton(torch.utils.data.TensorDataset(values), tmp_path / "a.beton", **OPTIONS)
        caplog.clear()
        write_beton(torch.utils.data.TensorDataset(other), tmp_path / "a.beton", **OPTIONS)
        assert ("is of another conversion" in caplog.text) != is_taken_over


def test_a_dataset_that_can_be_told_by_nothing_leaves_nothing(tmp_path):
    class Local(Numbers):
        broken = {117}

    with pytest.raises(ConversionError):
        write_beton(Local(), tmp_path / "a.beton", **OPTIONS)
    assert os.listdir(tmp_path) == []
    with pytest.raises(ConversionError):
        write_beton(Local(), tmp_path / "a.beton", description=DESCRIPTION, **OPTIONS)
    assert set(os.listdir(tmp_path)) == KEPT


@pytest.mark.parametrize("place", [3, 103])
def test_W2_samples_that_changed_meanwhile_begin_the_conversion_anew(tmp_path, monkeypatch, caplog, place):
    path = tmp_path / "a.beton"
    interrupt(path, monkeypatch, description=DESCRIPTION)
    changed = [(np.zeros(7, np.uint8), n, 0.0) if n == place else read_number(Numbers(), n) for n in range(200)]
    write_beton(changed, path, description=DESCRIPTION, **OPTIONS)
    assert f"{path}.partial: the dataset gives other samples now; all is converted anew" in caplog.messages
    assert Beton(path).extents("bytes")[1][place] == 7


def test_if_exists_overwrite_begins_anew(tmp_path, monkeypatch, caplog):
    path = tmp_path / "a.beton"
    for options, is_taken_over in (({}, True), ({"if_exists": "overwrite"}, False), ({"if_exists": "error"}, True)):
        interrupt(path, monkeypatch)
        with caplog.at_level(logging.INFO):
            convert(Numbers(), path, **OPTIONS, **options)
        assert (50 not in read_indices) == is_taken_over
        assert (f"{path}: 110 of 200 samples are there; going on" in caplog.messages) == is_taken_over
        path.unlink()
        caplog.clear()


def test_the_wrapper_goes_on_too(tmp_path, monkeypatch):
    interrupt(tmp_path / "a.beton", monkeypatch)
    create_beton_wrapper(Numbers(), tmp_path / "a.beton", **OPTIONS)
    assert 50 not in read_indices


def test_W2_a_journal_counts_up_to_its_last_whole_entry(tmp_path, monkeypatch, reference):
    path, journal = tmp_path / "a.beton", tmp_path / "a.beton.partial.journal"
    interrupt(path, monkeypatch)
    data, content = (tmp_path / "a.beton.partial").read_bytes(), journal.read_bytes()
    random = np.random.default_rng(0)
    for trial in range(40):
        (tmp_path / "a.beton.partial").write_bytes(data)
        at = int(random.integers(len(content)))
        damaged = bytearray(content[:at] if trial % 2 else content)
        damaged[min(at, len(damaged) - 1) : at + 1] = bytes([content[at] ^ 0x10]) if not trial % 2 else b""
        journal.write_bytes(damaged)
        write_beton(Numbers(), path, **OPTIONS)
        assert path.read_bytes() == reference
        path.unlink()


@pytest.mark.parametrize("num_bytes", [0, 1000, 500_000])
def test_W2_a_partial_that_lost_data_is_not_gone_on_with(tmp_path, monkeypatch, reference, caplog, num_bytes):
    path = tmp_path / "a.beton"
    interrupt(path, monkeypatch)
    os.truncate(tmp_path / "a.beton.partial", num_bytes)
    write_beton(Numbers(), path, **OPTIONS)
    assert path.read_bytes() == reference
    assert "it was cut short; all is converted anew" in caplog.text


@pytest.mark.parametrize("lost", sorted(KEPT))
def test_W2_half_of_what_was_left_is_nothing(tmp_path, monkeypatch, reference, lost):
    path = tmp_path / "a.beton"
    interrupt(path, monkeypatch)
    (tmp_path / lost).unlink()
    write_beton(Numbers(), path, **OPTIONS)
    assert path.read_bytes() == reference
    assert os.listdir(tmp_path) == ["a.beton"]


def test_writing_one_path_twice_at_once_is_one_after_the_other(tmp_path, reference):
    path = tmp_path / "a.beton"
    errors = []

    def write():
        try:
            write_beton(Numbers(), path, **OPTIONS)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []
    assert len(path.read_bytes()) == len(reference)  # not the bytes: the threads share NumPy's generator
    assert os.listdir(tmp_path) == ["a.beton"]


def test_the_beton_has_the_permissions_of_any_new_file(tmp_path):
    (tmp_path / "other").touch()
    write_beton([(1,)], tmp_path / "a.beton", num_workers=0)
    assert (tmp_path / "a.beton").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_W2_what_an_unfinished_chunk_left_does_not_show(tmp_path):
    """Without cutting it off, it would stay in the gaps before the borders of pages."""
    before = [(np.full(1_900_000, 1, np.uint8),) for _ in range(15)] + [("broken",)] + [(np.zeros(9, np.uint8),)] * 4
    after = before[:10] + [(np.full(1_100_000, 2, np.uint8),) for _ in range(10)]
    with pytest.raises(ConversionError, match="sample 15"):
        write_beton(before, tmp_path / "a.beton", description=DESCRIPTION, **OPTIONS)
    write_beton(after, tmp_path / "a.beton", description=DESCRIPTION, **OPTIONS)
    write_beton(after, tmp_path / "b.beton", description=DESCRIPTION, **OPTIONS)
    assert (tmp_path / "a.beton").read_bytes() == (tmp_path / "b.beton").read_bytes()


def test_W2_after_a_loss_of_power_the_journal_speaks_of_nothing_that_is_lost(tmp_path, monkeypatch, reference, caplog):
    """All is lost that was not brought to the disk, but the journal may be there before it is asked to be."""
    path, lost = tmp_path / "a.beton", tmp_path / "lost"
    on_disk: dict[str, bytes] = {}
    states: list[tuple[bytes, bytes]] = []

    def note(descriptor):
        name = os.readlink(f"/proc/self/fd/{descriptor}")
        if name.startswith(f"{path}.partial"):
            on_disk[name] = Path(name).read_bytes()
            journal = Path(f"{path}.partial.journal").read_bytes()
            states.append((on_disk.get(f"{path}.partial", b""), journal))

    def replace(source, target, given=os.replace):
        assert on_disk[str(source)] == Path(source).read_bytes() == reference
        given(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", note)
        patch.setattr(os, "replace", replace)
        write_beton(Numbers(), path, **OPTIONS)
    assert len(states) > 40
    lost.mkdir()
    for data, journal in states[::3] + states[-4:]:
        (lost / "a.beton.partial").write_bytes(data)
        (lost / "a.beton.partial.journal").write_bytes(journal)
        write_beton(Numbers(), lost / "a.beton", **OPTIONS)
        assert (lost / "a.beton").read_bytes() == reference
    assert caplog.messages == []
