"""The Marketing Messages API, and accounts that take marketing templates by it only."""

from typing import Any

import orjson
import pytest

from contracts.cloud_api.messages import MarketingMessage, SendResponse
from simulator.cloud_api.config import (
    DEFAULT_ACCESS_TOKEN,
    DEFAULT_PHONE_NUMBER_ID,
    CloudApiConfig,
)
from simulator.cloud_api.marketing import MarketingAccounts
from simulator.cloud_api.refusal import Refusal
from simulator.cloud_api.request import Policy
from simulator.cloud_api.template import TemplateConfig
from tests.simulator.cloud_api.helpers import Answer, Api, Receiver, message, simulating

ONBOARDED = {"marketing_messages_onboarded": True}
NOT_ONBOARDED = {"marketing_messages_onboarded": False}
SWITCHED = {"disable_marketing_messages_on_cloud_api": True}

OFFER = TemplateConfig(name="offer")
RECEIPT = TemplateConfig.model_validate({"name": "receipt", "category": "UTILITY"})


def synced(sync: str) -> TemplateConfig:
    return TemplateConfig.model_validate({"name": "offer", "sync": sync})


async def send(api: Api, number: str = DEFAULT_PHONE_NUMBER_ID, **more: Any) -> Answer:
    url = f"{api.simulator.url}/v25.0/{number}/marketing_messages"
    headers = {"Authorization": f"Bearer {DEFAULT_ACCESS_TOKEN}"}
    body = {"recipient_type": "individual", **message(**more)}
    async with api.session.post(url, data=orjson.dumps(body), headers=headers) as answer:
        return Answer(answer.status, answer.headers["Content-Type"], await answer.read())


# -- which templates of which accounts --


@pytest.mark.parametrize(
    ("account", "template", "policy", "goes"),
    [
        # By the Marketing Messages API (True), as any other (False), or refused.
        (ONBOARDED, OFFER, Policy.FALLBACK, True),
        (ONBOARDED, OFFER, Policy.STRICT, True),
        (ONBOARDED, None, Policy.STRICT, True),
        (ONBOARDED, RECEIPT, Policy.FALLBACK, 134100),
        (ONBOARDED, synced("syncing"), Policy.FALLBACK, 134101),
        (ONBOARDED, synced("unavailable"), Policy.FALLBACK, 134102),
        (NOT_ONBOARDED, OFFER, Policy.FALLBACK, False),
        (NOT_ONBOARDED, OFFER, Policy.STRICT, 134102),
        (NOT_ONBOARDED, RECEIPT, Policy.FALLBACK, 134100),
        (NOT_ONBOARDED | SWITCHED, OFFER, Policy.FALLBACK, 131063),
        (ONBOARDED | SWITCHED, OFFER, Policy.STRICT, True),
        (ONBOARDED, OFFER, None, False),
        (ONBOARDED, RECEIPT, None, False),
        (SWITCHED, OFFER, None, 131063),
        (SWITCHED, None, None, 131063),
        (SWITCHED, RECEIPT, None, False),
        (SWITCHED, synced("syncing"), None, 131063),
    ],
)
def test_what_goes(
    account: dict[str, bool],
    template: TemplateConfig | None,
    policy: Policy | None,
    goes: bool | int,
) -> None:
    accounts = MarketingAccounts(CloudApiConfig(accounts=[{"account_id": "A", **account}]))
    if isinstance(goes, bool):
        assert accounts.check("A", template, policy) is goes
        return
    with pytest.raises(Refusal) as caught:
        accounts.check("A", template, policy)
    assert caught.value.code == goes


def test_accounts_differ() -> None:
    config = CloudApiConfig(
        **SWITCHED, accounts=[{"account_id": "A", **dict.fromkeys(SWITCHED, False)}]
    )
    accounts = MarketingAccounts(config)
    assert accounts.check("A", OFFER, None) is False
    with pytest.raises(Refusal):
        accounts.check("B", OFFER, None)


# -- the call --


async def test_accepted_as_by_messages(receiver: Receiver) -> None:
    async with simulating(receiver.url, webhook_version=23) as api:
        answer = await send(
            api,
            product_policy="STRICT",
            message_activity_sharing=True,
            biz_opaque_callback_data="1",
        )
        assert answer.status == 200
        SendResponse.model_validate_json(answer.body)
        await api.idle()
        pricing = [one.get("pricing", {}).get("category") for one in receiver.updates("statuses")]
        assert pricing == ["marketing_lite", "marketing_lite", None]
        origins = [one["conversation"]["origin"] for one in receiver.updates("statuses")[:2]]
        assert origins == [{"type": "marketing_lite"}] * 2
        [line] = await api.lines("messages")
        assert (line["product_policy"], line["lite"], line["wamid"]) == (
            "STRICT",
            True,
            answer.wamid,
        )
        assert (await api.report())["accepted"] == 1


