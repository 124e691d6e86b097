"""Messages of unknown outcome: which are meant, and what a person decides about them."""

from collections.abc import AsyncIterator

import pytest

from contracts.backend import RESOLVE_MESSAGES, ResolveAction
from sidecar.php.client import BackendError, make_backend
from sidecar.sending.settling import (
    Settled,
    find,
    outcome,
    question,
    settle,
    steps,
    warning,
)
from sidecar.sending.unknown_messages import Choice, UnknownMessages
from tests.conftest import MakeSettings
from tests.sidecar.answering_php import Answer, Call, Php, json_answer, refusal


@pytest.fixture
async def messages(make_settings: MakeSettings, php: Php) -> AsyncIterator[UnknownMessages]:
    backend = make_backend(make_settings(backend_url=php.url))
    yield UnknownMessages(backend)
    await backend.close()


def listing(call: Call) -> Answer:
    """Five rows of two campaigns, two in a page."""
    start = int(call.json["after"] or 0)
    rows = [
        {"uid": f"r-{n}", "vendor_uid": "v", "campaign_uid": "c" if n % 2 else None, "since": n}
        for n in range(start, min(start + 2, 5))
    ]
    return json_answer({"messages": rows, "next": str(start + 2) if start < 4 else None})


async def test_which_are_meant(messages: UnknownMessages, php: Php) -> None:
    php.override = listing
    found = await find(messages, Choice())
    assert found.uids == [f"r-{n}" for n in range(5)]
    assert (found.campaigns, found.complete) == ({("v", "c"): 2, ("v", "-"): 3}, True)
    assert (await find(messages, Choice(), most=5)).complete
    some = await find(messages, Choice(), most=3)
    assert (some.uids, some.complete) == (["r-0", "r-1", "r-2"], False)


def test_some_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sidecar.sending.settling.STEP", 2)
    assert list(steps(["a", "b", "c"])) == [["a", "b"], ["c"]]


async def test_what_is_done_and_what_is_left(messages: UnknownMessages, php: Php) -> None:
    def resolve(call: Call) -> Answer:
        left = {"b": "row_unknown", "c": "row_not_in_unknown", "d": "odd", "e": None}
        results = [
            {"id": uid, "result": "ignored", "reason": left[uid]}
            if uid in left
            else {"id": uid, "result": "done"}
            for uid in call.json["row_uids"]
        ]
        return json_answer({"results": results})

    php.override = resolve
    settled = Settled()
    left = await settle(messages, list("abcde"), ResolveAction.GIVE_UP, "why", settled)
    assert settled.count == 1
    assert dict(left) == {
        "b": "no such message; if it existed, a status has settled it since",
        "c": "its outcome is known by now",
        "d": "odd",
        "e": "ignored",
    }
    assert settled.skipped.total() == 4
    [call] = php.asked(RESOLVE_MESSAGES)
    assert (call.json["action"], call.json["reason"]) == ("give_up", "why")
    php.override = lambda call: refusal(500, "internal")
    with pytest.raises(BackendError):
        await settle(messages, ["a"], ResolveAction.RESEND, None, settled)
    assert settled.count == 1


def test_the_words() -> None:
    assert "twice" in question(ResolveAction.RESEND, 2)
    assert question(ResolveAction.GIVE_UP, 1).startswith("Count 1 message as failed")
    assert warning(ResolveAction.GIVE_UP, 1).startswith("1 message will count as failed")
    assert outcome(ResolveAction.GIVE_UP, 1200) == "1,200 messages given up"
    assert outcome(ResolveAction.RESEND, 1).startswith("1 message will be resent")
    assert Choice().text == "all"
    assert Choice("v", "c", 7200).text == "of vendor v, of campaign c, unknown for 2 h"
