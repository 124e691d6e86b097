"""The effects that one process does: one run for each vendor and kind, wherever it is."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from contracts.backend import VendorConfig
from contracts.effects import EffectKind, Forward
from contracts.jobs import Job, do_effects
from sidecar.effects.outbox import Outbox, effects_lease, make_outbox
from sidecar.php.client import BackendError
from sidecar.redis.client import Redis
from sidecar.redis.lease import Leases
from sidecar.settings import Settings
from tests.conftest import MakeSettings
from tests.eventually import eventually
from tests.workers.effects.test_runner import Doer
from workers.effects import supervisor as module
from workers.effects.supervisor import EffectRuns
from workers.sending.pipeline import SendingFailed
from workers.sending.services import Services

KIND = EffectKind.FORWARD


@dataclass
class Stand:
    settings: Settings
    redis: Redis
    outbox: Outbox
    leases: Leases
    doer: Doer = field(default_factory=Doer)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    known: dict[str, VendorConfig | BackendError] = field(default_factory=dict)
    woken: list[Job] = field(default_factory=list)
    since: list[float] = field(default_factory=list)
    watching: list[Callable[[VendorConfig | None], None]] = field(default_factory=list)

    def make(self, *, here: bool = True) -> EffectRuns:
        services = SimpleNamespace(
            settings=self.settings, stopping=self.stopping, aside=asyncio.Event()
        )
        return EffectRuns(
            cast(Services, services),
            self.outbox,
            self.leases,
            {KIND: cast(Any, self.doer)},
            self,
            None if here else self.woken.append,
        )

    async def get(self, key: str) -> VendorConfig | None:
        found = self.known.get(key)
        if isinstance(found, BackendError):
            raise found
        return found

    async def get_since(self, key: str, since: float) -> VendorConfig | None:
        self.since.append(since)
        return await self.get(key)

    @contextmanager
    def watch(self, vendor_uid: str, told: Callable[[VendorConfig | None], None]) -> Iterator[None]:
        self.watching.append(told)
        yield
        self.watching.remove(told)

    async def ask(self, *ids: str, vendor_uid: str = "v") -> None:
        self.known.setdefault(vendor_uid, VendorConfig(vendor_uid=vendor_uid))
        await self.outbox.put(vendor_uid, [Forward(id=one, body={}) for one in ids])

    async def waiting(self, vendor_uid: str = "v") -> bool:
        return await self.outbox.next_due_at(KIND, vendor_uid) is not None


@pytest.fixture
def stand(redis: Redis, make_settings: MakeSettings, leases: Leases) -> Stand:
    settings = make_settings(update_retry_first_ms=10_000)
    return Stand(settings, redis, make_outbox(settings, redis), leases)


async def done(stand: Stand, *ids: str) -> None:
    async def all_done() -> bool:
        return sorted(stand.doer.done) == sorted(ids) and not await stand.waiting()

    await eventually(all_done)


async def test_they_are_done_here(stand: Stand) -> None:
    runs = stand.make()
    await stand.ask("a", "b")
    runs.wake(KIND, "v")
    await done(stand, "a", "b")
    await runs.close(5)


async def test_or_another_process_is_woken(stand: Stand) -> None:
    runs = stand.make(here=False)
    await stand.ask("a")
    runs.wake(KIND, "v")
    assert stand.woken == [do_effects(KIND, "v")]
    await runs.close(5)
    assert stand.doer.done == []


async def test_what_is_asked_for_while_a_run_goes_on_is_done_by_it(stand: Stand) -> None:
    runs = stand.make()
    stand.doer.gate.clear()
    await stand.ask("a")
    runs.begin(KIND, "v")
    runs.begin(KIND, "v")  # before it has begun
    await eventually(lambda: stand.doer.now == 1)
    await stand.ask("b")
    runs.begin(KIND, "v")
    stand.doer.gate.set()
    await done(stand, "a", "b")
    await runs.close(5)


async def test_replies_are_told_what_changes(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as they are sent."""
    told: list[VendorConfig | None] = []

    class Replies:
        def __init__(self, *_: object) -> None: ...

        def follow(self, config: VendorConfig | None) -> None:
            told.append(config)

        async def run(self) -> None:
            [follow] = stand.watching
            follow(stand.known["v"] if isinstance(stand.known["v"], VendorConfig) else None)

    monkeypatch.setattr(module, "ReplyRun", Replies)
    stand.known["v"] = VendorConfig(vendor_uid="v")
    runs = stand.make()
    runs.begin(EffectKind.SEND_MESSAGE, "v")
    await eventually(lambda: told == [stand.known["v"]])
    await runs.close(5)
    assert not stand.watching


