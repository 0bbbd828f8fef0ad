import os
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from PIL import Image

from ffcv_hydra.beton import Beton, write_beton
from ffcv_hydra.beton.fields.base import Field
from ffcv_hydra.beton.fields.rgb_image_field import RGBImageField
from ffcv_hydra.beton.fields.scalar_fields import IntField
from ffcv_hydra.beton.writing.preparing import prepare
from ffcv_hydra.errors import ConversionError

pytestmark = pytest.mark.timeout(120)


def read(path: Path, name: str, sample: int) -> bytes:
    offsets, sizes = Beton(path).extents(name)
    return path.read_bytes()[int(offsets[sample]) : int(offsets[sample] + sizes[sample])]


class Mixed:
    """One field of each kind; sizes vary from empty to several pages' worth of parts."""

    def __len__(self):
        return 60

    def __getitem__(self, index):
        generator = np.random.default_rng(index)
        image = Image.fromarray(generator.integers(0, 256, (20, 30, 3), dtype=np.uint8))
        data = generator.integers(0, 256, (index % 3) * 200_000, dtype=np.uint8)
        array = generator.random((3, 4), dtype=np.float32)
        return image, index, index / 2, array, data, {"index": index}, torch.full((2,), index)


class Drawing:
    """A dataset that draws from the global generators."""

    def __len__(self):
        return 50

    def __getitem__(self, index):
        return np.random.rand(3), torch.rand(2)


@pytest.mark.parametrize("dataset", [Mixed(), Drawing()])
def test_files_are_the_same_for_any_number_of_workers(tmp_path, dataset):
    contents = []
    for num_workers in (0, 1, 2):
        write_beton(dataset, tmp_path / "a.beton", page_size=1 << 21, num_workers=num_workers, chunksize=7)
        contents.append((tmp_path / "a.beton").read_bytes())
    assert contents[0] == contents[1] == contents[2]


def test_random_compression_does_not_depend_on_workers(tmp_path):
    dataset = [(np.zeros((8, 8, 3), np.uint8),)] * 40
    modes = []
    for num_workers in (0, 2):
        fields = [RGBImageField("proportion")]
        write_beton(dataset, tmp_path / "a.beton", fields, num_workers=num_workers, chunksize=5)
        modes.append(Beton(tmp_path / "a.beton").metadata["f0"]["mode"].tolist())
    assert modes[0] == modes[1]
    assert set(modes[0]) == {0, 1}


def test_converting_in_this_process_leaves_the_global_generators_alone(tmp_path):
    np.random.seed(1)
    torch.manual_seed(1)
    expected = np.random.rand(), float(torch.rand(()))
    np.random.seed(1)
    torch.manual_seed(1)
    write_beton([(1,)], tmp_path / "a.beton", num_workers=0)
    assert (np.random.rand(), float(torch.rand(()))) == expected


def test_summary_tells_what_was_written(tmp_path):
    summary = write_beton(Mixed(), tmp_path / "deep" / "a.beton", num_workers=2)
    assert summary.path == tmp_path / "deep" / "a.beton"
    assert summary.num_samples == 60
    assert summary.num_bytes == summary.path.stat().st_size
    assert summary.fields["array"] == "array float32 (3, 4)"
    assert summary.seconds > 0


def test_progress_is_shown_on_terminals_or_if_asked_for(tmp_path, capsys):
    for progress, is_shown in ((None, False), (False, False), (True, True)):
        write_beton(Mixed(), tmp_path / "a.beton", num_workers=0, progress=progress)
        assert ("60/60" in capsys.readouterr().err) == is_shown


def test_indices_choose_and_order_the_samples(tmp_path):
    write_beton(Mixed(), tmp_path / "a.beton", num_workers=0, indices=[5, 3, 3])
    assert Beton(tmp_path / "a.beton").field_metadata("int").tolist() == [5, 3, 3]


def test_indices_may_be_a_function_of_the_length(tmp_path):
    write_beton(Mixed(), tmp_path / "a.beton", num_workers=0, indices=lambda num_samples: [num_samples - 1])
    assert Beton(tmp_path / "a.beton").field_metadata("int").tolist() == [59]


def test_shuffling_is_drawn_from_the_seed(tmp_path):
    orders = []
    for seed in (1, 1, 2):
        write_beton(Mixed(), tmp_path / "a.beton", num_workers=0, shuffle_indices=True, seed=seed)
        orders.append(Beton(tmp_path / "a.beton").field_metadata("int").tolist())
    assert orders[0] == orders[1] != orders[2]
    assert sorted(orders[0]) == list(range(60)) != orders[0]


@pytest.mark.parametrize("indices", [[60], [-1], [], [0.5], [[1]], [True]])
def test_impossible_indices_are_refused(tmp_path, indices):
    with pytest.raises(ConversionError, match="indices"):
        write_beton(Mixed(), tmp_path / "a.beton", indices=indices)


@pytest.mark.parametrize("options", [{"chunksize": 0}, {"num_workers": -2}, {"page_size": 12345}])
def test_impossible_options_are_refused(tmp_path, options):
    with pytest.raises(ConversionError, match=next(iter(options))):
        write_beton(Mixed(), tmp_path / "a.beton", **options)
    assert os.listdir(tmp_path) == []


def test_an_existing_file_is_replaced_only_if_allowed(tmp_path):
    path = tmp_path / "a.beton"
    write_beton([(1,)], path, num_workers=0)
    with pytest.raises(ConversionError, match="exists already"):
        write_beton([(2,)], path, num_workers=0, overwrite=False)
    write_beton([(2,)], path, num_workers=0)
    assert Beton(path).field_metadata("int").tolist() == [2]


