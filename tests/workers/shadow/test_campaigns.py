"""Looking at what PHP's crons have sent: whom PHP is asked for, and what is counted."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from contracts import backend as contract
from contracts.backend import QueueStatus
from contracts.sidecar_api import InvalidateRequest
from sidecar.clock import now_ms
from sidecar.php.client import Backend, BackendError
from sidecar.php.config_feed import ConfigChanges
from sidecar.php.vendors import Vendors
from sidecar.redis import keys
from sidecar.redis.client import Redis
from sidecar.redis.lease import Lease, LeaseLost
from sidecar.shadow.parity import ParityReader, VendorParity
from sidecar.shadow.rules import Class, Kind
from tests.conftest import MakeSettings
from tests.workers.php import Answer, Call, Php, answer
from tests.workers.shadowing import Tables, tell
from workers.shadow import campaigns as module
from workers.shadow.campaigns import CampaignShadow
from workers.shadow.store import ShadowStore

VENDOR = "7d9c1a52-4b0e-4c57-9a3e-2f6b8c1d0e11"
NOW = now_ms()
COMPONENTS = [{"type": "body", "parameters": [{"type": "text", "text": "Ada"}]}]


def ended(uid: str, at: int = NOW, **sent: Any) -> dict[str, Any]:
    row = {"uid": uid, "to": "999700000001", "template_name": "t", "template_language": "en"}
    known = {"wamid": f"wamid.{uid}", "phone_number_id": "110", "components": COMPONENTS, **sent}
    return {
        "vendor_uid": VENDOR,
        "campaign_uid": "c-1",
        "row": {**row, "components": COMPONENTS},
        "status": QueueStatus.AWAITING_STATUS,
        "ended_at": at,
        "sent": known,
    }


def page(until: int, *messages: dict[str, Any], next: str | None = None) -> dict[str, Any]:
    return {"messages": messages, "looked_until": until, "next": next}


class Looking:
    """One vendor in shadow, and pages of rows that PHP answers."""

    def __init__(self, make: Any, redis: Redis, php: Php, backend: Backend) -> None:
        self.settings = make()
        self.redis, self.php, self.backend = redis, php, backend
        self.tables = Tables(modes={"webhooks": "php", "campaigns": "shadow", "bots": "php"})
        self.tables.config = {"current_phone_number_id": "110"}
        self.pages: list[dict[str, Any]] = []
        tell(php, self.tables, VENDOR)
        php.when(contract.PREVIEW_MESSAGES, lambda _call: answer(self._page()))
        self.vendors = Vendors(backend, ttl_s=60, unknown_ttl_s=60)
        self.work = self.make()

    def make(self) -> CampaignShadow:
        store = ShadowStore(self.redis, 5)
        return CampaignShadow(self.settings, self.redis, self.backend, self.vendors, store)

    def _page(self) -> dict[str, Any]:
        return self.pages.pop(0) if self.pages else {"messages": []}

    async def look(self) -> None:
        lease = Lease("shadow", 1)
        await self.redis.set(lease.key, lease.token)
        self.work._next = 0.0
        await self.work.look(lease)

    async def parity(self) -> VendorParity:
        return await ParityReader(self.redis).read(VENDOR)

    def asked(self) -> list[dict[str, Any]]:
        return [call.json for call in self.php.to(contract.PREVIEW_MESSAGES)]

    def places(self) -> list[tuple[int, str | None]]:
        return [(one["ended_since"], one["after"]) for one in self.asked()]


@pytest.fixture
async def looking(
    make_settings: MakeSettings,
    redis: Redis,
    php: Php,
    backend: Backend,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Looking]:
    monkeypatch.setattr(module, "now_ms", lambda: NOW)
    looking = Looking(make_settings, redis, php, backend)
    yield looking
    await looking.vendors.close()


async def test_each_row_is_compared_once(looking: Looking) -> None:
    """Also if PHP names it again, and whoever looks: a process that died begins further back."""
    other = [{"type": "body", "parameters": [{"type": "text", "text": "Dear customer"}]}]
    rows = [ended("r-1"), ended("r-2", components=other)]
    for _ in range(3):
        looking.pages = [{"messages": rows}]
        await looking.look()
        looking.work = looking.make()
    found = await looking.parity()
    assert found.counts == {(Kind.CAMPAIGN, Class.EQUAL): 1, (Kind.CAMPAIGN, Class.DIFFERENT): 1}
    [example] = found.examples
    assert example["wamid"] == "wamid.r-2"
    assert set(example["php"]) == {"campaign", "components.0.parameters.0.text"}
    assert found.updates == 2
    assert await ParityReader(looking.redis).vendors() == [VENDOR]
    looking.pages = [{"messages": [{**rows[0], "row": {**rows[0]["row"], "retries": 1}}]}]
    await looking.look()
    assert (await looking.parity()).total(kind=Kind.CAMPAIGN) == 3, "it was sent again"


async def test_what_php_is_asked_for(looking: Looking) -> None:
    """Page after page, some at each look; then from a while before the last row on."""
    looking.pages = [page(NOW - 9000, ended("r-1"), next="here"), page(NOW - 2000, ended("r-2"))]
    await looking.look()
    await looking.look()
    first, since = NOW - module.START_MS, NOW - 2000 - module.OVERLAP_MS
    assert looking.places() == [(first, None), (NOW - 14_000, "here"), (since, None)]
    many = module.MAX_PAGES + 2
    looking.pages = [page(NOW - 1000, next=f"{n}") for n in range(many)]
    await looking.look()
    assert len(looking.asked()) == 3 + module.MAX_PAGES
    await looking.look()
    after = [place for _, place in looking.places()[3:]]
    assert after == [None, *(f"{n}" for n in range(many))]


async def test_rows_of_other_vendors_alone(looking: Looking) -> None:
    """They are not looked at again and again: hours may pass between two of those in shadow."""
    looking.pages = [page(NOW - 9000, ended("r-1"))]
    await looking.look()
    for ago in (5000, 3000):
        looking.pages = [page(NOW - ago)]
        await looking.look()
    await looking.look()
    since = [since for since, _ in looking.places()]
    assert [NOW - module.OVERLAP_MS - one for one in since[1:]] == [9000, 5000, 3000]


async def test_what_is_written_late_while_many_pages_are_looked_at(
    looking: Looking, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may lie before the last page, where PHP had looked long before."""
    looking.pages = [page(NOW - 8000, next=f"{n}") for n in range(module.MAX_PAGES)]
    await looking.look()
    monkeypatch.setattr(module, "now_ms", lambda: NOW + 7000)
    looking.pages = [page(NOW + 6000)]
    await looking.look()
    await looking.look()
    assert looking.places()[-1] == (NOW - 1000 - module.OVERLAP_MS, None)


