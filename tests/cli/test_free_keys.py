"""Keys that nothing reads, and that are ones of another section."""

import pytest

from ffcv_hydra import compose
from ffcv_hydra.errors import ConfigError


@pytest.mark.parametrize(
    ("added", "meant"),
    [
        ("pipeline.image=disabled", "pipeline.train.image"),
        ("pipeline.label=null", "pipeline.train.label"),
        ("batch_size=3", "loader.batch_size"),
        ("val_batch_size=3", "loader.val_batch_size"),
        ("max_epochs=3", "trainer.max_epochs"),
        ("lr=1", "model.optimizer.lr"),
        ("dataset.num_samples=9", "dataset.source.num_samples"),
        ("dataset.shards=2", "conversion.shards"),
    ],
)
def test_a_key_at_the_wrong_level_is_told(added, meant):
    with pytest.raises(ConfigError, match=f"^nothing reads '{added.partition('=')[0]}': did you mean '{meant}'\\?$"):
        compose("run", ["dataset=toy", f"+{added}"])


@pytest.mark.parametrize(
    "overrides",
    [
        ["+lr=0.1", "model.optimizer.lr=${lr}"],
        ["+common.lr=0.1", "model.optimizer.lr=${common.lr}"],
        ["+lr=0.1", "model.optimizer.lr=0.1"],  # as by an anchor
        ["+nothing.of.ours=3", "+pipeline.strength=0.5"],
        ["+exp=a", "+batch_size=1", "hydra.run.dir=outputs/${exp}_${batch_size}"],
        ["logger=wandb", "+name=a", "+version=2", "+project=x", "+save_dir=y"],  # for the record
        ["+which=label", "+lr=1", '+common.text="${dataset.fields.${which}}"'],
        ["+pipeline.image=[]", "pipeline.train.image=[]"],  # as by an anchor
    ],
    ids=str,
)
def test_keys_for_others_to_refer_to_are_free(overrides):
    compose("run", ["dataset=toy", *overrides])


def test_an_output_without_its_stage_is_not_advised_to_be_added():
    with pytest.raises(ConfigError, match=r"'pipeline.image': did you mean 'pipeline.train.image'\?$"):
        compose("run", ["dataset=toy", "pipeline.image=disabled"])


def test_an_output_that_is_not_there_is_no_field_at_the_wrong_level():
    with pytest.raises(ConfigError, match=r"^unknown key 'pipeline.train.label': choose from image \("):
        compose("run", ["dataset=toy", "pipeline.train.label=null"])