def test_W5_a_changed_dtype_names_index_expected_and_found(tmp_path):
    dataset = [(np.zeros(4, np.float32),)] * 3 + [(np.zeros(2),)]
    with pytest.raises(ConversionError, match=r"sample 3, field 'array': expected float32 .*, got float64 .*\(2,\)"):
        write_beton(dataset, tmp_path / "a.beton", num_workers=0)


def test_W6_zero_dimensional_arrays_are_stored_as_numbers(tmp_path):
    write_beton([(np.array(7), torch.tensor(1.5))], tmp_path / "a.beton", num_workers=0)
    assert Beton(tmp_path / "a.beton").metadata[0].tolist() == (7, 1.5)


def test_W7_empty_bytes_have_a_pointer_of_their_own(tmp_path):
    lengths = [3, 0, 0, 5, 0]
    write_beton([(np.full(n, n, np.uint8),) for n in lengths], tmp_path / "a.beton", num_workers=2, chunksize=1)
    beton = Beton(tmp_path / "a.beton")
    assert len(set(beton.pointers.tolist())) == 5
    assert beton.sizes.tolist() == lengths
    assert [read(beton.path, "bytes", i) for i in range(5)] == [bytes([n] * n) for n in lengths]


@pytest.mark.parametrize("size", [32, 600])
def test_W11_little_more_than_the_payload_is_written(tmp_path, size):
    images = [np.random.default_rng(i).integers(0, 256, (size, size, 3), dtype=np.uint8) for i in range(8)]
    dataset = [(images[i % 8], i) for i in range(25_000_000 // images[0].nbytes)]
    summary = write_beton(dataset, tmp_path / "a.beton", [RGBImageField("raw"), None], num_workers=2)
    beton = Beton(summary.path)
    payload = int(beton.sizes.sum()) + beton.metadata.nbytes + 24 * len(beton.sizes)
    assert summary.num_bytes <= 1.05 * payload


def test_a_sample_too_large_for_a_page_says_which_page_size_would_do(tmp_path):
    dataset = [(np.zeros(10, np.uint8),), (np.zeros(3 << 20, np.uint8),)]
    with pytest.raises(ConversionError, match="sample 1, field 'bytes': .*use page_size=4194304"):
        write_beton(dataset, tmp_path / "a.beton", page_size=1 << 21, num_workers=0)
    write_beton(dataset, tmp_path / "a.beton", page_size=1 << 22, num_workers=0)
    assert Beton(tmp_path / "a.beton").sizes.tolist() == [10, 3 << 20]


class PairField(IntField):
    """Two allocations per sample, one of whose pointers stands in an array."""

    metadata_type = np.dtype([("length", "<u8"), ("pointers", "<u8", 2)])

    @staticmethod
    def from_binary(binary):
        return PairField()

    def encode(self, destination, value, malloc):
        destination["length"] = len(value)
        for position in range(2):
            destination["pointers"][0, position], storage = malloc(len(value))
            storage[:] = np.frombuffer(value, np.uint8) + position


class LosingField(PairField):
    def encode(self, destination, value, malloc):
        malloc(1)


def test_fields_of_ones_own_may_allocate_several_times(tmp_path):
    fields: list[Field | None] = [PairField(), None]
    write_beton([(b"abc", 1), (b"xy", 2)], tmp_path / "a.beton", fields, num_workers=0)
    beton = Beton(tmp_path / "a.beton", custom_fields={"pair": PairField})
    content = beton.path.read_bytes()
    found = [
        [content[pointer : pointer + row["length"]] for pointer in row["pointers"]]
        for row in beton.field_metadata("pair")
    ]
    assert found == [[b"abc", b"bcd"], [b"xy", b"yz"]]


def test_a_field_that_loses_its_pointer_is_named(tmp_path):
    with pytest.raises(ConversionError, match="sample 0, field 'losing': encode must store each pointer"):
        write_beton([(b"abc",)], tmp_path / "a.beton", [LosingField()], num_workers=0)


VALUES = st.tuples(
    npst.arrays(np.float32, (2, 3)),
    npst.arrays(np.uint8, st.integers(0, 20)),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    st.dictionaries(st.text(), st.integers() | st.text() | st.none() | st.lists(st.booleans())),
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(VALUES, min_size=1, max_size=5))
def test_values_come_back_as_they_were(tmp_path, samples):
    from ffcv.fields import JSONField

    path = tmp_path / "a.beton"
    write_beton(samples, path, num_workers=0, chunksize=2)
    beton = Beton(path)
    assert list(beton.fields) == ["array", "bytes", "int", "float", "json"]
    for index, (array, data, integer, number, record) in enumerate(samples):
        assert read(path, "array", index) == array.tobytes()
        assert read(path, "bytes", index) == data.tobytes()
        assert beton.field_metadata("int")[index] == integer
        assert np.array_equal(beton.field_metadata("float")[index], number, equal_nan=True)
        assert JSONField.unpack(np.frombuffer(read(path, "json", index), np.uint8)) == record


def test_few_large_samples_are_work_for_several_workers(tmp_path):
    large = np.zeros(6 << 20, dtype=np.uint8)
    dataset = [(large, number) for number in range(8)]
    prepared = prepare(dataset, None, num_workers=2)
    assert prepared.source.num_portions == 4
    photographs = [(large[: 9 << 19], number) for number in range(88)]  # of 12 megapixels, as a camera stores them
    assert prepare(photographs, None, num_workers=2).source.num_portions == 30
    assert prepare([(large[:64], 1)] * 300, None).source.num_portions == 3
    assert prepare([(np.zeros(40 << 20, dtype=np.uint8), 1)] * 3, None).source.num_portions == 3
    write_beton(dataset, tmp_path / "a.beton", num_workers=2)
    assert Beton(tmp_path / "a.beton").field_metadata("int").tolist() == list(range(8))
