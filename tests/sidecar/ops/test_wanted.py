"""What webhooks say, in words, and how much is looked at."""

import orjson
import pytest

from sidecar.ops.wanted import Budget, Wanted, describe, words


def _webhook(**lists: object) -> bytes:
    return orjson.dumps({"entry": [{"changes": [{"value": lists}]}]})


MARKS = (b'"w.1"',)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (_webhook(statuses=[{"id": "w.1", "status": "read"}]), ": status read"),
        (_webhook(messages=[{"id": "w.1"}]), ": a customer's message"),
        (_webhook(message_echoes=[{"id": "w.1"}]), ": a message of the business's own"),
        (_webhook(messages=[{"id": "w.2"}]), ""),
        (_webhook(statuses=[{"id": "w.1"}, 5]), ": status None"),
        (_webhook(statuses="w.1"), ""),
        (b'{"entry": [{"changes": [{"value": "w.1"}, 7]}, null]}', ""),
        (b'["w.1"]', ""),
        (b"w.1", ", which is not JSON"),
    ],
)
def test_what_a_webhook_says_of_what_is_looked_for(body: bytes, said: str) -> None:
    assert describe(body, MARKS) == said


def test_many_are_not_all_named() -> None:
    body = _webhook(messages=[{"id": "w.1"}] * 100)
    assert describe(body, MARKS).count("message") == 20


@pytest.mark.parametrize(
    ("update", "said"),
    [
        ({"kind": "status", "status": "read"}, "status read"),
        ({"kind": "message"}, "a customer's message"),
        ({"kind": "echo"}, "a message of the business's own"),
        ({"kind": "change"}, "an update"),
        ({}, "an update"),
    ],
)
def test_updates_in_words(update: dict[str, str], said: str) -> None:
    assert words(update) == said


def test_marks_are_whole_texts() -> None:
    wanted = Wanted(wamids=("w.1",), rows=("r",), effects=("r",))
    assert wanted.marks == (b'"w.1"', b'"r"')
    wanted = Wanted(wamids=("w.1",), numbers=("999", "998"))
    assert wanted.marks == (b'"999"', b'"998"'), "what is about them names the number"
    assert len(Wanted(wamids=tuple(map(str, range(100)))).marks) == 40
    assert Wanted(recipients=("999",)).marks == ()


def test_a_budget_ends_by_count_or_size() -> None:
    budget = Budget(count=2, size=10)
    assert budget.take(1, 4)
    assert not budget.take(1, 4)
    assert not Budget(count=2, size=10).take(1, 10)
