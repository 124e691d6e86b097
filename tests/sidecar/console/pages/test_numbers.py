"""The page of numbers."""

import re
from typing import Any

from sidecar.console.pages.numbers import PER_PAGE
from sidecar.ops.audit import Audit
from sidecar.redis import keys
from sidecar.redis.client import Redis
from sidecar.sending.numbers import number_state
from sidecar.sending.pauses import Paused, Pauses
from tests.sidecar.answering_php import Php
from tests.sidecar.console.browser import Browser
from tests.sidecar.console.pages.test_campaigns import words
from tests.workers.simulated_time import held_lease
from tests.workers.slots import limits
from workers.sending.holds import Hold, Pause, Scope
from workers.sending.limiter import Limiter
from workers.sending.limits import Limits

OWN = limits(80.0, line="v-1/110", account="v-1/waba", app="v-1/app")
SHARED = limits(80.0)
SPAM = Paused("number", "110", "v-1", 131048, "131048 <b>spam</b> limit", 1_750_000_000_000, False)
LOCKED = Paused("account", "account-1", "v-2", 131031, "131031 locked", 1_750_000_001_000)
TOKEN = Paused("token", "v-1", "v-1", None, "190 expired", 1_750_000_002_000, False)
YES = {"confirmed": "yes"}
HOLD = "number:v-1/110"


async def use(redis: Redis, line: Limits) -> None:
    """Have a line known, as somebody who sends from it has."""
    lease = await held_lease(redis, f"campaign of {line.line}")
    await Limiter(redis).grant(lease, f"campaign of {line.line}", line, ["999"])


async def hold(redis: Redis, line: Limits, scope: Scope, *, slow: bool = False) -> None:
    seconds, _ = await redis.time()
    held = Hold(Pause(scope, 300, 300, slow), "131057 maintenance")
    await Limiter(redis).hold(line, held, sent_at=float(seconds))


async def held_scopes(redis: Redis, line: Limits) -> list[object]:
    state = await number_state(redis, line.line)
    assert state is not None
    return [state.held, state.account_held, state.app_held]


async def test_nothing_is_known(viewer: Browser) -> None:
    assert "No number matches" in await viewer.page("/numbers")


async def test_how_numbers_stand(operator: Browser, redis: Redis) -> None:
    await use(redis, limits(20.0, "111", line="v-2/111", daily_recipients=1000))
    await use(redis, limits(80.0, "112", line="v-2/112"))
    await redis.delete(keys.number("v-2/112"))
    await use(redis, OWN)
    await hold(redis, OWN, Scope.NUMBER)
    page = await operator.page("/numbers")
    shown = words(page)
    for text in (
        "Numbers used within 24 hours (3)",
        "110 0/s of 80/s held for ",
        "Z: 131057 maintenance",
        "111 20/s of 20/s full rate 1 of 1,000 recipients in 24 hours v-2 20",
        "112 – idle v-2 not lately",
    ):
        assert text in shown, text
    assert shown.index("110 0/s") < shown.index("111 20/s"), "what is in trouble stands first"
    assert page.count("Lift…") == 1
    for query, found in (("find=11", 3), ("find=v-2", 2), ("only=troubled", 1), ("find=x", 0)):
        shown = words(await operator.page(f"/numbers?{query}"))
        assert f"24 hours ({found})" in shown or found == 0, query


async def test_what_is_paused(operator: Browser, redis: Redis) -> None:
    await use(redis, OWN)
    for one in (SPAM, LOCKED, TOKEN):
        await Pauses(redis).put(one)
    shown = words(await operator.page("/numbers"))
    for text in (
        "Paused until a person acts Number 110 of v-1 131048 <b>spam</b> limit "
        "To do: settle it in WhatsApp Manager.",
        "Since 2025-06-15 15:06:40Z , by a message of v-1. Error 131048.",
        "Account account-1, for all its vendors 131031 locked",
        "The access token of v-1 190 expired",
        "110 0/s of 80/s paused 131048 <b>spam</b> limit v-1",
    ):
        assert text in shown, text


async def test_a_viewer_sees_no_buttons(viewer: Browser, redis: Redis) -> None:
    await use(redis, OWN)
    await hold(redis, OWN, Scope.NUMBER)
    await Pauses(redis).put(SPAM)
    page = await viewer.page("/numbers")
    assert "/numbers/lift" not in page
    assert "/numbers/resume" not in page


async def test_an_outage_that_is_over(viewer: Browser, redis: Redis) -> None:
    await use(redis, OWN)
    now = (await redis.time())[0] * 1_000_000
    over: dict[Any, Any] = {"last_reason": "502", "last_since": now - 90_000_000, "last_until": now}
    await redis.hset(keys.outage(OWN.line), mapping=over)
    await redis.zadd(keys.wanting(OWN.line), {"c-1": now + 60_000_000})
    shown = words(await viewer.page("/numbers"))
    assert "Meta did not answer from 20" in shown
    assert "1 campaign would send faster" in shown


async def test_pages_of_the_list(viewer: Browser, redis: Redis) -> None:
    members: dict[Any, Any] = {keys.number(f"v/{one:03}"): 1 for one in range(PER_PAGE + 1)}
    await redis.zadd(keys.NUMBERS, members)
    first, second = [await viewer.page(f"/numbers?find=v&page={page}") for page in (1, 2)]
    assert 'href="/sidecar/numbers?find=v&amp;page=2" rel="next"' in first
    assert 'href="/sidecar/numbers?find=v&amp;page=1" rel="prev"' in second
    assert "100 – idle v" in words(second)


