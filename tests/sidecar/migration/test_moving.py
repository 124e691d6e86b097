"""A move is recorded, whatever comes of it, and told in words."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from contracts.modes import Mode, Modes
from contracts.sidecar_api import ModesChange, ModesChanged, MovedVendor
from sidecar.migration.cutover import Cutover, VendorUnknown
from sidecar.migration.moving import move, unfinished, why_not
from sidecar.ops.audit import Audit, Entry, Who
from sidecar.php.client import BackendUnavailable, make_backend
from sidecar.php.config_feed import ConfigChanges
from sidecar.redis import keys
from sidecar.redis.client import Redis
from tests.conftest import MakeSettings
from tests.sidecar.answering_php import Php
from tests.sidecar.commands.vendors import OTHER
from tests.sidecar.service import VENDOR

Moved = Callable[..., Awaitable[Entry]]

ADA = Who("console", "ada", "operate")


@pytest.fixture
async def moved(make_settings: MakeSettings, redis: Redis, php: Php) -> AsyncIterator[Moved]:
    """Move vendors, and return what was recorded of it."""
    settings = make_settings(backend_url=php.url, cron_settle_s=0)
    backend = make_backend(settings)
    php.add_vendor(OTHER)
    audit = Audit(redis, 100)

    async def moved(*vendors: str, **modes: Any) -> Entry:
        asked = ModesChange(vendor_uids=list(vendors), by="ada", timeout_s=0.1, **modes)
        cutover = Cutover(settings, redis, backend, ConfigChanges(redis, {}))
        await move(cutover, asked, audit, ADA)
        return (await audit.read(count=1))[0]

    yield moved
    await backend.close()


async def test_what_was_moved_is_recorded(moved: Moved) -> None:
    entry = await moved(VENDOR, webhooks=Mode.SIDECAR, reason="the first")
    assert (entry.who, entry.action, entry.target) == (ADA, "modes.change", VENDOR)
    assert entry.details == {"webhooks": "sidecar", "reason": "the first", "vendors": 1}
    entry = await moved(VENDOR, OTHER, bots=Mode.SHADOW)
    assert (entry.target, entry.outcome) == ("2 vendors", "done")
    assert entry.details["uids"] == [VENDOR, OTHER]
    assert (await moved(bots=Mode.PHP)).target == "all vendors"


async def test_what_was_so_already_is_told_from_what_was_done(moved: Moved) -> None:
    assert (await moved(VENDOR, webhooks=Mode.SIDECAR)).outcome == "done"
    assert (await moved(VENDOR, webhooks=Mode.SIDECAR)).outcome == "nothing to do"


async def test_what_has_to_be_repeated_says_so(moved: Moved, redis: Redis) -> None:
    await moved(VENDOR, campaigns=Mode.SIDECAR)
    await redis.hset(keys.LEDGERS, "c1", VENDOR)
    await redis.hset(keys.ledger("c1"), "row", "c:x")
    entry = await moved(campaigns=Mode.PHP)
    assert (entry.outcome, entry.details["left"]) == ("unfinished", [VENDOR])


def changed(*campaigns: Mode) -> ModesChanged:
    vendors = [MovedVendor(vendor_uid=VENDOR, modes=Modes(campaigns=mode)) for mode in campaigns]
    return ModesChanged(version=1, vendors=vendors)


def test_what_is_left_to_do() -> None:
    asked = ModesChange(vendor_uids=[], campaigns=Mode.PHP, by="a test")
    assert unfinished(changed(Mode.PHP), asked) is None
    assert unfinished(changed(Mode.SIDECAR, Mode.PHP), asked) == (
        "1 vendor does not have the requested modes yet: repeat it"
    )
    said = unfinished(changed(Mode.SIDECAR, Mode.HELD), asked)
    assert said is not None
    assert "2 vendors" in said
    assert said.endswith("The campaigns of 1 are held until then, so nobody sends them")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (VendorUnknown("nobody"), "PHP knows no vendor nobody"),
        (BackendUnavailable("no answer"), "PHP call failed: no answer. Earlier changes stand, "),
        (RedisConnectionError("refused"), "Redis is unavailable: refused. Earlier changes stand, "),
    ],
)
def test_what_went_wrong_is_said(error: Exception, words: str) -> None:
    assert why_not(error).startswith(words)
