"""The console in a real browser, on an installation that runs and has its faults."""

import os
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.browser.conftest import Visitor, Visitors
from tests.browser.console_world import (
    IN_FLIGHT,
    OPERATOR,
    QUIET,
    STOPPED,
    UNKNOWN,
    VIEWER,
    ConsoleWorld,
)
from tests.system.running import wait_for

PHONE = {"viewport": {"width": 360, "height": 740}, "is_mobile": True, "has_touch": True}
WAYS: dict[str, dict[str, Any]] = {
    "light": {"color_scheme": "light", "viewport": {"width": 1280, "height": 900}},
    "dark": {"color_scheme": "dark", "viewport": {"width": 1280, "height": 900}},
    "phone": {"color_scheme": "light", **PHONE},
}
#: Pages of one kind that are opened.
OF_A_KIND = 2


def pages(visitor: Visitor) -> Iterator[str]:
    """Open every page that links lead to, a few of each kind, and what a search finds; yield its
    path."""
    campaign = visitor.world.victims[IN_FLIGHT].campaign
    assert campaign is not None
    waiting = ["/", *(f"/search?q={q}" for q in (campaign.recipients[0], campaign.uid))]
    seen, kinds = set(waiting), Counter[str]()
    while waiting:
        path = waiting.pop(0)
        kinds[kind_of(path)] += 1
        if kinds[kind_of(path)] <= OF_A_KIND:
            visitor.open(path)
            yield path
            waiting += [link for link in visitor.links() if link not in seen]
            seen.update(waiting)


def kind_of(path: str) -> str:
    """Return a path without what it names, so that it stands for all pages of its kind."""
    return re.sub(r"/[^/]*[0-9][^/]*", "/*", path.partition("?")[0])


@pytest.mark.parametrize("way", WAYS)
def test_every_page(visitors: Visitors, shots: Path, way: str) -> None:
    """Each has one heading and a title of its own, fits the screen, and gives neither the browser
    nor axe anything to complain of. ``CONSOLE_SHOTS`` names a folder to keep the pictures in."""
    folder = Path(os.environ.get("CONSOLE_SHOTS", shots))
    folder.mkdir(exist_ok=True)
    wrong: list[str] = []
    titles: dict[str, str] = {}
    with visitors.visitor(**WAYS[way]) as visitor:
        for path in pages(visitor):
            page = visitor.page
            name = kind_of(path).strip("/").replace("/", "-") or "overview"
            page.screenshot(path=folder / f"{name}-{way}.png", full_page=True)
            wrong += [f"{path}: {one}" for one in visitor.complaints]
            visitor.complaints.clear()
            titles[kind_of(path)] = page.title()
            if page.locator("h1").count() != 1:
                wrong.append(f"{path}: {page.locator('h1').count()} headings of the first level")
            width = page.evaluate("document.scrollingElement.scrollWidth")
            if width > WAYS[way]["viewport"]["width"]:
                wrong.append(f"{path}: {width} pixels wide")
            found = Axe().run(page).response["violations"]
            wrong += [
                f"{path}: {one['id']}: {one['help']}: {one['nodes'][0]['html'][:200]}"
                for one in found
            ]
    assert not wrong, "\n".join(wrong)
    assert len(titles) == len(set(titles.values())) >= 15, titles


def test_a_page_follows_what_happens_without_being_loaded_again(
    operator: Visitor, world: ConsoleWorld
) -> None:
    operator.open(f"/campaigns/{uid_of(world, IN_FLIGHT)}")
    sent = operator.page.locator("#progress")
    before = sent.inner_text()
    expect(sent).not_to_have_text(before, use_inner_text=True)


def test_a_viewer_sees_no_actions_and_no_phone_numbers(
    visitors: Visitors, world: ConsoleWorld
) -> None:
    campaign = world.victims[IN_FLIGHT].campaign
    assert campaign is not None
    with visitors.visitor(VIEWER) as viewer:
        for path in pages(viewer):
            main = viewer.page.locator("main")
            assert main.locator("form[method=post]").count() == 0, path
            text = main.inner_text()
            assert not [to for to in campaign.recipients if to in text], path


