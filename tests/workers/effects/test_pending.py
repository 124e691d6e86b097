"""What PHP has asked for and nobody does is done, each once, or its outcome is unknown."""

import uuid
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from contracts import backend as contract
from contracts.effects import AiProvider, EffectKind
from contracts.jobs import Job, do_effects
from sidecar.clock import now_ms
from sidecar.effects.memory import is_known
from sidecar.effects.outbox import parse_effects
from sidecar.metrics import METRICS, PENDING_EFFECTS
from sidecar.php.client import encode
from sidecar.redis import keys
from simulator.backend.seed_bots import SeedBot
from simulator.backend.times import to_ms, to_text
from tests.contract.talk import says
from tests.contract.under_test import Row
from tests.eventually import eventually
from tests.workers.conftest import MakeStage
from tests.workers.crashing import Process
from tests.workers.php import HTML_500, Answer, Call, answer
from tests.workers.replying import Replies
from tests.workers.stage import Stage
from workers.effects import pending as module
from workers.effects.pending import FORGOTTEN, PendingEffects

PATH = contract.PENDING_EFFECTS
LOGS = "whatsapp_message_logs"
REPLY, QUESTION = EffectKind.SEND_MESSAGE, EffectKind.AI_REPLY

#: How old a message is that stands pending for long enough, and one that does not.
OLD_S, YOUNG_S = 120, 10


@dataclass
class Lost:
    """Messages that PHP has asked for, and of which the sidecar knows nothing."""

    stage: Stage
    replies: Replies = field(init=False)
    woken: list[Job] = field(default_factory=list)
    messages: int = 0

    def __post_init__(self) -> None:
        self.replies = Replies(self.stage)

    def make(self, process: Process | None = None) -> PendingEffects:
        of = process or self.stage
        return PendingEffects(self.stage.settings, of.redis, of.backend, self.woken.append)

    async def reply(self, age_s: float = OLD_S, **columns: Any) -> dict[str, Any]:
        """Have a bot answer so long ago, and return the effect that nobody has taken."""
        embedded, vendor = self.stage.embedded, self.stage.vendor
        (bot,) = embedded.seed_bots(vendor, SeedBot("is", "open", "We open at nine."))
        [effect] = await self._say("open", [(bot, "is")])
        assert effect["kind"] == REPLY
        created_at = to_text(now_ms() - round(age_s * 1000))
        embedded.change(LOGS, {"created_at": created_at, **columns}, _uid=effect["id"])
        self.replies.ids.append(effect["id"])
        return effect

    async def question(self) -> dict[str, Any]:
        ai = AiProvider(name="main", url="http://127.0.0.1:1/v1")
        self.stage.embedded.seed_effects(self.stage.vendor, ai=ai)
        [effect] = await self._say("Do you ship?", [])
        assert effect["kind"] == QUESTION
        return effect

    async def _say(self, text: str, bots: list[tuple[str, str]]) -> list[dict[str, Any]]:
        self.messages += 1
        wamid, sender = f"wamid.{uuid.uuid4()}", f"99970{self.messages:08}"
        update = says(self.stage.vendor, text, bots, wamid=wamid, sender=sender)
        body = encode({"updates": [update]})
        found = await self.stage.backend.post(
            contract.PROCESS_WEBHOOKS, body, contract.ProcessWebhooksAnswer
        )
        [result] = found.results
        return result.effects

    async def remembers(self, for_s: float) -> None:
        """Redis has not been wiped for so long."""
        await self.stage.redis.set(keys.MEMORY_SINCE, now_ms() - round(for_s * 1000))

    async def waiting(self, kind: EffectKind = REPLY) -> list[str]:
        name = keys.effects(kind, self.stage.vendor.uid)
        return [uid.decode() for uid in cast("list[bytes]", await self.stage.redis.hkeys(name))]

    async def since(self) -> bytes | None:
        return cast("bytes | None", await self.stage.redis.get(keys.MEMORY_SINCE))

    def row(self, effect: dict[str, Any]) -> Row:
        [row] = self.stage.embedded.rows(LOGS, _uid=effect["id"])
        return row

    def calls(self) -> list[dict[str, Any]]:
        return [call.json for call in self.stage.php.to(PATH)]


async def finish(pending: PendingEffects) -> None:
    """Look as often as the reconciler would, until it is done for now."""
    for _ in range(20):
        await pending.look()
        if pending._round is None and pending._next_at > 0:
            return
    pytest.fail("it does not end")


