"""Moving vendors step by step. While workers send, tests/workers/test_cutover*.py does."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from contracts import backend as contract
from contracts.jobs import Lane
from contracts.modes import Mode
from contracts.sidecar_api import ModesChange, ModesChanged
from sidecar.inbox.store import Inbox
from sidecar.migration.cutover import SOMEBODY_ELSE, Cutover, VendorUnknown
from sidecar.php.client import BackendRefused, make_backend
from sidecar.php.config_feed import ConfigChanges
from sidecar.redis import keys
from sidecar.redis.client import Redis
from sidecar.sending.campaigns import campaign_lease
from tests.conftest import MakeSettings
from tests.sidecar.answering_php import Answer, Call, Php, refusal
from tests.sidecar.service import VENDOR

OTHER = "11111111-2222-3333-4444-555555555555"


class Migration:
    """One that moves vendors, and PHP, which keeps their modes."""

    def __init__(self, cutover: Cutover, php: Php) -> None:
        self.cutover = cutover
        self.php = php

    async def move(self, *vendors: str, timeout_s: float = 5.0, **modes: Mode) -> ModesChanged:
        asked = ModesChange(vendor_uids=list(vendors), by="a test", timeout_s=timeout_s, **modes)
        return await self.cutover.move(asked)

    @property
    def steps(self) -> list[dict[str, Any]]:
        """The changes of the vendor, in order."""
        found = []
        for past in self.php.histories.get(VENDOR, []):
            before, after = past["before"], past["after"]
            found.append({name: after[name] for name in after if after[name] != before[name]})
        return found


@pytest.fixture
async def migration(
    make_settings: MakeSettings, redis: Redis, php: Php
) -> AsyncIterator[Migration]:
    settings = make_settings(backend_url=php.url, cron_settle_s=0)
    backend = make_backend(settings)
    php.add_vendor(OTHER)
    yield Migration(Cutover(settings, redis, backend, ConfigChanges(redis, {})), php)
    await backend.close()


async def test_webhooks_and_bots_move_at_once(migration: Migration, redis: Redis) -> None:
    changed = await migration.move(VENDOR, webhooks=Mode.SIDECAR, bots=Mode.SHADOW)
    [vendor] = changed.vendors
    assert (vendor.modes.webhooks, vendor.modes.bots) == (Mode.SIDECAR, Mode.SHADOW)
    assert vendor.waits_for is None
    assert migration.steps == [{"webhooks": "sidecar", "bots": "shadow"}]
    assert await redis.exists(keys.CONFIG_VERSION), "every process learns of it"


async def test_campaigns_are_held_on_the_way(migration: Migration) -> None:
    await migration.move(VENDOR, campaigns=Mode.SIDECAR)
    await migration.move(VENDOR, campaigns=Mode.PHP)
    assert [step["campaigns"] for step in migration.steps] == ["held", "sidecar", "held", "php"]


async def test_nobody_named_means_everybody(migration: Migration) -> None:
    changed = await migration.move(bots=Mode.SHADOW)
    assert {one.vendor_uid for one in changed.vendors} == {VENDOR, OTHER}


async def test_one_that_php_does_not_know(migration: Migration) -> None:
    with pytest.raises(VendorUnknown, match="nobody"):
        await migration.move(VENDOR, "nobody", bots=Mode.SHADOW)
    assert migration.steps == []


async def test_what_is_so_already_is_no_change_but_is_announced(
    migration: Migration, redis: Redis
) -> None:
    """Whoever made it may have died before that."""
    await migration.move(VENDOR, bots=Mode.SHADOW)
    announced = await redis.get(keys.CONFIG_VERSION)
    changed = await migration.move(VENDOR, bots=Mode.SHADOW)
    assert len(migration.steps) == 1
    assert changed.version == 1
    assert await redis.get(keys.CONFIG_VERSION) != announced


async def test_what_may_still_be_sent_keeps_a_vendor_held(
    migration: Migration, redis: Redis
) -> None:
    await migration.move(VENDOR, campaigns=Mode.SIDECAR)
    for campaign in ("c-1", "c-2"):
        await redis.hset(keys.LEDGERS, campaign, VENDOR)
        await redis.hset(keys.ledger(campaign), "r-1", "c:x")
    changed = await migration.move(VENDOR, OTHER, campaigns=Mode.PHP, timeout_s=0.05)
    waits = {one.vendor_uid: (one.modes.campaigns, one.waits_for) for one in changed.vendors}
    assert waits[OTHER] == (Mode.PHP, None)
    mode, why = waits[VENDOR]
    assert mode is Mode.HELD
    assert why is not None
    assert why.endswith("1 row to be settled; no worker has it; and 1 more")
    await redis.delete(keys.LEDGERS)
    [vendor] = (await migration.move(VENDOR, campaigns=Mode.PHP)).vendors
    assert (vendor.modes.campaigns, vendor.waits_for) == (Mode.PHP, None)


async def test_a_worker_that_has_nothing_does_no_harm(migration: Migration, redis: Redis) -> None:
    await migration.move(VENDOR, campaigns=Mode.SIDECAR)
    await redis.hset(keys.CAMPAIGNS, "c-1", VENDOR)
    await redis.set(keys.lease(campaign_lease("c-1")), 1)
    [vendor] = (await migration.move(VENDOR, campaigns=Mode.PHP, timeout_s=0.05)).vendors
    assert (vendor.modes.campaigns, vendor.waits_for) == (Mode.PHP, None)


async def test_it_goes_on_as_soon_as_all_is_settled(migration: Migration, redis: Redis) -> None:
    await migration.move(VENDOR, campaigns=Mode.SIDECAR)
    await redis.hset(keys.LEDGERS, "c-1", VENDOR)
    await redis.hset(keys.ledger("c-1"), "r-1", "c:x")
    moving = asyncio.create_task(migration.move(VENDOR, campaigns=Mode.PHP, timeout_s=60))
    while migration.php.modes_of(VENDOR)["campaigns"] != "held":
        await asyncio.sleep(0.01)
    assert not moving.done()
    await redis.delete(keys.ledger("c-1"), keys.LEDGERS)
    [vendor] = (await moving).vendors
    assert (vendor.modes.campaigns, vendor.waits_for) == (Mode.PHP, None)


async def test_webhooks_that_wait_go_to_php_in_any_case(migration: Migration, redis: Redis) -> None:
    await migration.move(VENDOR, webhooks=Mode.SIDECAR)
    inbox = Inbox(redis, timeout_s=5, pending_limit_bytes=10**8, wake=lambda _lane: None)
    for _ in range(3):
        await inbox.put(Lane.MESSAGES, VENDOR, b"", b"{}")
    await inbox.close()
    [vendor] = (await migration.move(VENDOR, webhooks=Mode.PHP, timeout_s=0.05)).vendors
    assert vendor.modes.webhooks is Mode.PHP
    assert vendor.waits_for == "3 webhooks; the workers go on handing them to PHP"


class SomebodyElse:
    """Changes modes between a read and a write of ours, so many times; ``held`` only once
    campaigns are held."""

    def __init__(self, php: Php, times: int, *, held: bool = False) -> None:
        self.php = php
        self.left = times
        self.held = held

    def __call__(self, call: Call) -> Answer | None:
        if call.target != contract.MODES or not call.json.get("changes"):
            return None
        campaigns = call.json["changes"][0].get("campaigns")
        if not self.left or (self.held and campaigns in (None, "held")):
            return None
        self.left -= 1
        self.php.modes_version += 1
        if self.held:
            before = self.php.modes_of(VENDOR)
            past = {"at": 1, "version": self.php.modes_version, "before": before}
            said = {"after": before, "by": "somebody else", "reason": None}
            self.php.histories[VENDOR].append(past | said)
        return refusal(409, "fence_stale")


async def test_somebody_elses_change_comes_before(migration: Migration, php: Php) -> None:
    php.override = SomebodyElse(php, 2)
    [vendor] = (await migration.move(VENDOR, bots=Mode.SHADOW)).vendors
    assert vendor.modes.bots is Mode.SHADOW


async def test_it_is_not_tried_for_ever(migration: Migration, php: Php) -> None:
    php.override = SomebodyElse(php, 1000)
    with pytest.raises(BackendRefused, match="fence_stale"):
        await migration.move(VENDOR, bots=Mode.SHADOW)
    assert migration.steps == []


async def test_a_vendor_whom_somebody_else_moves_is_left_to_them(
    migration: Migration, php: Php
) -> None:
    """What was waited for is not true of it any more."""
    php.override = SomebodyElse(php, 1, held=True)
    changed = await migration.move(VENDOR, OTHER, campaigns=Mode.SIDECAR)
    found = {one.vendor_uid: (one.modes.campaigns, one.waits_for) for one in changed.vendors}
    assert found[VENDOR] == (Mode.HELD, SOMEBODY_ELSE)
    assert found[OTHER] == (Mode.SIDECAR, None)
