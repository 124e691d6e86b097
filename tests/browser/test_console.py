"""The console in a real browser, on an installation that runs and has its faults. Tests share it,
and stand in an order in which each leaves the next ones what they need."""

import os
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, ViewportSize, expect

from sidecar.http.app import create_app
from sidecar.migration.rollout import percentile
from tests.browser.conftest import PRESSED, Visitor, Visitors, presses
from tests.browser.console_world import (
    FAILED,
    HELD,
    IN_FLIGHT,
    OPERATOR,
    QUIET,
    SHADOWED,
    STOPPED,
    UNKNOWN,
    VIEWER,
    ConsoleWorld,
)
from tests.conftest import MakeSettings
from tests.sidecar.console.walk import actions
from tests.system.running import wait_for

#: Pages of one kind that are opened.
OF_A_KIND = 2
WIDE: ViewportSize = {"width": 1280, "height": 900}
PHONE: ViewportSize = {"width": 360, "height": 740}
#: What axe is asked: everything; and what colours alone decide, of a page that it has seen.
ALL: dict[str, Any] = {"resultTypes": ["violations"]}
COLOURS = ALL | {"runOnly": ["color-contrast", "link-in-text-block"]}
AXE = Axe()


def pages(visitor: Visitor) -> Iterator[str]:
    """Open every page that links lead to, a few of each kind, and what a search finds; yield its
    path."""
    victims = visitor.world.victims
    campaign = victims[IN_FLIGHT].campaign
    assert campaign is not None
    waiting = ["/", *(f"/search?q={q}" for q in (campaign.recipients[0], campaign.uid))]
    waiting += [f"/campaigns/{campaign.uid}", f"/vendors/{victims[SHADOWED].vendor.uid}"]
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


def looks(page: Page) -> Iterator[tuple[str, dict[str, Any] | None]]:
    """Show a page in light, in dark, and as wide as a phone; yield which, and what axe is asked."""
    page.emulate_media(color_scheme="light")
    page.set_viewport_size(WIDE)
    yield "light", ALL
    page.emulate_media(color_scheme="dark")
    yield "dark", COLOURS
    page.emulate_media(color_scheme="light")
    page.set_viewport_size(PHONE)
    yield "phone", None


def violations(page: Page, options: dict[str, Any]) -> list[str]:
    found = AXE.run(page, options=options).response["violations"]
    return [f"{one['id']}: {one['help']}: {one['nodes'][0]['html'][:200]}" for one in found]


def test_every_page(operator: Visitor) -> None:
    """Each has one heading and a title of its own, fits the screen, and gives neither the browser
    nor axe anything to complain of. ``CONSOLE_SHOTS`` names a folder for pictures of them all."""
    folder = os.environ.get("CONSOLE_SHOTS")
    wrong: list[str] = []
    titles: dict[str, str] = {}
    page = operator.page
    for path in pages(operator):
        is_first = kind_of(path) not in titles
        titles[kind_of(path)] = page.title()
        if page.locator("h1").count() != 1:
            wrong.append(f"{path}: {page.locator('h1').count()} headings of the first level")
        for look, asked in looks(page):
            if folder and is_first:
                name = kind_of(path).strip("/").replace("/", "-").replace("*", "one") or "overview"
                page.screenshot(path=Path(folder) / f"{name}-{look}.png", full_page=True)
            width = page.evaluate("document.scrollingElement.scrollWidth")
            if width > page.evaluate("innerWidth"):
                wrong.append(f"{path}: {width} pixels wide ({look})")
            found = violations(page, asked) if asked and (is_first or asked is ALL) else []
            wrong += [f"{path} ({look}): {one}" for one in (*operator.complaints, *found)]
            operator.complaints.clear()
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
@presses("/campaigns/{uid}/pause", "/campaigns/{uid}/resume")
def test_a_campaign_is_paused_and_resumed(
    visitors: Visitors, world: ConsoleWorld, scripts: bool
) -> None:
    uid = uid_of(world, IN_FLIGHT)
    with visitors.visitor(java_script_enabled=scripts) as visitor:
        visitor.open(f"/campaigns/{uid}")
        visitor.press("Pause")
        visitor.expect_done("paused")
        assert state_of(world, uid) == "paused"
        visitor.open(f"/campaigns/{uid}")
        visitor.press("Resume")
        visitor.agree()
        visitor.expect_done("running")
        assert state_of(world, uid) == "running"


@presses("/campaigns/{uid}/retry-failed")
def test_what_failed_of_a_campaign_is_sent_again(operator: Visitor, world: ConsoleWorld) -> None:
    uid = uid_of(world, IN_FLIGHT)
    operator.open(f"/campaigns/{uid}")
    operator.press("Send again what failed: text too long after substitution")
    expect(operator.page.locator("h1")).to_have_text(f"Send {FAILED} messages again?")
    operator.agree()
    operator.expect_done(f"{FAILED} messages of the campaign in the queue again")
    assert shown(world, uid)["php"]["counts"]["error"] == 0


@presses("/numbers/lift")
def test_what_holds_a_number_is_lifted(operator: Visitor, world: ConsoleWorld) -> None:
    number = world.victims[HELD].number
    operator.open(f"/numbers?find={number}")
    operator.press(f"Lift what holds {number}")
    operator.agree()
    operator.expect_done("the hold: 131064")
    wait_for(lambda: "number-held" not in world.status().codes, "the hold to be gone")


