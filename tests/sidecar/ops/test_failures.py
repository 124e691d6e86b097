"""Why rows have failed, in words."""

import pytest

from contracts.backend import CampaignErrors, LeftOut, RetryMessagesAnswer
from contracts.cloud_api.errors import RULES, rule_for
from sidecar.ops.failures import Failures, explain, failures_in, left_out


@pytest.mark.parametrize("code", RULES)
def test_every_code_of_the_cloud_api_has_a_meaning_and_something_to_do(code: int) -> None:
    told = explain(str(code))
    assert told.meaning == RULES[code].meaning
    assert told.do


@pytest.mark.parametrize(
    ("status", "meaning", "do"),
    [
        ("132015", "template paused", "correct the template or the campaign, then send"),
        ("132000", "number of parameters does not match", "look at the template and its"),
        ("131026", "message undeliverable", "do not get messages from this business"),
        ("131042", "payment problem", "WhatsApp Manager"),
        ("190", "access token expired", "enter an access token in PHP"),
        ("210", "permission missing or removed", "enter an access token in PHP"),
        ("999999", rule_for(999999, 400).meaning, "look at the template"),
        ("connection_error", "no connection to the Cloud API", "once it is there, send them"),
        ("contact_opted_out_error", "the contact has opted out", "nothing"),
        ("something_else", "what PHP wrote", "look at one of the rows"),
        (None, "what PHP wrote", "look at one of the rows"),
    ],
)
def test_what_a_status_means(status: str | None, meaning: str, do: str) -> None:
    told = explain(status, "what PHP wrote")
    assert told.meaning == meaning
    assert do in told.do


def test_what_says_nothing_at_all() -> None:
    assert explain(None).meaning == "no reason is known"


def page(retried: int, left: int, after: str | None) -> RetryMessagesAnswer:
    return RetryMessagesAnswer.model_validate(
        {
            "retried": retried,
            "rows": [{"error_status": "132015", "message": "paused", "count": retried}],
            "left": [
                {"reason": reason, "error_status": "131000", "count": left}
                for reason in (*LeftOut, "a_new_one")
            ],
            "next": after,
        }
    )


def test_pages_are_added_up() -> None:
    failures = Failures()
    failures.add(page(5, 1, "next"))
    assert not failures.complete
    failures.add(page(2, 3, None))
    assert (failures.retried, failures.complete) == (7, True)
    first, *others = failures.all
    assert (first.status, first.count, first.message, first.again) == ("132015", 7, "paused", True)
    assert [(one.count, one.again) for one in others] == [(4, False)] * 5
    assert first.json["do"].startswith("correct the template")
    words = dict(left_out(failures.all))
    assert words["it may have been sent"] == words["it has expired"] == words["a_new_one"] == 4
    assert len(words) == 5


def test_what_failed_later_is_not_sent_again() -> None:
    errors = [CampaignErrors(error_status="132015", count=2, later=one) for one in (False, True)]
    now, later = failures_in(errors)
    assert "retry-failed" in now.told.do
    assert later.told.do == "correct the template or the campaign, then send them a new campaign"
    assert (now.again, later.again) == (True, False)
    assert later.json["do"] == later.told.do
