"""The pages of campaigns."""

import html
import re
from typing import Any

import pytest

from contracts.backend import DueCampaign
from contracts.campaigns import CampaignState
from sidecar.console.campaign_choice import STATES
from sidecar.console.pages.campaigns import PER_PAGE, allowed
from sidecar.ops.audit import Audit
from sidecar.ops.backlog import CampaignWork
from sidecar.ops.campaigns import Campaign
from sidecar.redis import keys
from sidecar.redis.client import Redis
from sidecar.sending.halts import Halts
from tests.sidecar.answering_php import Php, refusal
from tests.sidecar.console.browser import Browser
from tests.sidecar.console.campaigns import UID, add_campaign
from tests.sidecar.service import VENDOR
from tests.workers.simulated_time import held_lease
from tests.workers.slots import limits
from workers.sending.limiter import Limiter

PATH = f"/campaigns/{UID}"
YES = {"confirmed": "yes"}
ACTIONS = ("pause", "resume", "cancel", "retry-failed")


def state_of(php: Php) -> tuple[str | None, str | None]:
    return php.campaigns[UID].get("state"), php.campaigns[UID].get("reason")


def words(page: str) -> str:
    """Return what stands on a page, beside pictures."""
    page = re.sub("(?s)<svg.*?</svg>", " ", page)
    return re.sub(r"\s+", " ", html.unescape(re.sub("<[^>]+>", " ", page)))


# -- the list --


async def test_nothing_to_list(viewer: Browser, php: Php) -> None:
    page = await viewer.page("/campaigns")
    assert "No campaign matches." in page
    assert "PHP tells of the newest" not in page


async def test_the_list(viewer: Browser, php: Php, redis: Redis) -> None:
    add_campaign(php)
    add_campaign(php, "c-2", title=None, state="paused", reason="<b>the price</b>")
    add_campaign(php, "c-3", title="Gone", state="cancelled")
    await redis.hset(keys.CAMPAIGNS, UID, VENDOR)
    await redis.set(keys.wait(UID), "131057 maintenance")
    page = await viewer.page("/campaigns")
    shown = words(page)
    for text in (
        "Campaigns (2)",
        "Spring waits 131057 maintenance 3,010 of 4,069 sent, 40 failed, 5 unknown",
        "c-2 paused",
        "<b>the price</b>",
    ):
        assert text in shown, text
    assert "Gone" not in shown
    assert "Gone" in await viewer.page("/campaigns?state=cancelled")
    nothing = await viewer.page("/campaigns?find=summer+a%26b")
    assert "No campaign matches" in nothing
    assert 'href="/sidecar/campaigns/summer%20a%26b"' in nothing
    assert "Spring" in await viewer.page("/campaigns?find=spr&page=9")


