"""Which messages may be answered, and for how long. PHP is held to the same vectors."""

import json
from pathlib import Path
from typing import Any

import pytest

import contracts
from contracts.cloud_api.answering import (
    GENUINE_TYPES,
    WINDOW_MS,
    answer_until,
    is_own_number,
    sent_ms,
    unanswered,
)
from contracts.cloud_api.people import person

VECTORS = (Path(contracts.__file__).parent / "vectors" / "answering.json").read_bytes()
NOW = 1795870005123


def cases(kind: str) -> list[Any]:
    """Return the vectors of a kind."""
    return [pytest.param(*case, id=repr(case[0])[:60]) for case in json.loads(VECTORS)[kind]]


@pytest.mark.parametrize(("message", "why", "said", "shown"), cases("messages"))
def test_who_may_be_answered(
    message: dict[str, Any], why: str | None, said: str, shown: str | None
) -> None:
    assert unanswered(message) == why


def test_an_installation_may_allow_more_or_less() -> None:
    reaction = {"type": "reaction"}
    assert unanswered(reaction, {*GENUINE_TYPES, "reaction"}) is None
    assert unanswered({"type": "text"}, {"button"}) == "type"
    group = {"type": "text", "group_id": "g"}
    assert unanswered(group, groups=True) is None
    for kind in ("edit", "revoke"):  # they are no messages
        assert unanswered({"type": kind}, {kind}) == "type"


@pytest.mark.parametrize(("timestamp", "received", "sent"), cases("times"))
def test_when_a_message_was_sent(timestamp: Any, received: int, sent: int) -> None:
    message = {"timestamp": timestamp}
    assert sent_ms(message, received) == sent
    assert answer_until(message, received) == sent + 24 * 3_600_000 - 5 * 60_000


def test_a_message_without_a_timestamp_was_sent_when_it_came() -> None:
    assert answer_until({}, NOW) == NOW + WINDOW_MS


@pytest.mark.parametrize(("who", "shown", "own"), cases("numbers"))
def test_the_businesss_own_number(who: Any, shown: Any, own: bool) -> None:
    value = {"metadata": {"display_phone_number": shown, "phone_number_id": "1"}}
    assert is_own_number(person(who), value) is own


@pytest.mark.parametrize("value", [{}, {"metadata": None}, {"metadata": []}, {"metadata": {}}])
def test_a_number_that_is_not_told_is_nobodys(value: dict[str, Any]) -> None:
    assert not is_own_number(person("15552000009"), value)
