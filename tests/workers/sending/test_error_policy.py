"""What follows from each way in which a send may end."""

from dataclasses import replace
from typing import Any

import pytest

from contracts.backend import SendError, SendOutcome
from contracts.cloud_api.errors import RULES, ErrorClass, ErrorRule, rule_for
from tests.workers.rows import claimed_row
from workers.sending.cloud_api import Accepted, ErrorAnswer, NotSent, OutcomeUnknown
from workers.sending.endpoint import ADVICE
from workers.sending.error_policy import (
    MAX_REASON,
    MAX_RETRIES,
    SERVICE_PAUSES_S,
    Decision,
    decide,
    reason_of,
)
from workers.sending.holds import PAUSES, THROTTLED, UNREACHABLE, Hold, Scope
from workers.sending.send_queue import ReplyRow

#: Of a class that a person has to end, and these end by themselves.
LIFT_BY_THEMSELVES = {131064}


def refused(rule: ErrorRule, details: str | None = None) -> ErrorAnswer:
    return ErrorAnswer(rule, SendError(code=rule.code, message=rule.meaning, details=details))


def after(rule: ErrorRule, retries: int = 0) -> Decision:
    return decide(claimed_row(retries=retries), refused(rule))


def plain(attempt: Any) -> Decision:
    return decide(claimed_row(), attempt)


def test_accepted() -> None:
    assert plain(Accepted("wamid.1", None, None, {})) == Decision(SendOutcome.ACCEPTED)


def test_unknown_is_never_tried_again_here() -> None:
    decision = plain(OutcomeUnknown("no answer"))
    assert decision == Decision(SendOutcome.UNKNOWN, SendError(code=None, message="no answer"))


def test_not_sent_is_kept_and_the_number_waits_a_little() -> None:
    assert plain(NotSent("refused")) == Decision(None, hold=Hold(UNREACHABLE, "refused"))


@pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: str(rule.code))
def test_every_code_has_what_its_class_asks_for(rule: ErrorRule) -> None:
    decision = after(rule)
    error = SendError(code=rule.code, message=rule.meaning)
    advice = f"; {ADVICE[rule.code]}" if rule.code in ADVICE else ""
    reason = f"{rule.code} {rule.meaning}{advice}"
    assert decision.error == error
    assert decision.counts == rule.stop_when_repeated
    decision = replace(decision, counts=False)
    if rule.code in PAUSES:
        pause = PAUSES[rule.code]
        at_rest = pause.scope is Scope.CAMPAIGN
        assert decision == Decision(None, error, hold=Hold(pause, reason), give_back=at_rest)
        return
    match rule.error_class:
        case ErrorClass.RETRY_PAIR:
            assert decision == Decision(SendOutcome.REQUEUE, error, due_in_s=1, hold_pair_s=1)
        case ErrorClass.RETRY_SERVICE:
            assert decision == Decision(SendOutcome.REQUEUE, error, due_in_s=5)
        case ErrorClass.DELAY | ErrorClass.FAIL:
            assert decision == Decision(SendOutcome.FAILED, error)
        case ErrorClass.SUPPRESS:
            assert decision == Decision(SendOutcome.FAILED, error, suppress=True)
        case ErrorClass.STOP_CAMPAIGN:
            assert decision == Decision(None, error, give_back=True, pause_reason=reason)
            assert decision.stops_campaign
        case ErrorClass.PAUSE_NUMBER | ErrorClass.PAUSE_ACCOUNT | ErrorClass.PAUSE_TOKEN:
            paused = Scope(rule.error_class.removeprefix("pause_"))
            alone = rule.code == 33
            assert decision == Decision(
                None, error, give_back=True, pause=paused, alone=alone, pause_reason=reason
            ), "the message itself has nothing wrong with it"
            assert not decision.stops_campaign
        case _:
            pytest.fail(f"{rule.code} is of a class without an action")


@pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: str(rule.code))
def test_every_row_ends_in_the_end(rule: ErrorRule) -> None:
    """Only what counts no attempt may come again for ever, and that stops the number or the
    campaign meanwhile."""
    decision = after(rule, retries=MAX_RETRIES)
    if decision.outcome is None:
        assert decision.hold or decision.pause_reason
    else:
        assert decision.outcome is SendOutcome.FAILED


@pytest.mark.parametrize(
    ("code", "retries", "outcome"),
    [
        (131000, 2, SendOutcome.REQUEUE),
        (131000, 3, SendOutcome.FAILED),
        (1, 1, SendOutcome.REQUEUE),
        (1, 2, SendOutcome.FAILED),
        (135000, 0, SendOutcome.REQUEUE),
        (135000, 1, SendOutcome.FAILED),
        (131056, 4, SendOutcome.REQUEUE),
        (131056, 5, SendOutcome.FAILED),
    ],
)
def test_some_codes_are_tried_less_often(code: int, retries: int, outcome: SendOutcome) -> None:
    assert after(RULES[code], retries).outcome is outcome


def test_one_recipient_waits_as_meta_advises() -> None:
    decisions = [after(RULES[131056], retries) for retries in range(5)]
    assert [decision.due_in_s for decision in decisions] == [1, 4, 16, 64, 256]
    assert [decision.hold_pair_s for decision in decisions] == [1, 4, 16, 64, 256]
    assert after(RULES[131056], 5000).hold_pair_s == 4**MAX_RETRIES