async def test_vendors_do_not_wait_for_each_other(stand: Stand) -> None:
    runs = stand.make()
    stand.doer.gate.clear()
    for vendor_uid in ("v", "w"):
        await stand.ask(vendor_uid, vendor_uid=vendor_uid)
        runs.begin(KIND, vendor_uid)
    await eventually(lambda: stand.doer.now == 2)
    stand.doer.gate.set()
    await done(stand, "v", "w")
    await runs.close(5)


async def test_what_another_process_does_is_left_to_it(stand: Stand) -> None:
    runs = stand.make()
    await stand.ask("a")
    async with stand.leases.hold(effects_lease(KIND, "v")) as lease:
        assert lease is not None
        runs.begin(KIND, "v")
        await runs.close(5)
    assert stand.doer.done == []
    assert await stand.waiting()


@pytest.mark.parametrize("known", [None, BackendError("PHP is away")])
async def test_without_the_vendors_settings_they_wait_and_the_log_says_so_once(
    stand: Stand, known: BackendError | None
) -> None:
    runs = stand.make()
    await stand.ask("a")
    config = stand.known.pop("v")
    if known is not None:
        stand.known["v"] = known
    with capture_logs() as logs:
        for _ in range(3):
            runs.begin(KIND, "v")
            await eventually(lambda: not runs._tasks)
        assert len(logs) == 1
        assert logs[0]["vendor"] == "v"
        stand.known["v"] = config
        runs.begin(KIND, "v")
        await done(stand, "a")
        await runs.close(5)
    assert len(logs) == 2, "and when it is over"


async def test_replies_that_fail_are_not_begun_again_at_once(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reconciler comes back to them."""
    tried = []

    async def fail(*_: Any) -> bool:
        tried.append(True)
        raise SendingFailed("a fault")

    runs = stand.make()
    monkeypatch.setattr(runs, "_held", fail)
    await stand.ask("a")
    with capture_logs() as logs:
        runs.begin(KIND, "v")
        await runs.close(5)
    assert len(tried) == 1
    assert [log["reason"] for log in logs] == ["a fault"]


async def test_a_fault_of_ours_stops_no_other_vendor(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = stand.make()
    hold = stand.leases.hold

    def failing(name: str) -> Any:
        if name == effects_lease(KIND, "v"):
            raise ZeroDivisionError
        return hold(name)

    monkeypatch.setattr(stand.leases, "hold", failing)
    await stand.ask("b", vendor_uid="w")
    with capture_logs() as logs:
        for vendor_uid in ("v", "w"):
            runs.begin(KIND, vendor_uid)
        await eventually(lambda: stand.doer.done == ["b"])
        await runs.close(5)
    assert [log["vendor"] for log in logs if log["log_level"] == "error"] == ["v"]


async def test_a_process_that_ends_begins_nothing(stand: Stand) -> None:
    runs = stand.make()
    await stand.ask("a")
    stand.stopping.set()
    runs.begin(KIND, "v")
    assert runs.stopping
    await runs.close(5)
    assert stand.doer.done == []


async def test_what_does_not_end_in_time_is_broken_off_and_left(stand: Stand) -> None:
    runs = stand.make()
    stand.doer.gate.clear()
    await stand.ask("a")
    runs.begin(KIND, "v")
    await eventually(lambda: stand.doer.now == 1)
    stand.stopping.set()
    await runs.close(0.01)
    assert stand.doer.done == []
    assert await stand.waiting()


async def test_a_run_follows_what_php_announces(stand: Stand) -> None:
    runs = stand.make()
    stand.doer.at_once = 1
    stand.doer.gate.clear()
    await stand.ask("a", "b")
    runs.wake(KIND, "v")
    await eventually(lambda: stand.doer.now)
    [told] = stand.watching
    told(VendorConfig(vendor_uid="v", access_token="announced"))
    stand.doer.gate.set()
    await done(stand, "a", "b")
    await runs.close(5)
    assert stand.doer.tokens == [None, "announced"]


async def test_many_refusals_ask_php_once(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was said after the first is new enough for the others."""
    runs = stand.make()
    began = time.monotonic()
    for later in (0.0, 1.0, 2.0):
        await runs.config_since("v", began + later)
    first, *others = stand.since
    assert first == began
    assert all(began <= since < began + 1.0 for since in others)
    monkeypatch.setattr(module, "ASK_AGAIN_S", 0.0)
    await runs.config_since("v", began + 3.0)
    assert stand.since[-1] == began + 3.0
