"""Who looks, what is told over changes of who looks, and what a death costs."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from structlog.testing import capture_logs

from contracts.notifications import News
from sidecar.notify import notifier as notifiers
from sidecar.notify.delivery import Delivery
from sidecar.notify.notifier import MAX_ITEMS, Notifier, ids_of, make_notifier
from sidecar.ops.notifications import LEASE, Notifications, TargetState
from sidecar.ops.problem import Code, Problem
from sidecar.ops.report import read_report
from sidecar.php.client import Backend, make_backend
from sidecar.redis import keys
from sidecar.redis.client import Redis
from sidecar.redis.lease import LeaseLost, Leases
from sidecar.sending.pauses import Paused, Pauses
from sidecar.settings import Settings
from sidecar.tasks import cancel
from tests.conftest import MakeSettings
from tests.eventually import eventually
from tests.sidecar.notify.told import Paper

PAUSED = Problem(Code.CAMPAIGN_PAUSED, "Campaign c is paused", "Resume it.", subject="c")
TOLD = [(News.PROBLEM, "campaign-paused:c")]


class Wrong:
    """What is wrong, in place of what ``sidecar status`` would find."""

    problems: list[Problem]


@pytest.fixture
def wrong(monkeypatch: pytest.MonkeyPatch) -> Wrong:
    found = Wrong()
    found.problems = [PAUSED]
    monkeypatch.setattr(notifiers, "problems", lambda *_: list(found.problems))
    monkeypatch.setattr(notifiers, "IDLE_S", 0.02)
    monkeypatch.setattr(notifiers, "STAND_BY_S", 0.02)
    monkeypatch.setattr(notifiers, "LOOK_S", 0.02)
    return found


@pytest.fixture
def settings(make_settings: MakeSettings) -> Settings:
    return make_settings(
        backend_url="http://127.0.0.1:9",
        notify_slack_url="http://127.0.0.1:9/hook",
        notify_after_s=0,
        notify_clear_s=0,
        lease_ttl_ms=1000,
    )


Make = Callable[..., Notifier]


@pytest.fixture
async def make(redis: Redis, redis_url: str, settings: Settings) -> AsyncIterator[Make]:
    backend = make_backend(settings)

    def made(*, stand_by: bool = False, after_s: float = 0, **papers: Paper) -> Notifier:
        paced = settings.model_copy(update={"notify_after_s": after_s})
        return Notifier(paced, redis, redis_url, backend, dict(papers), stand_by=stand_by)

    yield made
    await backend.close()


async def look(notifier: Notifier, redis: Redis) -> None:
    async with Leases(redis, 10_000).hold(LEASE) as lease:
        assert lease is not None
        await notifier.look(lease)


@pytest.mark.usefixtures("wrong")
async def test_all_targets_are_told_once_whoever_looks(redis: Redis, make: Make) -> None:
    a, b = Paper(), Paper()
    for _ in range(3):
        await look(make(a=a, b=b), redis)
    assert a.news == b.news == TOLD
    assert a.sent[0].id != b.sent[0].id
    assert a.sent[0].installation == "WhatsApp sidecar"


async def test_the_end_is_told_by_another_than_the_beginning(
    redis: Redis, make: Make, wrong: Wrong
) -> None:
    paper = Paper()
    await look(make(a=paper), redis)
    wrong.problems = []
    await look(make(a=paper), redis)
    await look(make(a=paper), redis)
    assert paper.news == [*TOLD, (News.OVER, "campaign-paused:c")]


async def test_what_is_new_at_the_same_time_is_one_notification(
    redis: Redis, make: Make, wrong: Wrong
) -> None:
    paper = Paper()
    wrong.problems = [
        Problem(code, "x", "y", subject=str(number))
        for code in (Code.CAMPAIGN_PAUSED, Code.SENDING_PAUSED, Code.DEAD_LETTERS_DELETED)
        for number in range(20)
    ]
    await look(make(a=paper), redis)
    [one] = paper.sent
    assert (len(one.items), one.more) == (MAX_ITEMS, 10)


async def test_a_target_is_not_told_of_its_own_failures(
    redis: Redis, make: Make, wrong: Wrong
) -> None:
    a, b = Paper(), Paper()
    wrong.problems = [
        Problem(Code.NOTIFICATIONS_FAILING, "x", "y", subject="a"),
        Problem(Code.NOTIFICATIONS_FAILING, "x", "y", subject="a:dropped"),
    ]
    await look(make(a=a, b=b), redis)
    assert (len(a.news), len(b.news)) == (0, 2)


#: Where a process may die while it tells of something.
DEATHS = {
    "before it looks": (notifiers, "read_report"),
    "before it is recorded": (Notifications, "record"),
    "after it is recorded": (Delivery, "run"),
    "before it is sent": (Paper, "send"),
    "after it was sent": (Notifications, "taken"),
}


class Died(BaseException):
    """The process is killed."""


@pytest.mark.usefixtures("wrong")
@pytest.mark.parametrize("where", DEATHS)
@pytest.mark.parametrize("news", ["problem", "over"])
async def test_wherever_it_dies_people_are_told_and_at_most_twice(
    redis: Redis, make: Make, wrong: Wrong, monkeypatch: pytest.MonkeyPatch, where: str, news: str
) -> None:
    paper = Paper()
    if news == "over":
        await look(make(a=paper), redis)
        wrong.problems = []

    async def die(*_: Any, **__: Any) -> None:
        raise Died

    with monkeypatch.context() as patched:
        patched.setattr(*DEATHS[where], die)
        with pytest.raises(Died):
            await look(make(a=paper), redis)
    for _ in range(3):
        await look(make(a=paper), redis)
    told = [one for one in paper.news if one == (News(news), "campaign-paused:c")]
    assert len(told) == (2 if where == "after it was sent" else 1)
    assert len({one.id for one in paper.sent}) == (2 if news == "over" else 1)


@pytest.mark.usefixtures("wrong")
async def test_a_target_that_was_down_is_told_by_the_next_one(redis: Redis, make: Make) -> None:
    ill = Paper("down")
    await look(make(a=ill), redis)
    [state] = await Notifications(redis).targets()
    assert (state.waiting, state.reason) == (1, "down")
    async with Leases(redis, 10_000).hold(LEASE) as lease:
        assert lease is not None
        await Notifications(redis).failed(lease, state, "down", 1, 0)
    ill.trouble = ""
    await look(make(a=ill), redis)
    assert ill.news == TOLD
    assert await Notifications(redis).targets() == [TargetState("a")]


@pytest.mark.usefixtures("wrong")
@pytest.mark.parametrize("stand_by", [False, True])
async def test_it_runs_until_it_is_cancelled(redis: Redis, make: Make, stand_by: bool) -> None:
    paper = Paper()
    notifier = make(a=paper, stand_by=stand_by)
    running = asyncio.create_task(notifier.run())
    await eventually(lambda: paper.news == TOLD)
    if stand_by:
        # It leaves the lease to whoever wants it.
        await eventually(lambda: redis.set(keys.lease(LEASE), 99, nx=True, px=10_000))
    await cancel([running])
    await notifier.close()
    assert paper.closed
    assert paper.news == TOLD


async def test_only_one_of_several_looks(
    redis: Redis, make: Make, wrong: Wrong, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = []
    real = Notifier.look

    async def look(self: Notifier, lease: Any) -> None:
        looked.append(self)
        await real(self, lease)

    monkeypatch.setattr(Notifier, "look", look)
    several = [make(a=Paper()) for _ in range(3)]
    running = [asyncio.create_task(one.run()) for one in several]
    await eventually(lambda: len(looked) > 5)
    assert len(set(looked)) == 1
    await cancel(running)


@pytest.mark.usefixtures("wrong")
async def test_a_lost_lease_and_a_fault_end_nothing(
    redis: Redis, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    paper = Paper()
    faults = iter([ValueError("a bug"), LeaseLost("notifier")])
    real = read_report

    async def failing(*arguments: Any) -> Any:
        for fault in faults:
            raise fault
        return await real(*arguments)

    monkeypatch.setattr(notifiers, "read_report", failing)
    running = asyncio.create_task(make(a=paper).run())
    await eventually(lambda: paper.news == TOLD)
    await cancel([running])


async def test_an_outage_of_redis_is_told_of_by_who_looked_and_its_end_too(
    redis: Redis, make: Make, wrong: Wrong, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong.problems = []
    paper = Paper()
    running = asyncio.create_task(make(a=paper, after_s=0.1).run())
    await eventually(lambda: redis.exists(keys.lease(LEASE)))
    with monkeypatch.context() as patched:

        async def refuse(*_: Any, **__: Any) -> Any:
            raise ConnectionError("refused")

        def refuse_at_once(*_: Any) -> Any:
            raise ConnectionError("refused")

        patched.setattr(notifiers, "read_report", refuse)
        patched.setattr(Leases, "hold", refuse_at_once)
        await eventually(lambda: paper.news == [(News.PROBLEM, "redis-unavailable")])
    await eventually(lambda: (News.OVER, "redis-unavailable") in paper.news)
    await cancel([running])
    assert len(paper.news) == 2


async def test_ids_that_are_no_phone_numbers(redis: Redis, backend: Backend) -> None:
    await Pauses(redis).put(Paused("number", "106540352242922", "v", 131048, "spam", 5, False))
    assert ids_of(await read_report(redis, backend)) == {"106540352242922"}


@pytest.fixture
async def backend(settings: Settings) -> AsyncIterator[Backend]:
    backend = make_backend(settings)
    yield backend
    await backend.close()


async def test_without_targets_there_is_none(
    redis: Redis, redis_url: str, backend: Backend, settings: Settings, make_settings: MakeSettings
) -> None:
    assert make_notifier(make_settings(), redis, redis_url, backend) is None
    made = make_notifier(settings, redis, redis_url, backend)
    assert made is not None
    await made.close()


@pytest.mark.usefixtures("wrong")
async def test_no_secret_is_logged_or_stored_when_nobody_takes_anything(
    redis: Redis, redis_url: str, backend: Backend, make_settings: MakeSettings
) -> None:
    settings = make_settings(
        backend_url="http://127.0.0.1:9",
        notify_webhook_url="http://127.0.0.1:9/hook?token=hunter2-a",
        notify_webhook_keys="ops:hunter2-b-hunter2",
        notify_slack_url="http://127.0.0.1:9/T0/hunter2-c",
        notify_email_to="ops@example.com",
        notify_smtp_port=9,
        notify_smtp_user="ops",
        notify_smtp_password="hunter2-d",
    )
    notifier = make_notifier(settings, redis, redis_url, backend)
    assert notifier is not None
    with capture_logs() as logged:
        await look(notifier, redis)
    await notifier.close()
    states = await Notifications(redis).targets()
    assert [one.failures for one in states] == [1, 1, 1]
    stored = [await redis.dump(key) for key in await redis.keys("notify:*")]
    assert "hunter2" not in f"{logged}{states}{stored}"
    assert len([one for one in logged if one["event"] == "notification.not_sent"]) == 3
