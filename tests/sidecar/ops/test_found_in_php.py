"""PHP's answer as events and in words."""

from typing import Any

import pytest

from contracts.find import (
    FindAnswer,
    FoundCampaign,
    FoundContact,
    FoundEffect,
    FoundMessage,
    FoundRow,
    FoundVendor,
)
from sidecar.ops.event import Event, Named, Source, Step, Thing
from sidecar.ops.found_in_php import read_answer


def row(**facts: Any) -> FoundRow:
    return FoundRow(**{"uid": "r", "vendor_uid": "v", "campaign_uid": "c", "status": 1, **facts})


def message(**facts: Any) -> FoundMessage:
    base = {"uid": "m", "vendor_uid": "v", "wamid": "w.1", "incoming": False}
    return FoundMessage(**{**base, **facts})


def events(answer: FindAnswer) -> list[Event]:
    return read_answer(answer).events


def of_row(**facts: Any) -> list[tuple[int, Step, str]]:
    found = events(FindAnswer(rows=[row(**facts)]))
    return [(event.at_ms, event.kind, event.text) for event in found]


def of_message(**facts: Any) -> list[tuple[int, Step, str]]:
    found = events(FindAnswer(messages=[message(**facts)]))
    return [(event.at_ms, event.kind, event.text) for event in found]


def where(answer: FindAnswer) -> str:
    [only] = read_answer(answer).where
    return only


def test_the_campaign_that_a_message_is_of() -> None:
    found = where(FindAnswer(messages=[message(campaign_uid="c", status="read")]))
    assert found == "message w.1, of campaign c: read"


def test_things_that_are_named() -> None:
    answer = FindAnswer(
        vendors=[FoundVendor(uid="v", title="Shop")],
        campaigns=[FoundCampaign(uid="c", vendor_uid="v", title="Spring")],
        contacts=[FoundContact(uid="p", vendor_uid="v", name="Ada", wa_id="999")],
        rows=[row(), row(uid="q")],
        messages=[message(queue_row_uid="q", wa_id="999"), message(uid="n", wamid=None)],
        more=["rows"],
        looked_at={"contacts": 10000},
    )
    part = read_answer(answer)
    assert part.things == [
        Named(Thing.VENDOR, "v", "v", "Shop"),
        Named(Thing.CAMPAIGN, "c", "v", "Spring"),
        Named(Thing.CONTACT, "p", "v", "Ada", "999"),
        Named(Thing.MESSAGE, "w.1", "v", phone="999"),
        Named(Thing.MESSAGE, "n", "v"),
        Named(Thing.MESSAGE, "r", "v"),
    ]
    assert part.notes == [
        "there are more rows in PHP than are shown; the newest are",
        "looked for the text in the newest 10,000 contacts of PHP only",
    ]


def test_a_row_that_waits() -> None:
    assert of_row(created_at=1000) == [(1000, Step.QUEUED, "queued for campaign c")]
    assert of_row(created_at=1000, campaign_uid=None)[0][2] == "queued for no campaign"
    assert where(FindAnswer(rows=[row(scheduled_at=5000, retries=2, superseded=["w.0"])])) == (
        "message r: it is in PHP's queue, due at 1970-01-01 00:00:05Z, after 2 retries; an earlier "
        "send was refused by a status, and is made again"
    )
    assert where(FindAnswer(rows=[row()])) == "message r: it is in PHP's queue"
    assert where(FindAnswer(rows=[row(status=9)])).endswith("in PHP's queue with status 9")


def test_a_row_that_is_claimed_after_it_was_put_back() -> None:
    found = of_row(status=3, claimed_at=7000, results=["requeue:5000"], error_status="130429")
    assert [one[:2] for one in found] == [(7000, Step.CLAIMED), (5000, Step.REQUEUED)]
    assert found[1][2].endswith("retry-failed") or "(130429)" in found[1][2]


def test_a_row_that_waits_for_another_try() -> None:
    [(_, _, text)] = of_row(results=["requeue:5000"], error_status="130429")
    assert text == (
        "the send did not happen; PHP's queue sends it again later: throughput of the number "
        "reached (130429)"
    )


def test_a_row_that_has_failed_says_what_to_do() -> None:
    [(at, step, text)] = of_row(status=2, results=["failed:5000"], error_status="131026")
    assert (at, step) == (5000, Step.FAILED)
    assert "(131026); what to do: " in text
    [(at, step, text)] = of_row(status=2, results=["requeue:1"], error_status="connection_error")
    assert (step, "no connection to the Cloud API; what to do: " in text) == (Step.REQUEUED, True)


@pytest.mark.parametrize(
    ("facts", "steps"),
    [
        ({"status": 5, "error_status": "campaign_expired_error"}, [Step.ENDED]),
        (
            {"status": 2, "results": ["unknown:5"], "error_status": "unknown_given_up_error"},
            [Step.UNKNOWN, Step.ENDED],
        ),
        ({"status": 6, "results": ["unknown:5"]}, [Step.UNKNOWN]),
        ({"status": 2, "updated_at": None}, []),
        ({"status": 1, "results": ["odd:x"]}, [Step.FAILED]),
    ],
)
def test_rows_that_others_have_ended(facts: dict[str, Any], steps: list[Step]) -> None:
    assert [step for _, step, _ in of_row(**{"updated_at": 9000, **facts})] == steps


