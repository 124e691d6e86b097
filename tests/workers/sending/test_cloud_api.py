"""What is sent, and what an answer means."""

from typing import Any

import orjson
import pytest

from contracts.cloud_api.errors import ErrorClass
from contracts.cloud_api.messages import TemplateMessage
from sidecar.sending.requests import Unsendable
from tests.workers.conftest import MakeApi
from tests.workers.rows import claimed_row
from tests.workers.sockets import ACCEPTED, Connection, misbehaving, send
from workers.sending.cloud_api import (
    MAX_RESPONSE_BYTES,
    Accepted,
    ErrorAnswer,
    OutcomeUnknown,
    conclude,
    message_body,
)
from workers.sending.send_queue import ReplyRow

USER = "GB.1349120865530274191"

# -- what is sent --


async def test_the_call_is_as_meta_has_it(make_api: MakeApi) -> None:
    heads: list[bytes] = []

    async def accept(connection: Connection) -> None:
        head = await connection.reader.readuntil(b"\r\n\r\n")
        heads.append(head)
        await connection.answer(200, ACCEPTED)

    async with misbehaving(accept) as server:
        assert isinstance(await send(make_api(server.url)), Accepted)
    lines = heads[0].decode().split("\r\n")
    assert lines[0] == "POST /v26.0/110/messages HTTP/1.1"
    assert "Authorization: Bearer token" in lines
    assert "Content-Type: application/json" in lines


def test_the_body_is_as_the_contract_has_it() -> None:
    row = claimed_row("row-1", to="99911", components=[{"type": "body", "parameters": [1]}])
    message = TemplateMessage.model_validate_json(message_body(row))
    assert message.to == "+99911"
    assert message.template.name == "offer"
    assert message.template.language.code == "en"
    assert message.template.components == [{"type": "body", "parameters": [1]}]
    assert message.biz_opaque_callback_data == "row-1"


def test_a_plus_is_not_put_in_front_twice() -> None:
    body = orjson.loads(message_body(claimed_row(to="+99911")))
    assert body["to"] == "+99911"


def test_to_a_user_id() -> None:
    body = message_body(claimed_row("row-1", to=None, recipient=USER))
    assert "to" not in orjson.loads(body)
    assert TemplateMessage.model_validate_json(body).recipient == USER


def test_a_number_goes_before_a_user_id() -> None:
    body = orjson.loads(message_body(claimed_row(to="99911", recipient=USER)))
    assert (body["to"], body.get("recipient")) == ("+99911", None)


def test_a_message_does_not_say_itself_whom_it_goes_to() -> None:
    message = {"type": "text", "text": {"body": "Hi"}, "to": "+1", "recipient": "GB.2"}
    body = orjson.loads(message_body(ReplyRow("row-1", None, message, recipient=USER)))
    assert (body.get("to"), body["recipient"]) == (None, USER)


@pytest.mark.parametrize("more", [{}, {"recipient": ""}])
def test_a_row_that_names_nobody_cannot_be_sent(more: dict[str, str]) -> None:
    with pytest.raises(Unsendable, match="neither a phone number nor a user id"):
        message_body(claimed_row(to=None, **more))


# -- what an answer means --


def test_accepted_with_a_user_id() -> None:
    contacts = [{"input": USER, "user_id": USER}]
    attempt = conclude(200, orjson.dumps({"messages": [{"id": "wamid.1"}], "contacts": contacts}))
    assert isinstance(attempt, Accepted)
    assert (attempt.wa_id, attempt.user_id) == (None, USER)


def test_accepted() -> None:
    attempt = conclude(200, ACCEPTED)
    assert attempt == Accepted("wamid.1", "accepted", "999", orjson.loads(ACCEPTED))


@pytest.mark.parametrize(
    "body",
    [
        {"messages": [{"id": "wamid.1"}]},
        {"messages": [{"id": "wamid.1", "message_status": 5}, {"id": "wamid.2"}], "contacts": []},
        {"messages": [{"id": "wamid.1"}], "contacts": [{"wa_id": 5}]},
        {"messages": [{"id": "wamid.1"}], "contacts": {"wa_id": "999"}, "error": {"code": 1}},
        {"messages": [{"id": "wamid.1", "more": {"of": "it"}}]},
        {"messages": [{"id": "wamid.1"}], "more": [1.5, None, "x"]},
        {"messages": [{"id": "wamid.1"}], "said": "\u20ac \t \\u0000"},
    ],
)
def test_accepted_with_less_said(body: Any) -> None:
    attempt = conclude(200, orjson.dumps(body))
    assert isinstance(attempt, Accepted)
    assert (attempt.wamid, attempt.message_status, attempt.wa_id) == ("wamid.1", None, None)
    assert attempt.response == body


