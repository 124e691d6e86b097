"""The committed documents: up to date, well formed, and complete."""

import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from pydantic import ValidationError

from contracts import backend, openapi, sidecar_api, signing
from contracts.cloud_api.webhook import Webhook
from contracts.openapi.__main__ import main
from tests.contracts.conformance import Document, assert_request_conforms, load
from tests.contracts.hypotheses import unhurried
from tests.contracts.test_lenient import JSON, shaped

DOCUMENTS = [pytest.param(load(name), id=name) for name in openapi.DOCUMENTS]
_Validator: Any = import_module("jsonschema").Draft202012Validator

documents = pytest.mark.parametrize("document", DOCUMENTS)


def operations(document: Document) -> Iterator[tuple[str, str, Document]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield path, method, operation


def walk(node: Any) -> Iterator[Document]:
    if isinstance(node, dict):
        yield node
        for value in node.values():
            yield from walk(value)
    elif isinstance(node, list):
        for value in node:
            yield from walk(value)


def paths_of(module: ModuleType) -> set[str]:
    constants = [value for name, value in vars(module).items() if name.isupper()]
    flat = [
        text for value in constants for text in (value if isinstance(value, tuple) else [value])
    ]
    return {text for text in flat if isinstance(text, str) and text.startswith("/")}


# -- up to date ----------------------------------------------------------------------------------


def test_the_committed_documents_are_up_to_date() -> None:
    assert openapi.outdated() == [], "run `python -m contracts.openapi` and commit what it writes"


def test_output_is_the_same_every_time() -> None:
    """Whatever the order of sets: hash seeds differ between processes."""
    script = "import sys; from contracts import openapi; "
    script += "sys.stdout.buffer.write(b''.join(map(openapi.render, openapi.DOCUMENTS)))"
    here = b"".join(map(openapi.render, openapi.DOCUMENTS))
    run = subprocess.run(
        [sys.executable, "-c", script], env={"PYTHONHASHSEED": "1"}, capture_output=True, check=True
    )
    assert run.stdout == here
    assert here.endswith(b"}\n")


def test_writing_and_checking(tmp_path: Path) -> None:
    def run(*arguments: str) -> tuple[int, str]:
        result = CliRunner().invoke(main, ["--directory", str(tmp_path), *arguments])
        return result.exit_code, result.output

    code, output = run("--check")
    assert code == 1
    assert "backend.json is missing or out of date" in output
    assert "sidecar.json is missing or out of date" in output
    assert "run `python -m contracts.openapi`" in output

    assert run() == (0, "")
    assert run("--check") == (0, "")

    (tmp_path / "sidecar.json").write_text("{}\n")
    code, output = run("--check")
    assert code == 1
    assert "sidecar.json" in output
    assert "backend.json" not in output
    assert (tmp_path / "sidecar.json").read_text() == "{}\n"


# -- well formed ---------------------------------------------------------------------------------


@documents
def test_top_level(document: Document) -> None:
    assert document["openapi"] == "3.1.0"
    assert set(document) == {"openapi", "info", "paths", "components"}
    assert {"title", "version", "description"} == set(document["info"])


@documents
def test_component_schemas_are_valid_schemas(document: Document) -> None:
    for name, schema in document["components"]["schemas"].items():
        assert re.fullmatch(r"[A-Za-z0-9._-]+", name)
        _Validator.check_schema(schema)


@documents
def test_schemas_in_operations_are_valid_schemas(document: Document) -> None:
    for node in walk(document["paths"]):
        if "schema" in node:
            _Validator.check_schema(node["schema"])


@documents
def test_references_lead_to_components_and_every_component_is_used(document: Document) -> None:
    used = {node["$ref"] for node in walk(document) if "$ref" in node}
    there = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert used == there


@documents
def test_operation_ids_are_unique(document: Document) -> None:
    names = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(names) == len(set(names))
    assert all(re.fullmatch(r"[a-z_]+", name) for name in names)


@documents
def test_every_path_parameter_is_declared(document: Document) -> None:
    for path, _, operation in operations(document):
        parameters = operation.get("parameters", [])
        in_path = [each for each in parameters if each["in"] == "path"]
        assert [each["name"] for each in in_path] == re.findall(r"\{(\w+)\}", path)
        assert all(each["required"] for each in in_path)
        places = [(each["in"], each["name"]) for each in parameters]
        assert len(places) == len(set(places))


@documents
def test_every_operation_is_described(document: Document) -> None:
    for path, _, operation in operations(document):
        assert operation["summary"], path
        assert operation["description"], path
        assert operation["tags"], path
        for status, answer in operation["responses"].items():
            assert re.fullmatch(r"[2-5]\d\d", status), path
            assert answer["description"], path
            assert len(answer["content"]) == 1, path


@documents
def test_nothing_of_the_docstrings_markup_is_left(document: Document) -> None:
    texts = [node[name] for node in walk(document) for name in ("description",) if name in node]
    assert texts
    for text in texts:
        if isinstance(text, str):
            assert ":`" not in text
            assert "``" not in text


@documents
def test_security_schemes_are_declared(document: Document) -> None:
    there = document["components"]["securitySchemes"]
    used = {
        name
        for _, _, operation in operations(document)
        for requirement in operation["security"]
        for name in requirement
    }
    assert used == set(there)
    assert all(scheme["type"] == "apiKey" for scheme in there.values())


# -- complete ------------------------------------------------------------------------------------


def test_every_path_of_the_contracts_is_documented() -> None:
    assert set(load("backend")["paths"]) == paths_of(backend)
    assert set(load("sidecar")["paths"]) == paths_of(sidecar_api)


@documents
def test_internal_calls_need_all_four_headers(document: Document) -> None:
    names = {
        signing.KEY_HEADER,
        signing.TIMESTAMP_HEADER,
        signing.NONCE_HEADER,
        signing.SIGNATURE_HEADER,
    }
    schemes = document["components"]["securitySchemes"]
    for path, _, operation in operations(document):
        if not path.startswith(("/internal/", "/match-bot")):
            continue
        [requirement] = operation["security"]
        assert {schemes[name]["name"] for name in requirement} == names
        assert {"200", "400", "401", "503"} <= set(operation["responses"])
        refused = operation["responses"]["401"]["description"]
        assert all(f"`{code}`" in refused for code in signing.Refusal)


def test_the_signing_scheme_is_written_out() -> None:
    for name in ("backend", "sidecar"):
        text = load(name)["components"]["securitySchemes"]["SidecarSignature"]["description"]
        assert "METHOD" in text
        assert "hex(sha256(BODY))" in text


@documents
def test_refusals_of_internal_calls_carry_the_error_body(document: Document) -> None:
    for path, _, operation in operations(document):
        if not path.startswith(("/internal/", "/match-bot")):
            continue
        for status, answer in operation["responses"].items():
            schema = answer["content"]["application/json"]["schema"]
            refused = schema["$ref"] == "#/components/schemas/ErrorAnswer"
            assert refused == (status != "200"), f"{path} {status}"


def test_statuses_of_the_webhook_routes() -> None:
    for path in sidecar_api.WEBHOOK_PATHS:
        item = load("sidecar")["paths"][path]
        assert set(item["get"]["responses"]) == {"200", "403", "404"}
        assert set(item["post"]["responses"]) == {
            *("200", "400", "401", "404", "413", "415", "503"),
            *("502", "504", "508"),  # of webhooks that are passed on to PHP
        }


def test_a_stale_claim_is_a_conflict() -> None:
    answers = load("backend")["paths"][backend.CLAIM_MESSAGES]["post"]["responses"]
    for code in (
        backend.ErrorCode.CAMPAIGN_PAUSED,
        backend.ErrorCode.CAMPAIGN_CANCELLED,
        backend.ErrorCode.FENCE_STALE,
    ):
        assert f"`{code}`" in answers["409"]["description"]


@unhurried
@given(shaped(Webhook) | JSON)
def test_no_webhook_is_against_the_document(body: Any) -> None:
    assert_request_conforms(load("sidecar"), "POST", "/webhook/v", body)


@unhurried
@given(shaped(Webhook) | JSON)
def test_the_schema_of_a_webhook_takes_what_the_model_takes(body: Any) -> None:
    components = load("sidecar")["components"]
    schema = {"$ref": "#/components/schemas/Webhook", "components": components}
    try:
        Webhook.model_validate(body)
    except ValidationError:
        assert not _Validator(schema).is_valid(body)
    else:
        assert _Validator(schema).is_valid(body)