def test_a_faulty_service_is_left_alone_for_longer_and_longer() -> None:
    pauses = [after(RULES[131016], retries).due_in_s for retries in range(5)]
    assert pauses == [5, 10, 20, 40, 80]
    new = ErrorRule(999_999, "new", ErrorClass.RETRY_SERVICE, 500, max_retries=99)
    assert (after(new, retries=4).due_in_s or 0) <= SERVICE_PAUSES_S.longest


@pytest.mark.parametrize(
    ("code", "status", "scope", "slow"),
    [
        (130429, 429, Scope.NUMBER, True),
        (131057, 503, Scope.NUMBER, False),
        (80007, 429, Scope.ACCOUNT, False),
        (4, 429, Scope.APP, False),
        (131064, 429, Scope.ACCOUNT, False),
        (132069, 429, Scope.CAMPAIGN, False),
        (134101, 400, Scope.CAMPAIGN, False),
        (None, 429, Scope.NUMBER, True),
        (999_999, 429, Scope.NUMBER, True),
    ],
)
def test_what_is_held_and_whether_it_is_slowed(
    code: int | None, status: int, scope: Scope, slow: bool
) -> None:
    hold = after(rule_for(code, status)).hold
    assert hold is not None
    assert (hold.pause.scope, hold.pause.slow) == (scope, slow)
    assert hold.reason


def test_every_code_that_holds_has_its_pause() -> None:
    holding = {c for c, rule in RULES.items() if rule.error_class is ErrorClass.RETRY_NUMBER}
    assert set(PAUSES) == holding | LIFT_BY_THEMSELVES
    assert PAUSES[130429] == THROTTLED
    for pause in PAUSES.values():
        assert 0 < pause.first_s <= pause.longest_s


@pytest.mark.parametrize(
    ("code", "status", "outcome"),
    [
        (200, 403, None),
        (299, 403, None),
        (999_999, 400, SendOutcome.FAILED),
        (999_999, 500, SendOutcome.REQUEUE),
        (None, 400, SendOutcome.REQUEUE),
        (None, 503, SendOutcome.REQUEUE),
        (None, 429, None),
    ],
)
def test_codes_that_are_new_or_missing(
    code: int | None, status: int, outcome: SendOutcome | None
) -> None:
    assert after(rule_for(code, status)).outcome is outcome


def test_a_reason_says_what_the_api_said_and_is_bounded() -> None:
    attempt = refused(RULES[132015], details="template offer was paused")
    decision = plain(attempt)
    assert decision.pause_reason == "132015 template paused: template offer was paused"
    long = refused(RULES[132015], details="x" * 10_000)
    assert len(plain(long).pause_reason or "") == 500


@pytest.mark.parametrize(
    ("code", "message", "details", "reason"),
    [
        (131000, "(#131000) Something went wrong", None, "131000 Something went wrong"),
        (131000, "131000 unknown error", None, "131000 unknown error"),
        (
            131000,
            "(#131000) Something went wrong",
            "Something went wrong.",
            "131000 Something went wrong",
        ),
        (131042, "Payment issue", "Payment issue: no card", "131042 Payment issue: no card"),
        (100, "(#100) Invalid parameter", "to: too long", "100 Invalid parameter: to: too long"),
        (190, "190", None, "190"),
        (100, "1000 is too much", None, "100 1000 is too much"),
        (None, "HTTP 404 without a code", None, "HTTP 404 without a code"),
        (None, "the connection broke", "", "the connection broke"),
    ],
)
def test_a_reason_says_everything_once(
    code: int | None, message: str, details: str | None, reason: str
) -> None:
    assert reason_of(SendError(code=code, message=message, details=details)) == reason


@pytest.mark.parametrize("code", [132001, 132015, 131063])
def test_what_stops_a_campaign_ends_a_reply(code: int) -> None:
    """It would come again until it had expired, and there are no others like it to stop."""
    row = ReplyRow("r-1", "49151", {"type": "template"})
    decision = decide(row, refused(RULES[code]))
    assert decision == Decision(
        SendOutcome.FAILED, SendError(code=code, message=RULES[code].meaning)
    )


@pytest.mark.parametrize("code", [131009, 131062])
def test_a_user_id_that_cannot_be_written_to_fails_its_own_row_only(code: int) -> None:
    rule = RULES[code]
    decision = decide(claimed_row(to=None, recipient="GB.1"), refused(rule))
    assert decision == Decision(SendOutcome.FAILED, SendError(code=code, message=rule.meaning))


def test_other_errors_of_rows_to_user_ids_count_as_ever() -> None:
    decision = decide(claimed_row(to=None, recipient="GB.1"), refused(RULES[131008]))
    assert decision.counts


def test_what_can_be_done_is_said_however_long_the_error_is() -> None:
    reason = reason_of(SendError(code=131063, message="a" * 600, details="b" * 600))
    assert len(reason) == MAX_REASON
    assert reason.startswith("131063 aaa")
    assert reason.endswith(f"; {ADVICE[131063]}")
    assert all(len(one) < MAX_REASON / 2 for one in ADVICE.values())
