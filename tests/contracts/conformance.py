"""Holds real requests and answers against the committed OpenAPI documents.

Reads the documents alone, and none of the models that they were generated from::

    SIDECAR = load("sidecar")
    assert_conforms(SIDECAR, "GET", "/internal/campaigns/{campaign_uid}", 200, answer.json())
"""

import re
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any

import orjson

Document = dict[str, Any]

DIRECTORY = Path(__file__).parents[2] / "contracts" / "openapi"

# jsonschema carries no types.
_Validator: Any = import_module("jsonschema").Draft202012Validator


@lru_cache
def load(name: str) -> Document:
    """Return a committed document by the name of its file: ``backend`` or ``sidecar``."""
    document: Document = orjson.loads((DIRECTORY / f"{name}.json").read_bytes())
    return document


def assert_conforms(document: Document, method: str, path: str, status: int, body: Any) -> None:
    """Fail unless ``document`` allows this answer.

    ``path`` is a template of the document or a real path (with or without a query). ``body`` is
    what the JSON says, or a ``str`` for an answer that is text.
    """
    responses = _operation(document, method, path)["responses"]
    what = f"{method.upper()} {path} answered {status}"
    if str(status) not in responses:
        raise AssertionError(f"{what}, but only {', '.join(responses)} are documented")
    _check(document, responses[str(status)]["content"], body, what)


def assert_request_conforms(document: Document, method: str, path: str, body: Any) -> None:
    """Fail unless ``document`` allows this request. ``body`` is None where there is none."""
    request = _operation(document, method, path).get("requestBody")
    what = f"request {method.upper()} {path}"
    if body is None and not (request and request["required"]):
        return
    if request is None:
        raise AssertionError(f"{what} has a body, but none is documented")
    _check(document, request["content"], body, what)


def _operation(document: Document, method: str, path: str) -> Document:
    paths = document["paths"]
    template = path if path in paths else _template(paths, path.partition("?")[0])
    operation: Document | None = paths[template].get(method.lower())
    if operation is None:
        raise AssertionError(f"{template} has no documented method {method.upper()}")
    return operation


def _template(paths: Document, path: str) -> str:
    for template in paths:
        parts = (
            "[^/]+" if part.startswith("{") else re.escape(part)
            for part in re.split(r"(\{\w+\})", template)
        )
        if re.fullmatch("".join(parts), path):
            return str(template)
    raise AssertionError(f"{path} is not a documented path; there are {', '.join(paths)}")


def _check(document: Document, content: Document, body: Any, what: str) -> None:
    """The documents give each body one media type, beside ``*/*`` where anything will do."""
    if "*/*" in content:
        return
    [media] = content.values()
    schema = {**media["schema"], "components": document["components"]}
    errors = [
        f"{error.json_path}: {error.message[:300]}"
        for error in _Validator(schema).iter_errors(body)
    ]
    if errors:
        raise AssertionError("\n".join([f"{what}, which does not conform:", *errors]))