class SendingProcess(Process):
    """A worker process that sends replies."""

    def __init__(self, lost: Lost) -> None:
        super().__init__(lost.stage, _url(lost.stage), done=False)
        self._replies = lost.replies

    async def _send(self) -> bool:
        await self._replies.run(self)
        return False


def _url(stage: Stage) -> str:
    options = stage.redis.connection_pool.connection_kwargs
    return f"redis://{options['host']}:{options['port']}/{options.get('db', 0)}"


@pytest.fixture
async def lost(make_stage: MakeStage) -> Lost:
    stage = await make_stage(1, pending_effects_interval_s=60)
    stage.embedded.delete(LOGS, status="pending")  # of other tests
    return Lost(stage)


# -- messages --


async def test_a_message_that_was_never_taken_is_sent_once(lost: Lost) -> None:
    """PHP's answer never came, say, or the application's call met no sidecar."""
    await lost.remembers(3600)
    effect = await lost.reply()
    pending = lost.make()
    await finish(pending)
    assert await lost.waiting() == [effect["id"]]
    assert lost.woken == [do_effects(REPLY, lost.stage.vendor.uid)]
    await lost.replies.run_to_the_end()
    await finish(lost.make())
    await lost.replies.run_to_the_end()
    assert lost.replies.sent == {effect["id"]: 1}
    assert lost.row(effect)["status"] == "accepted"
    assert pending.unasked == {"messages": 0, "oldest_at": 0}


async def test_one_that_may_have_been_sent_before_redis_was_wiped_is_unknown(lost: Lost) -> None:
    await lost.remembers(60)
    effect = await lost.reply()
    before = METRICS.counter(PENDING_EFFECTS, REPLY, "unknown").value
    await finish(lost.make())
    assert await lost.waiting() == []
    row = lost.row(effect)
    assert (row["status"], row["wamid"]) == ("unknown", None)
    assert row["__data"]["error"]["message"] == FORGOTTEN.message
    assert METRICS.counter(PENDING_EFFECTS, REPLY, "unknown").value == before + 1
    await finish(lost.make())
    assert lost.replies.told == {effect["id"]: ["unknown"]}, "PHP lists it no more"


async def test_one_that_was_sent_and_then_redis_was_wiped_is_not_sent_again(lost: Lost) -> None:
    """The worker dies before PHP is told, and nothing but the Cloud API knows of it."""
    effect = await lost.reply()
    await lost.replies.outbox.put(lost.stage.vendor.uid, parse_effects("v", [effect]))

    def fail(call: Call) -> Answer | None:
        return HTML_500 if call.path.startswith(contract.UPDATE_MESSAGE_STATUS) else None

    lost.stage.php.rules.append(fail)
    process = SendingProcess(lost)
    await process.start()
    await eventually(lambda: lost.replies.sent.total() == 1)
    process.fail()
    await process.drop()
    assert lost.replies.sent == {effect["id"]: 1}
    lost.stage.php.rules.remove(fail)
    await lost.stage.redis.flushall()
    await finish(lost.make())
    await lost.replies.run_to_the_end()
    assert lost.replies.sent == {effect["id"]: 1}
    assert lost.row(effect)["status"] == "unknown"


async def test_what_waits_or_is_being_sent_is_left_alone(lost: Lost) -> None:
    """Whether it was asked for before Redis was wiped or after."""
    effects = [await lost.reply() for _ in range(2)]
    for for_s in (60, 3600):
        await lost.remembers(for_s)
        await lost.replies.outbox.put(lost.stage.vendor.uid, parse_effects("v", effects))
        await finish(lost.make())
        assert set(await lost.waiting()) == {one["id"] for one in effects}
        assert not lost.replies.told
    await lost.replies.run_to_the_end()
    await lost.replies.assert_settled()


async def test_one_that_is_young_is_left_alone(lost: Lost) -> None:
    """What asks for it may be on its way."""
    await lost.remembers(3600)
    await lost.reply(YOUNG_S)
    await finish(lost.make())
    assert (await lost.waiting(), lost.replies.told) == ([], {})


