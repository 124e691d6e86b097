from dataclasses import replace
from typing import Any

import pytest

from simulator.odd_outcome import LoggedMessage, OddEvidence, OddOutcome, table

FACT = "message wamid.1"
BODY = (
    b'{"entry": [{"changes": [{"field": "messages", "value": {"contacts": [{"name": "Ann"}],'
    b' "messages": [{"id": "wamid.1", "type": "text"}]}}]}]}'
)
USE: dict[str, Any] = {
    "kind": "odd",
    "people": ["558299990001", "US.1"],
    "marks": ["wamid.1"],
    "expect": {
        "stored": ["wamid.1"],
        "absent": ["wamid.2"],
        "answered": [{"people": ["558299990001"], "least": 1, "most": 1}],
        "contacts": [{"people": ["558299990001"], "whatsapp_opt_out": 1}],
        "texts": {"wamid.1": "price"},
        "ignored": {"null_element": 1},
        "dead": 1,
        "forward_lacks": {FACT: ["Stranger"]},
    },
    "bodies": [BODY.decode()],
    "acknowledged": 1,
}
#: The number in its other form.
ANSWER = {"to": "+5582999990001", "wa_id": "558299990001", "user_id": None, "type": "text"}
CONTACT = {"wa_id": "558299990001", "user_id": None, "whatsapp_opt_out": 1}
RIGHT = OddEvidence(
    uses=[USE],
    messages=[ANSWER, {**ANSWER, "type": "template"}],
    mishaps=[],
    log=[LoggedMessage("wamid.1", "price"), LoggedMessage("wamid.9", None)],
    contacts=[CONTACT, {**CONTACT, "wa_id": "1"}],
    dead=["wamid.1"],
    told=[BODY],
    ignored={"null_element": 1},
)


def promises(evidence: OddEvidence, *, exact: bool = True) -> dict[str, int]:
    return OddOutcome(evidence, exact=exact).counts()


def test_all_is_right() -> None:
    outcome = OddOutcome(RIGHT)
    assert outcome.problems == []
    row = outcome.rows["odd"]
    assert (row.sent, row.stored, row.answered, row.dead, row.forwarded) == (1, 1, 1, 1, 1)
    assert "null_element 1" in table(outcome)
    assert row.as_dict() == {
        "uses": 1,
        "sent": 1,
        "stored": 1,
        "answered": 1,
        "dead": 1,
        "forwarded": 1,
        "ignored": {"null_element": 1},
    }


@pytest.mark.parametrize(
    ("promise", "wrong"),
    [
        ("lost", {"log": []}),
        ("twice", {"log": [*RIGHT.log, LoggedMessage("wamid.1", "price")]}),
        ("wrongly_stored", {"log": [*RIGHT.log, LoggedMessage("wamid.2", None)]}),
        ("text", {"log": [LoggedMessage("wamid.1", "prize")]}),
        ("wrongly_answered", {"messages": [ANSWER, ANSWER]}),
        ("wrongly_answered", {"messages": [ANSWER, {**ANSWER, "to": "US.1", "wa_id": None}]}),
        ("wrongly_answered", {"mishaps": [{"what": "131047", "to": "US.1"}]}),
        ("contacts", {"contacts": [CONTACT, {**CONTACT, "wa_id": "5582999990001"}]}),
        ("contacts", {"contacts": []}),
        ("contacts", {"contacts": [{**CONTACT, "whatsapp_opt_out": 0}]}),
        ("dead_letters", {"dead": ["wamid.1", "of wamid.1 too"]}),
        ("not_forwarded", {"told": []}),
        ("forwarded_twice", {"told": [BODY, BODY]}),
        ("strangers", {"told": [BODY.replace(b"Ann", b"Stranger")]}),
    ],
)
def test_what_is_wrong(promise: str, wrong: dict[str, Any]) -> None:
    assert promise in promises(replace(RIGHT, **wrong))


@pytest.mark.parametrize(
    ("promise", "wrong"),
    [
        ("unanswered", {"messages": []}),
        ("dead_letters", {"dead": ["wamid.1", "somebody's"]}),
        ("dead_letters", {"dead": []}),
        ("ignored", {"ignored": {}}),
        ("ignored", {"ignored": {"null_element": 1, "own_number": 1}}),
    ],
)
def test_what_faults_may_explain(promise: str, wrong: dict[str, Any]) -> None:
    assert promises(replace(RIGHT, **wrong)) == {promise: 1}
    assert promises(replace(RIGHT, **wrong), exact=False) == {}


def test_what_was_not_acknowledged_is_owed_to_nobody() -> None:
    evidence = replace(RIGHT, uses=[{**USE, "acknowledged": 0}], log=[], messages=[], told=[])
    assert promises(evidence, exact=False) == {}


def test_a_refused_answer_that_was_due_is_no_other_one() -> None:
    refused = {"what": "131026", "to": "US.1"}
    assert promises(replace(RIGHT, mishaps=[refused])) == {}


def test_what_is_told_may_be_given() -> None:
    use = {**USE, "expect": {**USE["expect"], "forwarded": ["message wamid.7"]}}
    assert promises(replace(RIGHT, uses=[use])) == {"not_forwarded": 1}
    assert promises(replace(RIGHT, uses=[use], told=None)) == {}
