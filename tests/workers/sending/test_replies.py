"""Replies: sent once, ahead of campaigns, and what becomes of those that cannot be sent."""

import asyncio
import random
import re
from typing import Any

import orjson
import pytest

from contracts import backend as contract
from sidecar.clock import now_ms
from sidecar.effects.outbox import Outbox, Queued, effects_lease
from sidecar.redis import keys
from sidecar.redis.client import AsyncScript, Redis, script
from sidecar.redis.lease import Leases
from sidecar.sending.pauses import Paused, Pauses
from simulator.cloud_api.fault import FaultKind
from tests.eventually import eventually
from tests.workers.conftest import MakeStage
from tests.workers.crashing import Process
from tests.workers.php import HTML_500, Answer, Call
from tests.workers.replying import Replies
from tests.workers.stage import Stage
from workers.sending.limiter import Grant, Limiter
from workers.sending.limits import Limits
from workers.sending.pipeline import SendingFailed
from workers.sending.replies import KIND

pytestmark = pytest.mark.usefixtures("short_pauses")


@pytest.fixture
async def stage(make_stage: MakeStage) -> Stage:
    return await make_stage(3)


@pytest.fixture
def replies(stage: Stage) -> Replies:
    return Replies(stage)


# -- the plain way --


async def test_each_is_sent_once_and_told(replies: Replies) -> None:
    await replies.ask(12)
    await replies.run()
    await replies.assert_settled()
    assert set(replies.sent) == set(replies.ids)


async def test_any_type_of_message_goes_out_as_it_was_asked_for(
    replies: Replies, monkeypatch: pytest.MonkeyPatch
) -> None:
    message: dict[str, Any] = {
        "type": "interactive",
        "interactive": {"type": "button", "body": {"text": "Which?"}, "action": {"buttons": []}},
        "context": {"message_id": "wamid.1"},
    }
    bodies: list[bytes] = []
    send = replies.stage.cloud_api.send

    async def spy(number: str, token: str, body: bytes, endpoint: str) -> Any:
        bodies.append(body)
        return await send(number, token, body, endpoint)

    monkeypatch.setattr(replies.stage.cloud_api, "send", spy)
    [reply_uid] = await replies.ask(message=message, to="4915112345678")
    await replies.run()
    [body] = bodies
    assert orjson.loads(body) == {
        **message,
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        "to": "+4915112345678",
        "biz_opaque_callback_data": reply_uid,
    }


async def test_a_person_who_hides_the_number_is_answered_by_user_id(replies: Replies) -> None:
    [reply_uid] = await replies.ask(to=None, recipient="GB.1349")
    await replies.run()
    [message] = replies.stage.cloud.engine.ledger.messages
    assert (message.callback_data, message.to) == (reply_uid, "GB.1349")
    assert replies.told[reply_uid] == ["accepted"]


async def test_what_comes_while_others_are_sent_is_sent_by_the_same_run(replies: Replies) -> None:
    await replies.ask(100)
    running = asyncio.create_task(replies.run())
    await eventually(lambda: len(replies.sent) > 0)
    assert len(replies.sent) < 100
    await replies.ask(1)
    await running
    await replies.assert_settled()
    assert len(replies.sent) == 101


async def test_an_effect_that_is_asked_for_twice_is_sent_once(replies: Replies) -> None:
    [reply_uid] = await replies.ask()
    due = await replies.outbox.due(KIND, replies.vendor_uid, now_ms(), 10)
    again = await replies.outbox.put(replies.vendor_uid, [due[0].effect])
    assert (again.taken, again.known) == (0, 1)
    await replies.run()
    after = await replies.outbox.put(replies.vendor_uid, [due[0].effect])
    assert (after.taken, after.known) == (0, 1), "also when it has been sent"
    await replies.run()
    assert replies.sent == {reply_uid: 1}


