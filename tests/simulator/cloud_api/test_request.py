from typing import Any

import orjson
import pytest

from simulator.cloud_api.refusal import Refusal
from simulator.cloud_api.request import ReadReceipt, SendRequest, read_request
from tests.simulator.cloud_api.helpers import message


def _without(name: str) -> dict[str, Any]:
    return {key: value for key, value in message().items() if key != name}


def _refused(body: bytes) -> tuple[int, str]:
    with pytest.raises(Refusal) as caught:
        read_request(body)
    return caught.value.code, caught.value.details


def test_template() -> None:
    request = read_request(orjson.dumps(message("+49 151 1", biz_opaque_callback_data="é-1")))
    assert isinstance(request, SendRequest)
    assert (request.to, request.digits, request.wa_id) == ("+49 151 1", "491511", "491511")
    assert request.callback_data == "é-1"


@pytest.mark.parametrize(
    "content",
    [
        {"text": {"body": "Hi"}},
        {"type": "text", "text": {"body": "Hi"}},
        {"type": "image", "image": {"link": "https://example.com/a.jpg"}},
        {"type": "contacts", "contacts": [{}]},
        {"type": "interactive", "interactive": {"type": "button"}},
    ],
)
def test_other_types(content: dict[str, Any]) -> None:
    body = {"messaging_product": "whatsapp", "to": "+4915112345678", **content}
    request = read_request(orjson.dumps(body))
    assert isinstance(request, SendRequest)
    assert request.callback_data is None


def test_read_receipt() -> None:
    body = {"messaging_product": "whatsapp", "status": "read", "message_id": "wamid.x"}
    assert isinstance(read_request(orjson.dumps(body)), ReadReceipt)
    del body["message_id"]
    assert _refused(orjson.dumps(body)) == (131008, "The parameter message_id is missing.")


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"null", b"[]", b'"text"'])
def test_not_an_object(body: bytes) -> None:
    assert _refused(body)[0] == 100


@pytest.mark.parametrize(
    ("body", "code", "named"),
    [
        (_without("messaging_product"), 100, "messaging_product"),
        (_without("to"), 100, "to"),
        (message(to=""), 100, "to"),
        (message(to="nobody"), 131009, "to"),
        (message() | {"to": 4915112345678}, 131009, "to"),
        (message(to="US.1234"), 131009, "to"),
        (_without("to") | {"recipient": "4915112345678"}, 131009, "recipient"),
        (_without("to") | {"recipient": "US.a-b"}, 131009, "recipient"),
        (_without("to") | {"recipient": "US." + "a" * 129}, 131009, "recipient"),
        (_without("to") | {"recipient": 1}, 131009, "recipient"),
        (message(recipient_type="group"), 100, "recipient_type"),
        (message(type="fax"), 100, "type"),
        (message(type=[]), 100, "type"),
        (_without("template"), 131008, "template"),
        (message(template=None), 131008, "template"),
        (message(template="offer"), 131009, "template"),
        (message(type="contacts", contacts={}), 131009, "contacts"),
        (message(template={"language": {"code": "en"}}), 131008, "template.name"),
        (message(template={"name": "offer"}), 131008, "template.language.code"),
        (message(template={"name": "o", "language": {}}), 131008, "template.language.code"),
        (
            message(template={"name": "o", "language": {"code": "en"}, "components": {}}),
            131009,
            "template.components",
        ),
        (message(type="text", text={}), 131008, "text.body"),
        (message(type="text", text={"body": ""}), 131008, "text.body"),
        (message(type="text", text={"body": "x" * 4097}), 100, "text.body"),
        (message(type="image", image={"caption": "x"}), 131008, "image.id"),
        (message(type="image", image={"id": "1", "caption": "x" * 1025}), 100, "caption"),
        (message(type="reaction", reaction={"emoji": "x"}), 131008, "reaction.message_id"),
        (message(template={"name": "o", "language": {"code": ""}}), 131008, "language.code"),
        (message(biz_opaque_callback_data=7), 100, "biz_opaque_callback_data"),
        (message(biz_opaque_callback_data="x" * 513), 100, "biz_opaque_callback_data"),
    ],
)
def test_refusals(body: dict[str, Any], code: int, named: str) -> None:
    refused, details = _refused(orjson.dumps(body))
    assert refused == code
    assert named in details


@pytest.mark.parametrize("user_id", ["US.1", "BR." + "A1" * 64, "DE.ENT." + "a" * 128])
def test_user_id(user_id: str) -> None:
    body = _without("to") | {"recipient": user_id}
    request = read_request(orjson.dumps(body))
    assert isinstance(request, SendRequest)
    assert (request.user_id, request.wa_id, request.address) == (user_id, None, user_id)


def test_the_number_wins() -> None:
    request = read_request(orjson.dumps(message("+4915112345678", recipient="US.1")))
    assert isinstance(request, SendRequest)
    assert (request.user_id, request.wa_id) == (None, "4915112345678")


def test_what_is_sent() -> None:
    request = read_request(orjson.dumps(message()))
    assert isinstance(request, SendRequest)
    assert (request.type, request.template) == ("template", ("offer", "en", 0))
    request = read_request(orjson.dumps(message(type="text", text={"body": "x" * 4096})))
    assert isinstance(request, SendRequest)
    assert (request.type, request.template) == ("text", None)


def test_longest_callback_data() -> None:
    request = read_request(orjson.dumps(message(biz_opaque_callback_data="é" * 512)))
    assert isinstance(request, SendRequest)