@presses("/numbers/resume")
def test_an_account_is_resumed_and_its_campaign_too(operator: Visitor, world: ConsoleWorld) -> None:
    operator.open("/numbers")
    operator.page.locator("#paused").get_by_role("button", name="Resume").first.click()
    operator.agree()
    operator.expect_done("resumed account")
    wait_for(lambda: "sending-paused" not in world.status().codes, "the account to be resumed")


@presses("/dead-letters/ask", "/dead-letters/carry-out")
def test_one_letter_is_discarded_and_the_others_are_replayed(
    operator: Visitor, world: ConsoleWorld
) -> None:
    operator.open("/dead-letters")
    operator.page.get_by_role("checkbox").first.check()
    operator.press("Discard the selected")
    operator.agree()
    operator.expect_done("1 ")
    world.undo("backend", "faults")
    operator.press("Replay all")
    operator.agree()
    operator.expect_done("2 ")
    wait_for(lambda: "dead-letters" not in world.status().codes, "the letters to go")
    operator.open("/audit")
    told = operator.page.locator("main").inner_text()
    assert "dead_letters.discard" in told
    assert "dead_letters.replay" in told
    assert OPERATOR in told


@presses("/unknown/ask", "/unknown/settle")
def test_messages_of_unknown_outcome_are_given_up(operator: Visitor, world: ConsoleWorld) -> None:
    uid = uid_of(world, UNKNOWN)
    operator.open("/unknown")
    operator.page.get_by_label("Campaign", exact=True).fill(uid)
    operator.press("Find")
    operator.press("Give all that the filter names up")
    operator.agree()
    operator.expect_done("given up")
    listed = world.run("unknown", "list", "--campaign", uid, "--json").stdout
    assert listed == ""


@presses("/campaigns/{uid}/cancel")
def test_a_campaign_is_cancelled(operator: Visitor, world: ConsoleWorld) -> None:
    uid = uid_of(world, STOPPED)
    operator.open(f"/campaigns/{uid}")
    operator.page.get_by_label("Reason").fill("the wrong template")
    operator.press("Cancel")
    operator.agree()
    operator.expect_done("cancelled")
    assert state_of(world, uid) == "cancelled"


@presses("/vendors/{vendor_uid}/move")
def test_a_vendor_is_moved_to_php_and_back(operator: Visitor, world: ConsoleWorld) -> None:
    uid = world.victims[QUIET].vendor.uid
    operator.open(f"/vendors/{uid}")
    operator.press("Give it back to PHP")
    operator.agree()
    operator.expect_done("1 of 1 vendors")
    assert modes_of(world)[uid]["webhooks"] == "php"
    operator.page.get_by_label("Webhooks").select_option("sidecar")
    operator.press("Show what would be done")
    operator.agree()
    operator.expect_done("1 of 1 vendors")
    assert modes_of(world)[uid]["webhooks"] == "sidecar"


@presses("/vendors/{vendor_uid}/reset")
def test_what_shadow_has_found_is_deleted(operator: Visitor, world: ConsoleWorld) -> None:
    operator.open(f"/vendors/{world.victims[SHADOWED].vendor.uid}")
    # Meta may have told it twice.
    expect(operator.page.get_by_text(re.compile(r"[1-9]\d* recorded"))).to_be_visible()
    operator.press("Delete this, and compare anew")
    operator.agree()
    operator.expect_done("the comparison starts over")
    expect(operator.page.get_by_text("0 recorded")).to_be_visible()


@presses("/vendors/rollout")
def test_a_share_of_the_vendors_is_moved(operator: Visitor, world: ConsoleWorld) -> None:
    there = (uid for uid, modes in modes_of(world).items() if modes["bots"] == "sidecar")
    places = {uid: percentile(uid) for uid in there}
    share = sorted(places.values())[len(places) // 2]
    chosen = {uid for uid, place in places.items() if place < share}
    operator.open("/vendors/rollout")
    operator.page.get_by_label("Percent").fill(f"{share:g}")
    operator.page.get_by_label("Bots").select_option("php")
    operator.press("Show what would be done")
    operator.agree()
    operator.expect_done(f"{len(chosen)} of {len(chosen)} vendors have the requested modes")
    found = modes_of(world)
    assert {uid for uid in places if found[uid]["bots"] == "php"} == chosen


@presses("/vendors/rollback")
def test_all_vendors_are_given_back_to_php(operator: Visitor, world: ConsoleWorld) -> None:
    operator.open("/vendors")
    operator.press("Give all vendors back to PHP")
    operator.agree()
    operator.expect_done("vendors have the requested modes")
    assert {mode for modes in modes_of(world).values() for mode in modes.values()} == {"php"}


@presses("/sign-in", "/sign-out")
def test_who_has_signed_out_sees_nothing(visitors: Visitors) -> None:
    with visitors.visitor(anew=True) as visitor:
        visitor.page.get_by_role("button", name="Sign out").click()
        expect(visitor.page.get_by_label("Password")).to_be_visible()
        visitor.open("/campaigns")
        expect(visitor.page.get_by_label("Password")).to_be_visible()


def test_every_action_has_a_test(make_settings: MakeSettings) -> None:
    app = create_app(make_settings(console=True), "redis://127.0.0.1:1")
    assert actions(app) == PRESSED, "each is pressed by a test above, which says so"


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


def modes_of(world: ConsoleWorld) -> dict[str, dict[str, str]]:
    """Return the modes of all vendors, by their uids."""
    listed = map(orjson.loads, world.run("modes", "list", "--json").stdout.splitlines())
    return {one["vendor_uid"]: one["modes"] for one in listed}
