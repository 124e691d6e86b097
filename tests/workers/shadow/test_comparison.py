"""Every class and every rule of a comparison, and that a rule explains nothing else."""

from typing import Any

import pytest

from contracts.bots import TriggerType
from contracts.observation import Observation
from sidecar.shadow.rules import OF_SIDECAR, SENTENCES, Class, Kind, Rule
from workers.shadow.comparison import Finding, compare
from workers.shadow.planned import PlannedMessage, ReceivedStatus

EQUAL, EXPLAINED = Class.EQUAL, Class.EXPLAINED
MISSING, EXTRA, DIFFERENT = Class.MISSING, Class.EXTRA, Class.DIFFERENT


def observed(**values: Any) -> Observation:
    return Observation(vendor_uid="v", wamid="w", **{"logged": True, **values})


def message(**values: Any) -> PlannedMessage:
    return PlannedMessage("w", incoming=values.pop("incoming", True), **values)


def statuses(
    *names: str, later: tuple[str, ...] = (), early: tuple[str, ...] = ()
) -> PlannedMessage:
    """Return what is planned of statuses that came in this order. Those in ``later`` stood behind
    others in their webhook, those in ``early`` came before the log row."""
    order = ("accepted", "sent", "failed", "delivered", "read")
    return PlannedMessage(
        "w",
        statuses=[ReceivedStatus(name, name not in later, name in early) for name in names],
        highest=max(names, key=order.index),
    )


def of(kind: Kind, planned: PlannedMessage, observation: Observation, **more: Any) -> Finding:
    planned.open = [kind]
    [finding] = compare(planned, observation, **more)
    assert finding.kind is kind
    assert (finding.rule is None) == (finding.class_ is not EXPLAINED)
    return finding


def result(finding: Finding) -> tuple[Class, Rule | None]:
    return finding.class_, finding.rule


NOTHING = observed(logged=False)


# -- the log --


@pytest.mark.parametrize(
    ("planned", "observation", "expected"),
    [
        (message(), observed(incoming=True), (EQUAL, None)),
        (message(), observed(), (EQUAL, None)),
        (message(incoming=False), observed(incoming=False), (EQUAL, None)),
        (message(), observed(incoming=False), (DIFFERENT, None)),
        (message(incoming=False), observed(incoming=True), (DIFFERENT, None)),
        (message(), NOTHING, (EXTRA, None)),
        (message(first=False), NOTHING, (EXPLAINED, Rule.ONLY_FIRST_ELEMENT)),
        (message(first=False), observed(incoming=True), (EQUAL, None)),
        *(
            case
            for rule in (
                Rule.REQUEST_WELCOME,
                Rule.PHONE_NUMBER_UNKNOWN,
                Rule.VENDOR_INACTIVE,
                Rule.CONTACT_WITHOUT_ID,
            )
            for case in (
                (message(refused=rule), NOTHING, (EXPLAINED, rule)),
                (message(refused=rule), observed(incoming=True), (MISSING, None)),
            )
        ),
        *(
            (message(refused=rule), observation, (EXPLAINED, rule))
            for rule in OF_SIDECAR
            for observation in (NOTHING, observed(incoming=True))
        ),
    ],
)
def test_log_rows(
    planned: PlannedMessage, observation: Observation, expected: tuple[Class, Rule | None]
) -> None:
    assert result(of(Kind.LOG_ROW, planned, observation)) == expected


# -- statuses --


