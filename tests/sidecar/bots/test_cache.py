"""Vendors' bots: compiled once, renewed when they change, and used while they are renewed."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from functools import partial

import pytest

from contracts.bots import VendorBots
from contracts.sidecar_api import InvalidateRequest, InvalidateScope
from contracts.signing import Audience, Signer
from sidecar.bots import cache as module
from sidecar.bots.cache import KEEP_S, Bots
from sidecar.bots.matcher import Matcher
from sidecar.php.cache import SWEEP_S
from sidecar.php.client import Backend, BackendError
from sidecar.php.config_feed import ConfigChanges
from sidecar.redis.client import Redis
from sidecar.tasks import cancel
from tests import trust
from tests.eventually import eventually
from tests.sidecar.answering_php import Php
from tests.sidecar.service import VENDOR

TTL_S = 300.0


class Compiler:
    """Counts, and tells in which thread. ``may_go_on``: not set, a compilation waits."""

    def __init__(self) -> None:
        self.compiled: list[str] = []
        self.threads: set[int] = set()
        self.may_go_on = threading.Event()
        self.may_go_on.set()

    def __call__(self, bots: VendorBots) -> Matcher:
        self.compiled.append(bots.vendor_uid)
        self.threads.add(threading.get_ident())
        assert self.may_go_on.wait(20)
        return Matcher(bots)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def compiler() -> Compiler:
    return Compiler()


@pytest.fixture
def clock() -> Clock:
    return Clock()


MakeBots = Callable[[], Bots]


@pytest.fixture
async def make_bots(php: Php, compiler: Compiler, clock: Clock) -> AsyncIterator[MakeBots]:
    """Make what a process has of it."""
    made: list[tuple[Bots, Backend]] = []

    def make() -> Bots:
        signer = Signer(Audience.BACKEND, trust.KEY_ID, trust.SIGNING_SECRET.encode())
        backend = Backend(php.url, signer, timeout_s=5.0)
        bots = Bots(backend, ttl_s=TTL_S, unknown_ttl_s=10, compile_=compiler, clock=clock)
        made.append((bots, backend))
        return bots

    yield make
    for bots, backend in made:
        await bots.close()
        await backend.close()


@pytest.fixture
async def bots(make_bots: MakeBots, php: Php) -> Bots:
    php.add_bots(VENDOR, "hello", vendor_id=7)
    return make_bots()


def asked(php: Php) -> int:
    return len(php.asked("/internal/bots"))


def answers(bots: Bots, text: str, vendor_uid: str = VENDOR) -> list[str]:
    """Return which bots would answer now."""
    matcher = bots.peek(vendor_uid)[1]
    assert matcher is not None
    return [match.bot_uid for match in matcher.match(text, datetime.now(UTC))]


async def test_one_question_for_many(bots: Bots, php: Php, compiler: Compiler) -> None:
    php.add_bots("other", "good bye")
    assert bots.peek(VENDOR) == (False, None)
    found = await asyncio.gather(*(bots.get(uid) for uid in (VENDOR, "other", "nobody", VENDOR)))
    assert found[0] is found[3] is not None
    assert found[2] is None
    assert answers(bots, "hello") == ["bot-hello"]
    assert answers(bots, "hello", "other") == []
    assert answers(bots, "good bye", "other") == ["bot-good bye"]
    [call] = php.calls
    assert sorted(call.json["vendor_uids"]) == sorted([VENDOR, "other", "nobody"])
    assert sorted(compiler.compiled) == sorted([VENDOR, "other"])


async def test_a_vendor_by_its_id(bots: Bots, php: Php) -> None:
    assert await bots.uid_of(7) == VENDOR
    assert await bots.uid_of(8) is None
    assert answers(bots, "hello") == ["bot-hello"]
    assert await bots.get(VENDOR) is not None
    assert await bots.uid_of(7) == VENDOR
    assert [call.json for call in php.calls] == [{"vendor_ids": [7]}, {"vendor_ids": [8]}]


async def test_a_vendor_that_is_made_later(bots: Bots, php: Php) -> None:
    assert await bots.uid_of(8) is None
    php.add_bots("later", "hello", vendor_id=8)
    assert await bots.uid_of(8) is None
    bots.forget(["later"])
    assert await bots.uid_of(8) == "later"


async def test_what_has_changed_is_compiled_anew(
    bots: Bots, php: Php, compiler: Compiler, clock: Clock
) -> None:
    await bots.get(VENDOR)
    php.add_bots(VENDOR, "good morning", vendor_id=7)
    bots.forget([VENDOR])
    await eventually(lambda: answers(bots, "good morning") == ["bot-good morning"])
    assert compiler.compiled == [VENDOR, VENDOR]


async def test_what_has_not_changed_is_not(
    bots: Bots, php: Php, compiler: Compiler, clock: Clock
) -> None:
    before = await bots.get(VENDOR)
    clock.now += TTL_S
    assert bots.peek(VENDOR) == (True, before)
    await eventually(lambda: asked(php) == 2)
    bots.forget(None)
    await eventually(lambda: asked(php) == 3)
    assert bots.peek(VENDOR) == (True, before)
    assert compiler.compiled == [VENDOR]


async def test_bots_serve_on_while_php_is_down(bots: Bots, php: Php, clock: Clock) -> None:
    await bots.get(VENDOR)
    await php.stop()
    bots.forget(None)
    for _ in range(3):
        clock.now += 10 * TTL_S
        assert answers(bots, "hello") == ["bot-hello"]
        await asyncio.sleep(0.02)
    with pytest.raises(BackendError):
        await bots.get("other")
    php.add_bots(VENDOR, "good morning")
    await php.start()
    clock.now += TTL_S
    bots.renew()
    await eventually(lambda: answers(bots, "good morning") == ["bot-good morning"])


async def test_many_bots_are_compiled_beside_the_loop(
    bots: Bots, php: Php, compiler: Compiler
) -> None:
    await bots.get(VENDOR)
    assert compiler.threads == {threading.get_ident()}
    php.add_bots(VENDOR, *(f"word {number}" for number in range(module.QUICK_BOTS + 1)))
    compiler.may_go_on.clear()
    bots.forget([VENDOR])
    await eventually(lambda: compiler.compiled == [VENDOR, VENDOR])
    assert answers(bots, "hello") == ["bot-hello"], "the old one serves meanwhile"
    compiler.may_go_on.set()
    await eventually(lambda: answers(bots, "word 7") == ["bot-word 7"])
    assert answers(bots, "hello") == []
    assert len(compiler.threads) == 2


async def test_one_bot_with_many_triggers_is_compiled_beside_the_loop(
    make_bots: MakeBots, php: Php, compiler: Compiler
) -> None:
    php.add_bots(VENDOR, ",".join(f"word {number}" for number in range(2000)))
    await make_bots().get(VENDOR)
    assert threading.get_ident() not in compiler.threads


async def test_one_vendors_bots_that_cannot_be_compiled(
    bots: Bots, php: Php, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail_on_other(bots: VendorBots) -> Matcher:
        if bots.vendor_uid == "other":
            raise ValueError("no such bots")
        return Matcher(bots)

    monkeypatch.setattr(bots._matchers, "_compile", fail_on_other)
    php.add_bots("other", "hello")
    found = await asyncio.gather(bots.get("other"), bots.get(VENDOR), return_exceptions=True)
    assert isinstance(found[0], BackendError)
    assert "no such bots" in str(found[0])
    assert isinstance(found[1], Matcher)


async def test_vendors_without_messages_leave_the_memory(
    bots: Bots, php: Php, clock: Clock
) -> None:
    php.add_bots("other", "hello")
    await bots.get(VENDOR)
    clock.now += KEEP_S + SWEEP_S
    await bots.get("other")
    assert bots.peek(VENDOR) == (False, None)
    assert answers(bots, "hello", "other") == ["bot-hello"]


def _answers_to(bots: Bots, text: str) -> bool:
    return answers(bots, text) == [f"bot-{text}"]


async def test_a_change_is_used_by_every_process(
    make_bots: MakeBots, php: Php, redis: Redis
) -> None:
    """Two processes follow one Redis; PHP tells a third one."""
    php.add_bots(VENDOR, "hello")
    php.add_bots("other", "hello")
    processes = [make_bots(), make_bots()]
    following = []
    for bots in processes:
        changes = ConfigChanges(redis, {InvalidateScope.BOTS: bots})
        await changes.look()
        following.append(asyncio.create_task(changes.run()))
        await asyncio.gather(bots.get(VENDOR), bots.get("other"))
    php.calls.clear()
    for number in range(3):
        php.add_bots(VENDOR, f"hello {number}")
        change = InvalidateRequest(vendor_uids=[VENDOR], scopes=[InvalidateScope.BOTS])
        await ConfigChanges(redis, {}).announce(change)
        for bots in processes:
            await eventually(partial(_answers_to, bots, f"hello {number}"))
    later = [call.json["vendor_uids"] for call in php.calls[2:]]
    assert all(uids == [VENDOR] for uids in later)
    await cancel(following)