def test_a_campaigns_message() -> None:
    found = of_message(
        campaign_uid="c",
        queue_row_uid="r",
        claimed_at=1000,
        results=["requeue:900"],
        accepted_at=2000,
        created_at=3000,
        statuses={"sent": 4000, "read": 6000},
        status="read",
        messaged_at=6000,
    )
    assert [one[:2] for one in found] == [
        (1000, Step.CLAIMED),
        (900, Step.REQUEUED),
        (2000, Step.ACCEPTED),
        (3000, Step.RECORDED),
        (4000, Step.STATUS),
        (6000, Step.STATUS),
    ]
    [event] = [
        one
        for one in events(FindAnswer(messages=[message(accepted_at=1, queue_row_uid="r")]))
        if one.kind is Step.ACCEPTED
    ]
    assert event.details["row"] == "r"
    assert event.source is Source.SIDECAR


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        ({"status": "delivered", "messaged_at": 5000}, [(5000, "delivered")]),
        (
            {"status": "delivered", "statuses": {"sent": 1, "delivered": 2}},
            [(1, "sent"), (2, "delivered")],
        ),
        ({"status": "sent", "updated_at": 7000}, [(7000, "sent, as PHP stored it")]),
        ({"status": "read", "updated_at": 7000}, [(7000, "read, as PHP stored it")]),
        (
            {"status": "read", "messaged_at": 5000, "updated_at": 7000},
            [(5000, "delivered"), (7000, "read, as PHP stored it")],
        ),
        (
            {"status": "delivered", "statuses": {"sent": 1}, "messaged_at": 5000},
            [(1, "sent"), (5000, "delivered")],
        ),
        (
            {"status": "read", "statuses": {"read": 5000, "delivered": 5000, "sent": 4000}},
            [(4000, "sent"), (5000, "delivered"), (5000, "read")],
        ),
        ({"status": "delivered", "updated_at": 7000}, [(7000, "delivered, as PHP stored it")]),
        ({"status": "sent"}, []),
        ({"status": "accepted", "updated_at": 7000}, []),
        ({"status": None, "updated_at": 7000}, []),
    ],
)
def test_statuses(facts: dict[str, Any], told: list[tuple[int, str]]) -> None:
    found = of_message(**facts, campaign_uid="c")
    assert [(at, text) for at, step, text in found if step is Step.STATUS] == told


def test_a_failure_says_what_to_do() -> None:
    facts = {"status": "failed", "campaign_uid": "c", "updated_at": 5, "error_code": 131026}
    [(_, step, text)] = of_message(**facts)
    assert step is Step.STATUS
    assert text.startswith("failed, as PHP stored it: ")
    assert "(131026); what to do: " in text
    [(_, _, text)] = of_message(status="failed", campaign_uid="c", updated_at=5)
    assert text == "failed, as PHP stored it"
    [(_, _, text)] = of_message(
        status="failed", campaign_uid="c", updated_at=5, error_message="Meta's text"
    )
    assert text.startswith("failed, as PHP stored it: Meta's text; what to do: ")
    facts = {"status": "failed", "statuses": {"failed": 5}, "error_code": 131026}
    [(_, _, text)] = of_message(campaign_uid="c", **facts)
    assert text.startswith("failed: ")


def test_a_reply() -> None:
    facts = {"created_at": 1000, "source": "bot b", "status": "failed", "error_code": 131026}
    found = of_message(**facts, results=["failed:2000"], updated_at=2000)
    assert [one[:2] for one in found] == [(1000, Step.REQUESTED), (2000, Step.FAILED)]
    assert found[0][2] == "PHP asked to send it, by bot b"
    assert "(131026)" in found[1][2]
    assert of_message(created_at=1000)[0][2] == "PHP asked to send it"


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ("pending", "PHP has asked for it, and does not know yet what became of it"),
        ("unknown", "nobody knows whether it was sent; a status settles it"),
        ("accepted", "the Cloud API has accepted it; no status has come yet"),
        ("read", "read"),
        (None, "its row in PHP's log has no status"),
    ],
)
def test_where_a_message_is(status: str | None, words: str) -> None:
    assert where(FindAnswer(messages=[message(status=status)])) == f"message w.1: {words}"


def test_a_customers_message() -> None:
    effects = [FoundEffect(kind="send_message", id="m"), FoundEffect(kind="odd")]
    found = of_message(
        incoming=True, messaged_at=1000, received_at=1500, created_at=2000, effects=effects
    )
    assert [one[:2] for one in found] == [
        (1000, Step.WRITTEN),
        (1500, Step.RECEIVED),
        (2000, Step.STORED),
    ]
    assert found[2][2] == "handed to PHP, which stored it, and asked to send a reply, odd"
    assert of_message(incoming=True) == []
    assert read_answer(FindAnswer(messages=[message(incoming=True)])).where == []


@pytest.mark.parametrize(
    ("why", "words"),
    [("type", "; nobody answers messages of its type"), ("other", "; other")],
)
def test_why_nobody_answers(why: str, words: str) -> None:
    [(_, _, text)] = of_message(incoming=True, created_at=1, unanswered=why)
    assert text == f"handed to PHP, which stored it{words}"
