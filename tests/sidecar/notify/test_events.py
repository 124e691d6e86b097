"""What is news: each event once, its end once, and what flaps is one event."""

from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.notifications import News
from sidecar.notify.events import (
    LONGEST_GONE_MS,
    MAX_OF_A_KIND,
    MAX_TEXT,
    REMEMBERED_MS,
    WORSE_MS,
    Pace,
    look,
)
from sidecar.ops import notifications
from sidecar.ops.notifications import Event
from sidecar.ops.problem import MORE, Code, Problem

AFTER, CLEAR = 30_000, 120_000
PACE = Pace(AFTER, CLEAR)
FULL = Problem(Code.REDIS_FULL, "Redis is full. ", "Empty it.")
PAUSED = Problem(Code.CAMPAIGN_PAUSED, "Campaign c is paused", "Resume it.", subject="c")


@dataclass
class Observer:
    """Looks now and then, and keeps what is to be stored."""

    known: dict[str, Event] = field(default_factory=dict)
    now: int = 1_000_000_000_000

    def look(self, *problems: Problem, later: int = 0) -> list[tuple[News, str]]:
        self.now += later
        changes = look(self.known, problems, self.now, PACE)
        self.known |= changes.events
        for id_ in changes.forgotten:
            del self.known[id_]
        return [(item.news, item.event) for item in changes.items]


@pytest.fixture
def observer() -> Observer:
    return Observer()


def test_what_a_person_must_end_is_told_of_at_once_and_once(observer: Observer) -> None:
    assert observer.look(PAUSED) == [(News.PROBLEM, "campaign-paused:c")]
    assert observer.look(PAUSED, later=AFTER) == []
    assert observer.look(PAUSED, later=86_400_000) == []


def test_what_may_pass_is_told_of_when_it_has_lasted(observer: Observer) -> None:
    assert observer.look(FULL) == []
    assert observer.look(FULL, later=AFTER - 1) == []
    assert observer.look(FULL, later=1) == [(News.PROBLEM, "redis-full")]


def test_what_follows_from_another_is_not_told_of_besides(observer: Observer) -> None:
    away = Problem(Code.PHP_UNAVAILABLE, "It is away", "Start it.")
    waits = replace(FULL, cause=away.code)
    observer.look(away, waits)
    assert observer.look(away, waits, later=AFTER) == [(News.PROBLEM, "php-unavailable")]
    assert observer.look(FULL, later=CLEAR) == []
    assert observer.look(FULL, later=AFTER) == [(News.PROBLEM, "redis-full")]
    assert observer.look(away, waits, later=10 * CLEAR) == [], "it is not over"
    observer.look(later=1)
    assert (News.OVER, "redis-full") in observer.look(later=10 * CLEAR)


@pytest.mark.parametrize("code", [Code.CAMPAIGNS_HELD, Code.PHP_IN_MAINTENANCE])
def test_what_somebody_does_for_a_moment_is_told_of_much_later(
    observer: Observer, code: Code
) -> None:
    one = Problem(code, "x", "y")
    observer.look(one)
    assert observer.look(one, later=10 * AFTER - 1) == []
    assert observer.look(one, later=1) == [(News.PROBLEM, code.value)]


@pytest.mark.parametrize("code", [Code.NUMBER_HELD, Code.CAMPAIGN_WAITS, Code.CLOUD_API_SLOW])
def test_what_ends_by_itself_is_not_told_of(observer: Observer, code: Code) -> None:
    one = Problem(code, "what", "do")
    assert observer.look(one) == observer.look(one, later=86_400_000) == []
    assert observer.known == {}


def test_a_moment_of_trouble_is_not_told_of_and_is_forgotten(observer: Observer) -> None:
    observer.look(FULL)
    assert observer.look(later=5_000) == []
    assert observer.look(later=AFTER) == []
    assert observer.known == {}
    assert observer.look(FULL) == []


def test_an_event_that_another_version_has_left(observer: Observer) -> None:
    observer.known["later:v"] = Event("a-code-of-later", "what", "do", since=observer.now)
    assert observer.look(PAUSED, later=1000) == [(News.PROBLEM, "campaign-paused:c")]
    observer.look(later=AFTER)
    assert "later:v" not in observer.known


