"""The shape of a composed config: which keys there are and what their values may be."""

import re
from collections.abc import Mapping
from types import UnionType
from typing import Annotated, Any, ClassVar, Literal, get_type_hints

from pydantic import (
    AfterValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    TypeAdapter,
    ValidationError,
    create_model,
)
from pydantic_core import PydanticCustomError

from ffcv_hydra.building.targets import locate, target_nodes
from ffcv_hydra.cli.sections import Positive, Section, Size, Target
from ffcv_hydra.errors import ConfigError
from ffcv_hydra.loader_options import STAGE_OPTIONS, Option
from ffcv_hydra.nearest import hint
from ffcv_hydra.stages import STAGES


class Split(Section):
    source: Target | None = None
    beton: str
    indices: Target | list[int] | None = None


class MemberSplit(Split):
    """The split of a mixture's member, with what the member says, where it is checked."""

    fields: Any
    share: Any = None


class MixedSplit(Section):
    members: dict[str, MemberSplit]


def _kind_of_split(value: Any) -> str:
    if value is None:
        return "no split"
    return "a mixed split" if isinstance(value, Mapping) and "members" in value else "a split"


AnySplit = Annotated[
    Annotated[Split, Tag("a split")] | Annotated[MixedSplit, Tag("a mixed split")] | Annotated[None, Tag("no split")],
    Discriminator(_kind_of_split),
]


class Splits(Section):
    train: AnySplit = None
    val: AnySplit = None
    test: AnySplit = None
    predict: AnySplit = None


class Dataset(Section):
    free_keys: ClassVar[bool] = True
    name: str
    fields: dict[str, dict[str, Any] | None] | None
    splits: Splits
    num_classes: int | None = None
    classes: list[str] | str | None = None
    folds: Annotated[int, Field(ge=2)] | None = None
    fold: Annotated[int, Field(ge=0)] | None = None


Share = Annotated[float, Field(ge=0)]


class Member(Dataset):
    dataset: str
    share: Share | list[Share]


class Mixture(Dataset):
    members: Annotated[dict[str, Member], Field(min_length=1)]
    epoch_size: Positive | None
    fill_values: dict[str, int | float] | None
    evaluate_on: list[str] | None


def _kind_of_dataset(value: Any) -> str:
    return "a mixture" if isinstance(value, Mapping) and "members" in value else "a dataset"


AnyDataset = Annotated[
    Annotated[Dataset, Tag("a dataset")] | Annotated[Mixture, Tag("a mixture")], Discriminator(_kind_of_dataset)
]


class Conversion(Section):
    if_exists: Literal["keep", "overwrite", "append", "error"]
    if_source_changed: Literal["error", "warn", "ignore"] = "error"
    num_workers: Annotated[int, Field(ge=-1)]
    on_warning: Literal["keep", "error"]
    page_size: Positive | None
    chunksize: Positive
    shuffle_indices: bool
    shards: Positive | None = None
    shard_size: Size = None
    worker: Annotated[int, Field(ge=0)] | None = None
    workers: Positive | None = None
    indices: Target | list[int] | None


class FieldPipeline(Section):
    operations: list[Target] | None = None
    source: str | None = None
    joint_with: str | None = None
    views: Positive | None = None


def _form(value: Any) -> str:
    """Which branch of the unions below a value is to be compared with, so that errors are of that one alone."""
    return "a list" if isinstance(value, list) else "a mapping" if isinstance(value, Mapping) else "a word"


_List = Annotated[list[Target], Tag("a list")]
_Word = Annotated[Literal["disabled"] | None, Tag("a word")]
OutputPipeline = Annotated[_List | Annotated[FieldPipeline, Tag("a mapping")] | _Word, Discriminator(_form)]
FieldPipelines = dict[str, OutputPipeline] | None
Modules = Annotated[
    _List | Annotated[dict[str, list[Target]], Tag("a mapping")] | Annotated[None, Tag("a word")], Discriminator(_form)
]


class DeviceTransforms(Section):
    train: Modules = None
    val: Modules = None
    test: Modules = None
    predict: Modules = None


class Pipeline(Section):
    free_keys: ClassVar[bool] = True
    train: FieldPipelines = None
    val: FieldPipelines = None
    test: FieldPipelines = None
    predict: FieldPipelines = None
    device: DeviceTransforms | None = None


class Ordering(Section):
    train: Target
    eval: Target


def _loader_key(key: str, option: Option) -> tuple[Any, Any]:
    """Type and default of a key of `loader`; those of one stage alone need not be there."""

    def in_range(value: Any) -> Any:
        if value is not None and not option.is_in_range(value):
            raise PydanticCustomError("range", "must be {text}", {"text": option.text})
        return value

    kind = option.kind | None if option.may_be_open else option.kind
    return Annotated[kind, AfterValidator(in_range)], None if key.partition("_")[0] in STAGES else ...


