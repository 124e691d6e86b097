"""Customers' messages that wait or are ignored, in words. tests/sidecar/commands/test_status.py has
what is wrong with lanes."""

import pytest

from sidecar.ops.ignored import IgnoredMessages
from sidecar.ops.message_problems import ignored_messages, waiting_messages
from sidecar.ops.problem import Code
from sidecar.ops.waits import WaitingMessage, Where


@pytest.mark.parametrize(
    ("attempts", "contacts", "what"),
    [
        (0, 0, "has waited for 25 s: locked"),
        (1, 1, "has waited for 25 s and was tried once: locked"),
        (3, 1, "has waited for 25 s and was tried 3 times: locked"),
        (
            *(3, 1200),
            "has waited for 25 s and was tried 3 times (messages of 1,200 contacts wait like "
            "this): locked",
        ),
    ],
)
def test_a_message_that_waits(attempts: int, contacts: int, what: str) -> None:
    one = WaitingMessage("v", Where.RETRY, 25.0, attempts, "locked", contacts)
    [problem] = waiting_messages([one])
    assert problem.code is Code.MESSAGE_WAITS
    assert problem.what == f"A customer's message of vendor v {what}"


def test_of_each_vendor_the_first() -> None:
    waiting = [
        WaitingMessage(vendor, Where.INBOX, 25.0, 0, reason)
        for vendor, reason in (("v", "a"), ("w", "b"), ("v", "c"))
    ]
    assert [problem.what[-1] for problem in waiting_messages(waiting)] == ["a", "b"]


def test_ignored_messages() -> None:
    known, new = ignored_messages(
        [IgnoredMessages("v", "phone_number_unknown", 1200), IgnoredMessages("w", "closed", 1)]
    )
    assert known.what == (
        "PHP ignored 1,200 customers' messages of vendor v within the last hour: "
        "phone_number_unknown (they were sent to a number that is not the vendor's)"
    )
    assert known.do == "sidecar ignored --reason phone_number_unknown shows the last one."
    assert new.what.endswith("of vendor w within the last hour: closed")
