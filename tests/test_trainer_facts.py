"""What is asked of a trainer; in each stage, `test_device_transforms.py` does so."""

import pytorch_lightning as pl

from ffcv_hydra import trainer_facts


def test_without_a_trainer_there_is_one_rank_and_nothing_runs():
    assert trainer_facts.ranks(None) == (0, 1, 1)
    assert trainer_facts.running_stage(None) is None
    assert trainer_facts.limits(None) == {} and not trainer_facts.overfits(None)


def test_a_trainer_says_its_ranks_and_limits(tmp_path, monkeypatch):
    options = {"logger": False, "enable_checkpointing": False, "accelerator": "cpu", "default_root_dir": tmp_path}
    trainer = pl.Trainer(limit_train_batches=3, overfit_batches=2, **options)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")  # of the processes of a cluster, of which this trainer knows nothing
    assert trainer_facts.ranks(trainer) == (0, 1, 1)
    trainer.strategy.world_size = 8  # each of which sees one device
    assert trainer_facts.ranks(trainer) == (0, 8, 4)
    assert trainer_facts.limits(trainer) == {"limit_train_batches": 2, "overfit_batches": 2}
    assert trainer_facts.overfits(trainer) and trainer_facts.running_stage(trainer) is None
