"""FFCV's operations, and users' that are derived from its `Operation`, as this package's."""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any

import ffcv.fields
from ffcv import transforms
from ffcv.fields import basics, ndarray, rgb_image
from ffcv.fields import bytes as ffcv_bytes
from ffcv.pipeline.allocation_query import AllocationQuery as FFCVsQuery
from ffcv.pipeline.compiler import Compiler
from ffcv.pipeline.state import State as FFCVsState

from ffcv_hydra.beton.fields.array_fields import NDArrayField
from ffcv_hydra.beton.fields.bytes_fields import BytesField
from ffcv_hydra.beton.fields.rgb_image_field import RGBImageField
from ffcv_hydra.beton.fields.scalar_fields import FloatField, IntField
from ffcv_hydra.ffcv_bridge.equivalents import equivalent_of, normalization_of
from ffcv_hydra.ffcv_bridge.wrapping import Wrapping
from ffcv_hydra.operations.operation import AllocationQuery, Operation, State

_DECODED = {
    basics.IntDecoder: IntField,
    basics.FloatDecoder: FloatField,
    rgb_image.SimpleRGBImageDecoder: RGBImageField,
    ndarray.NDArrayDecoder: NDArrayField,
    ffcv_bytes.BytesDecoder: BytesField,
}
_DECODERS = (basics.BasicDecoder, *_DECODED)
_FOLLOWED_BY_NOTHING = (
    transforms.ImageMixup,
    transforms.RandomHorizontalFlip,
    transforms.RandomResizedCrop,
    transforms.RandomTranslate,
    rgb_image.RandomResizedCropRGBImageDecoder,
)
_KEEP_LEVELS = (
    transforms.Convert, transforms.Squeeze, transforms.ToDevice, transforms.ToTensor, transforms.ToTorchImage,
)  # fmt: skip
_SET_BY_FFCV = frozenset({"field", "is_decoder", "memory_read", "metadata"})


class FFCVOperation(Wrapping, Operation):
    """An operation of FFCV's kind."""

    def __copy__(self) -> "FFCVOperation":
        return FFCVOperation(copy.copy(self.original))

    @property
    def full_name(self) -> str:
        """The original's class with its module."""
        return f"{type(self.original).__module__}.{self.name}"

    @property
    def geometric(self) -> bool | None:  # type: ignore[override]
        """What the original says; FFCV's own move nothing, but for those that nothing follows."""
        is_ffcvs = type(self.original).__module__.startswith("ffcv.")
        return getattr(self.original, "geometric", False if is_ffcvs else None)

    @property
    def follows_nothing(self) -> bool:  # type: ignore[override]
        """Whether it draws where pixels go from generators that nobody else can be given."""
        return isinstance(self.original, _FOLLOWED_BY_NOTHING)

    @property
    def random(self) -> bool:  # type: ignore[override]
        """What the original says."""
        return getattr(self.original, "random", False)

    @property
    def keeps_levels(self) -> bool:  # type: ignore[override]
        """Whether the values of images stay what they are."""
        return isinstance(self.original, _KEEP_LEVELS)

    @property
    def mixed_targets(self) -> str | None:  # type: ignore[override]
        """`LabelMixup` for `ImageMixup`."""
        return "LabelMixup" if isinstance(self.original, transforms.ImageMixup) else None

    def as_normalization(self) -> tuple[Sequence[float], Sequence[float]] | None:
        """Of `NormalizeImage`, by its table: FFCV's keeps nothing else."""
        return normalization_of(self.original) if isinstance(self.original, transforms.NormalizeImage) else None

    @property
    def is_decoder(self) -> bool:
        """Whether it is derived from one of FFCV's decoders, or has been said to be one."""
        return getattr(self.original, "is_decoder", isinstance(self.original, _DECODERS))

    def decodes(self, field: Any) -> bool:
        """Whether it is the decoder that a field of FFCV's kind names, or reads what is stored of one of ours."""
        if getattr(self.original, "is_decoder", False):
            return True
        if isinstance(getattr(field, "original", None), ffcv.fields.Field):
            return isinstance(self.original, field.get_decoder_class())
        return any(isinstance(self.original, d) and isinstance(field, kind) for d, kind in _DECODED.items())

    def equivalent(self, before: Sequence[Any]) -> Operation:
        """This package's operation that does what one of FFCV's does; itself for others."""
        found = equivalent_of(self.original, [getattr(one, "original", one) for one in before])
        return found or self

    def arguments(self) -> Mapping[str, Any]:
        """The original's attributes."""
        return {name: value for name, value in vars(self.original).items() if name not in _SET_BY_FFCV}

    def accept_field(self, field: Any) -> None:
        """Told to the original, which knows a user's field by its own class."""
        self.field = field
        self.original.accept_field(getattr(field, "original", field))

    def accept_globals(self, metadata: Any, memory_read: Any) -> None:
        """Told to the original."""
        self.metadata, self.memory_read = metadata, memory_read
        self.original.accept_globals(metadata, memory_read)

    def declare_state_and_memory(self, previous_state: State) -> tuple[State, Any]:
        """What the original declares."""
        after, memory = self.original.declare_state_and_memory(_as_ffcvs(previous_state))
        return State(after.jit_mode, after.device, after.shape, after.dtype), _own_queries(memory)

    def declare_shared_memory(self, previous_state: State) -> Any:
        """What the original declares."""
        return _own_queries(self.original.declare_shared_memory(_as_ffcvs(previous_state)))

    def generate_code(self) -> Callable[..., Any]:
        """The original's code, for `num_threads` and to be compiled, both of which FFCV's compiler keeps for all."""
        return self._for_threads(self.original.generate_code)

    def generate_code_for_shared_state(self) -> Callable[..., Any] | None:
        """The original's."""
        return self._for_threads(self.original.generate_code_for_shared_state)

    def _for_threads(self, generate: Callable[[], Any]) -> Any:
        before = Compiler.num_threads, Compiler.is_enabled
        Compiler.num_threads, Compiler.is_enabled = self.num_threads, True
        try:
            return generate()
        finally:
            Compiler.num_threads, Compiler.is_enabled = before


def _as_ffcvs(state: State) -> FFCVsState:
    return FFCVsState(**{field.name: getattr(state, field.name) for field in fields(state)})


def _own_queries(memory: Any) -> Any:
    if isinstance(memory, FFCVsQuery):
        return AllocationQuery(memory.shape, memory.dtype, memory.device)
    return [_own_queries(one) for one in memory] if isinstance(memory, list | tuple) else memory