async def test_php_fails_between_two_pages(looking: Looking) -> None:
    """Nothing is left out, and a place that an updated PHP does not know is given up."""
    looking.pages = [page(NOW - 9000, next="here")]

    def broken(call: Call) -> Answer | None:
        return answer({"message": "x"}, 500) if call.json["after"] else None

    rule = looking.php.when(contract.PREVIEW_MESSAGES, broken)
    with pytest.raises(BackendError):
        await looking.look()
    looking.php.forget(rule)
    looking.pages = [page(NOW - 2000, ended("r-1"))]
    await looking.look()
    assert looking.places()[-1] == (NOW - 9000 - module.OVERLAP_MS, None)
    assert (await looking.parity()).total(kind=Kind.CAMPAIGN) == 1


async def test_no_vendor_is_in_shadow(looking: Looking) -> None:
    """PHP is asked for modes once, and again when somebody has changed something."""
    looking.tables.modes["campaigns"] = "php"
    for _ in range(3):
        await looking.look()
    assert looking.asked() == []
    assert len(looking.php.to(contract.MODES)) == 1
    looking.tables.modes["campaigns"] = "shadow"
    await ConfigChanges(looking.redis, {}).announce(InvalidateRequest())
    await looking.look()
    assert len(looking.php.to(contract.MODES)) == 2
    assert len(looking.asked()) == 1


async def test_a_vendor_that_left_shadow_meanwhile(looking: Looking) -> None:
    await looking.look()
    looking.tables.modes["campaigns"] = "held"
    looking.vendors.forget([VENDOR])
    looking.pages = [{"messages": [ended("r-1")]}]
    await looking.look()
    assert (await looking.parity()).counts == {}


async def test_not_more_often_than_twice_a_second(looking: Looking) -> None:
    await looking.look()
    lease = Lease("shadow", 1)
    await looking.work.look(lease)
    assert len(looking.asked()) == 1


async def test_a_package_without_the_call(looking: Looking) -> None:
    """It says so once, and works when it was updated and modes are read again."""
    old = looking.php.always(contract.PREVIEW_MESSAGES, answer({"message": "Not Found"}, 404))
    for _ in range(3):
        await looking.look()
    assert len(looking.asked()) == 1
    looking.php.forget(old)
    looking.work._modes_until = 0.0
    looking.pages = [{"messages": [ended("r-1")]}]
    await looking.look()
    assert (await looking.parity()).total(kind=Kind.CAMPAIGN) == 1


async def test_somebody_else_compares_by_now(looking: Looking) -> None:
    """Nothing is counted, and the row is compared by whoever does."""
    looking.pages = [{"messages": [ended("r-1")]}]
    await looking.redis.set(Lease("shadow", 2).key, 2)
    with pytest.raises(LeaseLost):
        await looking.work.look(Lease("shadow", 1))
    assert (await looking.parity()).counts == {}
    assert not await looking.redis.exists(keys.compared_sends(VENDOR))
