"""The damaged samples that a run went on without, over all ranks."""

from typing import Any

from ffcv_hydra.datamodule import FFCVDataModule
from ffcv_hydra.training.ranks import of_all_ranks


def failed_samples(datamodule: FFCVDataModule, gather: bool) -> dict[str, Any]:
    """How many there were and their ids, by stage: `{"train": {"count": 2, "indices": [17, 41]}}`.

    Args:
        datamodule: of the run.
        gather: ask all ranks, which then all have to call this; otherwise those of this rank alone.
    """
    ranks = of_all_ranks(datamodule.failed_samples(), gather)
    stages = sorted({stage for rank in ranks for stage in rank})
    ids = {stage: sorted({sample for rank in ranks for sample in rank.get(stage, [])}) for stage in stages}
    return {stage: {"count": len(found), "indices": found} for stage, found in ids.items()}
