"""How the sends of the last minutes went: counted by campaign, and forgotten."""

from typing import Any

import pytest

from contracts.backend import SendError, SendOutcome, SendResult
from tests.workers.rows import CAMPAIGN
from workers.sending import recent as module
from workers.sending.recent import PART_S, WINDOW_S, Recent

VENDOR = "v"


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def end(
    recent: Recent,
    outcome: SendOutcome,
    *,
    code: int | None = None,
    message: str = "no",
    campaign_uid: str | None = CAMPAIGN,
    **more: Any,
) -> None:
    error = None if outcome is SendOutcome.ACCEPTED else SendError(code=code, message=message)
    recent.ended(
        SendResult(
            uid="r",
            vendor_uid=VENDOR,
            campaign_uid=campaign_uid,
            outcome=outcome,
            at=1,
            phone_number_id="1",
            error=error,
            **more,
        )
    )


def test_outcomes_and_reasons_are_counted(clock: Clock) -> None:
    recent = Recent(clock)
    for _ in range(3):
        end(recent, SendOutcome.ACCEPTED)
    end(recent, SendOutcome.FAILED, code=131000, message="Something went wrong")
    for _ in range(2):
        end(recent, SendOutcome.UNKNOWN, message="answer 502")
    end(recent, SendOutcome.REQUEUE, message="later", attempted=True)
    end(recent, SendOutcome.REQUEUE, message="untried", attempted=False)
    end(recent, SendOutcome.FAILED, campaign_uid=None)
    of_campaign, of_replies = recent.report()
    assert of_campaign == {
        "vendor_uid": VENDOR,
        "campaign_uid": CAMPAIGN,
        "accepted": 3,
        "failed": 1,
        "requeued": 1,
        "unknown": 2,
        "per_s": 3.0,
        "reasons": [
            ["unknown", "answer 502", 2],
            ["failed", "131000 Something went wrong", 1],
            ["requeued", "later", 1],
        ],
    }
    assert (of_replies["campaign_uid"], of_replies["failed"]) == (None, 1)


def test_what_is_old_is_forgotten(clock: Clock) -> None:
    recent = Recent(clock)
    end(recent, SendOutcome.FAILED)
    clock.now += WINDOW_S - 1
    end(recent, SendOutcome.ACCEPTED)
    [told] = recent.report()
    assert (told["failed"], told["accepted"]) == (1, 1)
    clock.now += 2
    [told] = recent.report()
    assert (told["failed"], told["accepted"]) == (0, 1)
    clock.now += WINDOW_S
    assert recent.report() == []


def test_the_rate_is_that_of_the_last_minute(clock: Clock) -> None:
    recent = Recent(clock)
    for _ in range(20):
        for _ in range(75):
            end(recent, SendOutcome.ACCEPTED)
        clock.now += PART_S
    [told] = recent.report()
    assert told["per_s"] == pytest.approx(5.0)
    clock.now += 120
    [told] = recent.report()
    assert (told["per_s"], told["accepted"]) == (0.0, 1500)


def test_it_stays_small(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_SOURCES", 3)
    recent = Recent(clock)
    for number in range(5):
        end(recent, SendOutcome.ACCEPTED, campaign_uid=f"c{number}")
    end(recent, SendOutcome.ACCEPTED, campaign_uid="c3")
    end(recent, SendOutcome.ACCEPTED, campaign_uid="c9")
    assert [one["campaign_uid"] for one in recent.report()] == ["c4", "c3", "c9"]
    for number in range(50):
        end(recent, SendOutcome.FAILED, message=f"reason {number}", campaign_uid="c9")
    [told] = [one for one in recent.report() if one["campaign_uid"] == "c9"]
    assert told["failed"] == 50
    assert len(told["reasons"]) == module.MAX_TOLD
    assert told["reasons"][0] == ["failed", "other reasons", 40]
    end(recent, SendOutcome.FAILED, message="x " * 1000, campaign_uid="c4")
    assert max(len(text) for one in recent.report() for _, text, _ in one["reasons"]) <= 160
