"""The damaged samples that a run went on without, over all ranks."""

from typing import Any

import torch.distributed as dist

from ffcv_hydra.datamodule import FFCVDataModule


def failed_samples(datamodule: FFCVDataModule, gather: bool) -> dict[str, Any]:
    """How many there were and their ids, by stage: `{"train": {"count": 2, "indices": [17, 41]}}`.

    Args:
        datamodule: of the run.
        gather: ask all ranks, which then all have to call this; otherwise those of this rank alone.
    """
    ranks = [datamodule.failed_samples()]
    if gather and dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
        everyone: list[Any] = [None] * dist.get_world_size()
        dist.all_gather_object(everyone, ranks[0])
        ranks = everyone
    stages = sorted({stage for rank in ranks for stage in rank})
    ids = {stage: sorted({sample for rank in ranks for sample in rank.get(stage, [])}) for stage in stages}
    return {stage: {"count": len(found), "indices": found} for stage, found in ids.items()}
