"""What the pages of campaigns show, read once for all who look."""

from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import cast

import pytest

from sidecar.console.campaign_views import CampaignView, CampaignViews
from sidecar.console.console import Console
from sidecar.console.number_rows import rows_of
from sidecar.ops.campaigns import Campaign
from sidecar.php.client import make_backend
from sidecar.php.vendors import make_vendors
from sidecar.redis import keys
from sidecar.redis.client import Redis
from tests.conftest import MakeSettings
from tests.sidecar.answering_php import Php, refusal
from tests.sidecar.console.campaigns import UID, add_campaign
from tests.sidecar.ops.sending import number_state
from tests.sidecar.service import VENDOR
from tests.workers.simulated_time import held_lease
from tests.workers.slots import limits
from workers.sending.limiter import Limiter


@pytest.fixture
async def views(
    make_settings: MakeSettings, redis: Redis, php: Php
) -> AsyncIterator[CampaignViews]:
    settings = make_settings(backend_url=php.url)
    backend = make_backend(settings)
    vendors = make_vendors(settings, backend)
    console = SimpleNamespace(redis=redis, backend=backend, vendors=vendors)
    yield CampaignViews(cast(Console, console))
    await vendors.close()
    await backend.close()


async def test_a_read_is_shared_until_somebody_changes_something(
    views: CampaignViews, php: Php
) -> None:
    add_campaign(php)
    for _ in range(3):
        assert [one.uid for one in await views.all()] == [UID]
        assert (await views.one(UID)).one.state == "running"
        assert await views.errors(UID) == []
    asked = php.asked("/internal/due-campaigns")
    assert len(asked) == 3
    add_campaign(php, state="paused")
    views.forget(UID)
    assert [one.state for one in await views.all()] == ["paused"]
    assert (await views.one(UID)).one.state == "paused"


async def test_numbers_of_the_vendor(views: CampaignViews, php: Php, redis: Redis) -> None:
    php.vendors[VENDOR] = {"vendor_uid": VENDOR, "current_phone_number_id": "110"}
    add_campaign(php)
    lease = await held_lease(redis, UID)
    await Limiter(redis).grant(lease, UID, limits(80.0, line=f"{VENDOR}/110"), ["999"])
    view = await views.one(UID)
    [row] = view.numbers
    assert (row.number, row.word, view.limit) == ("110", "full rate", 80.0)


def test_a_limit_that_depends_on_the_number() -> None:
    lines = [("110", number_state("110")), ("111", number_state("111", configured_rate=1000.0))]
    assert CampaignView(Campaign(UID, None), rows_of(lines)).limit is None
    assert CampaignView(Campaign(UID, None), rows_of([("110", None)])).limit is None
    assert CampaignView(Campaign(UID, None)).limit is None


async def test_while_php_is_away_redis_tells(views: CampaignViews, php: Php, redis: Redis) -> None:
    await redis.hset(keys.CAMPAIGNS, UID, VENDOR)
    php.override = lambda call: refusal(503, "maintenance")
    [one] = await views.all()
    assert (one.uid, one.state) == (UID, "running")
    assert "maintenance" in (one.php_away or "")
    view = await views.one(UID)
    assert (view.one.state, view.numbers) == ("running", [])
    assert await views.errors(UID) is None


async def test_php_tells_no_configuration(views: CampaignViews, php: Php) -> None:
    add_campaign(php)
    php.override = lambda call: (
        refusal(503, "maintenance") if call.target.endswith("vendor-config") else None
    )
    assert (await views.one(UID)).numbers == []


async def test_php_that_hangs_is_not_waited_for(
    views: CampaignViews, php: Php, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sidecar.console.campaign_views.ONE_TIMEOUT_S", 0.05)
    monkeypatch.setattr("sidecar.console.campaign_views.LIST_TIMEOUT_S", 0.05)
    await redis.hset(keys.CAMPAIGNS, UID, VENDOR)
    php.open.clear()
    for one in ((await views.one(UID)).one, *await views.all()):
        assert (one.state, one.php_away) == (
            "running",
            "/internal/due-campaigns: no answer in time",
        )
    assert await views.errors(UID) is None


async def test_a_package_that_cannot_tell_errors(views: CampaignViews, php: Php) -> None:
    add_campaign(php, errors=None)
    assert await views.errors(UID) is None
    assert await views.errors("nothing") is None


async def test_no_more_is_kept_than_people_look_at(
    views: CampaignViews, php: Php, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sidecar.console.campaign_views.MAX_ONES", 2)
    for number in range(4):
        await views.one(f"c-{number}")
    assert list(views._ones) == ["c-2", "c-3"]
