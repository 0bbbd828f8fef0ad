"""Lightning where a program has loaded it, without loading it: both packages of its code, and bare loaders in them."""

import functools
import logging
import sys
from itertools import takewhile
from traceback import walk_stack
from typing import Any
from weakref import WeakSet

from ffcv_hydra.cores import usable_cores
from ffcv_hydra.errors import LoaderError
from ffcv_hydra.looks import may_look

_OURS, _OTHER = "pytorch_lightning", "lightning.pytorch"

_loaders: WeakSet[Any] = WeakSet()  # those that have told that they are looked at; others are not ours to split


class OfEveryLightning:
    """The last base of classes that derive from one of `pytorch_lightning`: they are of `lightning.pytorch`'s, too.

    A trainer of either package knows only its own classes. The other's class is a base from when a class or an object
    is made while the program has it loaded, in whatever order things were imported; nothing of it is run.
    """

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        _join(cls)

    def __new__(cls, *args: Any, **options: Any) -> Any:
        _join(cls)
        return super().__new__(cls)

    def __init__(self) -> None:
        order = type(self).__mro__
        behind = order[order.index(OfEveryLightning) + 1 :]
        last: Any = [OfEveryLightning, *takewhile(lambda kind: kind.__module__.startswith(_OTHER), behind)][-1]
        super(last, self).__init__()


def _join(kind: type) -> None:
    for heir in kind.__mro__:
        if not heir.__module__.startswith(_OURS):
            for base in heir.__bases__:
                heir.__bases__ += tuple(other for other in in_every(base)[1:] if not issubclass(kind, other))


def in_every(kind: type) -> tuple[Any, ...]:
    """A class of `pytorch_lightning`, and the same of `lightning.pytorch` where that is loaded; others alone."""
    package, _, rest = kind.__module__.partition(".")
    other = getattr(sys.modules.get(f"{_OTHER}.{rest}"), kind.__name__, None) if package == _OURS else None
    return (kind,) if other is None else (kind, other)


@may_look
def is_looking(loader: object) -> bool:
    """Whether a trainer asks for an iterator just to see that a loader has one; what it then reads is `_of_trainer`'s.

    Lightning splits DataLoaders over the ranks and turns their shuffling off to overfit, and leaves all else as it is.
    From the first loader of ours that it looks at, it does the same with these.
    """
    looks = (frame.f_globals for frame, _ in walk_stack(None) if frame.f_code.co_name == "_check_dataloader_iterable")
    names = next(looks, None)
    if names is None:
        return False
    _loaders.add(loader)
    connector = names["_DataConnector"]
    prepare = connector._prepare_dataloader
    if not hasattr(prepare, "takes_loaders"):

        def prepare_also(self: Any, dataloader: Any, *args: Any, **options: Any) -> Any:
            if any(dataloader is one for one in _loaders):
                return _of_trainer(dataloader, self.trainer, names["__name__"])
            return prepare(self, dataloader, *args, **options)

        prepare_also.takes_loaders = True  # type: ignore[attr-defined]
        connector._prepare_dataloader = prepare_also
    return True


def _of_trainer(loader: Any, trainer: Any, logger_name: str) -> Any:
    """The loader as the trainer wants it: this rank's part, in order to overfit; itself, if that is what it is."""
    from torch.utils.data import SequentialSampler  # loaded by now; whoever imports the package need not wait for it

    if trainer.datamodule is not None and getattr(trainer.datamodule, "made", lambda loader: False)(loader):
        return loader
    wanted: dict[str, Any] = {}
    accelerators = trainer._accelerator_connector
    if loader.world_size == 1 and accelerators.is_distributed and accelerators.use_distributed_sampler:
        split = trainer.distributed_sampler_kwargs
        wanted |= {"rank": split["rank"], "world_size": split["num_replicas"]}
        if loader.num_workers == usable_cores():
            wanted["num_workers"] = max(1, usable_cores() // trainer.num_devices)
        if trainer.is_global_zero:
            _tell_of_split(logger_name, split["num_replicas"])
    overfits = trainer.overfit_batches > 0 and trainer.state.fn == "fit"
    if overfits and not isinstance(loader.sampler, SequentialSampler):
        wanted["ordering"] = "sequential"
    if wanted and loader.passes.position.goes_on:
        raise LoaderError(
            f"{loader.passes.path}: under DDP or with overfit_batches the trainer reads another loader than the one "
            "that load_state_dict was called of; give fit a checkpoint, ckpt_path=PATH, which has its position"
        )
    return loader.with_options(**wanted) if wanted else loader


@functools.cache
def _tell_of_split(logger_name: str, world_size: int) -> None:
    logging.getLogger(logger_name).info(
        "Loaders that were given no rank are split: each of %d ranks reads its part of every global batch, of "
        "batch_size samples (Trainer(use_distributed_sampler=False) leaves them whole)", world_size,
    )  # fmt: skip
