"""What is asked of a trainer; in each stage, `test_device_transforms.py` does so."""

import pytorch_lightning as pl

from ffcv_hydra import trainer_facts


def test_without_a_trainer_there_is_one_rank_and_nothing_runs():
    assert trainer_facts.ranks(None) == (0, 1, 1)
    assert trainer_facts.running_stage(None) is None
    assert trainer_facts.limits(None) == {} and not trainer_facts.overfits(None)


def test_a_trainer_says_its_ranks_and_limits(tmp_path):
    options = {"logger": False, "enable_checkpointing": False, "accelerator": "cpu", "default_root_dir": tmp_path}
    trainer = pl.Trainer(limit_train_batches=3, overfit_batches=2, **options)
    assert trainer_facts.ranks(trainer) == (0, 1, 1)
    assert trainer_facts.limits(trainer) == {"limit_train_batches": 2, "overfit_batches": 2}
    assert trainer_facts.overfits(trainer) and trainer_facts.running_stage(trainer) is None
