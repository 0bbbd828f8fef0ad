"""Shares of every batch, exactly; members that begin anew; the same over ranks, and from where a run stopped."""

import copy
import pickle

import numpy as np
import pytest

from ffcv_hydra import FFCVDataModule, FFCVPipelineManager
from ffcv_hydra.beton import write_beton
from ffcv_hydra.collection.mixture import Mixture
from ffcv_hydra.errors import BetonError, LoaderError, PipelineError
from ffcv_hydra.loader import Loader
from ffcv_hydra.ordering import ClassBalanced, QuasiRandom, Random, Sequential
from tests.loader.configurations import check_resume, digests, joined

pytestmark = pytest.mark.timeout(120)
SIZES = {"a": 50, "b": 7, "c": 23}


class Numbers:
    def __init__(self, first: int, count: int) -> None:
        self.first, self.count = first, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int):
        return (self.first + index, index % 3)


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    """Three betons with the numbers 0 to 49, 1000 to 1006 and 2000 to 2022."""
    folder = tmp_path_factory.mktemp("members")
    for number, (name, count) in enumerate(SIZES.items()):
        fields = {"number": None, "label": None}
        write_beton(Numbers(1000 * number, count), folder / f"{name}.beton", fields, num_workers=0)
    return [folder / f"{name}.beton" for name in SIZES]


def mixed(paths, shares=(0.5, 0.3, 0.2), size=10, epoch_size=None, **options) -> Loader:
    chosen = {"ordering": Random(), "seed": 5, "num_workers": 1, "pipelines": {"label": "disabled"}}
    return Loader(Mixture(dict(zip(paths, shares, strict=True)), epoch_size), size, **{**chosen, **options})


def numbers(loader: Loader) -> list[list[int]]:
    return [np.asarray(batch).ravel().tolist() for (batch,) in loader]