@pytest.mark.parametrize(
    "amiss",
    [
        b'{"\\u0000x": "a key"}',
        b"[" * 200 + b"]" * 200,
        b'"x", "\\u0000x": [{"a": "key"}], "y": "z"',
        b'"%b"' % (b"x" * MAX_RESPONSE_BYTES),
    ],
)
def test_what_cannot_be_handed_on_of_an_acceptance_is_left_out(amiss: bytes) -> None:
    attempt = conclude(200, b'{"messages": [{"id": "wamid.1"}], "more": %b}' % amiss)
    assert isinstance(attempt, Accepted)
    assert attempt.response == {"messages": [{"id": "wamid.1"}]}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html>ok</html>",
        b"null",
        b"[]",
        b"{}",
        b'{"messages": []}',
        b'{"messages": {}}',
        b'{"messages": ["wamid.1"]}',
        b'{"messages": [{"id": 5}]}',
        b'{"messages": [{"id": ""}]}',
        b'{"error": {"code": 131000}}',
    ],
)
@pytest.mark.parametrize("status", [200, 202])
def test_a_success_without_an_id_is_unknown(status: int, content: bytes) -> None:
    assert isinstance(conclude(status, content), OutcomeUnknown)


def test_an_error_says_what_and_why() -> None:
    error = {"code": 132000, "message": "params", "error_data": {"details": "body: 2, not 1"}}
    attempt = conclude(400, orjson.dumps({"error": error}))
    assert isinstance(attempt, ErrorAnswer)
    assert attempt.rule.code == 132000
    assert attempt.error.model_dump() == {
        "code": 132000,
        "message": "params",
        "details": "body: 2, not 1",
    }


@pytest.mark.parametrize("status", [200, 400, 401, 404, 429, 500, 503])
def test_the_code_decides_whatever_the_status(status: int) -> None:
    attempt = conclude(status, orjson.dumps({"error": {"code": 130429}}))
    if status == 200:
        assert isinstance(attempt, OutcomeUnknown)
    else:
        assert isinstance(attempt, ErrorAnswer)
        assert attempt.rule.error_class is ErrorClass.RETRY_NUMBER


@pytest.mark.parametrize("code", ["130429", 130429])
def test_a_code_may_come_as_text(code: Any) -> None:
    attempt = conclude(500, orjson.dumps({"error": {"code": code}}))
    assert isinstance(attempt, ErrorAnswer)
    assert attempt.rule.code == 130429
    assert attempt.error.code == 130429


@pytest.mark.parametrize(
    "error",
    ["no", [], {}, {"code": None}, {"code": "x"}, {"code": True}, {"code": [1]}, {"code": 1.5}],
)
def test_an_error_without_a_code(error: Any) -> None:
    content = orjson.dumps({"error": error})
    refused = conclude(400, content)
    assert isinstance(refused, ErrorAnswer)
    assert refused.error.code is None
    assert isinstance(conclude(500, content), OutcomeUnknown)


@pytest.mark.parametrize(
    "error",
    [
        {"code": 100, "message": None},
        {"code": 100, "message": ["x"], "error_data": "x"},
        {"code": 100, "message": "x", "error_data": {"details": 5}},
    ],
)
def test_an_error_of_another_shape(error: Any) -> None:
    attempt = conclude(400, orjson.dumps({"error": error}))
    assert isinstance(attempt, ErrorAnswer)
    assert attempt.error.code == 100
    assert attempt.error.message
    assert attempt.error.details is None


@pytest.mark.parametrize("content", [b"", b"<html>Bad Gateway</html>"])
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (302, ErrorAnswer),
        (400, ErrorAnswer),
        (404, ErrorAnswer),
        (408, ErrorAnswer),
        (429, ErrorAnswer),
        (500, OutcomeUnknown),
        (502, OutcomeUnknown),
        (503, ErrorAnswer),
        (504, OutcomeUnknown),
        (520, OutcomeUnknown),
    ],
)
def test_a_gateways_page(status: int, kind: type, content: bytes) -> None:
    """It may have passed the request on, unless it says that there is nothing behind it."""
    assert isinstance(conclude(status, content), kind)


@pytest.mark.parametrize(
    ("status", "error_class"),
    [
        (302, ErrorClass.RETRY_SERVICE),
        (400, ErrorClass.RETRY_SERVICE),
        (429, ErrorClass.RETRY_NUMBER),
        (408, ErrorClass.RETRY_SERVICE),
        (503, ErrorClass.RETRY_SERVICE),
    ],
)
def test_the_status_decides_where_there_is_no_code(status: int, error_class: ErrorClass) -> None:
    attempt = conclude(status, b"<html>")
    assert isinstance(attempt, ErrorAnswer)
    assert attempt.rule.error_class is error_class
