"""What keeps single rows back, or everything: recipients, accounts, apps and portfolios."""

from collections.abc import Sequence
from typing import Any

import pytest

from sidecar.redis import keys
from sidecar.redis.client import Redis
from tests.workers.rows import CAMPAIGN, NUMBER
from tests.workers.simulated_time import START, Clock, held_lease, simulated_limiter
from tests.workers.slots import limits, recipients
from workers.sending.holds import Hold, Pause, Scope
from workers.sending.limiter import Grant, Limiter

#: Meta's limit of a pair, and what is left for delays on the way.
PAIR_S = 6.1
BURST = 45
DAY_S = 86_400.0


class Desk:
    """Asks for slots at times of the test's choice (seconds from the start), as fast as it gets
    them."""

    def __init__(self, redis: Redis, limiter: Limiter) -> None:
        self.redis = redis
        self.limiter = limiter
        self.clock = Clock(redis)

    async def ask(
        self,
        at: float,
        to: list[str],
        *,
        campaign: str = CAMPAIGN,
        rate: float = 1000.0,
        unsent: Sequence[str] = (),
        **more: Any,
    ) -> Grant:
        await self.clock.set(START + at)
        lease = await held_lease(self.redis, campaign)
        return await self.limiter.grant(lease, campaign, limits(rate, **more), to, unsent=unsent)

    async def granted(self, at: float, to: list[str], **more: Any) -> int:
        return (await self.ask(at, to, **more)).count


