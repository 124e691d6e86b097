"""The page of who did what."""

import re

import pytest

from contracts.console import Role
from sidecar.console.pages.audit import PAGE
from sidecar.ops.audit import Audit, Who
from sidecar.redis.client import Redis
from tests.sidecar.console.browser import Browser
from tests.sidecar.console.conftest import MakeBrowser

ADA = Who("console", "ada", "operate")


@pytest.fixture
def audit(redis: Redis) -> Audit:
    return Audit(redis, 1000)


def actions(page: str) -> list[str]:
    return re.findall(r'<td class="nowrap">([a-z_.]+)</td>', page)


async def test_everything_the_newest_first(operator: Browser, audit: Audit) -> None:
    await audit.record(ADA, "campaign.pause", "c-1", reason="wrong text")
    await audit.record(Who("php"), "modes.change", "v", "failed", uids=["v", "w"], vendors=2)
    await audit.record(Who("command", "<b>@host"), "number.lift", "<script>")
    page = await operator.page("/audit")
    assert actions(page) == ["number.lift", "modes.change", "campaign.pause", "console.sign_in"]
    assert "&lt;script&gt;" in page
    assert "<script>" not in page
    assert "command line: <strong>&lt;b&gt;@host" in page
    assert '<span class="muted">uids:</span> v, w' in page
    assert '<span class="muted">vendors:</span> 2' in page
    assert '<span class="badge bad">failed</span>' in page


async def test_filters(operator: Browser, audit: Audit) -> None:
    await audit.record(ADA, "campaign.pause", "c-1")
    await audit.record(Who("php"), "modes.change", "v", "failed")
    everything = ["modes.change", "campaign.pause", "console.sign_in"]
    for query, expected in (
        ("kind=php", ["modes.change"]),
        ("kind=nobody", everything),
        ("who=ADA", ["campaign.pause"]),
        ("action=campaign", ["campaign.pause"]),
        ("target=c-1&since=hour", ["campaign.pause"]),
        ("outcome=failed", ["modes.change"]),
        ("since=century", everything),
        ("before=no+id", everything),
        ("before=1-1", []),
    ):
        page = await operator.page(f"/audit?{query}")
        assert actions(page) == expected, query
        assert ("Nothing of the kind" in page) == (not expected)


async def test_pages_follow_one_another(operator: Browser, audit: Audit) -> None:
    for number in range(PAGE + 3):
        await audit.record(ADA, "number.lift", f"n{number}&")
    first = await operator.page("/audit?who=ada&since=day")
    [older] = re.findall(r'<a href="/sidecar([^"]+)" rel="next">', first)
    assert "who=ada" in older
    assert "since=day" in older
    assert 'rel="prev"' not in first
    second = await operator.page(older.replace("&amp;", "&"))
    assert re.findall(r'<td class="id">(n\d+)&amp;</td>', second) == ["n2", "n1", "n0"]
    assert '<a href="/sidecar/audit?who=ada&amp;since=day" rel="prev">' in second
    assert 'rel="next"' not in second


async def test_a_viewer_sees_no_phone_number(make_browser: MakeBrowser, audit: Audit) -> None:
    uid = "7d9c1a52-4b0e-4c57-9a3e-2f6b8c1d0e11"
    await audit.record(ADA, "number.lift", "+4915123456789", recipient="4915123456789", uid=uid)
    await audit.record(ADA, "dead_letters.replay", "wamid.HBgNNDkxNTEyMzQ1Njc4ORUCABEYEk")
    viewer = await (await make_browser()).sign_in(Role.LOOK)
    page = await viewer.page("/audit")
    assert "4915123456" not in page
    assert "•••• 89" in page
    assert "NDkxNTEyMzQ1Njc4O" not in page
    assert "wamid…UCABEYEk" in page
    assert uid in page
    operator = await (await make_browser()).sign_in(Role.OPERATE)
    assert (await operator.page("/audit")).count("4915123456789") == 2