@pytest.mark.parametrize(
    ("planned", "php", "expected"),
    [
        (statuses("sent", "delivered", "read"), "read", (EQUAL, None)),
        (statuses("delivered", "sent"), "delivered", (EQUAL, None)),
        # A late status overwrites a higher one, unless that is read.
        (statuses("delivered", "sent"), "sent", (EXPLAINED, Rule.LATE_STATUS_OVERWRITES)),
        (statuses("sent", "delivered"), "sent", (DIFFERENT, None)),
        (statuses("read", "sent"), "sent", (DIFFERENT, None)),
        (statuses("delivered", "sent"), "failed", (DIFFERENT, None)),
        # Only the first element of a webhook counts.
        (
            statuses("sent", "delivered", later=("delivered",)),
            "sent",
            (EXPLAINED, Rule.ONLY_FIRST_ELEMENT),
        ),
        (statuses("sent", later=("sent",)), "accepted", (EXPLAINED, Rule.ONLY_FIRST_ELEMENT)),
        (statuses("sent", later=("sent",)), None, (EXPLAINED, Rule.ONLY_FIRST_ELEMENT)),
        (
            statuses("sent", "delivered", "read", later=("read",)),
            "sent",
            (DIFFERENT, None),
        ),
        # One that comes before its message is lost.
        (statuses("sent", early=("sent",)), "accepted", (EXPLAINED, Rule.EARLY_STATUS_LOST)),
        (
            statuses("delivered", "sent", early=("delivered",)),
            "sent",
            (EXPLAINED, Rule.LATE_STATUS_OVERWRITES),
        ),
        (
            statuses("sent", "read", "delivered", early=("read",)),
            "delivered",
            (EXPLAINED, Rule.EARLY_STATUS_LOST),
        ),
        (statuses("sent", "delivered", early=("sent",)), "accepted", (EXTRA, None)),
        # PHP has not taken any.
        (statuses("sent"), "accepted", (EXTRA, None)),
        (statuses("sent"), "held_for_quality_assessment", (EXTRA, None)),
        (statuses("sent"), None, (EXTRA, None)),
        # PHP has a higher one.
        (statuses("delivered"), "read", (EXPLAINED, Rule.STATUS_FROM_BEFORE)),
        (statuses("sent", "delivered"), "read", (MISSING, None)),
    ],
)
def test_statuses(
    planned: PlannedMessage, php: str | None, expected: tuple[Class, Rule | None]
) -> None:
    assert result(of(Kind.STATUS, planned, observed(status=php))) == expected


def test_a_status_that_was_not_recorded() -> None:
    observation = observed(status="read")
    planned = statuses("sent", "delivered")
    found = of(Kind.STATUS, planned, observation, dropped=True)
    assert result(found) == (EXPLAINED, Rule.WEBHOOK_NOT_RECORDED)
    lower = of(Kind.STATUS, planned, observed(status="sent"), dropped=True)
    assert result(lower) == (DIFFERENT, None)


def test_a_status_of_a_message_that_php_does_not_know() -> None:
    found = of(Kind.STATUS, statuses("sent"), NOTHING)
    assert result(found) == (EXPLAINED, Rule.MESSAGE_NOT_IN_LOG)
    assert found.php is None


def test_a_message_that_is_sent_again() -> None:
    planned = statuses("sent", "failed")
    planned.statuses[-1].code = 131049
    assert result(of(Kind.STATUS, planned, NOTHING)) == (EXPLAINED, Rule.REQUEUED)
    planned.statuses[-1].code = 131026
    assert result(of(Kind.STATUS, planned, NOTHING)) == (EXPLAINED, Rule.MESSAGE_NOT_IN_LOG)


# -- the queue --


@pytest.mark.parametrize(
    ("planned", "queue_status", "expected"),
    [
        (statuses("sent"), None, (EQUAL, None)),
        (statuses("failed"), 1, (EQUAL, None)),  # it waits to be sent again
        (statuses("sent"), 2, (EQUAL, None)),
        (statuses("sent"), 3, (EXTRA, None)),
        (statuses("sent"), 4, (EXTRA, None)),
        (statuses("sent"), 6, (EXTRA, None)),
        (statuses("sent", later=("sent",)), 4, (EXPLAINED, Rule.ONLY_FIRST_ELEMENT)),
        (statuses("sent", early=("sent",)), 4, (EXPLAINED, Rule.EARLY_STATUS_LOST)),
        (statuses("sent", "delivered", early=("sent",)), 4, (EXTRA, None)),
        (statuses("sent", "delivered", later=("sent",)), 4, (EXTRA, None)),
    ],
)
def test_rows_of_the_queue(
    planned: PlannedMessage, queue_status: int | None, expected: tuple[Class, Rule | None]
) -> None:
    observation = observed(status="sent", campaign_uid="c1", queue_status=queue_status)
    assert result(of(Kind.QUEUE_ROW, planned, observation)) == expected


@pytest.mark.parametrize("observation", [observed(status="sent"), NOTHING])
def test_without_a_campaign_there_is_no_row(observation: Observation) -> None:
    planned = statuses("sent")
    planned.open = [Kind.QUEUE_ROW]
    assert compare(planned, observation) == []