@pytest.mark.parametrize("shares", [(0.5, 0.3, 0.2), (7, 2, 1.3), (1, 0, 1), (0.34, 0.33, 0.33)])
def test_a_batch_has_of_each_member_what_its_share_says(paths, shares):
    loader = mixed(paths, shares)
    batches = numbers(loader)
    assert [len(batch) for batch in batches] == [10] * 8
    had, exact = np.zeros(3), np.array(shares) / sum(shares)
    for number, batch in enumerate(batches, 1):
        had += np.bincount(np.array(batch) // 1000, minlength=3)
        assert np.abs(had - exact * 10 * number).max() < 1 + 1e-5
    assert len({tuple(np.array(batch) // 1000) for batch in batches}) > 1  # members stand in random places


def test_members_begin_anew_when_they_are_through_and_go_on_when_they_are_not(paths):
    loader = mixed(paths, (0.5, 0.3, 0.2), 10)
    drawn: list[list[int]] = [[], [], []]
    for _ in range(3):
        for batch in numbers(loader):
            for number in batch:
                drawn[number // 1000].append(number % 1000)
    for count, of_member in zip(SIZES.values(), drawn, strict=True):
        passes = [of_member[start : start + count] for start in range(0, len(of_member) - count + 1, count)]
        # within a batch the members' order is that of its places, which a batch's numbers keep
        assert all(sorted(one) == list(range(count)) for one in passes)
        assert len({tuple(one) for one in passes}) == len(passes)


def test_an_epoch_is_as_long_as_is_said(paths):
    assert mixed(paths).num_samples == 80
    short = mixed(paths, epoch_size=25)
    assert (len(short), short.num_samples, [len(batch) for batch in numbers(short)]) == (3, 25, [10, 10, 5])
    assert len(set(sum(numbers(short) + numbers(short), []))) >= 40  # the second epoch goes on in the large members


def test_samples_of_a_last_batch_that_is_left_out_come_in_the_next_epoch(paths):
    loader = mixed(paths, (1, 0, 0), 8, epoch_size=30, drop_last=True)
    numbers_of = sum((sum(numbers(loader), []) for _ in range(2)), [])
    assert len(numbers_of) == 48 and len(set(numbers_of)) == 48  # of 50


def test_a_tiny_member_of_a_long_epoch_costs_no_more_than_it_gives(paths):
    mixed(paths, (0, 1, 0), 100, epoch_size=70_000).sample_ids(0)  # 10,000 passes


def test_shares_may_change_from_epoch_to_epoch(paths):
    loader = mixed(paths, ([1, 0, 0], [0, 1], 1), 8, epoch_size=16)
    counts = [np.bincount(np.array(sum(numbers(loader), [])) // 1000, minlength=3).tolist() for _ in range(4)]
    assert counts == [[8, 0, 8], [0, 8, 8], [0, 8, 8], [0, 8, 8]]
    again = mixed(paths, ([1, 0, 0], [0, 1], 1), 8, epoch_size=16)
    again.sampler.set_epoch(2)
    loader.sampler.set_epoch(2)
    assert numbers(again) == numbers(loader)


@pytest.mark.parametrize("ordering", [Random(), Sequential(), QuasiRandom(2), ClassBalanced("label")])
def test_a_run_goes_on_where_it_was_with_any_number_of_ranks(paths, ordering):
    options = {"ordering": ordering, "drop_last": True}
    check_resume(mixed(paths, **options), mixed(paths, **options), batches=3)
    expected = digests(joined([batch]) for batch in mixed(paths, **options))
    ranks = [mixed(paths, size=5, rank=rank, world_size=2, **options) for rank in (0, 1)]
    assert digests(joined(list(parts)) for parts in zip(*ranks, strict=True)) == expected


def test_samples_that_come_again_are_augmented_anew(paths):
    loader = mixed(paths, (0, 1, 0), 7, epoch_size=21)
    order = loader.passes.order
    (ids, keys), *_ = list(order.samples(0, [np.arange(21)]))
    assert len(set(ids.tolist())) == 7
    assert len(set(keys.tolist())) == 21


def test_ids_name_the_member(paths):
    loader = mixed(paths)
    assert list(loader.members) == paths
    assert [span.start for span in loader.members.values()] == [0, 50, 57]
    assert all(0 <= sample < 80 for sample in loader.sample_ids(0))


def test_copies_and_data_modules_read_the_same(paths):
    expected = numbers(mixed(paths))
    assert numbers(copy.deepcopy(mixed(paths))) == numbers(pickle.loads(pickle.dumps(mixed(paths)))) == expected
    mixture = Mixture(dict(zip(paths, (0.5, 0.3, 0.2), strict=True)))
    manager = FFCVPipelineManager(mixture, {"label": "disabled"}, Random())
    assert numbers(FFCVDataModule(10, 1, train_manager=manager, seed=5).train_dataloader()) == expected


def test_classes_are_counted_as_often_as_shares_let_them_come(paths):
    def counts(*shares, ordering=None, **options):
        mixture = Mixture(dict(zip(paths, shares, strict=True)), 70, **options)
        module = FFCVDataModule(10, 1, train_manager=FFCVPipelineManager(mixture, ordering=ordering or Random()))
        return module.class_counts("train", 3), module.train_dataloader()

    counted, loader = counts(0.5, 0.3, 0.2, indices={paths[0]: [0, 3, 4, 5]})
    assert counted == pytest.approx([17.5 + 9 + 14 * 8 / 23, 8.75 + 6 + 14 * 8 / 23, 8.75 + 6 + 14 * 7 / 23])
    seen = sum(np.bincount(np.asarray(label).ravel(), minlength=3) for _ in range(40) for _, label in loader)
    assert seen / 40 == pytest.approx(counted, abs=0.5)
    assert counts(1, 0, 1)[0].sum() == pytest.approx(70)
    assert counts([1, 0], 1, 1)[0] is None  # every epoch is another
    assert counts(0.5, 0.3, 0.2, ordering=ClassBalanced())[0] == pytest.approx([70 / 3] * 3)


def test_a_state_of_another_mixture_is_refused(paths):
    state = mixed(paths).state_dict()
    with pytest.raises(LoaderError, match="another ordering"):
        mixed(paths, (0.5, 0.2, 0.3)).load_state_dict(state)
    with pytest.raises(LoaderError, match="another beton"):
        mixed(paths[::-1]).load_state_dict(state)


def test_a_mixture_whose_members_end_elsewhere_is_another_one(paths, tmp_path):
    for name, first, count in (("a", 0, 20), ("b", 20, 30)):
        write_beton(Numbers(first, count), tmp_path / f"{name}.beton", {"number": None, "label": None}, num_workers=0)
    halves = [tmp_path / "a.beton", tmp_path / "b.beton"]
    for name, first, count in (("c", 0, 30), ("d", 30, 20)):
        write_beton(Numbers(first, count), tmp_path / f"{name}.beton", {"number": None, "label": None}, num_workers=0)
    others = [tmp_path / "c.beton", tmp_path / "d.beton"]
    with pytest.raises(LoaderError, match="another (beton|ordering)"):
        mixed(others, (0.5, 0.5)).load_state_dict(mixed(halves, (0.5, 0.5)).state_dict())


def test_a_mixture_is_not_filtered(paths):
    with pytest.raises(LoaderError, match="filter: a mixture reads all samples of its members"):
        mixed(paths).filter("number", lambda number: True)


@pytest.mark.parametrize(
    ("shares", "options", "message"),
    [
        ({}, {}, "there are no members"),
        ({"a": -1.0}, {}, r"the share of a is -1\.0; use a number from 0 on"),
        ({"a": "much"}, {}, "the share of a is "),
        ({"a": float("nan")}, {}, "the share of a is nan"),
        ({"a": []}, {}, "the list of shares of a is empty"),
        ({"a": 0, "b": [0.0, 1.0]}, {}, "all shares are zero in epoch 0"),
        ({"a": 1, "./a": 1}, {}, "a is there twice"),
        ({"s3://user:secret@b/a": -1}, {}, r"the share of s3://\*\*\*@b/a is -1"),
        ({"a": 1}, {"epoch_size": 0}, "epoch_size is a number of samples from 1 on; got 0"),
        ({"a": 1}, {"epoch_size": True}, "got True"),
    ],
)
def test_impossible_mixtures_are_refused(shares, options, message):
    with pytest.raises(LoaderError, match=message):
        Mixture(shares, **options)


def test_indices_of_a_mixture_are_refused(paths):
    with pytest.raises(LoaderError, match="indices: a mixture has them for each member"):
        mixed(paths, indices=[1, 2])


def with_scores(paths, **options):
    """Members a, with numbers and labels, and c, whose samples have a score and no label."""
    chosen = {"ordering": Random(), "seed": 5, "num_workers": 1, **options}
    return Loader(Mixture({paths[0]: 0.5, paths[1]: 0.5}, **chosen.pop("mixture", {})), 10, **chosen)


@pytest.fixture
def differing(paths, tmp_path):
    path = tmp_path / "scores.beton"
    samples = [(index / 2, 2000 + index) for index in range(20)]
    write_beton(samples, path, {"score": None, "number": None}, num_workers=0)
    return [paths[0], path]


def test_fields_that_not_all_members_have_are_left_out_and_told_of(differing, caplog):
    loader = with_scores(differing)
    assert loader.output_names == ("number",)
    assert sorted({number // 2000 for number in sum(numbers(loader), [])}) == [0, 1]
    assert f"label (not in {differing[1]}), score (not in {differing[0]})" in caplog.text
    caplog.clear()
    with_scores(differing, pipelines={"label": "disabled", "score": "disabled"})
    assert not caplog.text


def test_a_pipeline_for_a_field_that_a_member_lacks_is_refused(differing):
    with pytest.raises(PipelineError, match=rf"{differing[1]}, a member of the mixture, has no field 'label'; give it"):
        with_scores(differing, pipelines={"label": None})


@pytest.mark.parametrize("os_cache", [True, False])
def test_samples_without_a_field_have_its_fill_value(differing, os_cache):
    loader = with_scores(differing, mixture={"fill_values": {"label": -1, "score": 0.25}}, os_cache=os_cache)
    assert loader.output_names == ("number", "label", "score")
    for _ in range(2):
        for number, label, score in zip(
            *(np.concatenate(column).ravel() for column in zip(*loader, strict=True)), strict=True
        ):
            expected = (number % 3, 0.25) if number < 2000 else (-1, (number - 2000) / 2)
            assert (label, score) == expected
    copied = pickle.loads(pickle.dumps(loader))
    assert digests(copied) == digests(loader)


def test_a_state_of_other_fill_values_is_refused(differing):
    state = with_scores(differing, mixture={"fill_values": {"label": 12_345_678}}).state_dict()
    with_scores(differing, mixture={"fill_values": {"label": 12_345_678.0}}).load_state_dict(state)
    with pytest.raises(LoaderError, match="label: int or 12345678"):
        with_scores(differing, mixture={"fill_values": {"label": 12_345_679}}).load_state_dict(state)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"lable": 1}, "no member has a field 'lable'; did you mean 'label'"),
        ({"label": 0.5}, "'label' holds whole numbers"),
        ({"label": 2**63}, "'label' holds whole numbers"),
        ({"label": "x"}, "the fill value of field 'label' is 'x'; use a number"),
        ({"picture": 0}, "field 'picture' is no number but array"),
    ],
)
def test_a_fill_value_that_does_not_fit_is_named(paths, tmp_path, values, told):
    path = tmp_path / "arrays.beton"
    write_beton([(1, np.zeros(3, dtype=np.float32))], path, {"number": None, "picture": None}, num_workers=0)
    with pytest.raises((LoaderError, BetonError), match=told):
        Loader(Mixture({paths[0]: 1, path: 1}, fill_values=values), 2)


def test_fields_of_another_kind_are_told_with_both_members(paths, tmp_path):
    write_beton([(0.5, 1)], tmp_path / "f.beton", {"number": None, "label": None}, num_workers=0)
    with pytest.raises(BetonError, match=r"f\.beton: field 'number' is float, and in .*a\.beton int"):
        Loader(Mixture({paths[0]: 1, tmp_path / "f.beton": 1}), 2)
    write_beton([("x",)], tmp_path / "t.beton", {"text": None}, num_workers=0)
    with pytest.raises(
        BetonError, match=r"no field is in all members.*a\.beton has number, label; .*t\.beton has text"
    ):
        Loader(Mixture({paths[0]: 1, tmp_path / "t.beton": 1}), 2)


def test_members_may_be_read_in_part(paths):
    chosen = {paths[0]: [3, 1, 4], paths[2]: lambda count: np.arange(count) % 2 == 0}
    mixture = Mixture(dict.fromkeys(paths, 1), 60, indices=chosen)
    for ordering in (Random(), QuasiRandom(2), Sequential()):
        loader = Loader(mixture, 6, ordering=ordering, pipelines={"label": "disabled"}, num_workers=1)
        read = sum(numbers(loader), [])
        expected = {1, 3, 4, *range(1000, 1007), *range(2000, 2023, 2)}
        assert set(read) == expected and len(read) == 60
        assert set(loader.indices.tolist()) == {1, 3, 4, *range(50, 57), *range(57, 80, 2)}
    check_resume(loader, Loader(mixture, 6, ordering=Sequential(), pipelines={"label": "disabled"}, num_workers=1), 3)
    with pytest.raises(LoaderError, match=r"b\.beton: no sample of this member"):
        Loader(Mixture({paths[0]: 1, paths[1]: 1}, indices={paths[1]: []}), 2)
    with pytest.raises(LoaderError, match="which is no member"):
        Mixture({paths[0]: 1}, indices={paths[1]: [0]})


def test_members_without_shares_come_in_turn_and_once(paths, differing):
    mixture = Mixture([paths[2], paths[1]], indices={paths[2]: [5, 0]})
    loader = Loader(mixture, 4, num_workers=1, pipelines={"label": "disabled"})
    assert sum(numbers(loader), []) == [2005, 2000, *range(1000, 1007)]
    assert sum(numbers(loader.filter("number", lambda number: int(number) < 2000)), []) == list(range(1000, 1007))
    filled = Loader(Mixture(differing, fill_values={"label": 9}), 70, num_workers=1)
    [(number, label)] = list(filled)
    assert label.ravel().tolist() == [*(index % 3 for index in range(50)), *[9] * 20]
    with pytest.raises(LoaderError, match="epoch_size is for shares"):
        Mixture(paths, 5)


def test_one_member_is_a_mixture_too(paths):
    loader = Loader(Mixture({paths[1]: 1}, 14, fill_values={"label": 3}), 7, num_workers=1)
    assert sorted(np.concatenate([batch[0] for batch in loader]).ravel().tolist()) == sorted([*range(1000, 1007)] * 2)