@pytest.mark.parametrize("scripts", [True, False])
def test_a_campaign_is_paused_and_resumed(
    visitors: Visitors, world: ConsoleWorld, scripts: bool
) -> None:
    uid = uid_of(world, IN_FLIGHT)
    with visitors.visitor(java_script_enabled=scripts) as visitor:
        visitor.open(f"/campaigns/{uid}")
        visitor.click("Pause")
        visitor.expect_done("paused")
        assert state_of(world, uid) == "paused"
        visitor.open(f"/campaigns/{uid}")
        visitor.click("Resume")
        visitor.expect_done("running")
        assert state_of(world, uid) == "running"


def test_an_account_is_resumed_and_its_campaign_too(operator: Visitor, world: ConsoleWorld) -> None:
    world.undo("cloud-api", "faults")
    operator.open("/numbers")
    operator.page.locator("#paused").get_by_role("button", name="Resume").first.click()
    operator.agree()
    operator.expect_done("")
    wait_for(lambda: "sending-paused" not in world.status().codes, "the account to be resumed")


def test_one_letter_is_discarded_and_the_others_are_replayed(
    operator: Visitor, world: ConsoleWorld
) -> None:
    operator.open("/dead-letters")
    operator.page.get_by_role("checkbox").first.check()
    operator.click("Discard the selected")
    operator.expect_done("1 ")
    world.undo("backend", "faults")
    operator.click("Replay all")
    operator.expect_done("2 ")
    wait_for(lambda: "dead-letters" not in world.status().codes, "the letters to go")
    operator.open("/audit")
    told = operator.page.locator("main").inner_text()
    assert "dead_letters.discard" in told
    assert "dead_letters.replay" in told
    assert OPERATOR in told


def test_messages_of_unknown_outcome_are_given_up(operator: Visitor, world: ConsoleWorld) -> None:
    uid = uid_of(world, UNKNOWN)
    operator.open("/unknown")
    operator.page.get_by_label("Campaign", exact=True).fill(uid)
    operator.page.get_by_role("main").get_by_role("button", name="Find").click()
    operator.click("Give all that the filter names up")
    operator.expect_done("given up")
    listed = world.run("unknown", "list", "--campaign", uid, "--json").stdout
    assert listed == ""


def test_a_campaign_is_cancelled(operator: Visitor, world: ConsoleWorld) -> None:
    uid = uid_of(world, STOPPED)
    operator.open(f"/campaigns/{uid}")
    operator.page.get_by_label("Reason").fill("the wrong template")
    operator.click("Cancel")
    operator.expect_done("cancelled")
    assert state_of(world, uid) == "cancelled"


def test_a_vendor_is_moved_to_php_and_back(operator: Visitor, world: ConsoleWorld) -> None:
    uid = world.victims[QUIET].vendor.uid
    operator.open(f"/vendors/{uid}")
    operator.click("Give it back to PHP")
    operator.expect_done("")
    assert modes_of(world, uid)["webhooks"] == "php"
    operator.open(f"/vendors/{uid}")
    operator.page.get_by_label("Webhooks").select_option("sidecar")
    operator.click("Show what would be done")
    operator.expect_done("")
    assert modes_of(world, uid)["webhooks"] == "sidecar"


def test_who_has_signed_out_sees_nothing(operator: Visitor, world: ConsoleWorld) -> None:
    operator.page.get_by_role("button", name="Sign out").click()
    expect(operator.page.get_by_label("Password")).to_be_visible()
    operator.open("/campaigns")
    expect(operator.page.get_by_label("Password")).to_be_visible()


def uid_of(world: ConsoleWorld, name: str) -> str:
    campaign = world.victims[name].campaign
    assert campaign is not None
    return campaign.uid


def shown(world: ConsoleWorld, uid: str) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(world.run("campaigns", "show", uid, "--json").stdout)
    return found


def state_of(world: ConsoleWorld, uid: str) -> str:
    state: str = shown(world, uid)["state"]
    return state


def modes_of(world: ConsoleWorld, vendor_uid: str) -> dict[str, str]:
    listed = map(orjson.loads, world.run("modes", "list", "--json").stdout.splitlines())
    [found] = [one for one in listed if one["vendor_uid"] == vendor_uid]
    modes: dict[str, str] = found["modes"]
    return modes
