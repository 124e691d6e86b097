"""Messages of unknown outcome: all of PHP's pages, and decisions in calls of a bounded size."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from contracts.backend import MAX_CLAIM, RESOLVE_MESSAGES, UNKNOWN_MESSAGES, ResolveAction
from sidecar.php.client import BackendError, make_backend
from sidecar.sending.unknown_messages import Choice, UnknownMessages
from tests.conftest import MakeSettings
from tests.sidecar.answering_php import Answer, Call, Php, json_answer, refusal


@pytest.fixture
async def messages(make_settings: MakeSettings, php: Php) -> AsyncIterator[UnknownMessages]:
    backend = make_backend(make_settings(backend_url=php.url))
    yield UnknownMessages(backend)
    await backend.close()


async def uids(messages: UnknownMessages, **choice: Any) -> list[str]:
    return [one.uid async for one in messages.all(Choice(older_than_s=60, **choice))]


async def test_none(messages: UnknownMessages, php: Php) -> None:
    assert await uids(messages, vendor_uid="v-1", campaign_uid="c-1") == []
    [call] = php.calls
    assert (call.json["vendor_uid"], call.json["campaign_uid"]) == ("v-1", "c-1")
    assert (call.json["older_than_s"], call.json["after"]) == (60, None)


async def test_page_after_page(messages: UnknownMessages, php: Php) -> None:
    pages = {None: (["r-1", "r-2"], "r-2"), "r-2": (["r-3"], "r-3"), "r-3": ([], None)}

    def page(call: Call) -> Answer:
        found, after = pages[call.json["after"]]
        rows = [{"uid": uid, "vendor_uid": "v", "to": "9", "since": 1} for uid in found]
        return json_answer({"messages": rows, "next": after})

    php.override = page
    assert await uids(messages) == ["r-1", "r-2", "r-3"]
    assert len(php.asked(UNKNOWN_MESSAGES)) == 3


async def test_php_that_fails_is_no_end(messages: UnknownMessages, php: Php) -> None:
    php.override = lambda call: refusal(500, "internal")
    with pytest.raises(BackendError):
        await uids(messages)


async def test_decisions_go_in_calls_that_php_takes(messages: UnknownMessages, php: Php) -> None:
    def done(call: Call) -> Answer:
        return json_answer(
            {"results": [{"id": uid, "result": "done"} for uid in call.json["row_uids"]]}
        )

    php.override = done
    rows = [f"r-{number}" for number in range(MAX_CLAIM + 1)]
    results = await messages.resolve(rows, ResolveAction.GIVE_UP, "a person says so")
    assert [result.id for result in results] == rows
    first, second = php.asked(RESOLVE_MESSAGES)
    assert (len(first.json["row_uids"]), second.json["row_uids"]) == (MAX_CLAIM, rows[-1:])
    for call in (first, second):
        assert (call.json["action"], call.json["reason"]) == ("give_up", "a person says so")


async def test_nothing_to_decide(messages: UnknownMessages, php: Php) -> None:
    assert await messages.resolve([], ResolveAction.GIVE_UP) == []
    assert php.calls == []