async def test_one_that_has_expired_fails_with_a_reason(lost: Lost) -> None:
    await lost.remembers(7200)
    effect = await lost.reply()
    data = lost.row(effect)["__data"]
    data["sidecar"]["effect"]["expires_at"] = now_ms() - 1000
    lost.stage.embedded.change(LOGS, {"__data.sidecar": data["sidecar"]}, _uid=effect["id"])
    await finish(lost.make())
    await lost.replies.run_to_the_end()
    assert not lost.replies.sent
    row = lost.row(effect)
    assert row["status"] == "failed"
    assert "expired" in row["__data"]["error"]["message"]


async def test_one_without_an_expiry_expires_as_if_it_had_been_taken_at_once(lost: Lost) -> None:
    await lost.remembers(4 * 3600)
    expiry_s = lost.stage.settings.reply_expiry_s
    late, good = await lost.reply(expiry_s + 60), await lost.reply(expiry_s - 60)
    for effect in (late, good):
        data = lost.row(effect)["__data"]
        data["sidecar"]["effect"]["expires_at"] = None
        lost.stage.embedded.change(LOGS, {"__data.sidecar": data["sidecar"]}, _uid=effect["id"])
    await finish(lost.make())
    await lost.replies.run_to_the_end()
    assert [lost.row(one)["status"] for one in (late, good)] == ["failed", "accepted"]
    assert lost.replies.sent == {good["id"]: 1}


async def test_redis_is_wiped_while_php_lists_them(lost: Lost) -> None:
    """It is not forgotten that nothing is remembered any more."""
    await lost.remembers(3600)
    effect = await lost.reply()

    async def wipe(_call: Call) -> None:
        await lost.stage.redis.flushall()

    rule = lost.stage.php.when(PATH, wipe)
    await lost.make().look()
    assert await lost.waiting() == []
    lost.stage.php.forget(rule)
    await finish(lost.make())
    assert await lost.waiting() == []
    assert lost.row(effect)["status"] == "unknown"


async def test_an_old_php_does_not_say_when_it_asked(lost: Lost) -> None:
    await lost.remembers(3600)
    effect = await lost.reply()
    page = {"now": now_ms(), "results": [{"vendor_uid": "v", "effects": [effect]}]}
    lost.stage.php.once(PATH, answer(page))
    await finish(lost.make())
    assert await lost.stage.redis.exists(keys.effects(REPLY, "v")) == 0


async def test_they_are_looked_at_page_by_page(lost: Lost, monkeypatch: pytest.MonkeyPatch) -> None:
    await lost.remembers(3600)
    effects = [await lost.reply() for _ in range(5)]
    monkeypatch.setattr(module, "MAX_ROWS", {REPLY: 2, QUESTION: 2})
    await finish(lost.make())
    assert set(await lost.waiting()) == {one["id"] for one in effects}
    assert [call.get("after") is None for call in lost.calls()] == [True, False, False]


async def test_those_that_php_does_not_settle_are_told_of(lost: Lost) -> None:
    await lost.remembers(60)
    effects = [await lost.reply(200), await lost.reply(300)]

    def refuse(call: Call) -> Answer:
        ids = [one["uid"] for one in call.json["results"]]
        return answer({"results": [{"id": uid, "result": "retry"} for uid in ids]})

    rule = lost.stage.php.when(contract.UPDATE_MESSAGE_STATUSES, refuse)
    pending = lost.make()
    await finish(pending)
    oldest_at = to_ms(lost.row(effects[1])["created_at"])
    assert pending.unasked == {"messages": 2, "oldest_at": oldest_at}
    lost.stage.php.forget(rule)
    pending._next_at = 0.0
    await finish(pending)
    assert pending.unasked["messages"] == 0


async def test_one_that_cannot_be_read_is_told_of(lost: Lost) -> None:
    await lost.remembers(3600)
    odd = {"kind": REPLY, "id": "odd", "asked_at": 1, "message": {}}
    page = {"now": 1, "results": [{"vendor_uid": "v", "effects": [odd]}]}
    lost.stage.php.once(PATH, answer(page))
    pending = lost.make()
    await finish(pending)
    assert pending.unasked == {"messages": 1, "oldest_at": 0}


# -- questions --


async def test_questions_are_asked_again_once_after_a_wipe(lost: Lost) -> None:
    question = await lost.question()
    await finish(lost.make())
    assert await lost.waiting(QUESTION) == [question["id"]]
    assert lost.woken == [do_effects(QUESTION, lost.stage.vendor.uid)]
    assert is_known(await lost.since())
    await finish(lost.make())
    assert [call["kind"] for call in lost.calls()] == [QUESTION, REPLY, REPLY]


