"""What the sections of a composed config are made of."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from ffcv_hydra.nearest import is_slip
from ffcv_hydra.sizes import parse_size

Positive = Annotated[int, Field(gt=0)]


def _size(value: Any) -> Any:
    if value is not None:
        try:
            parse_size(value)
        except ValueError as error:
            raise PydanticCustomError("size", "{text}", {"text": str(error).partition("; ")[2]}) from None
    return value


Size = Annotated[int | str | None, AfterValidator(_size)]


class Section(BaseModel):
    """Base of the sections: exact types, and no key that is not listed.

    Where `free_keys` are allowed (values that other keys refer to), one that is a slip away from a listed key still
    counts as a mistyped one.
    """

    model_config = ConfigDict(strict=True, extra="allow")
    free_keys: ClassVar[bool] = False

    @model_validator(mode="before")
    @classmethod
    def _no_unknown_keys(cls, values: Any) -> Any:
        known = {field.alias or name for name, field in cls.model_fields.items()}
        for key in values if isinstance(values, Mapping) else ():
            if key not in known and (not cls.free_keys or is_slip(str(key), known)):
                raise PydanticCustomError("unknown_key", "{key}", {"key": str(key), "known": known})
        return values


class Target(BaseModel):
    """A node that names what is built from it; its other keys are checked against that one's signature."""

    model_config = ConfigDict(strict=True, extra="allow")
    target: str = Field(alias="_target_")