Loader = create_model(  # type: ignore[call-overload]
    "Loader",
    __base__=Section,
    **{key: _loader_key(key, option) for key, option in STAGE_OPTIONS.items() if key != "seed"},
)


class Cache(Section):
    dir: str | None
    limit: Size


class ConvertConfig(Section):
    """What `convert.py` composes."""

    free_keys: ClassVar[bool] = True
    data_dir: str
    dataset: AnyDataset
    conversion: Conversion
    pipeline: Any


class RunConfig(ConvertConfig):
    """What `run.py` composes."""

    task_name: str | None = None
    tags: list[str] = []
    mode: Literal["fit", "validate", "test", "predict", "export", "bench"]
    ckpt_path: str | None
    trust_checkpoint: bool
    seed: Annotated[int, Field(ge=0, lt=2**32)]
    pipeline: Pipeline
    ordering: Ordering
    loader: Loader  # type: ignore[valid-type]  # made above
    cache: Cache
    model: Target
    callbacks: dict[str, Target | None]
    logger: dict[str, Target | None]
    trainer: dict[str, Any]
    compile: bool
    channels_last: bool
    test_after_fit: bool
    bench_seconds: Annotated[float, Field(gt=0)]
    optimized_metric: str | None
    optimized_mode: Literal["min", "max"]


def check(schema: type[Section], config: Mapping[str, Any]) -> None:
    """Compare a resolved config, as plain containers, with its schema.

    Raises:
        ConfigError: a key is unknown or missing, or a value impossible.
    """
    try:
        schema.model_validate(config)
    except ValidationError as error:
        raise ConfigError(_first_error(error)) from None


def check_trainer(trainer: Mapping[str, Any]) -> None:
    """Compare the trainer's values with the types in its signature.

    Raises:
        ConfigError: a value is of another type, or no number of devices.
    """
    devices = trainer.get("devices")
    if type(devices) is int and (devices == 0 or devices < -1):
        raise ConfigError(f"trainer.devices={devices}: give how many, or -1 for all there are")
    target = locate(trainer.get("_target_", "pytorch_lightning.Trainer"), "trainer")
    types = get_type_hints(target.__init__)
    for key, value in trainer.items():
        if key not in types or any(target_nodes(value)):
            continue
        adapter = TypeAdapter(types[key], config=ConfigDict(strict=True, arbitrary_types_allowed=True))
        try:
            adapter.validate_python(value)
        except ValidationError as error:
            raise ConfigError(_wrong_type(f"trainer.{key}", value, types[key], error)) from None


def _wrong_type(key: str, value: Any, annotation: type | UnionType, error: ValidationError) -> str:
    choices = [choice for entry in error.errors() for choice in _choices(entry)]
    if choices:
        return f"{key}={value}: {hint(str(value), choices)}"
    return f"{key}={value!r}: expected {str(annotation).replace('typing.', '').replace('NoneType', 'null')}"


def _first_error(error: ValidationError) -> str:
    first = error.errors()[0]
    # A branch of a union adds the branch's name to the location: a class, a type or `literal[...]`.
    location = [part for part in first["loc"] if not _is_branch(part)]
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).lstrip(".")
    context = first.get("ctx", {})
    if first["type"] == "unknown_key":
        prefix = f"{key}." if key else ""
        return f"unknown key '{prefix}{context['key']}': {hint(context['key'], context['known'], prefix)}"
    if first["type"] == "missing":
        return f"{key} is missing; add it"
    # A value that fits no branch of a union has an error for each.
    choices = [choice for entry in error.errors() if entry["input"] is first["input"] for choice in _choices(entry)]
    advice = hint(str(first["input"]), choices) if choices else first["msg"][0].lower() + first["msg"][1:]
    return f"{key}={first['input']!r}: {advice.replace('input ', '')}"


def _is_branch(part: str | int) -> bool:
    return isinstance(part, str) and (part in _BRANCHES or "[" in part)


def _choices(error: Mapping[str, Any]) -> list[str]:
    """What an error of a `Literal` would have accepted."""
    return re.findall(r"'([^']+)'", str(error.get("ctx", {}).get("expected", "")))


_BRANCHES = frozenset(
    {"Target", "Split", "int", "float", "bool", "str", "constrained-int", "constrained-float", "none"}
    | {"a list", "a mapping", "a word", "a split", "a mixed split", "no split", "a dataset", "a mixture"}
)