async def test_pages_of_the_list(
    viewer: Browser, php: Php, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sidecar.console.pages.campaigns.MAX_OPEN", PER_PAGE + 1)
    for number in range(PER_PAGE + 1):
        add_campaign(php, f"c-{number:03}", title=f"number {number:03}")
    first, second = [await viewer.page(f"/campaigns?find=c&page={page}") for page in (1, 2)]
    assert ("number 000" in first, "number 050" in first) == (True, False)
    assert ("number 000" in second, "number 050" in second) == (False, True)
    assert 'href="/sidecar/campaigns?find=c&amp;page=2" rel="next"' in first
    assert 'href="/sidecar/campaigns?find=c" rel="prev"' in second
    assert "PHP tells of the newest 51 that are not over" in words(first)


async def test_the_list_while_php_is_away(viewer: Browser, php: Php, redis: Redis) -> None:
    await redis.hset(keys.CAMPAIGNS, UID, VENDOR)
    php.override = lambda call: refusal(503, "maintenance")
    shown = words(await viewer.page("/campaigns"))
    assert "PHP does not answer, so this is only what Redis knows" in shown
    assert "c-1 waits no worker runs for campaigns 0 in hand" in shown
    await redis.delete(keys.CAMPAIGNS)


# -- one --


ERRORS = [
    {"error_status": "132015", "count": 20},
    {"error_status": None, "count": 10, "message": "<i>odd</i>"},
    {"error_status": "131026", "count": 10, "later": True},
]


async def test_one(operator: Browser, php: Php, redis: Redis) -> None:
    php.vendors[VENDOR] = {"vendor_uid": VENDOR, "current_phone_number_id": "110"}
    add_campaign(php, errors=ERRORS, next_due_at=1_750_000_000_000)
    lease = await held_lease(redis, UID)
    await Limiter(redis).grant(lease, UID, limits(80.0, line=f"{VENDOR}/110"), ["999"])
    await redis.hset(keys.CAMPAIGNS, UID, VENDOR)
    await redis.set(keys.wait(UID), "131057 maintenance", px=60_000)
    page = await operator.page(PATH)
    shown = words(page)
    for text in (
        "It waits: 131057 maintenance (for ",
        "3,010 of 4,069 sent (74%)",
        "Queued 1,000 900 due now",
        "Claimed 20",
        "Sent 3,010 600 without a status",
        "Delivered 1,700",
        "Read 900",
        "Failed 40 10 after Meta had accepted them",
        "Unknown 5",
        "Expired 4",
        "Rate 0/s limit 80/s",
        "More fall due at 2025-06-15 15:06:40Z",
        "Somebody has it, for ",
        "110 80/s of 80/s full rate",
        "20 template paused 132015 correct the template or the campaign, then send them again",
        "10 <i>odd</i> look at one of the rows in PHP",
        "10 message undeliverable 131026 (after Meta had accepted it)",
    ):
        assert text in shown, text
    for action in ACTIONS:
        assert f'action="/sidecar{PATH}/{action}"' in page, action  # or formaction
    assert page.count("Send again…") == 1, (
        "of what failed later, or has no code, there is no button"
    )


async def test_a_viewer_sees_the_same_without_buttons(viewer: Browser, php: Php) -> None:
    add_campaign(php, errors=ERRORS)
    page = await viewer.page(PATH)
    assert "template paused 132015" in words(page)
    assert f"{PATH}/" not in page.replace(f"{PATH}/live", "")


STATES_OF_ONE: tuple[tuple[dict[str, Any], str], ...] = (
    ({"state": "paused", "reason": "the price"}, "paused Why: the price"),
    ({"on_sidecar": False}, "are sent by the application's own crons"),
    ({"errors": None}, "update the application's sidecar package"),
    ({"errors": []}, "No message has failed."),
    ({"counts": {}}, "0 of 0 sent (0%)"),
)


async def test_other_states(operator: Browser, php: Php) -> None:
    for number, (more, says) in enumerate(STATES_OF_ONE):
        add_campaign(php, f"c-{number}", **more)
        assert says in words(await operator.page(f"/campaigns/c-{number}"))


async def test_one_that_nobody_knows(viewer: Browser, php: Php) -> None:
    answer = await viewer.get("/campaigns/%3Cnothing%3E")
    assert answer.status_code == 404
    assert "PHP knows no campaign &lt;nothing&gt;." in answer.text
    php.override = lambda call: refusal(503, "maintenance")
    assert (await viewer.get("/campaigns/other")).status_code == 503


async def test_one_while_php_is_away(operator: Browser, php: Php, redis: Redis) -> None:
    """It can be stopped."""
    await redis.hset(keys.CAMPAIGNS, UID, VENDOR)
    php.override = lambda call: refusal(503, "maintenance")
    shown = words(await operator.page(PATH))
    assert "this is only what Redis knows" in shown
    assert "Why messages failed is not known: PHP does not answer." in shown
    notice = await operator.notice(await operator.post(f"{PATH}/pause"))
    assert notice.startswith("Done: stopped; PHP does not know it yet, and a worker tells it")
    halt = await Halts(redis).find(UID)
    assert halt is not None
    assert (halt.state, halt.reason) == ("paused", "by operate-user")


async def test_what_redis_knows_of_one_that_settles(
    operator: Browser, php: Php, redis: Redis
) -> None:
    php.override = lambda call: refusal(503, "maintenance")
    await redis.hset(keys.LEDGERS, UID, VENDOR)
    page = await operator.page(PATH)
    assert "settling" in page
    assert f'action="/sidecar{PATH}/pause"' in page
    assert f'action="/sidecar{PATH}/resume"' not in page


def known(state: str, reason: str | None = None) -> Campaign:
    php = DueCampaign(
        campaign_uid=UID, vendor_uid=VENDOR, state=CampaignState(state), reason=reason
    )
    return Campaign(UID, php)


def test_what_may_be_done() -> None:
    found = {state: [str(action) for action in allowed(known(state))] for state in STATES}
    assert found == {
        "running": ["pause", "cancel"],
        "paused": ["resume", "cancel"],
        "cancelled": [],
    }
    work = CampaignWork(UID, VENDOR, True, None, "131057", None, None, 0, 0, 0)
    waiting = Campaign(UID, known("running").php, work)
    assert [str(action) for action in allowed(waiting)] == ["pause", "cancel", "resume"]
    assert allowed(Campaign(UID, None)) == []
    assert allowed(Campaign(UID, None, php_away="gone")) == []


# -- live --


async def test_live(viewer: Browser, php: Php) -> None:
    add_campaign(php)
    async with viewer.events(f"{PATH}/live") as stream:
        events = await stream.take(3)
    assert set(events) == {"state", "progress", "numbers"}
    assert "3,010 of 4,069 sent" in words(events["progress"])
    async with viewer.events("/campaigns/live?find=spr") as stream:
        assert "Spring" in (await stream.take(1))["rows"]


async def test_buttons_change_with_the_state(operator: Browser, php: Php) -> None:
    add_campaign(php, state="paused")
    async with operator.events(f"{PATH}/live") as stream:
        actions = (await stream.take(4))["actions"]
    assert f"{PATH}/resume" in actions
    assert f"{PATH}/pause" not in actions


# -- actions --


async def test_one_of_unknown_outcome_and_nothing_left(operator: Browser, php: Php) -> None:
    add_campaign(php, counts={"read": 1, "unknown": 1})
    assert "Nobody knows whether 1 was sent" in await operator.page(PATH)
    asked = await operator.post(f"{PATH}/cancel")
    assert "No message is left to send." in asked.text


async def test_pause_resume_and_cancel(operator: Browser, php: Php, redis: Redis) -> None:
    add_campaign(php)
    assert f"{PATH}/resume" not in await operator.page(PATH)
    said = await operator.notice(await operator.post(f"{PATH}/pause", {"reason": " the price "}))
    assert said == ("Done: campaign c-1 is paused: the price; 1,000 queued, 20 claimed, 5 unknown")
    assert state_of(php) == ("paused", "the price")
    page = await operator.page(PATH)
    assert f"{PATH}/resume" in page, "it is of after the action, whatever was read before"
    asked = await operator.post(f"{PATH}/resume")
    assert "Resume Spring?" in asked.text
    assert "1,020 messages of 4,069 would go out." in asked.text
    assert state_of(php)[0] == "paused"
    assert "is running" in await operator.notice(await operator.post(f"{PATH}/resume", YES))
    asked = await operator.post(f"{PATH}/cancel", {"reason": "the end"})
    assert "Cancel Spring?" in asked.text
    assert "1,020 messages of 4,069 would not be sent." in asked.text
    assert 'name="reason" value="the end"' in asked.text
    assert state_of(php)[0] == "running"
    done = await operator.post(f"{PATH}/cancel", {**YES, "reason": "x" * 1000})
    assert "is cancelled" in await operator.notice(done)
    assert state_of(php) == ("cancelled", "x" * 500)
    entries = await Audit(redis, 100).read()
    acted = [(one.action, one.target, one.who.name) for one in entries if one.target == UID]
    assert acted == [
        (f"campaign.{verb}", UID, "operate-user") for verb in ("cancel", "resume", "pause")
    ]


async def test_somebody_has_cancelled_it_meanwhile(operator: Browser, php: Php) -> None:
    add_campaign(php)
    await operator.page(PATH)
    add_campaign(php, state="cancelled")
    for action in ("pause", "resume"):
        said = await operator.notice(await operator.post(f"{PATH}/{action}", dict(YES)))
        assert said.startswith("Not done: it was cancelled, and stays so"), action


async def test_redis_takes_nothing_more(operator: Browser, php: Php, redis: Redis) -> None:
    """A stop is done all the same, and the log has what the audit has not."""
    add_campaign(php)
    token = await operator.token()
    await redis.config_set("maxmemory", "1")
    try:
        answer = await operator.client.post(f"/sidecar{PATH}/pause", data={"csrf": token})
    finally:
        await redis.config_set("maxmemory", "0")
    said = await operator.notice(answer)
    assert said.startswith("Done: campaign c-1 is paused")
    assert state_of(php)[0] == "paused"


async def test_php_is_away(operator: Browser, php: Php) -> None:
    add_campaign(php)
    php.override = lambda call: refusal(503, "maintenance")
    asked = await operator.post(f"{PATH}/cancel")
    assert "Cancel c-1?" in asked.text
    assert "would not be sent" not in asked.text, "nobody knows how many"
    for action in ("pause", "resume", "cancel"):
        answer = await operator.post(f"{PATH}/{action}", dict(YES))
        assert answer.status_code == 303, action
        assert answer.headers["location"] == f"/sidecar{PATH}"
    assert state_of(php)[0] is None


async def test_who_may_not(viewer: Browser, php: Php, redis: Redis) -> None:
    add_campaign(php)
    for action in ACTIONS:
        for fields in ({}, YES):
            answer = await viewer.post(f"{PATH}/{action}", dict(fields))
            assert answer.status_code == 403, action
            assert "Your role may look, and change nothing." in answer.text
    assert state_of(php)[0] is None
    refused = {one.target for one in await Audit(redis, 100).read() if one.outcome == "refused"}
    assert refused == {f"POST /sidecar{PATH}/{action}" for action in ACTIONS}


async def test_without_the_sessions_token(operator: Browser, php: Php) -> None:
    add_campaign(php)
    for action in ACTIONS:
        answer = await operator.post(f"{PATH}/{action}", dict(YES), token=False)
        assert answer.status_code == 403, action
    assert state_of(php)[0] is None
