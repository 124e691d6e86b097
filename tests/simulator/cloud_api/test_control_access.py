import asyncio
from typing import Any

import orjson
import pytest

from simulator.cloud_api.config import DEFAULT_ACCESS_TOKEN, DEFAULT_PHONE_NUMBER_ID
from tests.simulator.cloud_api.helpers import Answer, Api, eventually, message, simulating

TWO_ACCOUNTS: dict[str, Any] = {
    "phone_numbers": [
        {"phone_number_id": "1", "account_id": "A"},
        {"phone_number_id": "2", "account_id": "B"},
    ]
}
BODY = orjson.dumps(message())


async def _rotate(api: Api, **order: Any) -> str:
    answer = await api.control("POST", "access-token", order)
    assert answer.status == 200
    token: str = answer.json["access_token"]
    return token


def _error(answer: Answer) -> tuple[int, int, int | None]:
    return answer.status, answer.code, answer.json["error"].get("error_subcode")


async def test_the_old_token_is_refused_at_once() -> None:
    async with simulating() as api:
        token = await _rotate(api)
        assert _error(await api.send()) == (401, 190, 463)
        assert _error(await api.number()) == (401, 190, 463)
        assert (await api.post(BODY, token=token)).status == 200
        assert (await api.number(token=token)).status == 200
        assert _error(await api.post(BODY, token="never valid")) == (401, 190, None)


async def test_the_old_token_is_valid_for_a_while() -> None:
    async with simulating() as api:
        token = await _rotate(api, old_valid_s=0.2, subcode=460)
        assert (await api.send()).status == 200
        assert (await api.post(BODY, token=token)).status == 200
        refused: list[Answer] = []

        async def ask() -> None:
            while (answer := await api.number()).status == 200:
                pass
            refused.append(answer)

        await asyncio.wait_for(ask(), 10)
        assert _error(refused[0]) == (401, 190, 460)


async def test_only_the_account_that_is_meant() -> None:
    async with simulating(**TWO_ACCOUNTS) as api:
        token = await _rotate(api, account_id="A", access_token="mine")
        assert token == "mine"
        assert (await api.post(BODY, "1")).status == 401
        assert (await api.post(BODY, "1", "mine")).status == 200
        assert (await api.post(BODY, "2")).status == 200
        assert (await api.control("POST", "access-token", {"account_id": "C"})).status == 404


async def test_an_old_token_can_come_back() -> None:
    async with simulating() as api:
        await _rotate(api)
        await _rotate(api, access_token=DEFAULT_ACCESS_TOKEN)
        assert (await api.send()).status == 200


async def test_an_old_token_is_ended_before_its_time() -> None:
    async with simulating() as api:
        token = await _rotate(api, old_valid_s=60, subcode=460)
        assert (await api.send()).status == 200
        assert await _rotate(api, access_token=token) == token
        assert _error(await api.send()) == (401, 190, 460)
        assert (await api.post(BODY, token=token)).status == 200


async def test_media_want_the_new_token_too() -> None:
    async with simulating() as api:
        made = (await api.control("POST", "media", {"size": 10})).json
        token = await _rotate(api)
        assert _error(await api.number(made["id"])) == (401, 190, 463)
        assert (await api.number(made["id"], token)).status == 200


async def test_a_number_is_removed_and_put_back() -> None:
    async with simulating() as api:
        order = {"phone_number_id": DEFAULT_PHONE_NUMBER_ID}
        assert (await api.control("POST", "numbers/remove", order)).status == 200
        assert _error(await api.send()) == (400, 100, 33)
        assert _error(await api.number()) == (400, 100, 33)
        assert (await api.post(BODY, token="wrong")).code == 190
        assert (await api.control("POST", "numbers/restore", order)).status == 200
        assert (await api.send()).status == 200
        unknown = {"phone_number_id": "nobody"}
        assert (await api.control("POST", "numbers/remove", unknown)).status == 404


@pytest.mark.parametrize("code", [131031, 131042, 368])
async def test_an_account_is_blocked_until_that_is_lifted(code: int) -> None:
    async with simulating(**TWO_ACCOUNTS) as api:
        order = {"account_id": "A", "code": code}
        answer = await api.control("POST", "account-blocks", order)
        assert answer.json["account_ids"] == ["A"]
        assert (await api.post(BODY, "1")).code == code
        assert (await api.post(BODY, "2")).status == 200
        assert (await api.number("1")).status == 200
        [block] = (await api.control("GET", "account-blocks")).json
        assert block == {"account_id": "A", "code": code, "as_status": False}
        assert (await api.control("DELETE", "account-blocks?account_id=B")).json == {"lifted": 0}
        assert (await api.control("DELETE", "account-blocks")).json == {"lifted": 1}
        assert (await api.post(BODY, "1")).status == 200


async def test_a_payment_problem_may_come_as_a_status() -> None:
    async with simulating() as api:
        await api.control("POST", "account-blocks", {"code": 131042, "as_status": True})
        assert (await api.send()).status == 200
        message = api.simulator.engine.ledger.messages[0]
        await eventually(lambda: message.created != 0)
        assert message.failed_code == 131042
