import pytest

from simulator.cloud_api.account_block import AccountBlock
from simulator.cloud_api.config import DEFAULT_PHONE_NUMBER_ID
from tests.simulator.cloud_api.helpers import simulating


async def test_fields_that_are_asked_for() -> None:
    async with simulating() as api:
        assert (await api.number()).json == {"id": DEFAULT_PHONE_NUMBER_ID}
        found = (await api.number(query="fields=status,throughput")).json
        assert found == {
            "id": DEFAULT_PHONE_NUMBER_ID,
            "status": "CONNECTED",
            "throughput": {"level": "HIGH"},
        }
        assert (await api.number(query="fields=id,made_up")).code == 100


async def test_fields_that_come_unasked() -> None:
    async with simulating(messages_per_s=80) as api:
        found = (await api.number(query="")).json
        assert found["id"] == DEFAULT_PHONE_NUMBER_ID
        assert found["display_phone_number"].isdecimal()


@pytest.mark.parametrize("token", [None, "wrong"])
async def test_token(token: str | None) -> None:
    async with simulating() as api:
        answer = await api.number(token=token)
        assert (answer.status, answer.code) == (401, 190)


async def test_a_number_that_does_not_exist() -> None:
    async with simulating() as api:
        answer = await api.number("12345")
        assert (answer.status, answer.code) == (400, 100)
        assert answer.json["error"]["error_subcode"] == 33


async def test_health() -> None:
    """Of a locked account's number Meta says that nothing can be sent, and why."""
    async with simulating() as api:
        found = (await api.number(query="fields=id,health_status")).json["health_status"]
        assert found["can_send_message"] == "AVAILABLE"
        engine = api.simulator.engine
        engine.blocks.put(engine.numbers.first().account_id, AccountBlock(131031))
        found = (await api.number(query="fields=id,health_status")).json["health_status"]
        assert found["can_send_message"] == "BLOCKED"
        number, waba = found["entities"]
        assert (number["can_send_message"], waba["can_send_message"]) == ("AVAILABLE", "BLOCKED")
        assert [error["error_code"] for error in waba["errors"]] == [131031]
