"""Vendors' configuration: asked once for many, kept while PHP is down, and bounded."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from contracts.signing import Audience, Signer
from sidecar.php.cache import RETRY_S
from sidecar.php.client import Backend, BackendError, BackendFailed, BackendUnavailable
from sidecar.php.vendors import KEEP_S, STRANGERS_BURST, TooManyStrangers, Vendors
from tests import trust
from tests.eventually import eventually
from tests.sidecar.answering_php import Php
from tests.sidecar.service import VENDOR

TTL_S = 60.0
UNKNOWN_TTL_S = 10.0


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def vendors(php: Php, clock: Clock) -> AsyncIterator[Vendors]:
    signer = Signer(Audience.BACKEND, trust.KEY_ID, trust.SIGNING_SECRET.encode())
    backend = Backend(php.url, signer, timeout_s=5.0)
    vendors = Vendors(backend, ttl_s=TTL_S, unknown_ttl_s=UNKNOWN_TTL_S, clock=clock)
    yield vendors
    await vendors.close()
    await backend.close()


def asked(php: Php) -> int:
    return len(php.asked("/internal/vendor-config"))


async def secrets(vendors: Vendors, vendor_uid: str = VENDOR) -> list[str]:
    config = await vendors.get(vendor_uid)
    assert config is not None
    return config.app_secrets


async def test_one_question_for_many(vendors: Vendors, php: Php) -> None:
    assert vendors.peek(VENDOR) == (False, None)
    found = await asyncio.gather(*(vendors.get(VENDOR) for _ in range(10)))
    assert all(config is not None and config.vendor_uid == VENDOR for config in found)
    assert vendors.peek(VENDOR) == (True, found[0])
    await vendors.get(VENDOR)
    assert asked(php) == 1
    assert php.calls[0].json == {"vendor_uids": [VENDOR]}


async def test_one_question_for_many_vendors(vendors: Vendors, php: Php) -> None:
    php.add_vendor("other")
    found = await asyncio.gather(*(vendors.get(uid) for uid in (VENDOR, "nobody", "other")))
    assert [config and config.vendor_uid for config in found] == [VENDOR, None, "other"]
    [call] = php.calls
    assert sorted(call.json["vendor_uids"]) == sorted([VENDOR, "nobody", "other"])


async def test_php_gets_no_more_vendors_at_a_time_than_it_takes(vendors: Vendors, php: Php) -> None:
    await asyncio.gather(*(vendors.get(f"v{number}") for number in range(1001)))
    assert [len(call.json["vendor_uids"]) for call in php.calls] == [1000, 1]


async def test_an_old_value_is_used_while_a_new_one_is_fetched(
    vendors: Vendors, php: Php, clock: Clock
) -> None:
    await vendors.get(VENDOR)
    php.add_vendor(VENDOR, "new")
    clock.now += TTL_S - 1
    assert await secrets(vendors) == []
    assert asked(php) == 1
    clock.now += 1
    php.open.clear()
    for _ in range(5):
        assert await secrets(vendors) == []
    await eventually(lambda: asked(php) == 2)
    php.open.set()
    await eventually(lambda: _secrets(vendors) == ["new"])
    assert asked(php) == 2


async def test_a_watcher_that_fails_keeps_nobody_waiting(vendors: Vendors) -> None:
    """One campaign's fault must not stop whatever else needs PHP's answers."""

    def fail(_config: object) -> None:
        raise ZeroDivisionError

    with vendors.watch(VENDOR, fail), capture_logs() as logs:
        assert await asyncio.wait_for(vendors.get(VENDOR), 5) is not None
    assert [(one["event"], one["vendor"]) for one in logs] == [("vendor_config.not_taken", VENDOR)]


async def test_whoever_watches_a_vendor_is_told_of_every_answer(
    vendors: Vendors, php: Php, clock: Clock
) -> None:
    told: list[list[str] | None] = []
    await vendors.get(VENDOR)
    with vendors.watch(VENDOR, lambda config: told.append(config.app_secrets if config else None)):
        assert told == []
        php.add_vendor(VENDOR, "new")
        vendors.forget({VENDOR})
        await eventually(lambda: told == [["new"]])
        clock.now += TTL_S
        vendors.renew()  # nobody has asked
        await eventually(lambda: told == [["new"]] * 2)
        del php.vendors[VENDOR]
        vendors.forget({VENDOR})
        await eventually(lambda: told == [["new"], ["new"], None])
    php.add_vendor(VENDOR)
    await vendors.get(VENDOR)
    assert len(told) == 3


def _secrets(vendors: Vendors) -> list[str]:
    config = vendors.peek(VENDOR)[1]
    assert config is not None
    return config.app_secrets


async def test_an_old_value_is_used_while_php_is_down(
    vendors: Vendors, php: Php, clock: Clock
) -> None:
    php.add_vendor(VENDOR, "old")
    assert await secrets(vendors) == ["old"]
    await php.stop()
    for _ in range(3):
        clock.now += 10 * TTL_S
        assert await secrets(vendors) == ["old"]
        await asyncio.sleep(0.02)
    php.add_vendor(VENDOR, "new")
    await php.start()
    clock.now += RETRY_S
    await eventually(lambda: _secrets(vendors) == ["new"])


async def test_php_that_is_ill_is_not_asked_for_every_webhook(
    vendors: Vendors, php: Php, clock: Clock
) -> None:
    await vendors.get(VENDOR)
    php.override = lambda call: web.Response(status=500)
    clock.now += TTL_S
    with capture_logs() as logs:
        for _ in range(20):
            assert vendors.peek(VENDOR)[0]
            with pytest.raises(BackendError):
                await vendors.get("other")
            await asyncio.sleep(0.005)
    assert len(logs) == 1
    assert asked(php) == 4, "once when it was well, once for both vendors, and once for each"

    php.override = None
    with pytest.raises(BackendUnavailable):
        await vendors.get("other")
    clock.now += RETRY_S
    with capture_logs() as logs:
        assert await vendors.get("other") is None
    assert [line["event"] for line in logs] == ["vendor_config.unavailable.resolved"]


async def test_a_vendor_that_php_never_answered_for(vendors: Vendors, php: Php) -> None:
    await php.stop()
    found = await asyncio.gather(*(vendors.get(VENDOR) for _ in range(3)), return_exceptions=True)
    assert all(isinstance(error, BackendError) for error in found)
    assert vendors.peek(VENDOR) == (False, None)


async def test_how_long_an_unknown_vendor_is_remembered(
    vendors: Vendors, php: Php, clock: Clock
) -> None:
    assert await vendors.get("later") is None
    assert vendors.peek("later") == (True, None)
    php.add_vendor("later")
    clock.now += UNKNOWN_TTL_S - 0.1
    assert await vendors.get("later") is None
    assert asked(php) == 1
    clock.now += 0.1
    assert vendors.peek("later") == (False, None)
    assert await vendors.get("later") is not None
    assert asked(php) == 2


async def test_an_unknown_vendor_need_not_be_remembered(php: Php, clock: Clock) -> None:
    backend = Backend(
        php.url,
        Signer(Audience.BACKEND, trust.KEY_ID, trust.SIGNING_SECRET.encode()),
        timeout_s=5.0,
    )
    vendors = Vendors(backend, ttl_s=TTL_S, unknown_ttl_s=0, clock=clock)
    for number in range(2):
        assert await vendors.get("nobody") is None
        assert asked(php) == number + 1
    await backend.close()


async def test_a_vendor_that_vanished(vendors: Vendors, php: Php, clock: Clock) -> None:
    await vendors.get(VENDOR)
    del php.vendors[VENDOR]
    clock.now += TTL_S
    assert await vendors.get(VENDOR) is not None
    await eventually(lambda: vendors.peek(VENDOR) == (True, None))


async def test_made_up_vendors_do_not_fill_the_memory(
    vendors: Vendors, php: Php, clock: Clock
) -> None:
    for number in range(50):
        await vendors.get(f"made-up-{number}")
        clock.now += 1.0
    assert len(vendors._unknown) <= UNKNOWN_TTL_S
    await php.stop()
    for number in range(20):
        with pytest.raises(BackendError):
            await vendors.get(f"not-asked-{number}")
        clock.now += 0.5
    assert len(vendors._failed) <= 2
    assert vendors._asked == {}


async def test_forgetting_one_vendor(vendors: Vendors, php: Php) -> None:
    php.add_vendor("other")
    await vendors.get(VENDOR)
    await vendors.get("other")
    assert await vendors.get("nobody") is None
    php.add_vendor(VENDOR, "new")
    php.add_vendor("other", "new")
    php.add_vendor("nobody", "new")
    vendors.forget([VENDOR, "nobody", "never-heard-of"])
    await secrets(vendors)
    assert await secrets(vendors, "nobody") == ["new"]
    await eventually(lambda: _secrets(vendors) == ["new"])
    assert await secrets(vendors, "other") == []


async def test_forgetting_all(vendors: Vendors, php: Php) -> None:
    await vendors.get(VENDOR)
    await vendors.get("nobody")
    await php.stop()
    with pytest.raises(BackendError):
        await vendors.get("down")
    await php.start()
    for uid in (VENDOR, "nobody", "down"):
        php.add_vendor(uid, "new")
    vendors.forget(None)
    assert await secrets(vendors, "nobody") == ["new"]
    assert await secrets(vendors, "down") == ["new"]
    await eventually(lambda: _secrets(vendors) == ["new"])


async def test_a_question_that_is_given_up_goes_on_for_the_others(
    vendors: Vendors, php: Php
) -> None:
    php.open.clear()
    leaving = asyncio.create_task(vendors.get(VENDOR))
    staying = asyncio.create_task(vendors.get(VENDOR))
    await eventually(lambda: asked(php) == 1)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    php.open.set()
    assert await staying is not None
    assert asked(php) == 1


async def test_questions_at_the_end_of_the_process(vendors: Vendors, php: Php) -> None:
    php.open.clear()
    waiting = asyncio.create_task(vendors.get(VENDOR))
    await eventually(lambda: asked(php) == 1)
    await vendors.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert vendors._asked == {}


async def test_secrets_are_not_shown(vendors: Vendors, php: Php) -> None:
    php.add_vendor(VENDOR, "hunter2-hunter2")
    config = await vendors.get(VENDOR)
    assert "hunter2" in str(config and config.app_secrets)
    assert "hunter2" not in repr(config)
    assert "hunter2" not in str(vendors.__dict__)


# -- uids that may be made up --------------------------------------------------------------------


async def test_strangers_share_a_budget(vendors: Vendors, php: Php, clock: Clock) -> None:
    """A thousand made-up uids, one after the other, cost PHP a few requests; a vendor that is known
    and one that is vouched for are asked about as ever."""
    await vendors.get(VENDOR)
    php.add_vendor("vouched")
    before = asked(php)
    for number in range(STRANGERS_BURST):
        assert await vendors.find(f"stranger-{number}") is None
    waiting = [asyncio.create_task(vendors.find(f"more-{number}")) for number in range(1000)]
    await asyncio.sleep(0)
    with pytest.raises(TooManyStrangers):
        await vendors.find("too-many")
    assert asked(php) - before == STRANGERS_BURST
    assert await vendors.get("vouched") is not None
    assert await vendors.get("more-7") is None  # it is vouched for now
    clock.now += TTL_S
    assert vendors.peek(VENDOR)[0]
    await eventually(lambda: asked(php) - before >= STRANGERS_BURST + 3)
    assert await asyncio.gather(*waiting) == [None] * 1000
    assert asked(php) - before <= STRANGERS_BURST + 4


async def test_strangers_while_php_fails(vendors: Vendors, php: Php, clock: Clock) -> None:
    """They are not asked about one by one, and nobody else is kept from being asked about."""
    await vendors.get(VENDOR)
    php.override = lambda call: web.Response(status=500) if "stranger" in str(call.json) else None
    before = asked(php)
    answers = await asyncio.gather(
        *(vendors.find(f"stranger-{number}") for number in range(500)), return_exceptions=True
    )
    assert {type(answer) for answer in answers} == {BackendFailed}
    assert asked(php) - before == 1
    for _ in range(10):
        with pytest.raises(BackendError):
            await vendors.find("stranger-1")
    assert asked(php) - before == 1
    assert await vendors.get("vouched") is None
    php.override = None
    clock.now += RETRY_S + 0.1
    php.add_vendor("stranger-1")
    assert await vendors.find("stranger-1") is not None


async def test_who_is_known_is_no_stranger(vendors: Vendors, php: Php, clock: Clock) -> None:
    """Also when what PHP said was dropped, or was said to another process."""
    vendors.meet([VENDOR])
    await eventually(lambda: vendors.peek(VENDOR)[0])
    php.add_vendor("other")
    assert await vendors.find("other") is not None
    clock.now += KEEP_S + TTL_S + 1
    await vendors.get("nobody")  # what was not used is dropped
    assert vendors.peek("other") == (False, None)
    waiting = [asyncio.create_task(vendors.find(f"stranger-{number}")) for number in range(1000)]
    await asyncio.sleep(0)
    with pytest.raises(TooManyStrangers):
        await vendors.find("too-many")
    assert await vendors.find("other") is not None
    await asyncio.gather(*waiting)


async def test_what_is_remembered_of_strangers_is_bounded(
    vendors: Vendors, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vendors._unknown, "_most", 100)
    await asyncio.gather(*(vendors.find(f"stranger-{number}") for number in range(1000)))
    assert len(vendors._unknown) == 100
    assert vendors._asked == {}
    assert vendors._familiar == set()
