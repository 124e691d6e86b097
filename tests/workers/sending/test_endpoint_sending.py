"""Campaigns of marketing templates, to a Cloud API that takes them or not: what goes where, and
what becomes of the campaign, by each answer of the Marketing Messages API."""

from collections import Counter
from typing import Any

import orjson
import pytest

from contracts.cloud_api.messages import MarketingMessage
from sidecar.redis import keys
from sidecar.sending.pauses import Pauses
from simulator.cloud_api.fault import FaultKind
from simulator.cloud_api.template import TemplateConfig
from tests.workers.conftest import MakeApi, MakeStage
from tests.workers.replying import Replies
from tests.workers.rows import claimed_row
from tests.workers.sockets import ACCEPTED, Connection, misbehaving
from tests.workers.stage import Stage
from workers.sending.cloud_api import Accepted, message_body

ROWS = 12
TEMPLATE = "spring_offer"
REPLY = {"type": "template", "template": {"name": TEMPLATE, "language": {"code": "en"}}}


async def make(make_stage: MakeStage, setting: str, **more: Any) -> Stage:
    stage = await make_stage(ROWS, **more)
    stage.more_config = {"marketing_messages": setting}
    return stage


def account(stage: Stage, *, onboarded: bool = True, switch: bool = False) -> None:
    for number in stage.cloud.engine.numbers:
        found = stage.cloud.engine.marketing.of(number.account_id)
        found.marketing_messages_onboarded = onboarded
        found.disable_marketing_messages_on_cloud_api = switch


def template(stage: Stage, **facts: str) -> None:
    stage.cloud.engine.templates.change(TemplateConfig.model_validate({"name": TEMPLATE, **facts}))


def policies(stage: Stage) -> list[str | None]:
    return [message.policy for message in stage.cloud.engine.ledger.messages]


def refused(stage: Stage) -> dict[int, int]:
    return stage.cloud.engine.ledger.refused


async def nothing_is_paused(stage: Stage) -> bool:
    return not await Pauses(stage.redis).all()


# -- the call --


async def test_the_call_and_its_body(make_api: MakeApi) -> None:
    heads: list[bytes] = []

    async def accept(connection: Connection) -> None:
        heads.append(await connection.reader.readuntil(b"\r\n\r\n"))
        await connection.answer(200, ACCEPTED)

    body = message_body(claimed_row("row-1", to="99911"), "STRICT")
    async with misbehaving(accept) as server:
        api = make_api(server.url)
        assert isinstance(await api.send("110", "token", body, "marketing_messages"), Accepted)
    assert heads[0].startswith(b"POST /v26.0/110/marketing_messages HTTP/1.1\r\n")
    message = MarketingMessage.model_validate_json(body)
    assert (message.to, message.product_policy) == ("+99911", "STRICT")
    assert message.biz_opaque_callback_data == "row-1"
    plain = orjson.loads(message_body(claimed_row("row-1", to="99911")))
    assert "product_policy" not in plain


# -- what goes where --


@pytest.mark.parametrize(
    ("setting", "policy"),
    [("off", None), ("fallback", "CLOUD_API_FALLBACK"), ("strict", "STRICT")],
)
async def test_all_go_as_the_setting_says(
    make_stage: MakeStage, setting: str, policy: str | None
) -> None:
    stage = await make(make_stage, setting)
    await stage.run_to_the_end()
    assert stage.all_accepted()
    assert policies(stage) == [policy] * ROWS
    assert refused(stage) == {}


async def test_what_meta_has_as_another_category(make_stage: MakeStage) -> None:
    """goes by the other endpoint, once each, and no attempt is counted for the refusal."""
    stage = await make(make_stage, "strict")
    template(stage, category="UTILITY")
    await stage.run_to_the_end()
    assert stage.all_accepted()
    assert policies(stage) == [None] * ROWS
    assert set(refused(stage)) == {134100}
    assert {row["retries"] for row in stage.queue()} == {0}
    stage.assert_nothing_sent_twice()
    await stage.assert_balanced()


async def test_an_old_answer_to_that(make_stage: MakeStage) -> None:
    stage = await make(make_stage, "strict")
    stage.fault(FaultKind.ERROR, code=131055, times=1)
    await stage.run_to_the_end()
    assert stage.all_accepted()
    assert policies(stage).count(None) > 0


@pytest.mark.parametrize("category", [None, "UTILITY"])
async def test_what_php_does_not_know_as_marketing(
    make_stage: MakeStage, category: str | None
) -> None:
    stage = await make(make_stage, "fallback")
    stage.embedded.change(
        "whatsapp_templates", {"category": category or ""}, vendors__id=stage.vendor.id
    )
    account(stage, switch=True)
    await stage.run_to_the_end()
    assert stage.all_accepted()
    assert policies(stage) == ["CLOUD_API_FALLBACK"] * ROWS
    assert set(refused(stage)) == {131063}


# -- what stops a campaign --


