"""Sending failed messages of a campaign again, from the console."""

import pytest

from sidecar.console.campaign_retry import MAX_CODES
from sidecar.ops.audit import Audit
from sidecar.redis.client import Redis
from tests.sidecar.answering_php import Answer, Call, Php, refusal
from tests.sidecar.console.browser import Browser
from tests.sidecar.console.campaigns import UID, Failed, add_campaign

PATH = f"/campaigns/{UID}/retry-failed"
YES = {"confirmed": "yes"}


async def test_it_says_how_many_before_it_is_done(
    operator: Browser, php: Php, redis: Redis
) -> None:
    add_campaign(php, state="paused")
    php.override = failed = Failed(3)
    asked = await operator.post(PATH, {"code": "132015"})
    assert asked.status_code == 200
    for words in (
        "Send 3 messages again?",
        "3 × 132015 template paused",
        "3 are left out: it may have been sent",
        "10 are left out: Meta accepted them, and they failed later",
        "5 are left out: nobody knows whether they were sent",
        "The campaign is paused",
        'name="code" value="132015"',
    ):
        assert words in asked.text, words
    assert failed.done == 0
    done = await operator.post(PATH, {"code": "132015", "count": "3", **YES})
    assert await operator.notice(done) == (
        "Done: 3 messages of the campaign in the queue again; it is paused, and sends them once it "
        "is resumed"
    )
    assert (failed.done, failed.codes) == (3, ["132015"])
    entry = (await Audit(redis, 100).read())[0]
    assert (entry.action, entry.target, entry.outcome) == ("campaign.retry_failed", UID, "done")
    assert entry.details == {"messages": 3, "codes": ["132015"]}


async def test_more_than_one_request_can_do(operator: Browser, php: Php) -> None:
    add_campaign(php)
    php.override = Failed(30)
    asked = await operator.post(PATH)
    assert "Send the first 20 again?" in asked.text
    assert "These are the first of many" in asked.text
    done = await operator.post(PATH, {"count": "20", **YES})
    assert "20 messages of the campaign in the queue again; this is not all" in (
        await operator.notice(done)
    )


async def test_more_have_failed_since_it_was_asked(operator: Browser, php: Php) -> None:
    """It asks again."""
    add_campaign(php)
    php.override = failed = Failed(5)
    again = await operator.post(PATH, {"count": "3", **YES})
    assert "Send 5 messages again?" in again.text
    assert failed.done == 0


async def test_nothing_can_be_sent_again(operator: Browser, php: Php) -> None:
    add_campaign(php)
    php.override = Failed(0)
    assert await operator.notice(await operator.post(PATH)) == (
        "Not done: no failed message of it can be sent again; 1 because it may have been sent"
    )


@pytest.mark.parametrize(
    ("status", "code", "says"),
    [
        (409, "campaign_cancelled", "was cancelled, so nothing of it is sent again"),
        (409, "vendor_not_on_sidecar", "are sent by PHP&#39;s own crons"),
    ],
)
async def test_php_refuses(
    operator: Browser, php: Php, redis: Redis, status: int, code: str, says: str
) -> None:
    """When it is counted, and when it is done: somebody has cancelled it meanwhile."""
    add_campaign(php)
    failed = Failed(1)

    def refuse(call: Call) -> Answer | None:
        told = failed(call)
        return refusal(status, code) if told and failed.done >= allowed else told

    php.override = refuse
    for allowed in (0, 1):  # noqa: B007 - what refuse looks at
        answer = await operator.post(PATH, {"count": "1", **YES})
        assert says in await operator.notice(answer)
    entry = (await Audit(redis, 100).read())[0]
    assert (entry.action, entry.outcome) == ("campaign.retry_failed", "failed")


async def test_php_fails_half_way(operator: Browser, php: Php, redis: Redis) -> None:
    """What was done is said, and recorded."""
    add_campaign(php)
    failed = Failed(5)

    def answer(call: Call) -> Answer | None:
        told = failed(call)
        return refusal(503, "maintenance") if failed.done == 3 else told

    php.override = answer
    said = await operator.notice(await operator.post(PATH, {"count": "5", **YES}))
    assert said.startswith(
        "Not done: 2 messages of the campaign in the queue again; then it failed"
    )
    entry = (await Audit(redis, 100).read())[0]
    assert (entry.outcome, entry.details["messages"]) == ("failed", 2)
    assert "maintenance" in entry.details["trouble"]


async def test_php_is_away_before(operator: Browser, php: Php) -> None:
    php.override = lambda call: refusal(503, "maintenance")
    answer = await operator.post(PATH)
    assert answer.status_code == 303


async def test_a_campaign_that_there_is_not_and_too_many_errors(
    operator: Browser, php: Php
) -> None:
    assert (await operator.post(PATH)).status_code == 404
    codes = [str(code) for code in range(MAX_CODES + 1)]
    assert (await operator.post(PATH, {"code": codes})).status_code == 400
