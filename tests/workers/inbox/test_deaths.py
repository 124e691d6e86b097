"""A webhook kills every worker that gets to it: it is found and given up, and the others go on."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import pytest

from contracts import backend as contract
from contracts.jobs import Lane
from sidecar.inbox.store import Inbox
from sidecar.ops.dead_letters import DeadLetter, DeadLetters
from sidecar.redis import keys
from simulator.processes import Process, ProcessFailed, python
from tests import trust
from tests.workers.conftest import MakeLane
from tests.workers.lane import LaneUnderTest
from tests.workers.payloads import VENDOR, message, some_texts, status, webhook
from tests.workers.php import Php, wanting_again

BATCH = contract.PROCESS_WEBHOOKS
MOST = 2
WAIT_S = 60.0
ROOT = Path(__file__).parents[3]


class Mortal:
    """A worker process that is started again whenever it has died, as a service manager does."""

    def __init__(self, folder: Path, redis_url: str, php: Php, place: str) -> None:
        settings = {
            "REDIS_URL": redis_url,
            "BACKEND_URL": php.url,
            "SIGNING_KEYS": f"{trust.KEY_ID}:{trust.SIGNING_SECRET}",
            "APP_SECRETS": trust.APP_SECRET,
            "LEASE_TTL_MS": "500",
            "RECONCILE_INTERVAL_S": "0.05",
            "STATUS_WAIT_MS": "0",
            "UPDATE_RETRY_FIRST_MS": "50",
            "CRASH_LOOP_THRESHOLD": str(MOST),
        }
        self.deaths = 0
        self._process = Process(
            "worker",
            python("tests.workers.dying_worker", place),
            folder / "worker.log",
            environment={
                "PYTHONPATH": str(ROOT),
                **{f"SIDECAR_{name}": value for name, value in settings.items()},
            },
        )

    async def until(self, done: Callable[[], Awaitable[bool]]) -> None:
        """Have it work until then."""
        loop = asyncio.get_running_loop()
        end = loop.time() + WAIT_S
        try:
            while not await done():
                assert loop.time() < end, f"{self.deaths} deaths:\n{self._process.last_words()}"
                if not self._process.running:
                    with suppress(ProcessFailed):  # it may die before it is ready
                        await asyncio.to_thread(self._process.start)
                    self.deaths += 1
                await asyncio.sleep(0.02)
            self.deaths -= self._process.running
        finally:
            await asyncio.to_thread(self._process.stop)


async def receive_together(lane: LaneUnderTest, *bodies: bytes, vendor: str = VENDOR) -> None:
    """Put webhooks into the inbox in one entry."""
    inbox = Inbox(lane.redis, timeout_s=5, pending_limit_bytes=10**8, wake=lambda _lane: None)
    await asyncio.gather(*(inbox.put(lane.lane, vendor, b"sha256=", body) for body in bodies))
    await inbox.close()


def is_quiescent(lane: LaneUnderTest) -> Callable[[], Awaitable[bool]]:
    async def predicate() -> bool:
        ready = await lane.redis.exists(keys.ready(lane.lane))
        return not ready and not await lane.redis.exists(keys.deferred(lane.lane))

    return predicate


async def only_letter(lane: LaneUnderTest) -> DeadLetter:
    [letter] = [letter async for letter in DeadLetters(lane.redis).all()]
    assert letter.summary["reason"] == "worker died"
    return letter


@pytest.mark.parametrize("place", ["split", "hand over"])
async def test_a_message_that_kills_every_worker_is_given_up(
    php: Php, make_lane: MakeLane, redis_url: str, tmp_path: Path, place: str
) -> None:
    lane = make_lane(Lane.MESSAGES)
    killer = webhook(messages=[message("99911", "wamid.KILLER")])
    before, after = some_texts(5), some_texts(5)
    await receive_together(lane, *before, killer, *after)
    await receive_together(lane, *some_texts(7, "99922"), vendor="vendor-2")
    worker = Mortal(tmp_path, redis_url, php, place)
    await worker.until(is_quiescent(lane))
    assert (await lane.counters())["done"] == 10
    assert (await lane.counters())["dead"] == 1
    assert (await lane.counters("vendor-2"))["done"] == 7
    assert "wamid.KILLER" not in php.wamids
    assert worker.deaths <= 2 * MOST + 1, "as a batch, and alone"
    assert not await lane.redis.exists(keys.crashes(lane.lane))
    letter = await only_letter(lane)
    assert letter.update["order_key"] == letter.id
    await DeadLetters(lane.redis).replay(letter)
    await lane.drain()
    assert php.calls[-1].body == killer, "PHP may know what to do with it"


async def test_a_status_that_kills_every_worker_is_given_up_while_messages_go_on(
    php: Php, make_lane: MakeLane, redis_url: str, tmp_path: Path
) -> None:
    """The lane of messages shares the process, and none of its webhooks is blamed."""
    messages, statuses = make_lane(Lane.MESSAGES), make_lane(Lane.STATUSES)
    for number in range(4):
        await receive_together(statuses, webhook(statuses=[status(f"wamid.{number}")]))
    await receive_together(statuses, webhook(statuses=[status("wamid.KILLER")]))
    await receive_together(messages, *some_texts(30))
    worker = Mortal(tmp_path, redis_url, php, "split")

    async def both() -> bool:
        return await is_quiescent(messages)() and await is_quiescent(statuses)()

    await worker.until(both)
    assert (await only_letter(statuses)).lane is Lane.STATUSES
    counts = await statuses.counters()
    assert (counts["done"], counts["dead"]) == (34, 1)


async def test_one_that_kills_where_it_waits_is_given_up_unread(
    php: Php, make_lane: MakeLane, redis_url: str, tmp_path: Path
) -> None:
    """It waits behind an earlier one of its contact, which PHP did not take at once."""
    lane = make_lane(Lane.MESSAGES, update_retry_first_ms=10)
    php.rules.append(wanting_again("wamid.first"))
    names = ("wamid.first", "wamid.KILLER", "wamid.last")
    await lane.receive(*(webhook(messages=[message("99911", name)]) for name in names))
    await lane.drain()
    php.rules.clear()
    worker = Mortal(tmp_path, redis_url, php, "load")
    await worker.until(is_quiescent(lane))
    assert php.wamids[-1] == "wamid.last"
    assert php.taken == ["wamid.first", "wamid.last"]
    counts = await lane.counters()
    assert (counts["done"], counts["dead"]) == (2, 1)
    letter = await only_letter(lane)
    assert letter.update["wamid"] == "wamid.KILLER"
    await DeadLetters(lane.redis).replay(letter)
    await lane.drain()
    assert php.wamids[-1] == "wamid.KILLER"
