"""Which question of a conversation is the newest."""

from hypothesis import given
from hypothesis import strategies as st

from workers.effects.conversations import Conversations

V, C = "vendor", "contact"


def superseded(one: Conversations, question: str, conversation: str = C, vendor: str = V) -> bool:
    return one.superseded(vendor, conversation, question).is_set()


def test_a_newer_question_supersedes_those_before_it() -> None:
    one = Conversations()
    one.arrived(V, C, "a", 1)
    watched = one.superseded(V, C, "a")
    assert not watched.is_set()
    one.arrived(V, C, "b", 2)
    assert watched.is_set()
    assert not superseded(one, "b")
    one.arrived(V, C, "c", 3)
    assert [superseded(one, q) for q in "abc"] == [True, True, False]


def test_of_two_that_came_at_the_same_time_the_later_one_is_newer() -> None:
    one = Conversations()
    one.arrived(V, C, "a", 1)
    one.arrived(V, C, "b", 1)
    assert [superseded(one, q) for q in "ab"] == [True, False]


def test_one_that_comes_again_stays_what_it_is() -> None:
    one = Conversations()
    for question, put_at in (("a", 1), ("b", 1), ("a", 1), ("b", 1)):
        one.arrived(V, C, question, put_at)
    assert [superseded(one, q) for q in "ab"] == [True, False]


def test_an_older_one_that_comes_later_is_superseded() -> None:
    """As after a start, when what waits comes by when it is due."""
    one = Conversations()
    one.arrived(V, C, "b", 2)
    one.arrived(V, C, "a", 1)
    assert [superseded(one, q) for q in "ab"] == [True, False]


def test_an_older_one_is_superseded_although_the_newer_one_has_ended() -> None:
    one = Conversations()
    one.arrived(V, C, "a", 1)
    one.arrived(V, C, "b", 2)
    one.ended(V, C, "b")
    one.arrived(V, C, "a", 1)
    assert superseded(one, "a")


def test_conversations_are_apart() -> None:
    one = Conversations()
    one.arrived(V, C, "a", 1)
    one.arrived(V, "other", "b", 2)
    one.arrived("other", C, "c", 3)
    assert not superseded(one, "a")
    assert not superseded(one, "b", "other")
    assert not superseded(one, "c", C, "other")


def test_what_is_not_known_is_not_superseded() -> None:
    one = Conversations()
    assert not superseded(one, "a")
    one.arrived(V, C, "a", 1)
    assert not superseded(one, "b")


def test_what_has_ended_is_forgotten() -> None:
    one = Conversations()
    one.ended(V, C, "never came")
    for question in "abc":
        one.arrived(V, C, question, 1)
    for question in "abc":
        assert len(one) == 1
        one.ended(V, C, question)
    assert len(one) == 0


def test_memory_is_bounded() -> None:
    one = Conversations(most=3)
    for number in range(10):
        one.arrived(V, str(number), "q", number)
        one.arrived(V, "0", f"q{number}", number)
    assert len(one) == 3
    assert superseded(one, "q8", "0"), "those that are in use are kept"
    assert not superseded(one, "q9", "0")


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3)), min_size=1))
def test_one_question_of_those_that_are_open_is_newest(arrivals: list[tuple[int, int]]) -> None:
    one = Conversations()
    put_at: dict[int, int] = {}
    order: list[int] = []
    for question, at in arrivals:
        at = put_at.setdefault(question, at)
        if question not in order:
            order.append(question)
        one.arrived(V, C, str(question), at)
    newest = max(order, key=lambda question: (put_at[question], order.index(question)))
    assert [q for q in order if not superseded(one, str(q))] == [newest]
