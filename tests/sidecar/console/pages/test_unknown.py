"""The page of unknown outcomes: what PHP lists, and what a person decides about it."""

import html
import re
from typing import Any

import pytest

from contracts.backend import RESOLVE_MESSAGES, UNKNOWN_MESSAGES
from contracts.console import Role
from sidecar.console.pages import unknown
from sidecar.ops.audit import Audit
from sidecar.redis.client import Redis
from sidecar.sending import settling
from tests.sidecar.answering_php import Answer, Call, Php, json_answer, refusal
from tests.sidecar.console.browser import Browser
from tests.sidecar.console.conftest import MakeBrowser
from tests.sidecar.console.walk import faults

PATH = "/unknown"


class Rows:
    """PHP's rows of unknown outcome."""

    def __init__(self, php: Php, count: int = 3) -> None:
        self.uids = [f"row-{number}" for number in range(count)]
        self.fails_at: int | None = None
        self.calls = 0
        php.override = self.answer

    def answer(self, call: Call) -> Answer | None:
        if call.target.startswith(UNKNOWN_MESSAGES):
            return self._list(call.json)
        if call.target.startswith(RESOLVE_MESSAGES):
            return self._resolve(call.json)
        return None

    def _list(self, asked: dict[str, Any]) -> Answer:
        start = int(asked.get("after") or 0)
        mine = self.uids if asked.get("vendor_uid") in (None, "v") else []
        found = mine[start : start + asked["limit"]]
        after = start + asked["limit"]
        rows = [
            {
                "uid": uid,
                "vendor_uid": "v",
                "campaign_uid": f"c-{uid[-1]}" if uid != "row-0" else None,
                "to": "4915112345678",
                "since": 1_700_000_000_000,
                "reason": "the answer did not come <in> time",
                "phone_number_id": "1049",
            }
            for uid in found
        ]
        return json_answer({"messages": rows, "next": str(after) if after < len(mine) else None})

    def _resolve(self, asked: dict[str, Any]) -> Answer:
        self.calls += 1
        if self.calls == self.fails_at:
            return refusal(500, "internal")
        results = []
        for uid in asked["row_uids"]:
            if uid in self.uids:
                self.uids.remove(uid)
                results.append({"id": uid, "result": "done"})
            else:
                results.append({"id": uid, "result": "ignored", "reason": "row_not_in_unknown"})
        return json_answer({"results": results})


def chosen(page: str) -> list[str]:
    return re.findall(r'name="message" value="([^"]+)"', page)


async def answered(browser: Browser, asked: Any) -> Any:
    """Say yes to a question."""
    assert asked.status_code == 200, asked.text
    names = ("do", "selection", "reason")
    found = {name: re.search(rf'name="{name}" value="([^"]*)"', asked.text) for name in names}
    fields: dict[str, str | list[str]] = {
        name: html.unescape(match[1]) for name, match in found.items() if match
    }
    return await browser.post(f"{PATH}/settle", fields)


# -- looking --


async def test_none(operator: Browser, php: Php) -> None:
    Rows(php, 0)
    assert "No message&#39;s outcome is unknown" in (await operator.page(PATH)).replace(
        "'", "&#39;"
    )
    assert "None that the filter names" in await operator.page(f"{PATH}?older=24%20h")