# -- bots --

ONE, TWO = ("b1", TriggerType.IS.value), ("b2", TriggerType.CONTAINS.value)
WELCOME = ("bw", TriggerType.WELCOME.value)


@pytest.mark.parametrize(
    ("bots", "php", "more", "expected"),
    [
        ([ONE, TWO], ["b1", "b2"], {}, (EQUAL, None)),
        ([], [], {}, (EQUAL, None)),
        ([ONE, TWO], ["b1"], {}, (EXTRA, None)),
        ([ONE], [], {}, (EXTRA, None)),
        ([ONE], ["b1", "b2"], {}, (MISSING, None)),
        ([], ["b1"], {}, (MISSING, None)),
        ([ONE], ["b2"], {}, (DIFFERENT, None)),
        ([ONE, TWO], ["b2", "b1"], {}, (DIFFERENT, None)),
        ([ONE], ["b1", "b1"], {}, (DIFFERENT, None)),
        # PHP cannot tell.
        ([ONE], None, {}, (EXPLAINED, Rule.PHP_CANNOT_TELL_BOTS)),
        # Welcome bots.
        ([WELCOME, ONE], ["bw", "b1"], {"first_in_24h": True}, (EQUAL, None)),
        (
            [WELCOME, ONE],
            ["b1"],
            {"first_in_24h": False},
            (EXPLAINED, Rule.WELCOME_NEEDS_FIRST_MESSAGE),
        ),
        ([WELCOME], [], {}, (EXPLAINED, Rule.WELCOME_NEEDS_FIRST_MESSAGE)),
        ([WELCOME, ONE], ["b1"], {"first_in_24h": True}, (EXTRA, None)),
        ([WELCOME, ONE], [], {"first_in_24h": False}, (EXTRA, None)),
        # A contact that wants no bots.
        ([ONE], [], {"bots_off": True}, (EXPLAINED, Rule.CONTACT_HAS_BOTS_OFF)),
        ([ONE], ["b1"], {"bots_off": True}, (EQUAL, None)),
        ([ONE], ["b2"], {"bots_off": True}, (MISSING, None)),
    ],
)
def test_bots(
    bots: list[tuple[str, str]],
    php: list[str] | None,
    more: dict[str, Any],
    expected: tuple[Class, Rule | None],
) -> None:
    observation = observed(incoming=True, bots=php, **more)
    assert result(of(Kind.BOTS, message(bots=bots), observation)) == expected


def test_a_button_is_answered_although_the_contact_wants_no_bots() -> None:
    observation = observed(bots=[], bots_off=True)
    assert result(of(Kind.BOTS, message(bots=[ONE], quick_reply=True), observation)) == (
        EXTRA,
        None,
    )


@pytest.mark.parametrize(
    ("bots", "first", "expected"),
    [
        ([], True, (EQUAL, None)),
        ([ONE], True, (EXTRA, None)),
        ([ONE], False, (EXPLAINED, Rule.ONLY_FIRST_ELEMENT)),
    ],
)
def test_bots_of_a_message_that_php_has_not(
    bots: list[tuple[str, str]], first: bool, expected: tuple[Class, Rule | None]
) -> None:
    assert result(of(Kind.BOTS, message(bots=bots, first=first), NOTHING)) == expected


# -- the rules --


def test_every_rule_has_a_sentence() -> None:
    assert set(SENTENCES) == set(Rule)
    assert all(sentence.endswith(".") for sentence in SENTENCES.values())


@pytest.mark.parametrize(
    "planned",
    [
        PlannedMessage("w"),
        message(bots=[ONE, WELCOME], text=(3, "abc"), quick_reply=True, first=False),
        message(refused=Rule.REQUEST_WELCOME, open=[Kind.LOG_ROW]),
        statuses("sent", "read", later=("read",), early=("sent",)),
        message(bots=[]),
    ],
)
def test_a_plan_is_kept_as_it_is(planned: PlannedMessage) -> None:
    planned.since, planned.until, planned.looked = 1, 2, True
    again = PlannedMessage.load(planned.dump())
    assert again == planned
    assert all(isinstance(kind, Kind) for kind in again.open)
