"""Moving a percentage of all vendors."""

import re

import pytest

from contracts.console import Role
from sidecar.console.pages import rollout
from sidecar.migration.rollout import percentile
from sidecar.ops.audit import Audit, Filter
from sidecar.redis.client import Redis
from tests.sidecar.answering_php import Php
from tests.sidecar.commands.vendors import are, modes
from tests.sidecar.console.browser import Browser
from tests.sidecar.console.conftest import MakeBrowser
from tests.sidecar.console.pages.test_vendors import fields, uids
from tests.sidecar.service import VENDOR


@pytest.fixture
def vendors(php: Php) -> list[str]:
    """Vendors in the order in which percentages take them."""
    found = [php.add_vendor(f"vendor-{number}") for number in range(9)]
    return sorted([*found, VENDOR], key=percentile)


@pytest.fixture
async def browser(make_browser: MakeBrowser) -> Browser:
    return await make_browser(cron_settle_s=0)


async def test_a_dry_run_and_then_the_move(
    operator: Browser, php: Php, redis: Redis, vendors: list[str]
) -> None:
    percent = percentile(vendors[3])
    inside = vendors[:3]
    are(php, vendors[0], "sidecar", "php", "php")
    are(php, vendors[-1], "sidecar", "php", "php")
    page = await operator.page(f"/vendors/rollout?percent={percent}&webhooks=sidecar&reason=w5")
    assert "3 of 10 vendors are in" in page
    assert "2 of them change" in page
    assert "1 outside it has these modes already" in page
    assert set(uids(page)) == set(inside[1:])
    assert len(php.histories) == 2, "nothing was moved"
    answer = await operator.post("/vendors/rollout", fields(page))
    assert "2 of 2 vendors have the requested modes" in await operator.notice(answer)
    assert [v for v in vendors if modes(php, v)[0] == "sidecar"] == [*inside, vendors[-1]]
    assert php.histories[inside[1]][-1]["reason"] == f"rollout to {percent:g} percent: w5"
    [entry] = await Audit(redis, 100).read(wanted=Filter(action="modes"))
    assert (entry.target, entry.details["uids"]) == ("2 vendors", entry.details["uids"])
    assert set(entry.details["uids"]) == set(inside[1:])


async def test_who_was_changed_by_hand_is_shown(
    operator: Browser, vendors: list[str], php: Php
) -> None:
    are(php, vendors[0], "shadow", "php", "php", by="Ada", reason="slow <b>")
    page = await operator.page("/vendors/rollout?percent=100&webhooks=sidecar")
    assert "1 of these was changed by hand before" in page
    assert "Ada on" in page
    assert "slow &lt;b&gt;" in page
    page = await operator.page(
        f"/vendors/rollout?percent=100&webhooks=sidecar&except={vendors[0]},+{vendors[1]}"
    )
    assert "8 of 10 vendors are in 100 percent" in page


async def test_what_makes_no_sense(operator: Browser, php: Php) -> None:
    csrf = await operator.token()
    for query, words in (
        ("percent=10", "Say what to move"),
        ("percent=101&bots=php", "a number from 0 to 100"),
        ("percent=nan&bots=php", "a number from 0 to 100"),
        ("percent=x&bots=php", "a number from 0 to 100"),
        ("percent=10&bots=held", "bots can be"),
        ("percent=10&bots=shadow&except=nobody", "PHP knows no vendor nobody."),
    ):
        answer = await operator.get(f"/vendors/rollout?{query}")
        assert (answer.status_code, words in answer.text) == (400, True), query
        sent = {"csrf": csrf, **dict(re.findall(r"(\w+)=(\w+)", query))}
        answer = await operator.post("/vendors/rollout", sent)
        assert (answer.status_code, words in answer.text) == (400, True), query
    assert php.histories == {}


async def test_the_form_alone(viewer: Browser) -> None:
    page = await viewer.page("/vendors/rollout")
    assert "Show what would be done" in page
    assert "<h2>" not in page.partition("<main")[2]


async def test_nothing_to_do(operator: Browser, php: Php) -> None:
    page = await operator.page("/vendors/rollout?percent=100&webhooks=php")
    assert "0 of them change" in page
    assert 'class="ask' not in page
    sent: dict[str, str | list[str]] = {"percent": "100", "webhooks": "php"}
    answer = await operator.post("/vendors/rollout", sent)
    assert "this is not what was shown before" in answer.text
    assert php.histories == {}


async def test_somebody_moves_one_meanwhile(
    operator: Browser, php: Php, vendors: list[str]
) -> None:
    page = await operator.page("/vendors/rollout?percent=100&webhooks=sidecar")
    are(php, vendors[0], "sidecar", "php", "php", by="Ben")
    answer = await operator.post("/vendors/rollout", fields(page))
    assert "this is not what was shown before" in answer.text
    assert "9 of them change" in answer.text
    assert len(php.histories) == 1
    await operator.post("/vendors/rollout", fields(answer.text))
    assert {modes(php, v)[0] for v in vendors} == {"sidecar"}


async def test_many(operator: Browser, vendors: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollout, "MAX_SHOWN", 4)
    page = await operator.page("/vendors/rollout?percent=100&webhooks=sidecar")
    assert len(uids(page)) == 4
    assert "And 6 more." in page


async def test_who_may_not(make_browser: MakeBrowser, php: Php, redis: Redis) -> None:
    viewer = await (await make_browser()).sign_in(Role.LOOK)
    page = await viewer.page("/vendors/rollout?percent=100&webhooks=sidecar")
    assert "1 of them changes" in page
    assert 'class="ask' not in page
    operator = await (await make_browser()).sign_in(Role.OPERATE)
    sent = fields(await operator.page("/vendors/rollout?percent=100&webhooks=sidecar"))
    sent.pop("csrf")
    assert (await viewer.post("/vendors/rollout", dict(sent))).status_code == 403
    assert (await operator.post("/vendors/rollout", dict(sent), token=False)).status_code == 403
    assert php.histories == {}
    found = await Audit(redis, 100).read(wanted=Filter(action="console.refused"))
    assert [entry.who.name for entry in found] == ["operate-user", "look-user"]