async def test_the_list_page_after_page(
    operator: Browser, php: Php, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = Rows(php, 5)
    monkeypatch.setattr(unknown, "PAGE", 2)
    found, link = [], ""
    while True:
        page = await operator.page(PATH + link)
        found += chosen(page)
        later = re.search(r'<a href="([^"]+)" rel="next">', page)
        if later is None:
            break
        link = html.unescape(later[1])
    assert found == rows.uids
    for text in ("← The oldest", "4915112345678", "1049", "c-4", "did not come &lt;in&gt; time"):
        assert text in page
    assert faults(page) == []
    async with operator.events(f"{PATH}/live") as events:
        assert "since" in (await events.take(1))["summary"]
    page = await operator.page(f"{PATH}?vendor=w&campaign=c&older=24%20h")
    assert "None that the filter names" in page
    call = php.asked(UNKNOWN_MESSAGES)[-1]
    assert (call.json["vendor_uid"], call.json["campaign_uid"]) in (("w", "c"), (None, None))
    assert (await operator.get(f"{PATH}?older=odd")).status_code == 400


async def test_a_viewer_sees_no_person(viewer: Browser, php: Php) -> None:
    Rows(php)
    page = await viewer.page(PATH)
    assert "•••• 78" in page
    for hidden in ("12345678", "Send all", "Give", "checkbox"):
        assert hidden not in page


async def test_php_is_away(operator: Browser, php: Php) -> None:
    php.override = lambda call: refusal(500, "internal")
    answer = await operator.get(PATH)
    assert (answer.status_code, "PHP did not do what was asked" in answer.text) == (503, True)


# -- settling --


async def test_one_is_sent_again(operator: Browser, php: Php, redis: Redis) -> None:
    rows = Rows(php)
    asked = await operator.post(f"{PATH}/ask", {"do": "resend", "message": "row-1"})
    for text in ("Nobody knows whether 1 message reached the customer", "deliver it twice"):
        assert text in asked.text
    assert rows.calls == 0, "nothing is done before somebody says yes"
    notice = await operator.notice(await answered(operator, asked))
    assert notice.startswith("Done: 1 message will be resent when the campaign runs")
    assert rows.uids == ["row-0", "row-2"]
    [entry, *_] = await Audit(redis, 100).read()
    assert (entry.who.kind, entry.who.name) == ("console", "operate-user")
    assert (entry.action, entry.outcome) == ("unknown.resend", "done")
    assert entry.details == {"done": 1, "skipped": 0, "messages": ["row-1"]}


async def test_some_are_given_up_with_a_reason(operator: Browser, php: Php, redis: Redis) -> None:
    rows = Rows(php)
    page = await operator.page(PATH)
    fields: dict[str, str | list[str]] = {
        "do": "give_up",
        "message": [*chosen(page), "row-9"],
        "reason": "asked <them>",
    }
    asked = await operator.post(f"{PATH}/ask", fields)
    assert "4 messages will count as failed" in asked.text
    notice = await operator.notice(await answered(operator, asked))
    assert notice == "Done: 3 messages given up; 1 message skipped: its outcome is known by now"
    assert rows.uids == []
    assert php.asked(RESOLVE_MESSAGES)[-1].json["reason"] == "asked <them>"
    [entry, *_] = await Audit(redis, 100).read()
    assert entry.details["why"] == "asked <them>"


async def test_all_that_the_filter_names_and_none_that_comes_meanwhile(
    operator: Browser, php: Php, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unknown, "MAX_NAMED", 1)
    rows = Rows(php)
    asked = await operator.post(f"{PATH}/ask", {"do": "resend", "all": "yes", "vendor": "v"})
    for text in ("3 messages", "of vendor v", "and of 2 other campaigns", "1 of campaign"):
        assert text in asked.text
    rows.uids.insert(0, "row-older")
    assert (await answered(operator, asked)).status_code == 303
    assert rows.uids == ["row-older"]


async def test_more_than_may_be_meant_at_once(
    operator: Browser, php: Php, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unknown, "MAX_CHOSEN", 2)
    Rows(php)
    asked = await operator.post(f"{PATH}/ask", {"do": "give_up", "all": "yes"})
    assert "Give 2 messages up?" in asked.text
    assert "These are the oldest 2; there are more" in asked.text


async def test_in_steps_with_a_question_between(
    operator: Browser, php: Php, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unknown, "REQUEST_S", 0.0)
    monkeypatch.setattr(settling, "STEP", 2)
    rows = Rows(php)
    fields: dict[str, str | list[str]] = {"do": "give_up", "all": "yes", "reason": "so"}
    again = await answered(operator, await operator.post(f"{PATH}/ask", fields))
    assert "2 messages given up." in again.text
    assert len(rows.uids) == 1
    notice = await operator.notice(await answered(operator, again))
    assert notice == "Done: 1 message given up"
    assert php.asked(RESOLVE_MESSAGES)[-1].json["reason"] == "so"


async def test_php_fails_half_way(
    operator: Browser, php: Php, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settling, "STEP", 2)
    rows = Rows(php)
    rows.fails_at = 2
    asked = await operator.post(f"{PATH}/ask", {"do": "give_up", "all": "yes"})
    notice = await operator.notice(await answered(operator, asked))
    assert notice.startswith("Not done: 2 messages given up; then it failed (")
    assert notice.endswith("The rest is as it was.")
    [entry, *_] = await Audit(redis, 100).read()
    assert (entry.outcome, entry.details["done"]) == ("failed", 2)


async def test_a_question_is_answered_once(operator: Browser, php: Php) -> None:
    Rows(php)
    asked = await operator.post(f"{PATH}/ask", {"do": "give_up", "all": "yes"})
    assert (await operator.notice(await answered(operator, asked))).startswith("Done")
    assert "answered already" in await operator.notice(await answered(operator, asked))


async def test_what_no_page_of_ours_asks(operator: Browser, php: Php) -> None:
    Rows(php)
    for fields in (
        {"do": "odd", "all": "yes"},
        {"do": "resend", "all": "yes", "older": "odd"},
        {"do": "give_up", "message": "a", "reason": "x" * 501},
    ):
        assert (await operator.post(f"{PATH}/ask", {**fields})).status_code == 400
    assert (await operator.post(f"{PATH}/settle", {"do": "odd"})).status_code == 400
    notice = await operator.notice(await operator.post(f"{PATH}/ask", {"do": "resend"}))
    assert notice == "Not done: no message is meant by that"


async def test_a_viewer_can_do_nothing(make_browser: MakeBrowser, php: Php, redis: Redis) -> None:
    rows = Rows(php)
    viewer = await (await make_browser()).sign_in(Role.LOOK)
    operator = await (await make_browser()).sign_in(Role.OPERATE)
    asked = await operator.post(f"{PATH}/ask", {"do": "resend", "all": "yes"})
    token = re.search(r'name="selection" value="([^"]+)"', asked.text)
    assert token
    fields: dict[str, str | list[str]] = {"do": "resend", "all": "yes", "selection": token[1]}
    for step in ("ask", "settle"):
        assert (await viewer.post(f"{PATH}/{step}", fields)).status_code == 403
        assert (await operator.post(f"{PATH}/{step}", fields, token=False)).status_code == 403
    assert (rows.calls, len(rows.uids)) == (0, 3)
    refused = [one for one in await Audit(redis, 100).read() if one.action == "console.refused"]
    assert len(refused) == 4
