"""One endpoint, as the tables of both sides declare it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from inspect import cleandoc
from typing import Literal

from pydantic import BaseModel

from contracts.backend import ErrorAnswer

_ROLE = re.compile(r":[a-z]+:`~?([^`]+)`")


def markdown(docstring: str) -> str:
    """Return a docstring as Markdown."""
    return _ROLE.sub(r"`\1`", cleandoc(docstring)).replace("``", "`")


def documentation(source: object) -> str:
    """Return the docstring of ``source`` as Markdown, or "" if it has none."""
    return markdown(source.__doc__ or "")


@dataclass(frozen=True, slots=True)
class Body:
    """Body of a request or an answer. Without a ``model``, it is bytes or text."""

    description: str
    model: type[BaseModel] | None = None
    media_type: str = "application/json"
    #: Whether a request must carry it.
    required: bool = True
    #: Whether anything else is taken too: JSON of another shape, and what is no JSON at all.
    lenient: bool = False


def json_body(model: type[BaseModel], description: str = "", *, required: bool = True) -> Body:
    """Return a JSON body, described by its model's docstring if by nothing else."""
    text = description or documentation(model) or model.__name__
    return Body(text, model, required=required)


def text_body(description: str) -> Body:
    return Body(description, media_type="text/plain")


def refusal(description: str) -> Body:
    return Body(description, ErrorAnswer)


@dataclass(frozen=True, slots=True)
class Parameter:
    """A query parameter or a header."""

    name: str
    location: Literal["query", "header"]
    description: str
    required: bool = True
    type: Literal["string", "integer"] = "string"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """``name`` is the ``operationId``. ``security`` names schemes that must all be satisfied."""

    method: Literal["get", "post"]
    path: str
    name: str
    tag: str
    summary: str
    description: str
    answers: Mapping[int, Body]
    request: Body | None = None
    parameters: tuple[Parameter, ...] = ()
    security: tuple[str, ...] = ()
