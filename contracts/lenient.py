"""Models for what other people send: an unknown thing is passed on, never refused."""

from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, ValidatorFunctionWrapHandler
from pydantic.functional_validators import WrapValidator

T = TypeVar("T")


def _keep_unreadable(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    try:
        return handler(value)
    except ValidationError:
        return value


#: A field that is documented as ``T``. A value of another type is kept as it came.
Lenient = Annotated[T | None, WrapValidator(_keep_unreadable)]


class LenientModel(BaseModel):
    """Keeps fields that it does not know, and values that are not of the documented type."""

    model_config = ConfigDict(extra="allow", frozen=True)


class StrictModel(BaseModel):
    """What we say ourselves: fully known, so a slip of ours is an error and not a surprise."""

    model_config = ConfigDict(extra="forbid", frozen=True)
