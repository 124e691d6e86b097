"""Every code has a problem that it stands for, and every problem says what to do."""

from dataclasses import replace

import pytest

from contracts.backend import CampaignState
from contracts.jobs import Lane, Queue
from contracts.modes import Mode, Modes, VendorModes
from sidecar.clock import now_ms
from sidecar.ops import report as reports
from sidecar.ops.ignored import IgnoredMessages
from sidecar.ops.message_problems import lanes
from sidecar.ops.notifications import TargetState
from sidecar.ops.problem import MAX_NAMED, MORE, Code
from sidecar.ops.problems import problems, redis_unavailable
from sidecar.ops.processes import Process
from sidecar.ops.report import PhpReport, Reached, Report, read_report
from sidecar.ops.sends import RecentSends
from sidecar.ops.waits import WaitingMessage, Where
from sidecar.php.client import IN_MAINTENANCE, make_backend
from sidecar.redis import keys
from sidecar.redis.client import Redis
from sidecar.sending.epoch import NAMED_MS, Epoch, WentBack, Why
from sidecar.sending.halts import Halt, Halts
from sidecar.sending.numbers import Held, Outage
from sidecar.sending.pauses import Paused, Pauses
from sidecar.settings import Settings
from tests.conftest import MakeSettings
from tests.sidecar.ops.sending import campaign, number_state
from tests.sidecar.ops.test_dead_letters import add_dead_letter

QUEUES = [queue.value for queue in Queue]
VENDORS = [f"v{number}" for number in range(MAX_NAMED + 2)]


@pytest.fixture
def settings(make_settings: MakeSettings) -> Settings:
    return make_settings(
        backend_url="http://127.0.0.1:9",
        dead_letters_limit=1,
        notify_slack_url="http://127.0.0.1:9/hook",
    )


