"""Whatever Meta sends passes through the models unchanged."""

import json
import types
import typing
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from contracts.backend import VendorConfig, VendorConfigAnswer
from contracts.cloud_api import messages, webhook
from contracts.lenient import LenientModel, StrictModel
from tests.contracts.hypotheses import unhurried

FROM_META = [
    model
    for module in (webhook, messages)
    for model in vars(module).values()
    if isinstance(model, type) and issubclass(model, LenientModel) and model is not LenientModel
]

ODD_VALUES: list[Any] = [None, True, 0, 2**70, 1.0, "", "5", "é👋", [], [[]], [{}, None], {}]
ODD_VALUES += [{"a": {"b": [1, 1.0, True, "1"]}}, [{"id": 5, "new": "x"}]]

SCALARS: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=5),
)
# `from_` is the attribute for `from`: beside an unknown field of that name, `from` is written too.
NAMES = (st.text(max_size=5) | st.sampled_from(["id", "copy", "model_dump", "__class__"])).filter(
    lambda name: name != "from_"
)
JSON: st.SearchStrategy[Any] = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=5,
)


def shaped(model: type[BaseModel]) -> st.SearchStrategy[dict[str, Any]]:
    """Objects that look like ``model``, with anything at all in any place."""
    known = {
        field.alias or name: documented(field.annotation) | JSON
        for name, field in model.model_fields.items()
    }
    extra = st.dictionaries(NAMES, JSON, max_size=2)
    objects = st.fixed_dictionaries({}, optional=known)
    return st.builds(lambda more, named: {**more, **named}, extra, objects)


def documented(annotation: Any) -> st.SearchStrategy[Any]:
    """Values of the documented type, down to the fields, which may hold anything."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return documented(arguments[0])
    if origin in (typing.Union, types.UnionType):
        return st.one_of([documented(argument) for argument in arguments])
    if origin is list:
        return st.lists(documented(arguments[0]) | JSON, max_size=2)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return st.deferred(lambda: shaped(annotation))
    return JSON


def assert_unchanged(model: type[BaseModel], value: dict[str, Any]) -> None:
    read = model.model_validate(value)
    written = read.model_dump(by_alias=True, exclude_unset=True)
    # As text, because 1 == True == 1.0.
    assert json.dumps(written, sort_keys=True) == json.dumps(value, sort_keys=True)


def places() -> Iterator[tuple[type[BaseModel], str]]:
    for model in FROM_META:
        for name, field in model.model_fields.items():
            yield model, field.alias or name


def test_every_model_of_meta_is_looked_at() -> None:
    names = {model.__name__ for model in FROM_META}
    assert {"Webhook", "Entry", "Value", "Status", "Message", "ErrorResponse"} <= names


@pytest.mark.parametrize(("model", "name"), list(places()))
def test_every_field_takes_anything(model: type[BaseModel], name: str) -> None:
    for value in ODD_VALUES:
        assert_unchanged(model, {name: value})


@pytest.mark.parametrize("model", FROM_META)
def test_unknown_fields_are_kept(model: type[BaseModel]) -> None:
    for value in ODD_VALUES:
        assert_unchanged(model, {"a field of next year": value, "": value, "copy": value})


@unhurried
@given(shaped(webhook.Webhook))
def test_any_webhook_passes_through(value: dict[str, Any]) -> None:
    assert_unchanged(webhook.Webhook, value)


@unhurried
@given(shaped(webhook.Value))
def test_any_value_of_a_change_passes_through(value: dict[str, Any]) -> None:
    assert_unchanged(webhook.Value, value)


@unhurried
@given(shaped(messages.SendResponse))
def test_any_answer_to_a_send_passes_through(value: dict[str, Any]) -> None:
    assert_unchanged(messages.SendResponse, value)


@unhurried
@given(shaped(messages.ErrorResponse))
def test_any_error_passes_through(value: dict[str, Any]) -> None:
    assert_unchanged(messages.ErrorResponse, value)


def test_deep_nesting_passes_through() -> None:
    deep = b'{"a":' * 500 + b"1" + b"}" * 500
    value = orjson.loads(b'{"new":%b,"entry":[{"id":%b}]}' % (deep, deep))
    assert_unchanged(webhook.Webhook, value)


def test_what_is_documented_can_be_read() -> None:
    value: Any = webhook.Value.model_validate(
        {
            "metadata": {"phone_number_id": "106"},
            "contacts": [{"wa_id": "421900", "profile": {"name": "Jana"}}],
            "messages": [{"from": "421900", "id": "wamid.A", "type": "text"}],
            "statuses": [5, {"id": "wamid.B", "errors": [{"code": 131026}]}],
            "user_actions": [{"type": "click"}],
        }
    )
    assert value.metadata.phone_number_id == "106"
    assert value.contacts[0].profile.name == "Jana"
    assert (value.messages[0].from_, value.messages[0].id) == ("421900", "wamid.A")
    assert value.statuses[0] == 5
    assert value.statuses[1].errors[0].code == 131026
    assert value.user_actions == [{"type": "click"}]


@pytest.mark.parametrize("value", ["5", 5.0, True, [5]])
def test_a_number_of_another_type_is_not_made_one(value: Any) -> None:
    assert webhook.WebhookError.model_validate({"code": value}).code is value


def test_what_we_say_ourselves_is_strict() -> None:
    class Said(StrictModel):
        name: str

    said: Any = Said(name="x")
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        Said.model_validate({"name": "x", "nam": "y"})
    with pytest.raises(ValidationError, match="frozen"):
        said.name = "y"


def test_secrets_of_vendors_are_not_shown() -> None:
    config = VendorConfig(vendor_uid="v", access_token="TOKEN", app_secrets=["SECRET"])
    assert "TOKEN" not in f"{config!r} {config}"
    assert "SECRET" not in f"{config!r} {config}"


def test_a_validation_error_shows_no_input() -> None:
    """Such an error ends in a log, and the input may be a secret or a customer's text."""
    with pytest.raises(ValidationError) as error:
        VendorConfigAnswer.model_validate({"vendors": [{"access_token": "TOKEN"}]})
    assert "vendors.0.vendor_uid" in str(error.value)
    assert "TOKEN" not in f"{error.value} {error.value!r}"