async def test_while_php_is_away_nothing_is_remembered(
    lost: Lost, monkeypatch: pytest.MonkeyPatch
) -> None:
    question = await lost.question()
    monkeypatch.setattr(module, "PAUSE_S", 0.0)
    lost.stage.php.once(PATH, HTML_500)
    pending = lost.make()
    await pending.look()
    assert not is_known(await lost.since())
    await finish(pending)
    assert await lost.waiting(QUESTION) == [question["id"]]


async def test_redis_is_wiped_again_while_questions_are_listed(lost: Lost) -> None:
    question = await lost.question()
    wipes = [1]

    async def wipe(_call: Call) -> None:
        if wipes:
            wipes.pop()
            await lost.stage.redis.flushall()

    lost.stage.php.when(PATH, wipe)
    await finish(lost.make())
    assert await lost.waiting(QUESTION) == [question["id"]]
    assert [call["kind"] for call in lost.calls()] == [QUESTION, QUESTION, REPLY]


# -- what it costs --


async def test_when_all_is_well_php_is_asked_once_in_a_while(
    lost: Lost, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(f"{module.__name__}.time.monotonic", lambda: now)
    await lost.remembers(3600)
    pending = lost.make()
    for _ in range(600):
        now += 1.0
        pending.noticed(b"1")
        await pending.look()
    assert len(lost.calls()) == 10


async def test_when_redis_was_wiped_php_is_asked_at_once(lost: Lost) -> None:
    await lost.remembers(3600)
    pending = lost.make()
    await finish(pending)
    await pending.look()
    assert len(lost.calls()) == 1
    await lost.stage.redis.flushall()
    pending.noticed(None)
    await finish(pending)
    assert [call["kind"] for call in lost.calls()[1:]] == [QUESTION, REPLY]


# -- the process dies --


class PendingProcess(Process):
    """A worker process that looks for what nobody does."""

    def __init__(self, lost: Lost, at: int, *, done: bool) -> None:
        super().__init__(lost.stage, _url(lost.stage), at, done=done)
        self._pending = lost.make(self)

    async def _send(self) -> bool:
        await finish(self._pending)
        return False


@pytest.mark.parametrize("done", [False, True], ids=["before it is done", "after it is done"])
@pytest.mark.parametrize("at", range(1, 14))
async def test_it_dies(lost: Lost, at: int, done: bool) -> None:
    """Right after a wipe, with messages from before and one that was asked for since."""
    question = await lost.question()
    before = [await lost.reply(age_s) for age_s in (300, 200)]
    since = await lost.reply(-3600)
    lost.stage.embedded.change(LOGS, {"created_at": to_text(now_ms())}, _uid=since["id"])
    process = PendingProcess(lost, at, done=done)
    await process.start()
    await process.ended_or_failed()
    process.fail()
    await process.drop()
    await finish(lost.make())
    # The message from since is not old enough yet; now it is, and Redis remembers for as long.
    since_ms = int(await lost.since() or 0)
    lost.stage.embedded.change(LOGS, {"created_at": to_text(now_ms() - 100_000)}, _uid=since["id"])
    await lost.stage.redis.set(keys.MEMORY_SINCE, min(since_ms, now_ms() - 150_000))
    await finish(lost.make())
    await lost.replies.run_to_the_end()
    assert lost.replies.sent == {since["id"]: 1}
    assert [lost.row(one)["status"] for one in before] == ["unknown", "unknown"]
    assert lost.row(since)["status"] == "accepted"
    assert await lost.waiting(QUESTION) == [question["id"]]


@pytest.mark.parametrize("done", [False, True], ids=["before it is done", "after it is done"])
@pytest.mark.parametrize("at", range(1, 8))
async def test_it_dies_while_all_is_well(lost: Lost, at: int, done: bool) -> None:
    await lost.remembers(3600)
    effects = [await lost.reply() for _ in range(3)]
    process = PendingProcess(lost, at, done=done)
    await process.start()
    await process.ended_or_failed()
    process.fail()
    await process.drop()
    await finish(lost.make())
    await lost.replies.run_to_the_end()
    assert lost.replies.sent == {one["id"]: 1 for one in effects}
    assert {lost.row(one)["status"] for one in effects} == {"accepted"}
