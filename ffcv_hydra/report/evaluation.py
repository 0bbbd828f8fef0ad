"""Reads `evaluation.json`: what a run read, and what its evaluations found."""

from collections.abc import Sequence
from pathlib import Path

from pydantic import TypeAdapter, ValidationError
from typing_extensions import TypedDict

from ffcv_hydra.errors import ConfigError

FILE = "evaluation.json"


class Mistake(TypedDict):
    """A sample whose class was not told: its id, name and class, what it was taken for, and how probable both were."""

    id: int
    name: str | None
    label: int
    predicted: int
    probability: float
    of_label: float


class Found(TypedDict, total=False):
    """What an evaluation found; `confused` holds `(label, predicted, count)`, the most frequent first."""

    epoch: int | None
    metrics: dict[str, object]
    counts: list[int]
    correct: list[int]
    confused: list[tuple[int, int, int]] | None
    mistakes: list[Mistake]


class Data(TypedDict):
    """What a stage reads: how many samples, in which betons, the field of their images, how many of each class."""

    samples: int
    betons: list[str]
    image: str | None
    counts: list[int] | None


class Evaluation(TypedDict):
    """All that the file holds; `data` and `evaluations` by stage."""

    class_names: list[str] | None
    data: dict[str, Data]
    evaluations: dict[str, Found]


_EVALUATION = TypeAdapter(Evaluation)


def read_evaluation(run_dir: Path) -> Evaluation:
    """Read what a run has written; nothing for one that has not come to it. Raises `ConfigError` if it is damaged."""
    path = run_dir / FILE
    try:
        return _EVALUATION.validate_json(path.read_bytes())
    except FileNotFoundError:
        return {"class_names": None, "data": {}, "evaluations": {}}
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "as a whole"
        raise ConfigError(f"{path} is damaged, {place}: {first['msg']}") from None


def class_name(class_names: Sequence[str] | None, number: int) -> str:
    """What a class is called: by its name where that is known, else by its number."""
    return class_names[number] if class_names is not None and 0 <= number < len(class_names) else str(number)
