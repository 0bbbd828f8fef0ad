"""What is taken from inside Lightning; a test of each says when a release changes it."""

from traceback import walk_tb

import pytorch_lightning as pl


def is_of_a_callback(error: BaseException) -> bool:
    """Whether a callback's hook has raised an error that the trainer passes on."""
    return any(frame.f_code.co_name == "_call_callback_hooks" for frame, _ in walk_tb(error.__traceback__))


def go_on_where_it_ended(trainer: pl.Trainer) -> None:
    """While a checkpoint is restored: have the fit go on at the next batch, wherever the run of the checkpoint ended.

    A run that `max_steps`, `max_time` or `should_stop` ends within an epoch counts that epoch as done, and a resumed
    one begins with the next: here it is counted as begun. After a run that ended with an epoch, one with `max_steps`
    counts the next epoch as read without reading it: here its batches are to come.
    """
    fit_loop = trainer._checkpoint_connector._loaded_checkpoint.get("loops", {}).get("fit_loop")
    if fit_loop is None:
        return
    epochs, batches = fit_loop["epoch_progress"], fit_loop["epoch_loop.batch_progress"]
    if epochs["current"]["processed"] < epochs["current"]["started"]:  # saved within an epoch
        return
    epoch_is_over = batches["is_last_batch"]
    for counts in epochs.values():
        counts["processed"] = counts["completed"] = counts["started"] - (not epoch_is_over)
    if epoch_is_over:
        batches["current"] = dict.fromkeys(batches["current"], 0)
        batches["is_last_batch"] = False