@pytest.fixture
async def report(redis: Redis, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Report:
    """Read it where much is wrong, without a process that runs and without PHP."""
    monkeypatch.setattr(reports, "LOOK_AGAIN_S", 0.0)
    for vendor_uid in VENDORS:
        await add_dead_letter(redis, 1, vendor_uid=vendor_uid, given_up_at=now_ms())
        await redis.hset(keys.counters(vendor_uid), mapping={"claimed": 1, "dropped_at": now_ms()})
    await Pauses(redis).put(Paused("number", "110", "v", 131048, "spam limit", 5, False))
    await Halts(redis).put("c1", "v", Halt(CampaignState.PAUSED, "payment problem", 5))
    backend = make_backend(settings)
    try:
        return await read_report(redis, backend)
    finally:
        await backend.close()


def worse(report: Report) -> Report:
    """Let everything else be wrong that can be wrong at once."""
    overview = report.overview
    silent = Process("p", "worker", "host", 7, 0, heartbeat_age_s=60.0)
    isolated = {"messages": dict.fromkeys(VENDORS, "answered 500")}
    alive = Process(
        *("q", "other", "host", 8, 0, 0.0),
        breakers={"statuses": "503"},
        isolated=isolated,
        slow={"112": 4.0},
        clock=overview.now + 60_000,
    )
    now = overview.now / 1000
    number = number_state("110", outage=Outage("answer 502", now - 5))
    held = number_state("111", held=Held(now + 60, "131057 maintenance"))
    modes = Modes(campaigns=Mode.HELD)
    return replace(
        report,
        overview=replace(
            overview,
            redis=replace(overview.redis, evicts=True, durable=False, limit_bytes=1),
            epoch=Epoch("b", "a", True, 1, WentBack(overview.now, 1, 2, Why.BEHIND, 3, 4)),
            lanes={
                lane: replace(state, webhooks=3, oldest_s=99.0, next_due_in_s=-99.0)
                for lane, state in overview.lanes.items()
            },
            processes=[silent, alive],
        ),
        deferred={
            lane: replace(one, refused=dict.fromkeys(VENDORS, "locked"), deaths=2)
            for lane, one in report.deferred.items()
        },
        waiting_messages=[
            WaitingMessage(uid, Where.RETRY, 99.0, 2, "PHP answers: locked") for uid in VENDORS
        ],
        ignored_messages=[IgnoredMessages(uid, "phone_number_unknown", 1) for uid in VENDORS],
        effects=[
            replace(one, overdue_s=99.0, failing=dict.fromkeys(VENDORS, "answered 500"))
            for one in report.effects
        ],
        numbers=[number, held],
        campaigns=[*report.campaigns, campaign("c2", "no messages are due", 60.0)],
        sends=[
            *(RecentSends(uid, "c", failed=10) for uid in VENDORS),
            *(RecentSends(uid, None, unknown=10) for uid in VENDORS),
        ],
        reached=Reached("refused", "it answers 502", "no replica"),
        targets=[
            TargetState("slack", 1, "it answers 500", failures=9, dropped=1, dropped_at=2**43)
        ],
        php=PhpReport(
            error="timed out",
            unknown_for_long=2,
            vendors=[VendorModes(vendor_uid=uid, modes=modes, version=1) for uid in VENDORS],
        ),
    )


def less(report: Report) -> Report:
    """Redis, as it is between the extremes."""
    redis = replace(report.overview.redis, writes_ok=False, used_bytes=75, limit_bytes=100)
    workers = Process(
        *("w", "worker", "host", 7, 0, 0.0),
        queues=QUEUES,
        in_vain={"c": 60.0},
        unasked={"messages": 3, "oldest_at": 0},
    )
    overview = replace(report.overview, redis=redis, processes=[workers])
    return replace(report, overview=overview, php=PhpReport())


async def test_every_code_has_a_problem(report: Report, settings: Settings) -> None:
    found = [
        redis_unavailable("refused"),
        *problems(worse(report), settings),
        *problems(less(report), settings),
        *problems(report, settings.model_copy(update={"redis_replicas_in_sync": 1})),
    ]
    assert {problem.code for problem in found} == set(Code) - {Code.PHP_IN_MAINTENANCE}
    for problem in found:
        assert problem.what.rstrip(". "), problem
        assert problem.do.endswith("."), problem


async def test_problems_are_told_apart_by_their_subjects(
    report: Report, settings: Settings
) -> None:
    """But for those that are not named."""
    bad = worse(report)
    bad = replace(bad, sends=[RecentSends(uid, f"c-{uid}", failed=10) for uid in VENDORS])
    for found in (problems(bad, settings), problems(less(report), settings)):
        named = [(p.code, p.subject) for p in found if p.subject != MORE]
        assert len(named) == len(set(named)) > 5


async def test_few_vendors_are_named_and_the_others_counted(
    report: Report, settings: Settings
) -> None:
    found = problems(worse(report), settings)
    for code in (
        *(Code.VENDOR_ISOLATED, Code.DEAD_LETTERS_NEARLY_FULL, Code.DEAD_LETTERS_DELETED),
        *(Code.MESSAGE_WAITS, Code.MESSAGES_IGNORED),
    ):
        mine = [problem for problem in found if problem.code is code]
        assert len(mine) == MAX_NAMED + 1
        assert "2 more vendors" in mine[-1].what
        assert mine[-1].do == "sidecar status --json names them all."


@pytest.mark.parametrize(
    ("count", "said"),
    [(1, "of 1 message has"), (7, "of 7 messages has"), (100, "100 messages and")],
)
async def test_unknown_outcomes_are_counted(
    report: Report, settings: Settings, count: int, said: str
) -> None:
    report = replace(report, php=PhpReport(unknown_for_long=count))
    [one] = [p for p in problems(report, settings) if p.code is Code.UNKNOWN_MESSAGES]
    assert said in one.what
    assert one.size == count


async def test_maintenance_is_said_and_nothing_else_of_php(
    report: Report, settings: Settings
) -> None:
    """Neither that PHP is away nor that a lane waits for it: somebody has done that on purpose."""
    report = replace(worse(report), php=PhpReport(error=f"{IN_MAINTENANCE}: modes answered 503"))
    found = {problem.code: problem for problem in problems(report, settings)}
    assert found.keys().isdisjoint(
        {Code.PHP_UNAVAILABLE, Code.PHP_BREAKER_OPEN, Code.VENDOR_ISOLATED}
    )
    problem = found[Code.PHP_IN_MAINTENANCE]
    assert "php artisan down" in problem.what
    assert "php artisan up" in problem.do
    assert problem.do.endswith(".")


async def test_redis_first(report: Report, settings: Settings) -> None:
    codes = [problem.code for problem in problems(worse(report), settings)]
    assert codes[:3] == [Code.REDIS_NOT_DURABLE, Code.REDIS_EVICTS, Code.REDIS_FULL]


def test_codes_are_anchors() -> None:
    """They can stand in a link to their section."""
    assert all(code.value == code.name.lower().replace("_", "-") for code in Code)


async def test_php_is_away_stands_before_what_it_refuses(
    report: Report, settings: Settings
) -> None:
    order = (Code.PHP_UNAVAILABLE, Code.PHP_BREAKER_OPEN, Code.VENDOR_ISOLATED)
    bad = replace(worse(report), php=PhpReport(error="answered 502"))
    found = problems(bad, settings)
    codes = [one.code for one in found]
    assert [code for code in dict.fromkeys(codes) if code in order] == [*order]
    rest = found[1 + codes.index(Code.PHP_UNAVAILABLE) :]
    following = [one for one in found if one.cause is not None]
    assert {one.cause for one in following} == {Code.PHP_UNAVAILABLE}
    assert rest[: len(following)] == following, "right behind it"
    assert {Code.MESSAGE_WAITS, *order[1:]} <= {one.code for one in following}


async def test_while_php_answers_nothing_follows_from_it(
    report: Report, settings: Settings
) -> None:
    fine = replace(worse(report), php=PhpReport())
    assert not [one for one in problems(fine, settings) if one.cause is not None]


def test_how_far_redis_went_back_is_said_for_a_day(report: Report, settings: Settings) -> None:
    now = report.overview.now
    found = {}
    for why in Why:
        back = WentBack(now - 60_000, now - 400_000, now - 100_000, why, 1200, 3)
        epoch = Epoch("b", "b", False, 1, back)
        at = replace(report, overview=replace(report.overview, epoch=epoch))
        [found[why]] = [p for p in problems(at, settings) if p.code is Code.REDIS_WENT_BACK]
        later = replace(at.overview, now=back.at + NAMED_MS)
        after = problems(replace(report, overview=later), settings)
        assert Code.REDIS_WENT_BACK not in {problem.code for problem in after}
    assert found[Why.BEHIND].what.startswith("Redis has gone back in time by about 5 min")
    assert "1,200 rows of campaigns and 3 replies" in found[Why.BEHIND].what
    assert "failed over" in found[Why.FAILOVER].what
    assert found[Why.BEHIND].subject == str(now - 60_000), "each time is an event of its own"


async def test_a_host_that_php_does_not_answer_is_named(report: Report, settings: Settings) -> None:
    why = {"modes": "cannot connect"}
    away = Process("a", "worker", "host-a", 7, 0, 0.0, php_failures=why, php_away=True)
    well = Process("b", "worker", "host-b", 8, 0, 0.0)
    report = replace(
        report, overview=replace(report.overview, processes=[away, well]), php=PhpReport()
    )
    [one] = [p for p in problems(report, settings) if p.code is Code.PHP_UNAVAILABLE]
    assert "the worker host-a:7, which leaves its work to the others" in one.what
    assert one.subject == "host-a"


@pytest.mark.parametrize(
    ("webhooks", "one_by_one", "said"),
    [
        (0, 0, []),  # nothing is left that could have killed it
        (1, 0, ["A worker died once on statuses"]),
        (
            *(1, 20),
            [
                "A worker died once on statuses; 20 of them are processed one by one to find the "
                "cause"
            ],
        ),
    ],
)
def test_deaths_are_said_while_something_waits(
    report: Report, webhooks: int, one_by_one: int, said: list[str]
) -> None:
    lane = Lane.STATUSES
    state = replace(report.overview.lanes[lane], webhooks=webhooks)
    died = replace(report.deferred[lane], deaths=1, one_by_one=one_by_one)
    at = replace(
        report,
        overview=replace(report.overview, lanes={**report.overview.lanes, lane: state}),
        deferred={**report.deferred, lane: died},
    )
    found = [problem.what for problem in lanes(at) if problem.code is Code.CRASH_LOOP]
    assert found == said