@pytest.fixture
def desk(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> Desk:
    return Desk(redis, simulated_limiter(redis, monkeypatch))


# -- pairs --


async def test_one_message_in_six_seconds(desk: Desk) -> None:
    assert await desk.granted(0, ["1"]) == 1
    for number in range(1, 10):
        assert await desk.granted(number * PAIR_S - 0.05, ["1"]) == 0
        assert await desk.granted(number * PAIR_S, ["1"]) == 1


async def test_a_burst_borrows_from_the_future(desk: Desk) -> None:
    """After 20 at once the next is due after 20 times six seconds."""
    assert await desk.granted(0, ["1"] * 20) == 20
    due = 20 * PAIR_S
    refused = await desk.ask(6, ["1"])
    assert refused.count == 0
    assert refused.refused == {0: pytest.approx(due - 6, abs=0.06)}
    assert await desk.granted(due - 0.01, ["1"]) == 0
    assert await desk.granted(due, ["1"]) == 1


async def test_a_burst_has_45_at_most(desk: Desk) -> None:
    grant = await desk.ask(0, ["1"] * 60)
    assert grant.count == BURST
    assert list(grant.refused) == list(range(BURST, 60))
    assert grant.refused[59] == pytest.approx(BURST * PAIR_S, abs=0.1)
    assert await desk.granted(5, ["1"]) == 0


async def test_other_recipients_go_on_and_slots_are_not_left_out(desk: Desk) -> None:
    await desk.ask(0, ["1"])
    await desk.ask(6, ["2"])
    grant = await desk.ask(6.05, ["1", "2", "3", "1", "4"], rate=100.0)
    assert (grant.count, list(grant.refused)) == (3, [0, 3])
    later = await desk.ask(6.05, ["5"], rate=100.0)
    assert later.delay_s == pytest.approx(grant.delay_s + 3 * grant.gap_s)


async def test_pairs_are_of_a_number_and_shared_by_its_campaigns(desk: Desk) -> None:
    assert await desk.granted(0, ["1"] * 60) == BURST
    assert await desk.granted(1, ["1"], campaign="another") == 0
    assert await desk.granted(1, ["1"], number="another") == 1


async def test_what_was_not_sent_does_not_count(desk: Desk) -> None:
    """The number was throttled, say, and the row comes again."""
    await desk.ask(0, ["1"])
    for number in range(1, 60):
        assert await desk.granted(number, ["1"], unsent=["1"]) == 1
    assert await desk.granted(59 + PAIR_S - 0.1, ["1"]) == 0, "but the last one does"
    await desk.ask(200, ["2"] * 20)
    await desk.ask(201, ["3"], unsent=["2"] * 5)
    assert await desk.granted(200 + 15 * PAIR_S - 0.1, ["2"]) == 0
    assert await desk.granted(200 + 15 * PAIR_S, ["2"]) == 1


async def test_what_was_not_sent_does_not_end_a_hold(desk: Desk) -> None:
    await desk.ask(0, ["1"])
    await desk.limiter.hold_pair(NUMBER, "1", 60)
    assert await desk.granted(10, ["1"], unsent=["1"]) == 0
    assert await desk.granted(10, ["2"], unsent=["never seen"]) == 1


async def test_a_recipient_is_held(desk: Desk) -> None:
    await desk.clock.set(START)
    await desk.limiter.hold_pair(NUMBER, "1", 16)
    assert await desk.granted(15.9, ["1", "2"]) == 1
    assert await desk.granted(16, ["1"]) == 1


async def test_a_shorter_hold_does_not_end_a_longer_wait(desk: Desk) -> None:
    await desk.ask(0, ["1"] * 20)
    await desk.limiter.hold_pair(NUMBER, "1", 1)
    assert await desk.granted(2, ["1"]) == 0, "no burst goes on after a hold"
    assert await desk.granted(20 * PAIR_S - 0.1, ["1"]) == 0
    assert await desk.granted(20 * PAIR_S, ["1"]) == 1


# -- accounts and apps --

ACCOUNT = Hold(Pause(Scope.ACCOUNT, 60, 3600), "80007 limit of the account")
APP = Hold(Pause(Scope.APP, 60, 3600), "4 limit of the app")


async def test_an_account_is_held_with_all_its_numbers(desk: Desk) -> None:
    await desk.clock.set(START)
    await desk.limiter.hold(limits(80.0), ACCOUNT, sent_at=START)
    grant = await desk.ask(1, ["1"], number="a sister")
    assert (grant.count, grant.reason) == (0, "80007 limit of the account")
    assert grant.again_s == pytest.approx(59, abs=0.2)
    assert await desk.granted(1, ["1"], account="another") == 1
    assert await desk.granted(60, ["1"]) == 1


async def test_an_app_is_held_with_all_its_accounts(desk: Desk) -> None:
    await desk.clock.set(START)
    await desk.limiter.hold(limits(80.0), APP, sent_at=START)
    grant = await desk.ask(1, ["1"], account="another")
    assert (grant.count, grant.reason) == (0, "4 limit of the app")
    assert await desk.granted(1, ["1"], app="another") == 1


async def test_the_longest_hold_counts(desk: Desk) -> None:
    await desk.clock.set(START)
    await desk.limiter.hold(limits(80.0), ACCOUNT, sent_at=START)
    await desk.limiter.throttled(NUMBER, START)
    grant = await desk.ask(0.5, ["1"])
    assert grant.reason == "80007 limit of the account"
    assert grant.again_s == pytest.approx(59.5, abs=0.2)


async def test_holds_of_an_account_grow_up_to_an_hour(desk: Desk) -> None:
    at, pauses = 0.0, []
    for _ in range(8):
        await desk.clock.set(START + at)
        await desk.limiter.hold(limits(80.0), ACCOUNT, sent_at=START + at)
        until = int(await desk.redis.hget(keys.hold("account", "account-1"), "until") or 0)
        pauses.append(round(until / 1e6 - START - at))
        at += pauses[-1] + 20
    assert pauses == [60, 120, 240, 480, 960, 1920, 3600, 3600]


# -- portfolios --


async def test_so_many_different_recipients_a_day_and_no_more(desk: Desk) -> None:
    to = recipients(10)
    assert await desk.granted(0, to[:6], daily_recipients=8) == 6
    grant = await desk.ask(60, to, daily_recipients=8)
    assert grant.count == 8, "six that count already, and two new ones"
    grant = await desk.ask(61, to[8:], daily_recipients=8)
    assert grant.count == 0
    assert grant.reason == "8 recipients of the portfolio in 24 hours are used up"


async def test_they_leave_24_hours_after_their_last_message(desk: Desk) -> None:
    await desk.ask(0, ["1", "2"], daily_recipients=2)
    await desk.ask(3600, ["1"], daily_recipients=2)
    grant = await desk.ask(7200, ["3"], daily_recipients=2)
    assert grant.count == 0
    assert grant.again_s == pytest.approx(DAY_S - 7200, abs=0.06)
    assert await desk.granted(DAY_S - 1, ["3"], daily_recipients=2) == 0
    assert await desk.granted(DAY_S + 0.1, ["3", "4"], daily_recipients=2) == 1
    grant = await desk.ask(DAY_S + 1, ["4"], daily_recipients=2)
    assert grant.again_s == pytest.approx(3599, abs=0.06), "until 1 leaves"


async def test_a_limit_that_was_lowered_waits_for_as_many_as_are_too_many(desk: Desk) -> None:
    for number in range(10):
        await desk.ask(number * 100, [str(number)], daily_recipients=10)
    grant = await desk.ask(1000, ["new"], daily_recipients=4)
    assert grant.again_s == pytest.approx(DAY_S + 600 - 1000, abs=0.06), "until the 7th leaves"


async def test_numbers_of_a_portfolio_share_its_recipients(desk: Desk) -> None:
    assert await desk.granted(0, ["1"], daily_recipients=1) == 1
    assert await desk.granted(1, ["2"], daily_recipients=1, number="a sister") == 0
    assert await desk.granted(1, ["1"], daily_recipients=1, number="a sister") == 1
    assert await desk.granted(1, ["2"], daily_recipients=1, portfolio="another") == 1


async def test_who_may_not_go_for_want_of_recipients_leaves_the_slots_to_others(
    desk: Desk,
) -> None:
    """It does not count among the campaigns that share the number."""
    await desk.ask(0, ["1"], daily_recipients=1, campaign="used up", portfolio="small")
    for second in range(1, 4):
        waits = await desk.ask(
            second, recipients(9), daily_recipients=1, campaign="used up", portfolio="small"
        )
        assert waits.count == 0
    assert await desk.granted(4, recipients(300), campaign="another", rate=100.0) == 24


# -- a clock that is set back --


BACK = pytest.mark.parametrize("back_s", [90, 20 * 60, DAY_S])


@BACK
@pytest.mark.parametrize("hold", [ACCOUNT, APP])
async def test_a_clock_that_is_set_back_makes_no_hold_longer(
    desk: Desk, hold: Hold, back_s: float
) -> None:
    """It lasts as long as it had left when somebody looked last."""
    await desk.clock.set(START + back_s)
    await desk.limiter.hold(limits(80.0), hold, sent_at=START + back_s)
    grant = await desk.ask(back_s + 20, ["1"])
    assert grant.again_s == pytest.approx(40, abs=0.3)
    grant = await desk.ask(25, ["1"])
    assert grant.again_s == pytest.approx(40, abs=0.3), "the 5 s between the looks do not count"
    assert await desk.granted(64, ["1"]) == 0
    assert await desk.granted(65.1, ["1"]) == 1


@BACK
async def test_a_clock_that_is_set_back_lets_the_next_hold_count(desk: Desk, back_s: float) -> None:
    await desk.clock.set(START + back_s)
    await desk.limiter.hold(limits(80.0), ACCOUNT, sent_at=START + back_s)
    await desk.clock.set(START)
    await desk.limiter.hold(limits(80.0), ACCOUNT, sent_at=START)
    assert await desk.granted(59, ["1"]) == 0
    assert await desk.granted(60, ["1"]) == 1
    await desk.limiter.hold(limits(80.0), ACCOUNT, sent_at=START + 60)
    assert await desk.granted(179, ["2"]) == 0, "it goes on, and so is twice as long"
    assert await desk.granted(180, ["2"]) == 1


@BACK
async def test_a_clock_that_is_set_back_slows_no_number_for_longer(
    desk: Desk, back_s: float
) -> None:
    await desk.clock.set(START + back_s)
    await desk.limiter.throttled(NUMBER, START + back_s)
    before = await desk.ask(back_s + 10, ["1"])
    after = await desk.ask(10.1, ["2"])
    assert after.gap_s == pytest.approx(before.gap_s)
    assert (await desk.ask(40, ["3"])).gap_s == pytest.approx(0.001), "it has climbed back"


@BACK
async def test_a_clock_that_is_set_back_makes_no_recipient_wait_longer(
    desk: Desk, back_s: float
) -> None:
    await desk.ask(back_s, ["1"] * 20)
    await desk.limiter.hold_pair(NUMBER, "2", 100)
    assert await desk.granted(0, ["3"]) == 0, "slots of a quarter of a second are given out"
    grant = await desk.ask(0.5, ["1", "2"])
    assert (grant.count, set(grant.refused)) == (1, {1}), "a burst goes on"
    assert await desk.granted(100, ["2"]) == 0
    assert await desk.granted(101, ["2"]) == 1
    assert await desk.granted(20 * PAIR_S + 1, ["1"]) == 0
    assert await desk.granted(21 * PAIR_S + 1, ["1"]) == 1


@BACK
async def test_a_clock_that_is_set_back_ends_no_hold_of_a_recipient(
    desk: Desk, back_s: float
) -> None:
    await desk.clock.set(START + back_s)
    await desk.limiter.hold_pair(NUMBER, "1", 100)
    await desk.clock.set(START)
    await desk.limiter.hold_pair(NUMBER, "1", 16)
    assert await desk.granted(99, ["1"]) == 0
    assert await desk.granted(100, ["1"]) == 1


async def test_replies_that_wanted_slots_before_a_clock_was_set_back_stop_no_campaign(
    desk: Desk,
) -> None:
    await desk.clock.set(START + 1200)
    lease = await held_lease(desk.redis, "replies")
    urgent = await desk.limiter.grant(lease, "replies", limits(1.0), recipients(5), urgent=True)
    assert urgent.count == 1
    assert await desk.granted(1200, ["1"], rate=1.0) == 0, "they come first"
    assert await desk.granted(0, ["1"], rate=1.0) == 0, "slots of more than a second are given out"
    assert await desk.granted(2, ["1"], rate=1.0) == 1


#: How an older version reads when a recipient may have more: where slots are given out, and where a
#: recipient is held.
READ_BY_OLDER = """
local state = redis.call("GET", KEYS[1])
local colon = string.find(state, ":", 1, true)
local began, due = tonumber(string.sub(state, 1, colon - 1)), tonumber(string.sub(state, colon + 1))
return {math.floor(began), due, tonumber(string.match(state, ":(%d+)$"))}
"""


async def test_workers_of_an_older_version_can_read_when_a_recipient_may_have_more(
    desk: Desk,
) -> None:
    """They run beside these while it is updated, and after a step back."""
    at = round((START + 0.02) * 1e6)
    older = desk.redis.register_script(READ_BY_OLDER)
    assert await desk.granted(0, ["1"]) == 1
    due = at + round(PAIR_S * 1e6)
    assert await older(keys=[keys.pair(NUMBER, "1")]) == [at, due, due]
    await desk.limiter.hold_pair(NUMBER, "2", 100)
    due = round((START + 100) * 1e6)
    assert await older(keys=[keys.pair(NUMBER, "2")]) == [0, due, due]
    await desk.redis.set(keys.pair(NUMBER, "3"), f"{at}:{due}")
    assert (await desk.ask(0.5, ["3"])).count == 1, "a burst of the older version's goes on"


async def test_what_a_version_wrote_that_did_not_look_holds_nothing_from_far_ahead(
    desk: Desk,
) -> None:
    await desk.ask(0, ["1"])
    us = int((START + 1200) * 1e6)
    await desk.redis.set(keys.pair(NUMBER, "2"), f"0:{us}")
    account = keys.hold(Scope.ACCOUNT, "account-1")
    await desk.redis.hset(account, mapping={"until": us, "pause": 60_000_000, "reason": "old"})
    assert await desk.granted(1, ["2"]) == 1


async def test_a_clock_that_is_set_back_does_not_stop_a_number(desk: Desk) -> None:
    """Nor one of two campaigns that share it; and it sends no faster for that."""
    for campaign in (CAMPAIGN, "another"):
        await desk.granted(DAY_S, recipients(500), campaign=campaign, rate=10.0)
    sent = {CAMPAIGN: 0, "another": 0}
    for tenth in range(101):
        for campaign in sent:
            to = [f"{campaign}-{tenth}-{number}" for number in range(100)]
            sent[campaign] += await desk.granted(tenth / 10, to, campaign=campaign, rate=10.0)
    assert 95 <= sum(sent.values()) <= 103
    assert min(sent.values()) >= 45