async def test_live(operator: Browser, redis: Redis) -> None:
    await use(redis, OWN)
    await Pauses(redis).put(SPAM)
    async with operator.events("/numbers/live?only=troubled") as stream:
        events = await stream.take(2)
    assert "Number 110 of v-1" in words(events["paused"])
    assert "Number" in events["lines"]


# -- lifting --


async def test_lifting(operator: Browser, redis: Redis) -> None:
    """Exactly what the page names, and nothing that is called the same."""
    for line in (OWN, SHARED):
        await use(redis, line)
        for scope in (Scope.NUMBER, Scope.ACCOUNT, Scope.APP):
            await hold(redis, line, scope)
    fields = {"hold": [HOLD, "app:v-1/app"]}
    asked = await operator.post("/numbers/lift", fields)
    assert "Lift what holds number 110 of vendor v-1 and app app of vendor v-1?" in asked.text
    assert all(await held_scopes(redis, OWN))
    fields = {"hold": re.findall(r'name="hold" value="([^"]+)"', asked.text)}
    said = await operator.notice(await operator.post("/numbers/lift", {**fields, **YES}))
    assert said.startswith("Done: lifted number 110 of vendor v-1: the hold: 131057 maintenance; ")
    assert [bool(one) for one in await held_scopes(redis, OWN)] == [False, True, False]
    assert all(await held_scopes(redis, SHARED))
    assert "held" in await operator.page("/numbers")
    entry = (await Audit(redis, 100).read())[0]
    assert (entry.action, entry.outcome, entry.who.name) == ("number.lift", "done", "operate-user")
    assert entry.details == {"lifted": ["number v-1/110", "app v-1/app"]}


async def test_nothing_is_held_any_more(operator: Browser, redis: Redis) -> None:
    await use(redis, OWN)
    answer = await operator.post("/numbers/lift", {"hold": HOLD, **YES})
    assert await operator.notice(answer) == "Not done: nothing was held any more"
    assert (await Audit(redis, 100).read())[0].outcome == "nothing to do"


async def test_what_cannot_be_lifted(operator: Browser, redis: Redis) -> None:
    for named in ([], ["recipient:v-1/110"], ["number"], ["number:"], [":"], [HOLD, "nothing"]):
        answer = await operator.post("/numbers/lift", {"hold": named, **YES})
        assert answer.status_code == 400, named


# -- resuming --


async def test_resuming(operator: Browser, redis: Redis) -> None:
    """Exactly one: another vendor's number of the same id stays paused."""
    other = Paused("number", "110", "v-2", 131048, "131048 spam limit", 1, False)
    for one in (SPAM, other):
        await Pauses(redis).put(one)
    asked = await operator.post("/numbers/resume", {"name": SPAM.name})
    assert "Resume number 110 of vendor v-1?" in asked.text
    assert "It was paused for: 131048 &lt;b&gt;spam&lt;/b&gt; limit" in asked.text
    assert len(await Pauses(redis).all()) == 2
    said = await operator.notice(await operator.post("/numbers/resume", {"name": SPAM.name, **YES}))
    assert said.startswith("Done: resumed number 110 of vendor v-1, which was paused for: 131048")
    assert await Pauses(redis).all() == [other]
    entry = (await Audit(redis, 100).read())[0]
    assert (entry.action, entry.target, entry.outcome) == ("number.resume", SPAM.name, "done")


async def test_somebody_has_resumed_it_meanwhile(operator: Browser, redis: Redis) -> None:
    answer = await operator.post("/numbers/resume", {"name": SPAM.name, **YES})
    assert await operator.notice(answer) == "Not done: it is not paused any more"


async def test_redis_takes_nothing_more(operator: Browser, php: Php, redis: Redis) -> None:
    await Pauses(redis).put(SPAM)
    form = {"csrf": await operator.token(), "name": SPAM.name, **YES}
    await redis.config_set("maxmemory", "1")
    try:
        answer = await operator.client.post("/sidecar/numbers/resume", data=form)
    finally:
        await redis.config_set("maxmemory", "0")
    assert answer.status_code == 503
    assert "Redis did not do what was asked" in answer.text
    assert await Pauses(redis).all() == [SPAM]


# -- who may --


async def test_who_may_not(viewer: Browser, redis: Redis) -> None:
    await use(redis, OWN)
    await hold(redis, OWN, Scope.NUMBER)
    await Pauses(redis).put(SPAM)
    form = {"hold": HOLD, "name": SPAM.name}
    for action in ("lift", "resume"):
        for fields in (form, {**form, **YES}):
            assert (await viewer.post(f"/numbers/{action}", fields)).status_code == 403
    assert await Pauses(redis).all() == [SPAM]
    assert (await held_scopes(redis, OWN))[0]
    assert (await Audit(redis, 100).read())[0].action == "console.refused"


async def test_without_the_sessions_token(operator: Browser, redis: Redis) -> None:
    await Pauses(redis).put(SPAM)
    form = {"hold": HOLD, "name": SPAM.name, **YES}
    for action in ("lift", "resume"):
        assert (await operator.post(f"/numbers/{action}", form, token=False)).status_code == 403
    assert await Pauses(redis).all() == [SPAM]