async def test_a_campaign_on_the_same_number_yields(
    make_stage: MakeStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Replies that wait for slots get all of them, and the campaign goes on afterwards. What
    counts is when slots were given out: which answer comes first is the machine's affair."""

    def patient(client: Redis, name: str) -> AsyncScript:
        """On a busy machine they may be silent for longer than they are waited for."""
        real: Any = script(client, name)
        source, replaced = re.subn(r"(local URGENT_FORGOTTEN =) \d+", r"\1 60000", real.script)
        assert replaced == (name == "sending/grant")
        made: AsyncScript = client.register_script(source)
        return made

    monkeypatch.setattr("workers.sending.limiter.script", patient)
    # Nor does a reply lose its slot there because it is late, and ask once more.
    monkeypatch.setattr("workers.sending.pacer.LATE_S", 60.0)
    grant = Limiter.grant
    given: list[tuple[float, bool, int]] = []

    async def spy(self: Limiter, *args: Any, urgent: bool, **more: Any) -> Grant:
        slots = await grant(self, *args, urgent=urgent, **more)
        given.append((slots.clock_s, urgent, slots.count))
        return slots

    monkeypatch.setattr(Limiter, "grant", spy)
    stage = await make_stage(30, rate=40, claim_s=1.0)
    replies = Replies(stage)
    sending = asyncio.create_task(stage.run())
    await eventually(lambda: len(stage.accepts()) >= 3)
    await replies.ask(24)
    await replies.run()
    await sending
    given.sort()
    asked = [place for place, (_, urgent, _) in enumerate(given) if urgent]
    between = [slots for _, urgent, slots in given[asked[0] : asked[-1]] if not urgent]
    assert sum(between) == 0, "from the replies' first question until they have the last slot"
    assert len(stage.cloud.engine.ledger.messages) == 54
    assert all(number.throttled == 0 for number in stage.cloud.engine.numbers)


async def test_what_ends_while_the_outbox_is_read_is_not_sent_again(
    replies: Replies, monkeypatch: pytest.MonkeyPatch
) -> None:
    due = Outbox.due

    async def slow(self: Outbox, *args: Any) -> list[Queued]:
        found = await due(self, *args)
        if replies.sent:
            await eventually(ended)
            await asyncio.sleep(0.05)  # until that is known in the run as well
        return found

    async def ended() -> bool:
        return await replies.waiting() == 0

    monkeypatch.setattr(Outbox, "due", slow)
    await replies.ask(3)
    await replies.run()
    await replies.assert_settled()


# -- what fails --


async def test_an_error_of_the_message_is_told_and_ends_it(replies: Replies) -> None:
    await replies.ask(2)
    replies.stage.fault(FaultKind.ERROR, code=131026, times=1)
    await replies.run()
    await replies.assert_settled()
    assert sorted(outcome for [outcome] in replies.told.values()) == ["accepted", "failed"]


async def test_what_the_service_cannot_take_now_is_tried_again(replies: Replies) -> None:
    await replies.ask(3)
    replies.stage.fault(FaultKind.ERROR, code=131016, times=2)
    await replies.run()
    assert await replies.waiting() == 2
    await replies.run_to_the_end()
    await replies.assert_settled()
    assert set(replies.sent) == set(replies.ids)


async def test_throttling_holds_the_number_and_nothing_is_lost(replies: Replies) -> None:
    await replies.ask(5)
    replies.stage.fault(FaultKind.ERROR, code=130429, times=2)
    await replies.run_to_the_end()
    await replies.assert_settled()
    assert set(replies.sent) == set(replies.ids)


async def test_a_defect_of_one_message_stops_no_other(replies: Replies) -> None:
    """The code stops a campaign, whose messages are alike; replies are not."""
    await replies.ask(1)
    replies.stage.fault(FaultKind.ERROR, code=132000, times=1)
    await replies.run()
    await replies.ask(2)
    await replies.run()
    await replies.assert_settled()
    assert len(replies.sent) == 2


async def test_an_answer_that_never_comes_leaves_it_unknown(make_stage: MakeStage) -> None:
    stage = await make_stage(3, send_timeout_s=0.3)
    replies = Replies(stage)
    await replies.ask(1)
    stage.fault(FaultKind.TIMEOUT_AFTER_ACCEPT, times=1)
    await replies.run()
    await replies.run()
    await replies.assert_settled()
    assert replies.told == {replies.ids[0]: ["unknown"]}
    assert sum(replies.sent.values()) == 1, "it did go out, and is not sent again"


async def test_an_expired_one_is_told_as_failed_and_not_sent(replies: Replies) -> None:
    await replies.ask(1, expires_at=now_ms() - 1)
    await replies.run()
    await replies.assert_settled()
    assert replies.told == {replies.ids[0]: ["failed"]}


async def test_a_paused_number_keeps_them_waiting(replies: Replies) -> None:
    number = replies.stage.vendor.phone_number_ids[0]
    paused = Paused("number", number, replies.vendor_uid, 131031, "locked", now_ms())
    pauses = Pauses(replies.stage.redis)
    await pauses.put(paused)
    await replies.ask(2)
    await replies.run()
    assert await replies.waiting() == 2
    assert not replies.told
    assert any("locked" in str(reason) for reason in await replies.reasons())
    await replies.stage.redis.delete(keys.PAUSES)
    await replies.run_to_the_end()
    await replies.assert_settled()
    assert len(replies.sent) == 2


async def test_a_fault_of_one_number_keeps_no_other_from_sending(replies: Replies) -> None:
    """A key of the wrong type, which no waiting mends."""
    stage = replies.stage
    limits = Limits.of(stage.config, "bad-number", stage.settings)
    await stage.redis.set(keys.number(limits.line), "x")
    await replies.ask(1, phone_number_id="bad-number")
    good = await replies.ask(10)
    run = asyncio.create_task(replies.run())
    await eventually(lambda: set(good) <= set(replies.told))
    stage.stopping = True
    await run


async def test_a_fault_ends_the_run_loudly(
    replies: Replies, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is due would be begun again at once otherwise."""

    async def fail(*_: Any) -> list[Queued]:
        raise ZeroDivisionError

    monkeypatch.setattr(Outbox, "due", fail)
    await replies.ask(1)
    with pytest.raises(SendingFailed):
        await replies.run()


async def test_without_a_token_they_wait(make_stage: MakeStage) -> None:
    stage = await make_stage(3)
    stage.without_token = True
    replies = Replies(stage)
    await replies.ask(1)
    await replies.run()
    assert await replies.waiting() == 1
    assert not replies.sent


async def test_php_that_is_away_is_told_later(replies: Replies) -> None:
    """And nothing is sent again meanwhile."""

    def rule(call: Call) -> Answer | None:
        return HTML_500 if call.path.startswith(contract.UPDATE_MESSAGE_STATUS) else None

    replies.stage.php.rules.append(rule)
    await replies.ask(3)
    running = asyncio.create_task(replies.run())
    await eventually(lambda: len(replies.sent) == 3)
    replies.stage.stopping = True
    await running
    assert await replies.waiting() == 3, "they stay until PHP knows"
    replies.stage.php.rules.remove(rule)
    replies.stage.stopping = False
    await replies.run_to_the_end()
    await replies.assert_settled()


# -- the process dies --


class ReplyProcess(Process):
    """A worker process that sends a vendor's replies."""

    def __init__(self, replies: Replies, redis_url: str, at: int = 0, *, done: bool) -> None:
        super().__init__(replies.stage, redis_url, at, done=done)
        self._replies = replies

    async def _send(self) -> bool:
        await self._replies.run(self)
        return False


async def crash(replies: Replies, redis_url: str, at: int, *, done: bool) -> ReplyProcess:
    process = ReplyProcess(replies, redis_url, at, done=done)
    await process.start()
    await process.ended_or_failed()
    process.fail()
    await process.drop()
    await replies.drop_lease()
    return process


@pytest.mark.parametrize("done", [False, True], ids=["before it is done", "after it is done"])
@pytest.mark.parametrize("at", [*range(1, 26), 30, 35])
async def test_it_dies(make_stage: MakeStage, redis_url: str, at: int, done: bool) -> None:
    stage = await make_stage(3, rate=100)
    replies = Replies(stage)
    await replies.ask(6)
    await crash(replies, redis_url, at, done=done)
    await replies.run_to_the_end()
    await replies.assert_settled()


@pytest.mark.parametrize("seed", range(6))
async def test_it_dies_and_its_successors_too(
    make_stage: MakeStage, redis_url: str, seed: int
) -> None:
    chance = random.Random(seed)
    stage = await make_stage(3, rate=100, cloud={"error_shares": {131016: 0.2}, "seed": seed})
    replies = Replies(stage)
    for _ in range(3):
        await replies.ask(3)
        await crash(replies, redis_url, chance.randint(2, 30), done=chance.random() < 0.5)
    await replies.run_to_the_end()
    await replies.assert_settled()


# -- settings that change --


async def test_they_follow_what_php_says_of_the_vendor(replies: Replies) -> None:
    """The access token is replaced while they are sent."""
    stage = replies.stage
    cloud = stage.cloud.engine
    old = stage.config
    cloud.access.rotate(list(cloud.numbers), "new-token", 60, 463)
    await replies.ask(30)
    async with Leases(stage.redis, 60_000).hold(effects_lease(KIND, stage.vendor.uid)) as lease:
        run = replies.make_run(lease)
        running = asyncio.create_task(run.run())
        await eventually(lambda: len(replies.sent) >= 5)
        run.follow(old.model_copy(update={"access_token": "new-token"}))
        cloud.access.rotate(list(cloud.numbers), "new-token", 0, 463)
        await running
    await replies.assert_settled()
    assert set(replies.sent) == set(replies.ids)
    assert not await Pauses(stage.redis).all()


async def test_the_vendor_is_not_active(replies: Replies) -> None:
    await replies.ask(3)
    replies.stage.more_config["active"] = False
    await replies.run()
    assert not replies.sent
    assert await replies.reasons() == {"the vendor is not active"}
    replies.stage.more_config["active"] = True
    await replies.run_to_the_end()
    await replies.assert_settled()
    assert set(replies.sent) == set(replies.ids)


async def test_there_is_no_such_vendor_any_more(replies: Replies) -> None:
    await replies.ask(3)
    stage = replies.stage
    async with Leases(stage.redis, 60_000).hold(effects_lease(KIND, stage.vendor.uid)) as lease:
        run = replies.make_run(lease)
        run.follow(None)
        await run.run()
    assert not replies.sent
    assert await replies.waiting() == 3
    await replies.run_to_the_end()


# -- Redis is wiped --


async def _wiped(replies: Replies, ttl_ms: int = 10_000, *, after: int = 3) -> None:
    """Run with replies that wait for their slots; wipe Redis when so many have gone out."""
    redis = replies.stage.redis
    async with Leases(redis, ttl_ms).hold(effects_lease(KIND, replies.vendor_uid)) as lease:
        assert lease is not None
        running = asyncio.create_task(replies.make_run(lease).run())
        await eventually(lambda: len(replies.sent) >= after)
        await redis.flushall()
        if ttl_ms > 10_000:
            lease.kept_until = 0.0  # it stood still, and somebody else may have had it
            lease.lost.set()
        await running


async def test_those_that_wait_for_slots_are_kept(make_stage: MakeStage) -> None:
    """The process has them in hand, and knows which of them it has begun with."""
    stage = await make_stage(3, rate=20)
    replies = Replies(stage)
    await replies.ask(20)
    await _wiped(replies)
    assert await replies.waiting() >= 10
    await replies.run_to_the_end()
    assert set(replies.sent) == set(replies.ids)
    assert max(replies.sent.values()) == 1
    assert set(replies.told) == set(replies.ids)


async def test_they_are_kept_once(make_stage: MakeStage) -> None:
    """PHP names one of them again meanwhile, for an update that came again."""
    stage = await make_stage(3, rate=20)
    replies = Replies(stage)
    await replies.ask(20)
    last = (await replies.outbox.due(KIND, replies.vendor_uid, now_ms(), 20))[-1].effect
    await _wiped(replies)
    put = await replies.outbox.put(replies.vendor_uid, [last])
    assert (put.taken, put.known) == (0, 1)
    await replies.run_to_the_end()
    assert replies.sent[str(last.id)] == 1


async def test_a_run_that_may_have_had_a_successor_keeps_none(make_stage: MakeStage) -> None:
    """The successor may have begun with them before Redis was wiped."""
    stage = await make_stage(3, rate=20)
    replies = Replies(stage)
    await replies.ask(20)
    await _wiped(replies, 60_000)
    assert await replies.waiting() == 0


async def test_what_was_kept_expires_as_it_would_have(make_stage: MakeStage) -> None:
    stage = await make_stage(3, rate=20)
    replies = Replies(stage)
    await replies.ask(20)
    due = await replies.outbox.due(KIND, replies.vendor_uid, now_ms(), 20)
    put_at = min(queued.put_at for queued in due)
    await _wiped(replies)
    again = await replies.outbox.due(KIND, replies.vendor_uid, now_ms(), 20)
    expiry_ms = stage.settings.reply_expiry_s * 1000
    assert {getattr(queued.effect, "expires_at", 0) - expiry_ms for queued in again} <= {
        put_at,
        put_at + 1,
    }
    await replies.run_to_the_end()
