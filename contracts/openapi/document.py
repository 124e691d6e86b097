"""Makes an OpenAPI document out of a table of endpoints."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, models_json_schema

from contracts.openapi.endpoint import Body, Endpoint, Parameter, markdown
from contracts.openapi.security import schemes

Document = dict[str, Any]

#: Version of the endpoints, in both documents. It changes when an endpoint does.
VERSION = "1.0.0"

_PATH_PARAMETERS = {
    "vendor_uid": "`_uid` of the vendor.",
    "campaign_uid": "`_uid` of the campaign.",
}
_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_COMPONENT = "#/components/schemas/{model}"


def build(title: str, description: str, endpoints: Sequence[Endpoint]) -> Document:
    """Return the document of one side."""
    paths: dict[str, Any] = {}
    for endpoint in endpoints:
        paths.setdefault(endpoint.path, {})[endpoint.method] = _operation(endpoint)
    used = {scheme for endpoint in endpoints for scheme in endpoint.security}
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "description": description, "version": VERSION},
        "paths": paths,
        "components": {
            "schemas": _schemas(_models(endpoints)),
            "securitySchemes": schemes(used),
        },
    }


def _operation(endpoint: Endpoint) -> Document:
    operation: Document = {
        "operationId": endpoint.name,
        "tags": [endpoint.tag],
        "summary": endpoint.summary,
        "description": endpoint.description,
        "security": [{scheme: [] for scheme in endpoint.security}] if endpoint.security else [],
        "responses": {
            str(status): {"description": body.description, "content": _content(body)}
            for status, body in endpoint.answers.items()
        },
    }
    parameters = [*_path_parameters(endpoint.path), *map(_parameter, endpoint.parameters)]
    if parameters:
        operation["parameters"] = parameters
    if endpoint.request:
        operation["requestBody"] = {
            "required": endpoint.request.required,
            "content": _content(endpoint.request),
        }
        if endpoint.request.description != endpoint.description:
            operation["requestBody"]["description"] = endpoint.request.description
    return operation


def _path_parameters(path: str) -> list[Document]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "description": _PATH_PARAMETERS[name],
            "schema": {"type": "string"},
        }
        for name in _PLACEHOLDER.findall(path)
    ]


def _parameter(parameter: Parameter) -> Document:
    return {
        "name": parameter.name,
        "in": parameter.location,
        "required": parameter.required,
        "description": parameter.description,
        "schema": {"type": parameter.type},
    }


def _content(body: Body) -> Document:
    if body.model is None:
        text = body.media_type.startswith("text/")
        return {body.media_type: {"schema": {"type": "string"}} if text else {}}
    schema: Document = {"$ref": _COMPONENT.format(model=body.model.__name__)}
    if body.lenient:
        return {body.media_type: {"schema": {"anyOf": [schema, {}]}}, "*/*": {}}
    return {body.media_type: {"schema": schema}}


def _models(endpoints: Iterable[Endpoint]) -> list[type[BaseModel]]:
    bodies = (body for e in endpoints for body in (e.request, *e.answers.values()) if body)
    return list(dict.fromkeys(body.model for body in bodies if body.model))


class _Schemas(GenerateJsonSchema):
    """Without a title for every field, which would repeat the field's name."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def _schemas(models: Iterable[type[BaseModel]]) -> Document:
    _, definitions = models_json_schema(
        [(model, "validation") for model in models],
        ref_template=_COMPONENT,
        schema_generator=_Schemas,
    )
    schemas: Document = definitions["$defs"]
    for schema in schemas.values():
        if "description" in schema:
            schema["description"] = markdown(schema["description"])
    return schemas