async def test_what_falls_back_is_as_any_other(receiver: Receiver) -> None:
    async with simulating(receiver.url, **NOT_ONBOARDED) as api:
        assert (await send(api)).status == 200
        assert (await api.send()).status == 200
        await api.idle()
        categories = {
            one.get("pricing", {}).get("category") for one in receiver.updates("statuses")
        }
        assert categories == {"marketing", None}
        lines = await api.lines("messages")
        assert [one["product_policy"] for one in lines] == ["CLOUD_API_FALLBACK", None]
        assert not any(one["lite"] for one in lines)
        assert (await send(api, product_policy="STRICT")).code == 134102


@pytest.mark.parametrize(
    "more",
    [
        {"type": "text", "text": {"body": "Hi"}},
        {"product_policy": "FALLBACK"},
        {"product_policy": None},
        {"product_policy": {}},
        {"message_activity_sharing": "true"},
        {"status": "read", "message_id": "wamid.x", "type": "text"},
    ],
)
async def test_bodies_that_are_refused(more: dict[str, Any]) -> None:
    async with simulating() as api:
        assert (await send(api, **more)).code == 100


@pytest.mark.parametrize("name", ["product_policy", "message_activity_sharing"])
async def test_messages_does_not_know_them(name: str) -> None:
    async with simulating() as api:
        assert (await api.send(**{name: "STRICT"})).code == 100


async def test_what_we_send_is_taken() -> None:
    body = MarketingMessage.model_validate(
        {**message(biz_opaque_callback_data="1"), "product_policy": "STRICT"}
    )
    async with simulating() as api:
        assert (await send(api, **body.model_dump(exclude_none=True))).status == 200


async def test_limits_are_shared() -> None:
    async with simulating(messages_per_s=1, burst_s=1) as api:
        assert (await send(api)).status == 200
        assert (await api.send()).code == 130429
    async with simulating(pair_burst=1) as api:
        assert (await api.send()).status == 200
        assert (await send(api)).code == 131056


async def test_faults_and_tokens_are_shared() -> None:
    async with simulating() as api:
        await api.control("POST", "faults", {"kind": "error", "code": 131000, "times": 1})
        assert (await send(api)).code == 131000
        assert (await send(api, "nobody")).status >= 400
        assert (await send(api, to="+19990131026")).code == 131026
        assert (await api.control("GET", "mishaps")).body.count(b"\n") == 3


async def test_outages_hit_it() -> None:
    async with simulating() as api:
        await api.control("POST", "outages", {"shape": "http_503", "of": ["marketing_messages"]})
        assert (await send(api)).status == 503
        assert (await api.send()).status == 200


async def test_templates_are_checked_too() -> None:
    templates = [{"name": "offer", "status": "PAUSED"}, {"name": "receipt", "category": "UTILITY"}]
    async with simulating(templates=templates) as api:
        assert (await send(api)).code == 132015
        receipt = {"name": "receipt", "language": {"code": "en"}}
        answer = await send(api, template=receipt)
        assert (answer.status, answer.code) == (400, 134100)
        assert (await api.send(template=receipt)).status == 200
        await api.control("POST", "templates", {"name": "offer", "sync": "syncing"})
        assert (await send(api)).code == 134101
        await api.control("POST", "templates", {"name": "offer", "sync": "unavailable"})
        answer = await send(api)
        assert (answer.status, answer.code) == (500, 134102)
        await api.control("POST", "templates", {"name": "offer"})
        assert (await send(api)).status == 200


# -- the switches, while it runs --


async def test_accounts_are_changed(receiver: Receiver) -> None:
    numbers = [
        {"phone_number_id": "1", "account_id": "A"},
        {"phone_number_id": "2", "account_id": "B"},
    ]
    async with simulating(phone_numbers=numbers) as api:
        body = orjson.dumps(message())
        changed = await api.control("POST", "marketing", {"account_id": "A", **SWITCHED})
        assert changed.json == {"A": ONBOARDED | SWITCHED}
        assert (await api.post(body, "1")).code == 131063
        assert (await api.post(body, "2")).status == 200
        await api.control("POST", "marketing", {**NOT_ONBOARDED})
        assert (await send(api, "1")).code == 131063
        assert (await send(api, "2", product_policy="STRICT")).code == 134102
        assert (await api.control("GET", "marketing")).json == {
            "A": NOT_ONBOARDED | SWITCHED,
            "B": NOT_ONBOARDED | dict.fromkeys(SWITCHED, False),
        }
        assert (await api.control("POST", "marketing", {"account_id": "C"})).status == 404
        assert (await api.control("POST", "marketing", {"onboarded": True})).status == 400
