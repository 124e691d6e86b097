"""How the Cloud API does for a line: what is a sign of an outage, and what may be sent."""

import asyncio

import pytest

from contracts.backend import SendError
from contracts.cloud_api.errors import RULES, rule_for
from tests.workers.sending.test_sender import ACCEPTED, refused
from workers.sending.cloud_api import Attempt, ErrorAnswer, NotSent, OutcomeUnknown, conclude
from workers.sending.line_health import (
    Call,
    Health,
    Line,
    Tuning,
    shows_that_it_works,
    sign_of,
)

UNKNOWN = OutcomeUnknown("answer 502 without an error code of the Cloud API's")
NOT_SENT = NotSent("cannot connect")
FAULT = refused(131000)
RATE = 80.0


class Watch:
    """A line on a clock of the test's, and rows that are sent one after the other."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        self.rows = 0
        self.line = Line("110", Tuning())
        monkeypatch.setattr("workers.sending.line_health.time.monotonic", lambda: self.now)

    def begin(self, row_uid: str = "") -> Call:
        self.rows += 1
        call = Call(
            self.line, row_uid or f"row-{self.rows}", self.line.epoch, self.now, left=self.now
        )
        self.line.began(call)
        return call

    def end(self, call: Call, attempt: Attempt) -> bool:
        self.line.over(call)
        return self.line.ended(call, attempt, sign_of(attempt))

    def send(self, *attempts: Attempt, row_uid: str = "") -> list[bool]:
        return [self.end(self.begin(row_uid), attempt) for attempt in attempts]


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    return Watch(monkeypatch)


# -- signs --


def test_a_row_that_finds_no_connection_is_a_sign_each_time(watch: Watch) -> None:
    """It is put back, and so is the next one to be tried."""
    found = []
    for _ in range(3):
        found += watch.send(NOT_SENT, row_uid="the same")
        watch.now += 1
    assert found == [False, False, True]


@pytest.mark.parametrize(
    "attempt",
    [
        UNKNOWN,
        NOT_SENT,
        *(refused(code) for code in (2, 131000, 131016, 133004)),
        conclude(503, b""),
        conclude(502, b"<html>"),
        conclude(200, b""),
        conclude(200, b"<html>"),
        ErrorAnswer(rule_for(999_999, 500), SendError(code=999_999, message="new")),
    ],
)
def test_signs_of_an_outage(attempt: Attempt) -> None:
    assert sign_of(attempt)
    assert not shows_that_it_works(attempt)


NO_SIGN = [code for code in RULES if code not in (2, 131000, 131016, 133004)]


@pytest.mark.parametrize("attempt", [ACCEPTED, *map(refused, NO_SIGN)])
def test_whatever_else_the_api_says_shows_that_it_works(attempt: Attempt) -> None:
    assert sign_of(attempt) is None
    assert shows_that_it_works(attempt)


@pytest.mark.parametrize(
    ("status", "content"), [(302, b""), (400, b"<html>"), (403, b"{}"), (404, b"<html>")]
)
def test_an_error_without_a_code_is_of_something_on_the_way(status: int, content: bytes) -> None:
    attempt = conclude(status, content)
    assert sign_of(attempt) == f"HTTP {status} without a code"
    assert not shows_that_it_works(attempt)


def test_to_be_asked_to_go_slow_without_a_code_says_nothing() -> None:
    attempt = conclude(429, b"<html>")
    assert sign_of(attempt) is None
    assert not shows_that_it_works(attempt)


def test_the_reason_names_the_status_or_the_code() -> None:
    assert sign_of(conclude(502, b"<html>")) == UNKNOWN.reason
    assert "503" in (sign_of(conclude(503, b"<html>")) or "")
    assert (sign_of(refused(131000)) or "").startswith("131000 ")


# -- when it is an outage --


@pytest.mark.parametrize("sign", [UNKNOWN, NOT_SENT])
def test_three_in_a_row(watch: Watch, sign: Attempt) -> None:
    assert watch.send(ACCEPTED, sign, sign, ACCEPTED, sign, sign, sign) == [*[False] * 6, True]


@pytest.mark.parametrize("between", [refused(130429), refused(131026), ACCEPTED])
def test_an_answer_of_the_api_in_between_ends_the_row(watch: Watch, between: Attempt) -> None:
    assert not any(watch.send(UNKNOWN, UNKNOWN, between, UNKNOWN, UNKNOWN, between))


def test_ten_of_the_last_twenty(watch: Watch) -> None:
    pair: list[Attempt] = [ACCEPTED, UNKNOWN]
    found = watch.send(*pair * 10)
    assert found == [*[False] * 19, True]


def test_nine_of_the_last_twenty_are_none(watch: Watch) -> None:
    pair: list[Attempt] = [ACCEPTED, UNKNOWN]
    assert not any(watch.send(*[*pair * 9, ACCEPTED, ACCEPTED] * 5))


def test_three_that_are_refused_in_a_row_where_nothing_else_goes_out(watch: Watch) -> None:
    assert watch.send(*[FAULT] * 3) == [False, False, True]
    watch.line.change(down=False)
    watch.now += 3
    assert watch.send(*[FAULT] * 3) == [False, False, True]


def test_refusals_among_rows_that_go_out_are_one_campaigns(watch: Watch) -> None:
    """They cost nothing, and the others would wait with them."""
    twenty: list[Attempt] = [ACCEPTED, *[FAULT] * 19]
    assert not any(watch.send(*twenty * 10))
    assert watch.send(ACCEPTED, *[FAULT] * 20) == [*[False] * 20, True]


def test_a_row_of_signs_that_are_not_all_refusals(watch: Watch) -> None:
    assert watch.send(ACCEPTED, FAULT, FAULT, UNKNOWN) == [*[False] * 3, True]


def test_what_an_outage_that_is_over_left_probes_nothing(watch: Watch) -> None:
    """Its row is like any other then, and its failure is a sign."""
    watch.line.change(down=True)
    watch.line.probe = ("row-9", "p-1")
    watch.line.change(down=False)
    assert watch.line.probe_of("row-9") == ""


def test_a_row_that_is_always_refused_is_no_outage(watch: Watch) -> None:
    assert not any(watch.send(*[refused(131000)] * 20, row_uid="the same"))


def test_on_trial_the_first_of_unknown_outcome_is_one(watch: Watch) -> None:
    watch.line.told(Health.TRIAL, watch.line.epoch)
    assert watch.send(refused(131000), ACCEPTED, NOT_SENT, ACCEPTED, UNKNOWN) == [
        *[False] * 4,
        True,
    ]


def test_calls_from_before_say_nothing(watch: Watch) -> None:
    """A request that hung through an outage times out when it is over."""
    calls = [watch.begin() for _ in range(8)]
    watch.line.change(down=True)
    watch.line.change(down=False)
    assert not any(watch.end(call, UNKNOWN) for call in calls)
    assert watch.send(UNKNOWN, UNKNOWN, UNKNOWN) == [False, False, True]


# -- silence --


def test_nothing_is_answered(watch: Watch) -> None:
    for _ in range(3):
        watch.begin()
    watch.now += 2.9
    assert watch.line.silence() is None
    watch.now += 0.1
    assert watch.line.silence() == "no answer to any of 3 calls for 3.0 s"


def test_a_call_or_two_that_take_long_are_no_silence(watch: Watch) -> None:
    watch.begin()
    watch.begin()
    watch.now += 60
    assert watch.line.silence() is None


def test_one_answer_ends_the_silence(watch: Watch) -> None:
    calls = [watch.begin() for _ in range(4)]
    watch.now += 2.9
    watch.end(calls[0], ACCEPTED)
    watch.now += 2.9
    assert watch.line.silence() is None


def test_a_slow_api_is_given_twice_as_long(watch: Watch) -> None:
    call = watch.begin()
    watch.now += 5
    watch.end(call, ACCEPTED)
    for _ in range(5):
        watch.begin()
    watch.now += 9.9
    assert watch.line.silence() is None
    watch.now += 0.1
    assert watch.line.silence() is not None


def test_answers_of_long_ago_are_forgotten(watch: Watch) -> None:
    call = watch.begin()
    watch.now += 20
    watch.end(call, ACCEPTED)
    watch.now += 61
    assert watch.line.ask_s == 3.0


def test_a_question_is_waited_for_longer_each_time(watch: Watch) -> None:
    waits = []
    for times in range(4):
        watch.line.unanswered = times
        waits.append(watch.line.ask_s)
    assert waits == [3.0, 6.0, 10.0, 10.0]


# -- the window --


def may_start(watch: Watch) -> int:
    """Return how many calls may begin."""
    count = 0
    while watch.line.may_start("another"):
        watch.begin()
        count += 1
    return count


def test_few_calls_may_be_without_an_answer(watch: Watch) -> None:
    assert watch.line.room(RATE, 0) > 8
    assert may_start(watch) == 8
    assert watch.line.room(RATE, 0) == 0


def answer_all(watch: Watch, after_s: float) -> None:
    watch.now += after_s
    for call in list(watch.line._calls):
        watch.end(call, ACCEPTED)


def goes_on(watch: Watch, answer_s: float, seconds: float) -> int:
    """Send as fast as rate and window allow, and return how many calls wait at the end."""
    under_way = list(watch.line._calls)
    next_at, end = watch.now, watch.now + seconds
    while watch.now < end:
        while under_way and under_way[0].at + answer_s <= watch.now:
            watch.end(under_way.pop(0), ACCEPTED)
        watch.line.room(RATE, 0)
        if watch.now >= next_at and watch.line.may_start("another"):
            under_way.append(watch.begin())
            next_at = watch.now + 1 / RATE
        watch.now += 0.005
    return len(under_way)


def test_rows_that_are_started_together_count_before_their_calls_have_begun(watch: Watch) -> None:
    assert [watch.line.may_start("row", started) for started in (0, 7, 8, 9)] == [
        *(True, True, False, False)
    ]


def test_the_window_opens_as_answers_come(watch: Watch) -> None:
    """An API that takes 5 s for each answer has as many calls as it needs, after a while."""
    waiting = [goes_on(watch, 5, 10) for _ in range(8)]
    assert waiting[0] < 20
    assert waiting[-1] > 300, waiting


def test_it_opens_no_wider_than_is_used(watch: Watch) -> None:
    used = goes_on(watch, 0.1, 10)
    assert used in (7, 8)
    assert used + may_start(watch) <= 13


def test_it_closes_when_answers_are_quick_again(watch: Watch) -> None:
    goes_on(watch, 1, 20)
    goes_on(watch, 0.02, 10)
    assert len(watch.line._calls) + may_start(watch) == 8


def test_a_fast_number_may_have_a_busy_event_loop(watch: Watch) -> None:
    watch.line.room(1000.0, 0)
    for _ in range(100):
        watch.begin()
        answer_all(watch, 0.01)
    assert may_start(watch) == 37


def test_after_an_outage_it_begins_with_one(watch: Watch) -> None:
    watch.line.change(down=True)
    watch.line.change(down=False)
    began = []
    for _ in range(5):
        began.append(may_start(watch))
        for call in list(watch.line._calls):
            watch.end(call, ACCEPTED)
    assert began == [1, 2, 4, 8, 8]


def test_slots_are_for_few_rows_more_while_it_opens(watch: Watch) -> None:
    watch.line.change(down=True)
    watch.line.change(down=False)
    assert [watch.line.room(RATE, planned) for planned in (0, 1, 2, 9)] == [2, 1, 0, 0]


def test_while_it_is_down_only_the_probe_starts(watch: Watch) -> None:
    watch.line.told(Health.DOWN, 0)
    assert watch.line.room(RATE, 0) == 1
    assert not watch.line.may_start("row")
    watch.line.probe = ("row", "probe")
    assert watch.line.may_start("row")
    assert not watch.line.may_start("another")


# -- what Redis says --


def test_an_answer_from_before_a_change_says_nothing(watch: Watch) -> None:
    asked_at = watch.line.epoch
    watch.line.change(down=True)
    watch.line.told(Health.WELL, asked_at)
    assert watch.line.down
    watch.line.told(Health.WELL, watch.line.epoch)
    assert not watch.line.down


@pytest.mark.parametrize("health", [Health.DOWN, Health.ASK, Health.ROW])
def test_an_outage_that_another_process_has_noticed(watch: Watch, health: Health) -> None:
    watch.line.told(health, watch.line.epoch)
    assert watch.line.down


# -- whose fault it is --


async def test_the_first_refusals_learn_what_they_were(watch: Watch) -> None:
    for outage in (True, False):
        watch.send(refused(131000))
        asked = asyncio.create_task(watch.line.verdict())
        await asyncio.sleep(0)
        assert not asked.done()
        if outage:
            watch.line.change(down=True)
            watch.line.change(down=False)
        else:
            watch.send(ACCEPTED)
        assert await asked is outage


async def test_a_refusal_that_nothing_follows_is_the_rows() -> None:
    line = Line("110", Tuning(verdict_s=0.01))
    assert await line.verdict() is False
    line.down = True
    assert await line.verdict() is True
