from typing import Any

import pytest

from tests.simulator.cloud_api.helpers import Api, Receiver, message, simulating


async def send(api: Api, **to: Any) -> Any:
    return await api.send(**({"to": ""} | to))


async def test_who_hides_the_number(receiver: Receiver) -> None:
    async with simulating(receiver.url, service_window_s=60, reply_share=1) as api:
        order = {"user_id": "US.1", "username": "una", "text": "Hi"}
        await api.control("POST", "inbound", order)
        answer = await send(api, recipient="US.1", type="text", text={"body": "Hello"})
        assert answer.json["contacts"] == [{"input": "US.1", "user_id": "US.1"}]
        await api.idle()
        hi, reply = receiver.updates("messages")
        assert hi["from_user_id"] == reply["from_user_id"] == "US.1"
        assert "from" not in hi
        assert "from" not in reply
        contacts = receiver.updates("contacts")
        assert contacts[0] == {
            "profile": {"name": contacts[0]["profile"]["name"], "username": "una"},
            "user_id": "US.1",
        }
        assert all("wa_id" not in contact for contact in contacts)
        statuses = receiver.updates("statuses")
        assert {status["recipient_user_id"] for status in statuses} == {"US.1"}
        assert all("recipient_id" not in status for status in statuses)
        [line, _] = await api.lines("inbound")
        assert line["from"] == "US.1"


async def test_who_shows_both(receiver: Receiver) -> None:
    async with simulating(receiver.url) as api:
        order = {"from": "4915112345678", "user_id": "US.1", "text": "Hi"}
        await api.control("POST", "inbound", order)
        answer = await api.send()
        assert answer.json["contacts"][0]["wa_id"] == "4915112345678"
        await api.idle()
        statuses = receiver.updates("statuses")
        assert {status["recipient_id"] for status in statuses} == {"4915112345678"}
        assert {status["recipient_user_id"] for status in statuses} == {"US.1"}


async def test_a_failed_status_has_no_contacts(receiver: Receiver) -> None:
    async with simulating(receiver.url, failed_shares={131026: 1}) as api:
        await api.control("POST", "inbound", {"user_id": "US.1", "text": "Hi"})
        await send(api, recipient="US.1")
        await api.idle()
        values = [one["value"] for webhook in receiver.webhooks for one in webhook.changes]
        by_status = {
            value["statuses"][0]["status"]: value for value in values if "statuses" in value
        }
        assert "contacts" not in by_status["failed"]
        assert all("contacts" in by_status[name] for name in by_status if name != "failed")


async def test_a_share_of_the_customers_hides_the_number(receiver: Receiver) -> None:
    settings: dict[str, Any] = {"inbound_per_s": 2000, "inbound_total": 200, "hidden_share": 0.5}
    async with simulating(receiver.url, **settings) as api:
        await api.idle()
        messages = receiver.updates("messages")
        hidden = [one for one in messages if "from" not in one]
        assert 50 < len(hidden) < 150
        assert all(one["from_user_id"] for one in hidden)


async def test_a_user_id_changes(receiver: Receiver) -> None:
    async with simulating(receiver.url, service_window_s=60) as api:
        await api.control("POST", "inbound", {"user_id": "US.1", "text": "Hi"})
        order = {"user_id": "US.1", "new_user_id": "US.2"}
        await api.control("POST", "customers/change", order)
        await api.idle()
        _, change = receiver.updates("messages")
        assert change["system"]["type"] == "user_changed_user_id"
        assert (change["from_user_id"], change["system"]["user_id"]) == ("US.2", "US.2")
        assert change["system"]["previous_user_id"] == "US.1"
        assert len(receiver.updates("contacts")) == 1
        text: Any = {"type": "text", "text": {"body": "Hello"}}
        assert (await send(api, recipient="US.2", **text)).status == 200
        await send(api, recipient="US.1", **text)
        await api.idle()
        failed = [s for s in receiver.updates("statuses") if s["status"] == "failed"]
        assert [s["errors"][0]["code"] for s in failed] == [131026]


async def test_a_number_changes(receiver: Receiver) -> None:
    async with simulating(receiver.url) as api:
        order = {"from": "4915112345678", "new_number": "4915112345679"}
        await api.control("POST", "customers/change", order)
        await api.send()
        await api.send("+4915112345679")
        await api.idle()
        [change] = receiver.updates("messages")
        assert change["from"] == "4915112345678"
        assert change["system"]["type"] == "user_changed_number"
        assert change["system"]["wa_id"] == "4915112345679"
        lines = await api.lines("messages")
        assert [line["failed_code"] for line in lines] == [131026, None]


@pytest.mark.parametrize(
    "order",
    [
        {},
        {"from": "4915112345678"},
        {"user_id": "US.1", "new_number": "4915112345679"},
        {"from": "4915112345678", "new_user_id": "US.1"},
        {"from": "4915112345678", "user_id": "US.1", "new_user_id": "x", "new_number": "1"},
    ],
)
async def test_orders_are_checked(order: dict[str, str]) -> None:
    async with simulating() as api:
        assert (await api.control("POST", "customers/change", order)).status == 400


async def test_faults_and_codes_for_a_user_id() -> None:
    async with simulating() as api:
        await api.control("POST", "faults", {"kind": "error", "code": 131000, "to": "US.7"})
        assert (await send(api, recipient="US.7")).code == 131000
        assert (await send(api, recipient="US.8")).status == 200
        assert (await send(api, recipient="US.9990131026")).code == 131026
        assert "recipient" not in message()
