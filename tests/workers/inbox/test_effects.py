"""Effects that PHP has named in its answers: put on disk, and then woken for."""

from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest

from contracts.effects import EffectKind, Forward
from sidecar.clock import now_ms
from sidecar.effects.outbox import Queued, make_outbox
from sidecar.inbox.store import RawWebhook
from sidecar.redis.client import Redis
from tests.conftest import MakeSettings
from tests.workers.payloads import entry, make_update, message, status, webhook
from workers.inbox.coalesce import coalesce
from workers.inbox.delivery import UNTRIED, Fate, Verdict
from workers.inbox.effects import UpdateEffects
from workers.inbox.split import split_webhook
from workers.inbox.update import Update

FORWARD = EffectKind.FORWARD
UPDATE = make_update()
VENDOR = UPDATE.vendor_uid


@dataclass
class Stand:
    redis: Redis
    settings: Any
    woken: list[tuple[EffectKind, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.outbox = make_outbox(self.settings, self.redis)
        self.effects = UpdateEffects(self.outbox, lambda *who: self.woken.append(who))

    async def put(self, verdict: Verdict) -> set[tuple[EffectKind, str]]:
        return await self.put_of(UPDATE, verdict)

    async def put_of(self, update: Update, verdict: Verdict) -> set[tuple[EffectKind, str]]:
        return await self.effects.put([update], {update.id: verdict})

    async def due(self, kind: EffectKind = FORWARD) -> list[str]:
        return [one.id for one in await self.outbox.due(kind, VENDOR, now_ms(), 10)]


@pytest.fixture
def stand(redis: Redis, make_settings: MakeSettings) -> Stand:
    return Stand(redis, make_settings())


def naming(*ids: str, fate: Fate = Fate.DONE, **more: Any) -> Verdict:
    return Verdict(fate, effects=[{"kind": "forward", "id": one, **more} for one in ids])


async def test_they_are_on_disk_before_anybody_is_woken(stand: Stand) -> None:
    put = await stand.put(naming("a", "b"))
    assert put == {(FORWARD, VENDOR)}
    assert await stand.due() == ["a", "b"]
    assert stand.woken == []
    stand.effects.wake(put)
    assert stand.woken == [(FORWARD, VENDOR)]


async def test_the_update_is_the_body_that_is_missing(stand: Stand) -> None:
    await stand.put(naming("a"))
    [queued] = await stand.outbox.due(FORWARD, VENDOR, now_ms(), 10)
    assert queued.effect == Forward(id="a", raw=(UPDATE.raw_payload or b"").decode())


@pytest.mark.parametrize("body", [{"body": {"n": 1}}, {"raw": "1.0"}])
async def test_what_php_says_is_the_body(stand: Stand, body: dict[str, Any]) -> None:
    await stand.put(naming("a", **body))
    [queued] = await stand.outbox.due(FORWARD, VENDOR, now_ms(), 10)
    assert queued.effect == Forward(id="a", **body)


async def test_the_values_are_those_that_meta_sent(stand: Stand) -> None:
    numbers = b'[18446744073709551617,0.1234567890123456789,1.0,1e+22,"\\u00e9\\/"]'
    body = webhook(messages=[message(n="here")]).replace(b'"here"', numbers)
    [update] = split_webhook(RawWebhook(b"", body), entry(body), "e")
    await stand.put_of(update, Verdict(Fate.DONE, effects=[{"kind": "forward", "id": "a"}]))
    [queued] = await stand.outbox.due(FORWARD, update.vendor_uid, now_ms(), 10)
    assert numbers.decode() in str(queued.effect.model_dump()["raw"])
    again = Queued.load("a", VENDOR, orjson.loads(queued.dump()))
    assert again.effect == queued.effect


async def test_of_what_is_ignored_effects_follow_too(stand: Stand) -> None:
    assert await stand.put(naming("a", fate=Fate.IGNORED)) == {(FORWARD, VENDOR)}
    assert await stand.due() == ["a"]


async def test_of_what_comes_again_nothing_follows(stand: Stand) -> None:
    """It will be asked again, and named again."""
    assert await stand.put(naming("a", fate=Fate.RETRY)) == set()
    assert await stand.put(UNTRIED) == set()
    assert await stand.due() == []


async def test_named_twice_it_is_put_once(stand: Stand) -> None:
    for _ in range(2):
        assert await stand.put(naming("a")) == {(FORWARD, VENDOR)}
    assert await stand.due() == ["a"]


def a_status(name: str, **more: Any) -> Update:
    one = status("wamid.out", name, recipient_id=name, **more)
    body = webhook(statuses=[one], contacts=[{"wa_id": name}])
    return split_webhook(RawWebhook(b"", body), entry(body), name)[0]


async def told(stand: Stand) -> list[list[tuple[str, str]]]:
    """Return the statuses that forwards tell, each with its contact."""
    found = []
    for queued in await stand.outbox.due(FORWARD, VENDOR, now_ms() + 1, 10):
        entries = orjson.loads(str(queued.effect.model_dump()["raw"]))["entry"]
        values = [change["value"] for one in entries for change in one["changes"]]
        found.append([(v["statuses"][0]["status"], v["contacts"][0]["wa_id"]) for v in values])
    return found


async def test_statuses_go_together_each_as_it_came(stand: Stand) -> None:
    [update] = coalesce([a_status("sent"), a_status("read"), a_status("delivered")]).updates
    await stand.put_of(update, naming("a"))
    names = ["sent", "delivered", "read"]
    assert await told(stand) == [[(name, name) for name in names]]


async def test_a_status_is_told_once_whatever_it_comes_with(stand: Stand) -> None:
    steps = [["sent"], ["sent", "delivered"], ["delivered"], ["sent", "read", "delivered"]]
    for step in [*steps, *steps]:
        [update] = coalesce([a_status(name) for name in step]).updates
        await stand.put_of(update, naming(f"of {update.status}"))
    assert await told(stand) == [[(name, name)] for name in ("sent", "delivered", "read")]


async def test_a_known_forward_takes_no_new_status_along(stand: Stand) -> None:
    """It has the id of one that waits, or that is done, and tells something else."""
    await stand.put_of(a_status("read"), naming("of read"))
    [update] = coalesce([a_status("delivered"), a_status("read")]).updates
    await stand.put_of(update, naming("of read"))
    assert await told(stand) == [[("read", "read")], [("delivered", "delivered")]]


async def test_three_participants_are_three_facts(stand: Stand) -> None:
    reads = [a_status("read", recipient_participant_id=one) for one in "123"]
    [update] = coalesce(reads).updates
    await stand.put_of(update, naming("a"))
    [queued] = await stand.outbox.due(FORWARD, VENDOR, now_ms() + 1, 10)
    told = str(queued.effect.model_dump()["raw"])
    assert [told.count(f'"recipient_participant_id":"{one}"') for one in "123"] == [1, 1, 1]


async def test_statuses_of_one_webhook_stand_in_one_list(stand: Stand) -> None:
    statuses = [status("wamid.out", name) for name in ("sent", "delivered", "read")]
    body = webhook(statuses=statuses)
    [update] = coalesce(split_webhook(RawWebhook(b"", body), entry(body), "e")).updates
    waited = Update.load(update.dump())
    for one in (update, waited):
        await stand.put_of(one, naming("a"))
    [queued] = await stand.outbox.due(FORWARD, VENDOR, now_ms() + 1, 10)
    assert orjson.loads(str(queued.effect.model_dump()["raw"])) == orjson.loads(body)


async def test_what_is_no_effect_takes_no_other_along(stand: Stand) -> None:
    odd = Verdict(Fate.DONE, effects=[{"kind": "new to us"}, {"kind": "forward", "id": "a"}])
    assert await stand.put(odd) == {(FORWARD, VENDOR)}
    assert await stand.due() == ["a"]
