"""Everything that ``sidecar status`` tells."""

from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from contracts.jobs import Lane
from sidecar.ops import report as reports
from sidecar.ops.report import as_json, read_report, total
from sidecar.ops.snapshot import Observer, Overview
from sidecar.php.client import Backend, make_backend
from sidecar.redis import keys
from sidecar.redis.client import Redis
from sidecar.sending.pauses import Paused, Pauses
from tests.conftest import MakeSettings
from tests.sidecar.answering_php import Php, refusal
from tests.sidecar.service import VENDOR


@pytest.fixture
async def backend(make_settings: MakeSettings, php: Php) -> AsyncIterator[Backend]:
    backend = make_backend(make_settings(backend_url=php.url))
    yield backend
    await backend.close()


async def test_where_nothing_is_and_php_answers(redis: Redis, backend: Backend) -> None:
    report = await read_report(redis, backend)
    assert report.balanced
    assert report.php.error is None
    assert [vendor.vendor_uid for vendor in report.php.vendors] == [VENDOR]
    assert (report.campaigns, report.numbers, report.paused) == ([], [], [])
    assert set(report.deferred) == set(Lane)


async def test_what_php_knows(redis: Redis, backend: Backend, php: Php) -> None:
    await redis.hset(keys.CAMPAIGNS, "c-1", VENDOR)
    php.add_campaign("c-1", VENDOR, state="running")
    php.unknown = [{"uid": "r-1", "vendor_uid": VENDOR, "to": "9", "since": 1}]
    report = await read_report(redis, backend)
    assert report.php.error is None
    assert list(report.php.campaigns) == ["c-1"]
    assert report.php.unknown_for_long == 1


async def test_php_that_fails_spoils_nothing_else(redis: Redis, backend: Backend, php: Php) -> None:
    php.override = lambda call: refusal(500, "internal")
    await Pauses(redis).put(Paused("number", "110", "v", 131048, "spam limit", 5))
    report = await read_report(redis, backend)
    assert report.php.error is not None
    assert report.php.vendors == []
    assert [paused.id for paused in report.paused] == ["110"]
    assert as_json(report)["php"]["answers"] is False


@pytest.fixture
async def difference(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """An update of ``v`` is missing, though it was counted."""
    monkeypatch.setattr(reports, "LOOK_AGAIN_S", 0.0)
    await redis.sadd(keys.VENDORS, "v")
    await redis.hset(keys.counters("v"), "updates", 1)


@pytest.mark.usefixtures("difference")
async def test_a_difference_that_stands_twice(redis: Redis, backend: Backend) -> None:
    report = await read_report(redis, backend)
    assert not report.balanced
    assert [one.vendor_uid for one in report.unbalanced] == ["v"]
    found = as_json(report)["accounting"]
    assert (found["balanced"], found["unbalanced"]) == (False, ["v"])
    assert found["vendors"]["v"]["updates"]["difference"] == 1


@pytest.mark.usefixtures("difference")
async def test_a_difference_that_was_work_in_between(
    redis: Redis, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = 0

    class Working(Observer):
        async def read(self) -> Overview:
            nonlocal reads
            overview = await super().read()
            reads += 1
            await redis.hset(keys.counters("v"), "done", 1)
            return overview

    monkeypatch.setattr(reports, "Observer", Working)
    assert (await read_report(redis, backend)).balanced
    assert reads == 2


async def test_it_can_be_written_as_json(redis: Redis, backend: Backend) -> None:
    await redis.hset(keys.CAMPAIGNS, "c-1", VENDOR)
    written = as_json(await read_report(redis, backend))
    assert orjson.loads(orjson.dumps(written)) == written
    assert written["modes"]["webhooks"]["php"] == 1
    [campaign] = written["campaigns"]
    assert (campaign["uid"], campaign["state"], campaign["in_flight"]) == ("c-1", "running", 0)
    assert campaign["php"] is None


async def test_a_total_over_all_vendors(redis: Redis) -> None:
    for vendor_uid, done in (("v", 2), ("w", 3)):
        await redis.sadd(keys.VENDORS, vendor_uid)
        counted: dict[Any, Any] = {"updates": done + 1, "done": done, "ignored": 1}
        await redis.hset(keys.counters(vendor_uid), mapping=counted)
    overview = await Observer(redis).read()
    check = total(overview.accounting, "updates")
    assert (check.total, check.parts["done"], check.parts["ignored"]) == (7, 5, 2)
    assert check.difference == 0
    assert total([], "updates").total == 0
