"""What is taken from inside Hydra and OmegaConf, and read out of their messages, is still there."""

import pytest
from hydra import compose, initialize_config_module
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.global_hydra import GlobalHydra
from hydra.core.utils import JobReturn, JobStatus
from hydra.errors import HydraException, InstantiationException, MissingConfigException
from hydra.utils import instantiate
from omegaconf import OmegaConf, open_dict

from ffcv_hydra import hydra_internals


def composing(*overrides, config="run"):
    with initialize_config_module("ffcv_hydra.conf", version_base="1.3"), pytest.raises(Exception) as raised:
        compose(config, overrides=list(overrides))
    return raised.value


def test_options_that_choose_a_config_are_found():
    given = ["-m", "--config-dir", "here", "a=1", "--config-name=b"]
    assert hydra_internals.config_flags(given) == ["--config-name", "b", "--config-dir", "here"]
    assert hydra_internals.config_flags(["a=1"]) == []


def test_what_a_failed_job_has_raised_does_not_have_to_be_raised():
    job, error = JobReturn(), ValueError("a")
    job.status, job.return_value = JobStatus.FAILED, error
    assert hydra_internals.failure_of(job) is error


def test_the_root_of_a_config_is_found():
    config = OmegaConf.create({"a": {"b": {"c": 1}}})
    assert hydra_internals.root_of(config.a.b) is config


def test_a_group_that_a_command_does_not_have_is_named():
    error = composing("experiment=digits", config="convert")
    assert isinstance(error, HydraException)
    assert hydra_internals.unknown_group(error) == "experiment"
    assert hydra_internals.unknown_group(composing("dataset=toys")) is None


def test_several_values_are_told_from_other_errors():
    error = composing("loader.batch_size=1,2")
    assert hydra_internals.several_values(error) == ("loader.batch_size", "1,2")
    assert hydra_internals.several_values(composing("datasets=toy")) is None


def test_an_option_that_is_no_text_is_known():
    assert hydra_internals.is_no_option(composing("dataset=3"))
    assert not hydra_internals.is_no_option(ValueError("a"))


def test_the_places_that_were_searched_are_left_out():
    error = composing("dataset=toys")
    assert isinstance(error, MissingConfigException) and "Config search path" in str(error)
    assert "toys" in hydra_internals.without_search_path(error)
    assert "search path" not in hydra_internals.without_search_path(error)


def test_which_node_cannot_be_made_is_told():
    with pytest.raises(InstantiationException) as raised:
        instantiate({"a": {"b": {"_target_": "builtins.int", "_args_": ["x"]}}})
    target, key, message = hydra_internals.instantiation_failure(raised.value)
    assert (target, key) == ("builtins.int", "a.b") and "full_key" not in message
    with pytest.raises(InstantiationException) as raised:
        instantiate({"_target_": "builtins.int", "_args_": ["x"]})
    assert hydra_internals.instantiation_failure(raised.value)[1] == ""


def test_configs_are_completed_before_anybody_sees_them(monkeypatch):
    monkeypatch.setattr(ConfigLoaderImpl, "load_configuration", ConfigLoaderImpl.load_configuration)  # to be restored

    def complete(config, options, compose):
        with open_dict(config):
            config.completed = [options("ordering"), compose("convert", ["dataset=digits"]).dataset.name]

    hydra_internals.complete_configs(complete)
    with initialize_config_module("ffcv_hydra.conf", version_base="1.3"):
        config = compose("run", return_hydra_config=True)
        loader = GlobalHydra.instance().config_loader()
        of_sweep = loader.load_sweep_config(config, ["seed=3"])
    assert config.completed[1] == of_sweep.completed[1] == "digits"
    assert "quasi_random" in config.completed[0]


def test_an_interpolated_node_is_told_by_where_it_is_written():
    config = OmegaConf.create({"source": {"of": 1}, "split": {"source": "${source}"}})
    assert hydra_internals.written_at(OmegaConf.select(config, "split.source")) == "source"
