from typing import Any

import orjson
import pytest

from simulator.cloud_api.customer import Customer
from simulator.cloud_api.service_window import ServiceWindows
from tests.simulator.cloud_api.helpers import Receiver, message, simulating

NOW = 1_795_870_000.0
DAY = 24 * 3600


def webhook(*messages: Any, field: Any = "messages", number: str = "1") -> bytes:
    value = {"metadata": {"phone_number_id": number}, "messages": messages}
    return orjson.dumps({"entry": [None, {"changes": [{"field": field, "value": value}]}]})


def written(sender: str = "4915112345678", at: float = NOW, **more: Any) -> dict[str, Any]:
    return {"from": sender, "timestamp": str(int(at)), "type": "text", **more}


def test_a_window_is_of_one_number_and_one_customer() -> None:
    windows = ServiceWindows(DAY)
    assert not windows.is_open("1", "4915112345678", NOW)
    windows.open("1", Customer("4915112345678", "US.1"), NOW)
    windows.open("1", Customer("4915112345678"), NOW - 60)
    for address in ("4915112345678", "US.1"):
        assert windows.is_open("1", address, NOW + DAY - 1)
        assert not windows.is_open("1", address, NOW + DAY)
    assert not windows.is_open("2", "4915112345678", NOW)
    assert not windows.is_open("1", "4915112345679", NOW)


def test_a_window_of_a_number_in_another_form() -> None:
    windows = ServiceWindows(DAY)
    windows.open("1", Customer("5582999990001"), NOW)
    assert windows.is_open("1", "558299990001", NOW)


def test_a_window_goes_along() -> None:
    windows = ServiceWindows(DAY)
    windows.open("1", Customer(user_id="US.1"), NOW)
    windows.move(Customer(user_id="US.1"), Customer(user_id="US.2"))
    assert windows.is_open("1", "US.2", NOW)


def test_windows_that_somebody_elses_webhook_opens() -> None:
    windows = ServiceWindows(DAY)
    windows.read(b"\xef\xbb\xbf" + webhook(written(), None, 7), NOW)
    assert windows.is_open("1", "4915112345678", NOW)
    windows.read(webhook({"from_user_id": "US.1", "from": 7}), NOW)
    assert windows.is_open("1", "US.1", NOW)
    windows.read(webhook({"from": "US.2", "timestamp": int(NOW) + 999}), NOW)
    assert windows.is_open("1", "US.2", NOW)
    assert not windows.is_open("1", "US.2", NOW + DAY), "nobody writes in the future"


def test_half_an_emoji_opens_a_window_too() -> None:
    windows = ServiceWindows(DAY)
    body = webhook(written(text={"body": "half"})).replace(b"half", b"\\ud83c")
    windows.read(body, NOW)
    assert windows.is_open("1", "4915112345678", NOW)


@pytest.mark.parametrize(
    "body",
    [
        b"no JSON",
        b"[" * 100_000,
        b"[]",
        b'{"entry": 7}',
        b'{"entry": [{"changes": [{"value": {"messages": [{"from": "4915112345678"}]}}]}]}',
        webhook(written(), field="history"),
        webhook(written(), field="smb_message_echoes"),
        webhook(written(at=NOW - DAY)),
        webhook(written(type="system")),
        webhook(written(group_id="G")),
        webhook(written(), number="2"),
    ],
)
def test_what_opens_no_window(body: bytes) -> None:
    windows = ServiceWindows(DAY)
    windows.read(body, NOW)
    assert not windows.is_open("1", "4915112345678", NOW)


async def test_only_templates_go_to_those_who_have_not_written(receiver: Receiver) -> None:
    text: Any = {"type": "text", "text": {"body": "Hi"}}
    async with simulating(receiver.url, service_window_s=DAY) as api:
        assert (await api.send()).status == 200
        refused = await api.send(**text)
        assert (refused.status, refused.code) == (400, 131047)
        await api.control("POST", "inbound", {"from": "4915112345678", "text": "Hello"})
        assert (await api.send(**text)).status == 200
        assert (await api.send("+4915112345679", **text)).code == 131047
        report = await api.idle()
        assert report["refused"] == {"131047": 2}
        assert {m["type"] for m in await api.lines("messages")} == {"template", "text"}
        [first, _] = await api.lines("mishaps")
        assert (first["to"], first["what"]) == ("4915112345678", "131047")


async def test_some_are_accepted_and_fail(receiver: Receiver) -> None:
    settings: dict[str, Any] = {"service_window_s": DAY, "window_failed_share": 1}
    async with simulating(receiver.url, **settings) as api:
        assert (await api.send(type="text", text={"body": "Hi"})).status == 200
        await api.idle()
        [status] = receiver.updates("statuses")
        assert (status["status"], status["errors"][0]["code"]) == ("failed", 131047)


async def test_a_raw_webhook_opens_a_window(receiver: Receiver) -> None:
    async with simulating(receiver.url, service_window_s=DAY) as api:
        engine = api.simulator.engine
        number = engine.numbers.first().phone_number_id
        body = webhook(written(at=engine.clock.now()), number=number)
        assert (await api.control("POST", "webhook", body)).json == {"status": 200}
        hi = message(type="text", text={"body": "Hi"})
        assert (await api.post(orjson.dumps(hi))).status == 200
