from typing import Any

import orjson
import pytest

from contracts.cloud_api.webhook import Webhook
from simulator.cloud_api.config import CloudApiConfig
from simulator.cloud_api.customer import Customer
from simulator.cloud_api.engine import Engine
from simulator.cloud_api.envelope import EnvelopeWriter, Layout
from simulator.cloud_api.message import (
    DELIVERED,
    FAILED,
    READ,
    SENT,
    Inbound,
    InboundUpdate,
    Message,
    StatusUpdate,
    Update,
)
from simulator.cloud_api.number import Number
from tests.simulator.cloud_api.helpers import sent_message

_NUMBERS = [
    {"phone_number_id": "1", "display_phone_number": "15550001", "account_id": "A"},
    {"phone_number_id": "2", "display_phone_number": "15550002", "account_id": "A"},
    {"phone_number_id": "3", "display_phone_number": "15550003", "account_id": "B"},
]


@pytest.fixture
def numbers() -> dict[str, Number]:
    engine = Engine(CloudApiConfig(phone_numbers=_NUMBERS))
    return {one.phone_number_id: one for one in engine.numbers}


def _message(number: Number, wamid: str = "wamid.x", callback: str | None = None) -> Message:
    message = sent_message(number, wamid, callback)
    message.plan = (SENT, DELIVERED, READ)
    return message


def _status(message: Message, kind: int = SENT) -> StatusUpdate:
    return StatusUpdate(message, kind, 1_700_000_000)


def _inbound(number: Number, from_: str = "49151") -> InboundUpdate:
    inbound = Inbound("wamid.in", number, Customer(from_), "text", 0.0)
    return InboundUpdate(inbound, f'{{"wa_id":"{from_}"}}', f'{{"from":"{from_}"}}')


def _write(*updates: Update, layout: Layout = Layout.ONE_CHANGE, **settings: Any) -> Any:
    body = EnvelopeWriter(CloudApiConfig(**settings)).write(updates, layout)
    Webhook.model_validate_json(body)
    return orjson.loads(body)


def _only_status(envelope: Any) -> Any:
    return envelope["entry"][0]["changes"][0]["value"]["statuses"][0]


def test_one_status(numbers: dict[str, Number]) -> None:
    assert _write(_status(_message(numbers["1"]), READ)) == {
        "object": "whatsapp_business_account",
        "entry": [
            {
                "id": "A",
                "changes": [
                    {
                        "value": {
                            "messaging_product": "whatsapp",
                            "metadata": {
                                "display_phone_number": "15550001",
                                "phone_number_id": "1",
                            },
                            "statuses": [
                                {
                                    "id": "wamid.x",
                                    "status": "read",
                                    "timestamp": "1700000000",
                                    "recipient_id": "49151",
                                }
                            ],
                        },
                        "field": "messages",
                    }
                ],
            }
        ],
    }


def test_callback_data_is_escaped_as_meta_does(numbers: dict[str, Number]) -> None:
    data = 'é "\\ / 😀\n\x7f'
    update = _status(_message(numbers["1"], callback=data))
    body = EnvelopeWriter(CloudApiConfig()).write((update,), Layout.ONE_CHANGE)
    assert body.isascii()
    assert b"\\u00e9" in body
    assert b"\\ud83d\\ude00" in body
    assert _only_status(orjson.loads(body))["biz_opaque_callback_data"] == data


def test_pricing_comes_with_sent_and_with_the_first_proof(numbers: dict[str, Number]) -> None:
    message = _message(numbers["1"])
    kinds = (SENT, DELIVERED, READ)
    priced = ["pricing" in _only_status(_write(_status(message, kind))) for kind in kinds]
    assert priced == [True, True, False]
    message.plan = (SENT, READ)
    assert "pricing" in _only_status(_write(_status(message, READ)))
    pricing = _only_status(_write(_status(message), pricing_category="utility"))["pricing"]
    assert pricing == {
        "billable": True,
        "pricing_model": "PMP",
        "category": "utility",
        "type": "regular",
    }


def test_conversation_comes_before_version_24_only(numbers: dict[str, Number]) -> None:
    message = _message(numbers["1"])
    assert "conversation" not in _only_status(_write(_status(message), webhook_version=24))
    sent = _only_status(_write(_status(message), webhook_version=23))["conversation"]
    delivered = _only_status(_write(_status(message, DELIVERED), webhook_version=23))[
        "conversation"
    ]
    assert sent["id"] == delivered["id"]
    assert sent["origin"] == {"type": "marketing"}
    assert sent["expiration_timestamp"] == "1700086400"
    assert "expiration_timestamp" not in delivered


def test_failed_says_why(numbers: dict[str, Number]) -> None:
    message = _message(numbers["1"])
    message.failed_code = 131049
    status = _only_status(_write(_status(message, FAILED)))
    assert "pricing" not in status
    (error,) = status["errors"]
    assert error["code"] == 131049
    assert error["title"] == error["message"]
    assert error["error_data"]["details"]


def test_one_change_holds_updates_of_one_number_and_kind(numbers: dict[str, Number]) -> None:
    one, two, three = numbers.values()
    updates = (
        _status(_message(one, "a")),
        _inbound(one),
        _status(_message(three, "b")),
        _status(_message(one, "c")),
        _inbound(one),
        _inbound(one, "49152"),
        _status(_message(two, "d")),
    )
    envelope = _write(*updates)
    assert [entry["id"] for entry in envelope["entry"]] == ["A", "B", "A"]
    changes = [change["value"] for entry in envelope["entry"] for change in entry["changes"]]
    assert [value["metadata"]["phone_number_id"] for value in changes] == ["1", "1", "3", "2"]
    assert [one["id"] for one in changes[0]["statuses"]] == ["a", "c"]
    assert changes[1]["contacts"] == [{"wa_id": "49151"}, {"wa_id": "49152"}]
    assert len(changes[1]["messages"]) == 3


def test_several_changes_in_one_entry(numbers: dict[str, Number]) -> None:
    updates = [_status(_message(numbers["1"], wamid)) for wamid in "abc"]
    envelope = _write(*updates, layout=Layout.SEVERAL_CHANGES)
    assert len(envelope["entry"]) == 1
    assert len(envelope["entry"][0]["changes"]) == 3


def test_several_entries_of_one_account(numbers: dict[str, Number]) -> None:
    updates = [_status(_message(numbers["1"], wamid)) for wamid in "abc"]
    envelope = _write(*updates, layout=Layout.SEVERAL_ENTRIES)
    assert [entry["id"] for entry in envelope["entry"]] == ["A", "A", "A"]


def test_same_updates_make_same_bytes(numbers: dict[str, Number]) -> None:
    writer = EnvelopeWriter(CloudApiConfig())
    updates = tuple(_status(_message(one)) for one in numbers.values())
    for layout in Layout:
        assert writer.write(updates, layout) == writer.write(updates, layout)