async def stops(stage: Stage, code: int) -> str:
    """Run the campaign until it is stopped. All rows are back, and nothing else is paused."""
    await stage.run_to_the_end()
    assert stage.statuses() == {1: ROWS}
    assert {row["retries"] for row in stage.queue()} == {0}
    assert not stage.accepts()
    assert stage.campaign_data()["state"] == "paused"
    assert await nothing_is_paused(stage)
    reason: str = stage.campaign_data()["reason"]
    assert reason.startswith(f"{code} ")
    assert "marketing_messages" in reason, "which setting to change"
    return reason


async def test_marketing_templates_that_messages_does_not_take(make_stage: MakeStage) -> None:
    stage = await make(make_stage, "off")
    account(stage, switch=True)
    assert "marketing_messages to fallback or strict" in await stops(stage, 131063)


async def test_neither_of_them(make_stage: MakeStage) -> None:
    """An account that falls back to what it has switched off; it is not tried in turn for ever."""
    stage = await make(make_stage, "fallback")
    account(stage, onboarded=False, switch=True)
    await stops(stage, 131063)


async def test_each_says_it_is_the_others(make_stage: MakeStage) -> None:
    stage = await make(make_stage, "strict")
    account(stage, switch=True)
    stage.fault(FaultKind.ERROR, code=134100)
    await stage.run_to_the_end()
    assert stage.statuses() == {1: ROWS}
    assert sum(refused(stage).values()) < 3 * ROWS


@pytest.mark.parametrize("code", [134102, 200, 10, 33, 133010])
async def test_an_account_that_is_not_onboarded(make_stage: MakeStage, code: int) -> None:
    stage = await make(make_stage, "strict")
    if code == 134102:
        account(stage, onboarded=False)
    else:
        stage.fault(FaultKind.ERROR, code=code)
    assert "marketing_messages to off" in await stops(stage, code)


async def test_on_messages_the_same_code_pauses_the_number(make_stage: MakeStage) -> None:
    stage = await make(make_stage, "off")
    stage.fault(FaultKind.ERROR, code=133010)
    await stage.run_to_the_end()
    assert [paused.scope for paused in await Pauses(stage.redis).all()] == ["number"]


async def test_a_template_that_could_not_be_synced(make_stage: MakeStage) -> None:
    stage = await make(make_stage, "fallback")
    template(stage, sync="unavailable")
    await stops(stage, 134102)


async def test_a_change_that_was_not_announced_is_found_before_it_stops(
    make_stage: MakeStage,
) -> None:
    stage = await make(make_stage, "off")
    account(stage, switch=True)
    async with stage.held() as lease:
        run = stage.make_run(lease)
        stage.more_config = {"marketing_messages": "strict"}
        await run.run()
    assert stage.all_accepted()
    assert policies(stage) == ["STRICT"] * ROWS
    assert stage.campaign_data().get("state") != "paused"


# -- what does not --


async def test_a_template_that_syncs_has_the_campaign_wait(make_stage: MakeStage) -> None:
    stage = await make(make_stage, "strict")
    template(stage, sync="syncing")
    await stage.run()
    assert stage.statuses() == {1: ROWS}
    assert await stage.listed()
    waits = await stage.redis.get(keys.wait(stage.campaign.uid))
    assert isinstance(waits, bytes)
    assert waits.startswith(b"134101 ")
    assert 590_000 < await stage.redis.pttl(keys.wait(stage.campaign.uid)) <= 600_000
    template(stage)
    await stage.redis.delete(keys.wait(stage.campaign.uid))
    await stage.run_to_the_end()
    assert stage.all_accepted()
    assert policies(stage) == ["STRICT"] * ROWS


@pytest.mark.parametrize("code", [131062, 132018])
async def test_one_that_fails_alone(make_stage: MakeStage, code: int) -> None:
    stage = await make(make_stage, "strict")
    stage.fault(FaultKind.ERROR, code=code, times=1)
    await stage.run_to_the_end()
    assert stage.statuses() == {4: ROWS - 1, 2: 1}
    assert stage.campaign_data().get("state") != "paused"


async def test_many_with_wrong_parameters_stop_it(make_stage: MakeStage) -> None:
    stage = await make(make_stage, "strict", campaign_error_streak=3)
    stage.fault(FaultKind.ERROR, code=132018)
    await stage.run_to_the_end()
    assert stage.campaign_data()["state"] == "paused"
    assert stage.statuses()[2] < ROWS


# -- replies --


async def test_a_marketing_template_as_a_reply(stage: Stage) -> None:
    """A reply goes by ``/messages``, until that does not take its template."""
    stage.more_config = {"marketing_messages": "strict"}
    account(stage, switch=True)
    replies = Replies(stage)
    await replies.ask(2, message=REPLY)
    await replies.ask(2)
    await replies.run_to_the_end()
    assert Counter(policies(stage)) == {"STRICT": 2, None: 2}
    await replies.assert_settled()


async def test_a_marketing_template_as_a_reply_where_that_is_off(stage: Stage) -> None:
    """It fails, and the others go."""
    account(stage, switch=True)
    replies = Replies(stage)
    await replies.ask(1, message=REPLY)
    await replies.ask(2)
    await replies.run_to_the_end()
    assert policies(stage) == [None, None]
    assert refused(stage) == {131063: 1}
