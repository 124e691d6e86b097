"""Effects that PHP has named in its answers: put on disk, and then woken for."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from contracts.effects import EffectKind
from sidecar.clock import now_ms
from sidecar.effects.outbox import make_outbox
from sidecar.redis.client import Redis
from tests.conftest import MakeSettings
from tests.workers.payloads import make_update
from workers.inbox.delivery import UNTRIED, Fate, Verdict
from workers.inbox.effects import UpdateEffects

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
        return await self.effects.put([UPDATE], {UPDATE.id: verdict})

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
    assert queued.effect.model_dump()["body"] == UPDATE.whole_payload()


@pytest.mark.parametrize("fate", [Fate.RETRY, Fate.IGNORED])
async def test_of_what_is_not_done_nothing_follows(stand: Stand, fate: Fate) -> None:
    """It will be asked again, and named again."""
    assert await stand.put(naming("a", fate=fate)) == set()
    assert await stand.put(UNTRIED) == set()
    assert await stand.due() == []


async def test_named_twice_it_is_put_once(stand: Stand) -> None:
    for _ in range(2):
        assert await stand.put(naming("a")) == {(FORWARD, VENDOR)}
    assert await stand.due() == ["a"]


async def test_what_is_no_effect_takes_no_other_along(stand: Stand) -> None:
    odd = Verdict(Fate.DONE, effects=[{"kind": "new to us"}, {"kind": "forward", "id": "a"}])
    assert await stand.put(odd) == {(FORWARD, VENDOR)}
    assert await stand.due() == ["a"]