def test_what_comes_and_goes_quickly_has_stood_all_the_while(observer: Observer) -> None:
    told = []
    for _ in range(4):
        told += observer.look(FULL, later=5_000)
        told += observer.look(later=5_000)
    assert told == [(News.PROBLEM, "redis-full")]


def test_it_is_over_when_it_has_been_gone_for_a_while_and_once(observer: Observer) -> None:
    observer.look(PAUSED)
    assert observer.look(later=1000) == []
    assert observer.look(later=CLEAR - 1) == []
    assert observer.look(later=1) == [(News.OVER, "campaign-paused:c")]
    assert observer.look(later=CLEAR) == []


def test_what_is_back_in_between_is_the_same_event(observer: Observer) -> None:
    observer.look(PAUSED)
    for _ in range(5):
        assert observer.look(later=CLEAR // 2) == []
        assert observer.look(PAUSED, later=CLEAR // 2 - 1) == []


def test_what_flaps_is_told_of_ever_more_rarely(observer: Observer) -> None:
    """There for a minute, gone for five, for eight hours: 80 times."""
    told = 0
    for _ in range(80):
        for minute in range(6):
            told += len(observer.look(*([PAUSED] if minute == 0 else []), later=60_000))
    assert told == 5, "it begins and is over twice, and begins: then it is one event"


def test_the_pause_before_the_end_has_a_longest() -> None:
    assert PACE.gone_ms(1) == 2 * CLEAR
    assert PACE.gone_ms(40) == LONGEST_GONE_MS


def test_what_comes_again_after_its_end_is_told_of_again(observer: Observer) -> None:
    observer.look(PAUSED)
    observer.look(later=1)
    observer.look(later=CLEAR)
    assert observer.look(PAUSED, later=1) == [(News.PROBLEM, "campaign-paused:c")]
    assert observer.known["campaign-paused:c"].returns == 1


def test_after_a_day_nobody_knows_of_it(observer: Observer) -> None:
    observer.look(PAUSED)
    observer.look(later=1)
    observer.look(later=CLEAR)
    observer.look(later=REMEMBERED_MS - 1)
    assert observer.known
    observer.look(later=1)
    assert observer.known == {}


def letters(count: int) -> Problem:
    return Problem(Code.DEAD_LETTERS, f"{count} dead letters", "Replay them.", size=count)


def test_what_grows_is_told_of_when_it_has_doubled(observer: Observer) -> None:
    observer.look(letters(3))
    assert observer.look(letters(5), later=WORSE_MS) == []
    assert observer.look(letters(6)) == [(News.WORSE, "dead-letters")]
    assert observer.known["dead-letters"].what == "6 dead letters"
    assert observer.look(letters(90), later=WORSE_MS - 1) == [], "not that often"
    assert observer.look(letters(90), later=1) == [(News.WORSE, "dead-letters")]


def test_what_shrinks_and_grows_again_is_worse(observer: Observer) -> None:
    observer.look(letters(100))
    observer.look(letters(2), later=WORSE_MS)
    assert observer.look(letters(4)) == [(News.WORSE, "dead-letters")]


def test_what_has_no_size_does_not_grow(observer: Observer) -> None:
    observer.look(PAUSED)
    assert observer.look(PAUSED, later=WORSE_MS) == []


def test_events_are_told_apart_by_what_they_are_about(observer: Observer) -> None:
    other = Problem(Code.CAMPAIGN_PAUSED, "Campaign d is paused", "Resume it.", subject="d")
    observer.look(PAUSED)
    assert observer.look(PAUSED, other) == [(News.PROBLEM, "campaign-paused:d")]


def test_of_very_many_of_a_kind_the_rest_is_one(observer: Observer) -> None:
    many = [Problem(Code.CAMPAIGN_PAUSED, "x", "y", subject=str(n)) for n in range(500)]
    told = observer.look(*many)
    assert len(told) == MAX_OF_A_KIND + 1
    assert told[-1] == (News.PROBLEM, f"campaign-paused:{MORE}")


def test_there_is_a_bound_of_what_is_known(
    observer: Observer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sidecar.notify.events.MAX_EVENTS", 2)
    assert notifications.MAX_EVENTS > 2
    some = [Problem(Code.CAMPAIGN_PAUSED, "x", "y", subject=str(n)) for n in range(3)]
    assert len(observer.look(*some)) == 2
    assert observer.look(*some) == []
    observer.look(some[2])
    observer.look(some[2], later=CLEAR)
    assert observer.look(some[2], later=REMEMBERED_MS) == []
    assert observer.look(some[2]) == [(News.PROBLEM, "campaign-paused:2")], "when there is room"


def test_phone_numbers_are_masked_and_ids_of_numbers_are_not() -> None:
    problem = Problem(
        Code.SENDING_PAUSED,
        "Nothing is sent: number 106540352242922, to 4915112345678",
        "Ask 4915112345678: sidecar numbers resume 106540352242922.",
    )
    changes = look({}, [problem], 1, PACE, frozenset({"106540352242922"}))
    [item] = changes.items
    assert "4915112345678" not in item.model_dump_json()
    assert item.what == "Nothing is sent: number 106540352242922, to (number ending in 78)"
    assert "106540352242922" in item.do
    assert changes.events["sending-paused"].what == item.what


def test_what_is_told_is_as_it_is_then(observer: Observer) -> None:
    observer.look(Problem(Code.PHP_UNAVAILABLE, "for 1 s", "Start it."))
    later = Problem(Code.PHP_UNAVAILABLE, "for 31 s", "Start it.")
    changes = look(observer.known, [later], observer.now + AFTER, PACE)
    [item] = changes.items
    assert (item.what, item.since) == ("for 31 s", observer.now)
    assert item.runbook == "docs/runbooks.md#php-unavailable"


def test_a_clock_that_was_set_back_delays_nothing(observer: Observer) -> None:
    observer.look(PAUSED, FULL)
    observer.look(FULL, later=1)
    observer.now -= 86_400_000
    observer.look(FULL)
    told = observer.look(FULL, later=CLEAR)
    assert told == [(News.PROBLEM, "redis-full"), (News.OVER, "campaign-paused:c")]


def test_nothing_is_stored_that_has_not_changed(observer: Observer) -> None:
    observer.look(PAUSED, FULL)
    changes = look(observer.known, [PAUSED, FULL], observer.now + 5, PACE)
    assert (changes.events, changes.forgotten) == ({}, [])


def test_a_long_text_is_cut() -> None:
    changes = look({}, [Problem(Code.SENDING_PAUSED, "x" * 5000, "y")], 1, PACE)
    [item] = changes.items
    assert item.what == "x" * MAX_TEXT


#: What is wrong at each look, and how long after the one before.
LOOKS = st.lists(
    st.tuples(
        st.sampled_from([0, 1_000, AFTER, CLEAR, 4 * CLEAR, REMEMBERED_MS]),
        st.lists(st.sampled_from([PAUSED, FULL, letters(1), letters(7)]), max_size=3),
    ),
    max_size=30,
)


@settings(max_examples=60)
@given(LOOKS, st.booleans())
def test_whatever_comes_and_goes_each_beginning_has_one_end(
    looks: list[tuple[int, list[Problem]]], set_back: bool
) -> None:
    """And nothing is over that has not begun, or begins again before it was over."""
    observer = Observer()
    told: list[tuple[News, str]] = []
    for later, wrong in looks:
        told += observer.look(*wrong, later=later)
    if set_back:
        observer.now -= REMEMBERED_MS
    for _ in range(3):
        told += observer.look(later=LONGEST_GONE_MS)
    for id_ in {event for _, event in told}:
        mine = [news for news, event in told if event == id_ and news is not News.WORSE]
        assert mine == [News.PROBLEM, News.OVER] * (len(mine) // 2)
    observer.look(later=REMEMBERED_MS)
    assert observer.known == {}, "nothing is kept for ever"
