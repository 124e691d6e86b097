"""``sidecar status``: what is wrong stands first, with what to do; and nothing is changed."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, cast

import orjson
import pytest

from contracts.backend import CampaignState
from contracts.effects import EffectKind
from contracts.jobs import Lane, Queue
from sidecar.clock import now_ms
from sidecar.commands import status as module
from sidecar.commands.context import Context
from sidecar.commands.status import look as look_at
from sidecar.format import duration
from sidecar.inbox.ignored import slices_until
from sidecar.inbox.store import Inbox, InboxReader
from sidecar.metrics import MetricsRegistry
from sidecar.ops import accounting as counters
from sidecar.ops import report
from sidecar.ops.dead_letters import DeadLetters
from sidecar.ops.publisher import KEEP_MS, Telemetry
from sidecar.ops.snapshot import Observer, Overview
from sidecar.redis import keys
from sidecar.redis.client import Redis, connect
from sidecar.redis.letter_bounds import Bounds
from sidecar.sending.halts import Halt, Halts
from sidecar.sending.pauses import Paused, Pauses
from simulator.redis_server import RedisServer
from tests.conftest import MakeSettings
from tests.sidecar.answering_php import Php
from tests.sidecar.conftest import RunCommand
from tests.sidecar.ops.test_dead_letters import add_dead_letter
from tests.sidecar.ops.test_waits import defer

MakeStatus = Callable[..., Awaitable[tuple[str, bool]]]


@pytest.fixture
def look(make_settings: MakeSettings, redis_url: str, php: Php) -> MakeStatus:
    """Look at how things are: the page, and whether anything is wrong (exit code 1)."""

    async def look(*, as_json: bool = False, **overrides: Any) -> tuple[str, bool]:
        settings = make_settings(**{"backend_url": php.url, "redis_url": redis_url, **overrides})
        async with Context(settings) as context:
            return await look_at(context, as_json=as_json)

    return look


async def live(redis: Redis, role: str, *queues: str, **facts: Any) -> Telemetry:
    """Have a process that lives."""
    told = {"queues": list(queues), "leases": [], "breakers": {}, **facts}
    telemetry = Telemetry(redis, role, lambda: told, MetricsRegistry())
    telemetry.process_id = f"{role} {' '.join(queues)}"
    await telemetry.publish()
    return telemetry


@pytest.fixture
async def running(redis: Redis) -> None:
    """Everything runs."""
    await live(redis, "serve")
    await live(redis, "worker", *(queue.value for queue in Queue))


async def receive(redis: Redis, count: int, lane: Lane = Lane.MESSAGES) -> None:
    inbox = Inbox(redis, timeout_s=5, pending_limit_bytes=10**8, wake=lambda _lane: None)
    for _ in range(count):
        await inbox.put(lane, "v", b"", b"{}")
    await inbox.close()


async def age(redis: Redis, lane: Lane, seconds: float) -> None:
    """Let the only webhook of a lane be older."""
    [entry] = (await InboxReader(redis).read(lane, {"v": "0"}, 10))["v"]
    await redis.delete(keys.inbox(lane, "v"))
    older = entry.received_at - int(seconds * 1000)
    await redis.xadd(keys.inbox(lane, "v"), {"": "{}"}, id=f"{older}-0")


# -- the page --


@pytest.mark.usefixtures("running")
async def test_all_is_well(look: MakeStatus, redis: Redis) -> None:
    await receive(redis, 3)
    page, failed = await look()
    first, blank, verdict, *rest = page.splitlines()
    assert first.startswith("whatsapp-sidecar at 20")
    assert (blank, verdict) == ("", "All is well.")
    assert not failed
    titles = [line for line in rest if line and line[0] != " "]
    assert [title.split(",")[0] for title in titles] == [
        *("PROCESSES", "REDIS", "PHP", "MODES", "WEBHOOKS", "EFFECTS", "CAMPAIGNS"),
        *("NUMBERS", "ACCOUNTING"),
    ]
    assert "every write is on disk" in page
    assert "available, no updates accepted yet" in page
    assert "messages  3 in the inbox, the oldest for" in page
    assert "statuses  0 in the inbox; idle" in page
    assert "webhooks     3 received = 0 done + 3 waiting" in page
    assert page.endswith("balanced")


async def test_nothing_runs(look: MakeStatus) -> None:
    page, failed = await look()
    lines = page.splitlines()
    assert lines[2] == "2 PROBLEMS"
    assert lines[3] == "  1. [serve-not-running] sidecar serve is not running: webhooks go to PHP."
    assert lines[4].startswith("     -> Start it: systemctl start sidecar")
    assert lines[5].startswith(
        "  2. [worker-not-running] No worker is running for messages, statuses, campaigns"
    )
    assert lines[7] == "  docs/runbooks.md explains each code."
    assert failed


@pytest.mark.usefixtures("running")
async def test_it_changes_nothing(look: MakeStatus, redis: Redis) -> None:
    await receive(redis, 2)
    await Halts(redis).put("c1", "v", Halt(CampaignState.PAUSED, "by hand"))
    await add_dead_letter(redis, 1)
    await redis.zadd(keys.dead_updates("v"), {"gone": 1})  # also while it looks twice
    before = {key: await redis.dump(key) for key in await redis.keys("*")}
    await look()
    await look(as_json=True)
    assert {key: await redis.dump(key) for key in await redis.keys("*")} == before


async def test_without_redis_of_its_own_while_nothing_runs(
    make_settings: MakeSettings, php: Php
) -> None:
    async with Context(make_settings(backend_url=php.url)) as context:
        page, failed = await look_at(context, as_json=False)
    assert "sidecar serve is not running" in page
    assert failed


@pytest.mark.usefixtures("running")
def test_the_exit_code_says_whether_anything_is_wrong(
    run_command: RunCommand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run_command("status").exit_code == 1, "PHP is not there"
    assert run_command("status", "--json").exit_code == 1
    monkeypatch.setattr(module, "problems", lambda *of: [])
    assert run_command("status").exit_code == 0
    assert run_command("status", "--json").exit_code == 0

    def broken(*of: object) -> None:
        raise ValueError("a fault of the command's own")

    monkeypatch.setattr(module, "problems", broken)
    assert run_command("status", "--json").exit_code == 2, "it cannot be told"
    monkeypatch.setenv("SIDECAR_CONFIG", str(tmp_path / "missing.toml"))
    assert run_command("status").exit_code == 2


# -- what is wrong --


async def assert_problem(look: MakeStatus, what: str, do: str, **overrides: Any) -> None:
    """There is this problem and no other, and the command says that something is wrong."""
    shown, failed = await look(as_json=True, **overrides)
    assert failed
    [problem] = orjson.loads(shown)["problems"]
    assert what in problem["what"]
    assert do in problem["do"]


@pytest.mark.usefixtures("running")
async def test_a_worker_was_killed(look: MakeStatus, redis: Redis) -> None:
    killed = await live(redis, "worker", "statuses")
    await redis.pexpire(keys.process(killed.process_id), KEEP_MS - 60_000)
    await assert_problem(look, "has been silent for 60 s", "log")
    await redis.pexpire(keys.process(killed.process_id), KEEP_MS - 3_600_000)
    assert "All is well" in (await look())[0], "that was long ago"
    await redis.srem(keys.PROCESSES, "worker messages statuses campaigns effects")
    await assert_problem(
        look, "No worker is running for messages, statuses, campaigns", "sidecar worker"
    )


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize(("lane", "late_s"), [(Lane.MESSAGES, 20), (Lane.STATUSES, 100)])
async def test_webhooks_wait(look: MakeStatus, redis: Redis, lane: Lane, late_s: int) -> None:
    await receive(redis, 1, lane)
    assert "All is well" in (await look())[0]
    await age(redis, lane, late_s)
    await assert_problem(look, "waits, the oldest for", f"sidecar worker {lane}")
    await redis.set(keys.lease(f"drain:{lane}"), 1)
    await live(redis, "worker", lane.value, leases=[f"drain:{lane}"])
    page, _ = await look()
    assert "nobody drains them" not in page
    assert "drained by" in page


@pytest.mark.usefixtures("running")
async def test_a_customers_message_waits(look: MakeStatus, redis: Redis) -> None:
    await defer(redis, "v/1", attempts=1, refused=1, reason="locked", due_at=now_ms() + 60_000)
    page, _ = await look()
    assert "[message-waits] A customer's message of vendor v has waited for " in page
    assert "PHP answers: locked" in page
    shown, _ = await look(as_json=True)
    [one] = orjson.loads(shown)["waiting_messages"]
    assert (one["vendor_uid"], one["where"], one["attempts"]) == ("v", "retry", 1)


@pytest.mark.usefixtures("running")
async def test_customers_messages_were_ignored(look: MakeStatus, redis: Redis) -> None:
    [key, *_] = slices_until(now_ms())
    await redis.hset(key, "v phone_number_unknown", 3)
    await assert_problem(
        look, "PHP ignored 3 customers' messages of vendor v", "sidecar ignored --reason"
    )
    shown, _ = await look(as_json=True)
    assert orjson.loads(shown)["ignored_messages"] == [
        {"vendor_uid": "v", "reason": "phone_number_unknown", "count": 3}
    ]


@pytest.mark.usefixtures("running")
async def test_php_does_not_take_updates(look: MakeStatus, redis: Redis) -> None:
    await live(redis, "worker", "messages", breakers={"messages": "answered 503"})
    await assert_problem(look, "PHP does not accept customers' messages: answered 503", "PHP's log")


@pytest.mark.usefixtures("running")
async def test_php_is_down(look: MakeStatus) -> None:
    await assert_problem(
        look, "PHP is unavailable", "sidecar check", backend_url="http://127.0.0.1:9"
    )


@pytest.mark.usefixtures("running")
async def test_php_says_that_messages_are_unknown(look: MakeStatus, php: Php) -> None:
    php.unknown = [{"uid": "u", "vendor_uid": "v", "to": "9", "since": 1}]
    await assert_problem(look, "has been unknown for more than a day", "sidecar unknown list")


@pytest.mark.usefixtures("running")
async def test_campaigns_that_are_held(look: MakeStatus, php: Php) -> None:
    for number in range(7):
        php.add_vendor(f"v{number}")
        after = {"webhooks": "sidecar", "campaigns": "held", "bots": "php"}
        past = {"at": 1, "version": 1, "before": after, "after": after}
        php.histories[f"v{number}"] = [past]
    await assert_problem(
        look,
        "The campaigns of 7 vendors are held, so nobody sends them: v0, v1, v2, v3, v4 and 2 more",
        "sidecar rollback VENDOR",
    )
    page, _ = await look()
    assert "  webhooks  1 php, 7 sidecar\n  campaigns 1 php, 7 held\n  bots      8 php\n" in page
    found = orjson.loads((await look(as_json=True))[0])
    assert found["modes"]["campaigns"] == {"php": 1, "held": 7}
    assert found["held"] == [f"v{number}" for number in range(7)]


@pytest.mark.usefixtures("running")
async def test_modes_while_php_is_down(look: MakeStatus) -> None:
    page, _ = await look(backend_url="http://127.0.0.1:9")
    assert "MODES, by vendors\n  unknown" in page


@pytest.mark.usefixtures("running")
async def test_what_waits_to_be_tried_again(look: MakeStatus, redis: Redis) -> None:
    seconds, _ = await redis.time()
    update = {"reason": "locked", "received_at": (seconds - 7210) * 1000}
    await redis.sadd(keys.VENDORS, "v")
    await redis.hset(keys.counters("v"), mapping={"updates": 1, "deferred_messages": 1})
    await redis.rpush(keys.deferred_updates(Lane.MESSAGES, "v/1"), orjson.dumps(update))
    await redis.zadd(keys.deferred(Lane.MESSAGES), {"v/1": (seconds + 300_000) * 1000})
    page, _ = await look()
    assert "All is well" in page
    assert "1 contacts wait for a retry, the next in 3 d" in page
    assert "came 2 h ago" in page
    assert "1 x locked" in page
    await redis.zadd(keys.deferred(Lane.MESSAGES), {"v/1": (seconds - 100) * 1000})
    await assert_problem(look, "1 of 1 waiting contacts are due", "worker runs for messages")


@pytest.mark.usefixtures("running")
async def test_more_waits_than_is_measured(
    look: MakeStatus, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counters, "MAX_ORDER_KEYS", 0)
    await redis.sadd(keys.VENDORS, "v")
    await redis.hset(keys.counters("v"), "updates", 1)
    await redis.rpush(keys.deferred_updates(Lane.MESSAGES, "v/1"), b'{"received_at": 1}')
    await redis.zadd(keys.deferred(Lane.MESSAGES), {"v/1": 10**15})
    page, failed = await look()
    assert not failed
    assert "1 split = 0 done + 0 ignored + 0 duplicate + 0 coalesced + ? waiting + 0 dead" in page
    assert "? is too much to measure at once" in page


@pytest.mark.usefixtures("running")
async def test_work_that_kills_workers(look: MakeStatus, redis: Redis) -> None:
    await redis.sadd(keys.begun(Lane.STATUSES), 7, 8, 9)
    await redis.hset(keys.crashes(Lane.STATUSES), "left", "40")
    await assert_problem(look, "died 2 times on statuses; 40 of them", "dead letter")
    await redis.srem(keys.begun(Lane.STATUSES), 7, 8)
    await redis.hset(keys.crashes(Lane.STATUSES), "left", "0")
    await redis.set(keys.lease("drain:statuses"), 1)
    assert "All is well" in (await look())[0], "a drain that is under way is no death"


@pytest.mark.usefixtures("running")
async def test_a_drain_that_begins_while_somebody_looks_is_no_death(
    look: MakeStatus, redis: Redis
) -> None:
    """The lease was looked for before it was taken, and the note after that."""
    await redis.sadd(keys.begun(Lane.STATUSES), 7)
    assert "All is well" in (await look())[0]


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize("odd", ["1" * 400, "1e3"])
async def test_updates_that_php_refuses(look: MakeStatus, redis: Redis, odd: str) -> None:
    """Whatever numbers are in it."""
    update = {"vendor_uid": "v", "received_at": 1, "attempts": 2, "reason": "error: locked"}
    kept = orjson.dumps({**update, "payload": orjson.Fragment(odd)})
    await cast(Any, redis).rpush(keys.deferred_updates(Lane.MESSAGES, "v/1"), kept)
    await redis.zadd(keys.deferred(Lane.MESSAGES), {"v/1": 10**15})
    await redis.hset(keys.counters("v"), mapping={"updates": 1, "deferred_messages": 1})
    await redis.sadd(keys.VENDORS, "v")
    await assert_problem(look, "refuses customers' messages of vendor v: error: locked", "log")


@pytest.mark.usefixtures("running")
async def test_dead_letters(look: MakeStatus, redis: Redis) -> None:
    seconds, _ = await redis.time()
    await redis.hset(keys.counters("v"), "updates", 1)
    await add_dead_letter(redis, 1, given_up_at=(seconds - 7200) * 1000)
    what = "1 dead letter of vendor v: updates that PHP refused"
    await assert_problem(look, what, "replay --all")
    await assert_problem(look, what, "discard --kind unreadable")


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"appendonly": "no"}, "does not write to disk"),
        ({"maxmemory": "100mb", "maxmemory-policy": "allkeys-lru"}, "evicts keys"),
        ({"maxmemory": "1"}, "webhooks are answered with 503 and go to PHP"),
    ],
)
async def test_redis_is_not_as_it_must_be(
    look: MakeStatus, tmp_path: Path, settings: dict[str, str], what: str
) -> None:
    with RedisServer(tmp_path / "own") as server:
        redis = connect(server.url, timeout_s=5.0)
        for name, value in settings.items():
            await redis.config_set(name, value)
        await live(redis, "serve")
        await live(redis, "worker", *(queue.value for queue in Queue))
        await redis.aclose()
        do = "maxmemory" if "maxmemory" in settings else "appendonly"
        await assert_problem(look, what, do, redis_url=server.url)


async def test_redis_is_away(look: MakeStatus) -> None:
    away = "redis://127.0.0.1:9/0"
    page, failed = await look(redis_url=away)
    assert failed
    assert page.splitlines()[0] == "1 PROBLEM"
    assert "[redis-unavailable] Redis is unavailable" in page
    shown, failed = await look(as_json=True, redis_url=away)
    assert failed
    found = orjson.loads(shown)
    assert found["redis"]["up"] is False
    [problem] = found["problems"]
    assert problem["code"] == "redis-unavailable"


# -- accounting --


@pytest.fixture
async def unbalanced(redis: Redis) -> None:
    await redis.sadd(keys.VENDORS, "v", "w")
    await redis.hset(keys.counters("v"), mapping={"claimed": 3, "accepted": 1})
    await redis.hset(keys.counters("w"), mapping={"claimed": 3, "accepted": 3})


@pytest.mark.usefixtures("running", "unbalanced")
async def test_a_difference_that_stands(look: MakeStatus) -> None:
    page, failed = await look()
    assert failed
    assert "The accounting of vendor v does not balance: 2 sends missing" in page
    assert page.endswith("NOT BALANCED, see above")
    shown, failed = await look(as_json=True)
    check = orjson.loads(shown)["accounting"]
    assert failed
    assert check["balanced"] is False
    assert check["unbalanced"] == ["v"]
    assert check["vendors"]["v"]["sends"] == {
        "claimed": 3,
        "accepted": 1,
        "failed": 0,
        "requeued": 0,
        "unknown": 0,
        "released": 0,
        "in_flight": 0,
        "difference": 2,
    }
    assert check["vendors"]["w"]["sends"]["difference"] == 0


@pytest.mark.usefixtures("running", "unbalanced")
async def test_a_difference_that_does_not_stand(
    look: MakeStatus, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = Observer.read

    async def and_then_it_changes(observer: Observer) -> Overview:
        found = await read(observer)
        await redis.hset(keys.counters("v"), "unknown", 2)
        return found

    monkeypatch.setattr(Observer, "read", and_then_it_changes)
    monkeypatch.setattr(report, "LOOK_AGAIN_S", 0.0)
    page, failed = await look()
    assert not failed
    assert "All is well" in page


@pytest.mark.usefixtures("running")
async def test_dead_letters_that_will_soon_leave(look: MakeStatus, redis: Redis) -> None:
    for number in range(8):
        await add_dead_letter(redis, number, given_up_at=now_ms())
    await redis.hset(keys.counters("v"), "updates", 8)
    page, failed = await look(dead_letters_limit=11)
    assert "dead-letters-nearly-full" not in page
    page, failed = await look(dead_letters_limit=10)
    assert "The dead letters of vendor v are 80% full: 8 of 10, " in page
    assert "sidecar dead-letters export FILE --vendor v" in page
    assert failed


@pytest.mark.usefixtures("running")
async def test_dead_letters_that_grow_old(look: MakeStatus, redis: Redis) -> None:
    await add_dead_letter(redis, 1, given_up_at=now_ms() - 73 * 86_400_000)
    await redis.hset(keys.counters("v"), "updates", 1)
    page, _ = await look()
    assert "the oldest 73 of 90 days old" in page


@pytest.mark.usefixtures("running")
async def test_dead_letters_that_have_left(look: MakeStatus, redis: Redis) -> None:
    for number in range(5):
        await add_dead_letter(redis, number, given_up_at=now_ms())
    await redis.hset(keys.counters("v"), "updates", 5)
    await DeadLetters(redis).trim(Bounds(number=2), now_ms())
    page, failed = await look()
    assert "Dead letters of vendor v were deleted, the last " in page
    assert "ago: 3 updates too many" in page
    assert "dead letters: 2; 3 have been deleted" in page
    assert failed
    day_ago = now_ms() - 90_000_000
    await redis.hset(keys.counters("v"), "dropped_at", day_ago)
    page, _ = await look()
    assert "were deleted" not in page
    assert "3 have been deleted" in page


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize(
    ("index", "what"),
    [
        (keys.ready(Lane.MESSAGES), "1 inboxes missing"),
        (keys.outbox_of(EffectKind.FORWARD, "v"), "1 outbox missing"),
        (keys.dead_effects("v"), "1 dead effects too many, 1 letters missing"),
    ],
)
async def test_an_index_that_is_not_what_is_stored(
    look: MakeStatus, redis: Redis, index: str, what: str
) -> None:
    await redis.sadd(keys.VENDORS, "v")
    if index == keys.ready(Lane.MESSAGES):
        await redis.sadd(index, "v")
    else:
        await redis.zadd(index, {"a": 1})
    page, failed = await look()
    assert failed
    assert what in page


@pytest.mark.usefixtures("running")
async def test_dead_letters_that_vanish(look: MakeStatus, redis: Redis) -> None:
    await redis.sadd(keys.VENDORS, "v")
    await redis.hset(keys.counters("v"), mapping={"updates": 3, "dead": 3})
    page, failed = await look()
    assert failed
    assert "The accounting of vendor v does not balance: 3 dead updates missing" in page


# -- campaigns and numbers --


@pytest.mark.usefixtures("running")
async def test_a_campaign_that_is_sent(look: MakeStatus, redis: Redis) -> None:
    seconds, _ = await redis.time()
    await redis.hset(keys.CAMPAIGNS, "c1", "v")
    await redis.set(keys.lease("campaign:c1"), (seconds - 10_900) * 1000)
    await live(redis, "worker", "campaigns", leases=["campaign:c1"])
    await redis.hset(keys.ledger("c1"), mapping={"1": "c:x", "2": "c:x", "3": "s:x:1", "4": "k:x"})
    page, _ = await look()
    assert "c1  running  by " in page
    assert "for 3 h  2 claimed, 1 sending, 1 to be reported" in page
    shown, _ = await look(as_json=True)
    [campaign] = orjson.loads(shown)["campaigns"]
    assert (campaign["state"], campaign["in_flight"], campaign["vendor_uid"]) == ("running", 4, "v")


@pytest.mark.usefixtures("running")
async def test_a_number_that_a_person_must_resume(look: MakeStatus, redis: Redis) -> None:
    await Pauses(redis).put(Paused("number", "110", "v", 131048, "131048 spam limit", 5, False))
    page, _ = await look()
    assert "1 PROBLEM" in page
    assert "Number 110 of vendor v sends nothing: 131048 spam limit" in page
    assert "sidecar numbers resume 110" in page
    shown, _ = await look(as_json=True)
    [paused] = orjson.loads(shown)["paused"]
    assert (paused["scope"], paused["id"], paused["at"]) == ("number", "110", 5)


@pytest.mark.usefixtures("running")
async def test_campaigns_that_do_not_go_on(look: MakeStatus, redis: Redis) -> None:
    await Halts(redis).put("c1", "v", Halt(CampaignState.PAUSED, "131042 payment problem", 5))
    await Halts(redis).put("c2", "v", Halt(CampaignState.CANCELLED, "no", 5))
    await redis.hdel(keys.CAMPAIGNS, "c1", "c2")
    await redis.hset(keys.CAMPAIGNS, "c3", "v")
    await redis.set(keys.wait("c3"), "250 recipients of the portfolio are used up")
    page, _ = await look()
    assert "1 PROBLEM" in page
    assert "Campaign c1 is paused: 131042 payment problem" in page
    assert "c3  running (250 recipients of the portfolio are used up)  no worker has it" in page
    assert "c2" not in page
    shown, _ = await look(as_json=True)
    states = {one["uid"]: one["state"] for one in orjson.loads(shown)["campaigns"]}
    assert states == {"c1": "paused", "c2": "cancelled", "c3": "running"}


@pytest.mark.usefixtures("running")
async def test_many_campaigns(look: MakeStatus, redis: Redis) -> None:
    for number in range(30):
        await redis.hset(keys.CAMPAIGNS, f"c{number:02}", "v")
    page, _ = await look()
    assert "c19  running" in page
    assert "c20  running" not in page
    assert "and 10 more; --json shows all" in page


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        *((0, "0.0 s"), (0.44, "0.4 s"), (10, "10 s"), (119, "119 s"), (120, "2 min")),
        *((7199, "120 min"), (7200, "2 h"), (172_800, "2 d")),
    ],
)
def test_durations(seconds: float, words: str) -> None:
    assert duration(seconds) == words
