"""The names of `ffcv_pl`."""

from dataclasses import replace

import pytest

from ffcv_hydra.beton import Beton
from ffcv_hydra.errors import LoaderError, PipelineError
from ffcv_hydra.ffcv_pl import FFCVDataModule, FFCVPipelineManager, create_beton_wrapper
from ffcv_hydra.operations import ScalarDecoder, ToTensor

OPERATIONS = [ScalarDecoder(), ToTensor()]


@pytest.fixture
def manager(beton):
    return FFCVPipelineManager(str(beton), ["disabled", OPERATIONS, "disabled"])


def test_a_data_module_takes_and_has_what_it_had(manager):
    with pytest.warns(UserWarning, match="val_recompile: there is no such option, and it is not used"):
        data = FFCVDataModule(
            4, 1, False, manager, val_manager=manager, seed=3, train_indices=[5, 6, 7, 8, 9], train_drop_last=False,
            train_custom_fields={}, val_recompile=True, val_batch_size=2,
        )  # fmt: skip
    assert (data.batch_size, data.num_workers, data.seed, data.os_cache, data.is_dist) == (4, 1, 3, True, False)
    assert data.val_manager == manager != data.train_manager and data.test_manager is None
    assert [labels.flatten().tolist() for (labels,) in data.train_dataloader()] == [[5, 6, 7, 8], [9]]
    assert next(iter(data.val_dataloader()))[0].flatten().tolist() == [0, 1]


def test_what_is_set_later_is_followed(manager):
    data = FFCVDataModule(3, 1, False, manager, seed=3, train_indices=[5, 6, 7])
    first = data.train_dataloader()
    data.seed, data.num_workers, data.os_cache = 8, 2, False
    loader = data.train_dataloader()
    assert (first.seed, loader.seed, loader.num_workers, data.seed) == (3, 8, 2, 8)
    data.train_manager, data.val_manager = replace(manager, ordering="random"), manager
    assert sorted(data.train_dataloader().indices) == [5, 6, 7] and data.train_dataloader() is not loader
    assert sum(len(labels) for (labels,) in data.val_dataloader()) == 90
    with pytest.raises(LoaderError, match="num_workers must be a whole number of threads"):
        data.num_workers = 0
    with pytest.raises(TypeError, match="does not support item assignment"):
        manager.pipeline["label"] = []


def test_a_data_module_without_managers_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no manager was given") as raised:
        FFCVDataModule(4, 1, False)
    assert isinstance(raised.value, LoaderError)


def test_pipelines_have_the_fields_names(beton, manager):
    assert manager.pipeline == {"image": "disabled", "label": OPERATIONS, "array": "disabled"}
    assert FFCVPipelineManager(str(beton), [None, OPERATIONS, None]).pipeline == {"label": OPERATIONS}
    with pytest.raises(AttributeError, match="has the fields image, label, array; got 1 pipelines") as raised:
        FFCVPipelineManager(str(beton), [OPERATIONS]).pipeline  # noqa: B018
    assert isinstance(raised.value, PipelineError)


def test_betons_get_their_suffix(tmp_path):
    for name in ("a", "b.beton"):
        create_beton_wrapper([(1,), (2,)], str(tmp_path / name), num_workers=0)
    assert [Beton(tmp_path / f"{name}.beton").num_samples for name in ("a", "b")] == [2, 2]
