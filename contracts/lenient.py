"""Models for what other people send: an unknown thing is passed on, never refused."""

from typing import Annotated, Any, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    GetJsonSchemaHandler,
    SerializeAsAny,
    ValidationError,
    ValidatorFunctionWrapHandler,
)
from pydantic.functional_validators import WrapValidator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

T = TypeVar("T")


def _keep_unreadable(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    try:
        read = handler(value)
    except ValidationError:
        return value
    # pydantic reads "5" and True as the integers 5 and 1; what came is passed on as it came.
    return read if isinstance(read, BaseModel | list | dict) else value


class _OrAnythingElse:
    """Lets the JSON schema say the same as the validator: the documented type, or any other."""

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        documented, _null = handler(schema)["anyOf"]
        return {"anyOf": [documented, {}]}


#: A field that is documented as ``T``. A value of another type is kept as it came, so what is read
#: from such a field must be checked (``isinstance``) before it is used as a ``T``.
Lenient = Annotated[SerializeAsAny[T | None], WrapValidator(_keep_unreadable), _OrAnythingElse()]


# Models are built when they are first used: a process uses few of them, and starts sooner.
_ALL = ConfigDict(frozen=True, hide_input_in_errors=True, defer_build=True)


class LenientModel(BaseModel):
    """Keeps fields that it does not know, and values that are not of the documented type."""

    model_config = ConfigDict(extra="allow", **_ALL)


class StrictModel(BaseModel):
    """What we say ourselves: fully known, so a slip of ours is an error and not a surprise."""

    model_config = ConfigDict(extra="forbid", **_ALL)
