"""The Cloud API, asked about vendors' numbers: who is asked about, and what is said of many."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from sidecar.commands.checks import cloud_api
from sidecar.commands.checks.cloud_api import NUMBERS, WHAT, check_cloud_api
from sidecar.commands.checks.line import Line
from sidecar.php.client import make_backend
from tests.conftest import MakeSettings
from tests.sidecar.answering_php import Php, refusal
from tests.sidecar.commands.checks.lines import levels, named
from tests.sidecar.commands.vendors import are


class CloudApi:
    """Answers about numbers; ``refused``: with which code and subcode, by number. ``broken`` ones
    get a page that is not the API's."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[str] = []
        self.refused: dict[str, tuple[int, int | None]] = {}
        self.broken: set[str] = set()
        self.hanging: set[str] = set()
        self.at_once = self.most_at_once = 0

    async def handle(self, request: web.Request) -> web.StreamResponse:
        number = request.path.rpartition("/")[2]
        self.asked.append(number)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(60 if number in self.hanging else 0)
        self.at_once -= 1
        if number in self.broken:
            return web.Response(text="<html>", status=502)
        if number in self.refused or "Authorization" not in request.headers:
            code, subcode = self.refused.get(number, (104, None))
            error = {"code": code, "error_subcode": subcode, "message": "token-secret"}
            return web.json_response({"error": error}, status=400)
        return web.json_response({"id": number})


@pytest.fixture
async def api() -> AsyncIterator[CloudApi]:
    api = CloudApi()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", api.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    api.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield api
    await runner.cleanup()


def add(php: Php, uid: str, *numbers: str, mode: str = "sidecar", **more: Any) -> None:
    """Have a vendor with these numbers, the first of which is the current one."""
    php.add_vendor(uid)
    php.vendors[uid] |= {
        "access_token": "token-secret",
        "current_phone_number_id": numbers[0] if numbers else None,
        "phone_numbers": [{"phone_number_id": number} for number in numbers[1:]],
        **more,
    }
    are(php, uid, mode, mode, "php")


@pytest.fixture
async def look(make_settings: MakeSettings, php: Php, api: CloudApi) -> AsyncIterator[Any]:
    php.vendors.clear()
    settings = make_settings(backend_url=php.url, cloud_api_url=api.url)
    backend = make_backend(settings)

    async def look(
        vendor_uid: str | None = None, deep: bool = False, *, php_answers: bool = True
    ) -> list[Line]:
        found = check_cloud_api(
            settings, backend if php_answers else None, vendor_uid=vendor_uid, deep=deep
        )
        lines = [line async for line in found]
        assert "secret" not in "".join(line.text for line in lines)
        return lines

    yield look
    await backend.close()


async def test_every_number_of_vendors_on_the_sidecar(look: Any, php: Php, api: CloudApi) -> None:
    add(php, "vendor-a", "1", "2", "1")
    add(php, "vendor-b", "3")
    add(php, "vendor-c", "4", mode="php")
    lines = await look()
    assert levels(lines) == {WHAT: "OK", NUMBERS: "OK"}
    assert named(lines, NUMBERS).detail == "3 numbers of 2 vendors answer"
    assert sorted(api.asked) == ["1", "2", "3"]
    assert api.url in named(lines, WHAT).detail


async def test_deep_asks_about_php_s_vendors_too_and_fails_for_none_of_them(
    look: Any, php: Php, api: CloudApi
) -> None:
    add(php, "vendor-a", "1")
    add(php, "vendor-c", "4", mode="php")
    api.refused["4"] = (190, None)
    assert levels(await look()) == {WHAT: "OK", NUMBERS: "OK"}
    lines = await look(deep=True)
    assert levels(lines) == {WHAT: "OK", NUMBERS: "OK", "number 4 of vendor vendor-c": "WARN"}


async def test_one_vendor(look: Any, php: Php, api: CloudApi) -> None:
    add(php, "vendor-a", "1")
    add(php, "vendor-b", "2", mode="php")
    api.refused["2"] = (190, 463)
    lines = await look("vendor-b")
    assert api.asked == ["2", "2"]
    assert levels(lines) == {WHAT: "OK", "number 2 of vendor vendor-b": "FAIL"}
    assert "it has expired" in named(lines, "number 2 of vendor vendor-b").detail


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"access_token": None}, "no access token in PHP"),
        ({"current_phone_number_id": None}, "no number in PHP"),
        ({"active": False}, "inactive in PHP"),
        (None, "PHP knows no such vendor"),
    ],
)
async def test_a_vendor_of_which_nothing_can_be_tried(
    look: Any, php: Php, api: CloudApi, more: dict[str, Any] | None, says: str
) -> None:
    if more is not None:
        add(php, "vendor-a", "1", **more)
    [reached, lacking] = await look("vendor-a")
    assert (reached.what, reached.level) == (WHAT, "OK")
    assert (lacking.what, lacking.level) == ("vendor vendor-a", "FAIL")
    assert lacking.detail.startswith(f"{says}, so nothing is sent")


async def test_vendors_that_have_no_number_yet_are_named_together(look: Any, php: Php) -> None:
    add(php, "vendor-a", "1")
    for uid in ("vendor-b", "vendor-c"):
        add(php, uid, access_token=None)
    lines = await look()
    assert levels(lines) == {WHAT: "OK", "2 vendors": "WARN", NUMBERS: "OK"}
    assert "no access token in PHP" in named(lines, "2 vendors").detail


async def test_many_are_told_of_by_what_is_wrong(look: Any, php: Php, api: CloudApi) -> None:
    for number in range(40):
        add(php, f"vendor-{number}", str(number))
    api.refused = {str(number): (190, None) for number in range(10, 18)}
    api.refused |= {str(number): (100, 33) for number in range(20, 28)}
    api.refused["30"] = (80007, None)
    lines = await look()
    assert levels(lines) == {
        WHAT: "OK",
        NUMBERS: "OK",
        "8 numbers of 8 vendors": "FAIL",
        "8 numbers of 8 vendors (2)": "FAIL",
        "number 30 of vendor vendor-30": "WARN",
    }
    assert named(lines, NUMBERS).detail == "23 numbers of 23 vendors answer"
    tokens = named(lines, "8 numbers of 8 vendors")
    assert "10 of vendor vendor-10" in tokens.detail
    assert "and 3 more" in tokens.detail
    assert len(tokens.json["names"]) == 8
    assert api.most_at_once <= cloud_api.AT_ONCE


async def test_meta_is_asked_no_more_when_it_says_that_it_is_enough(
    look: Any, php: Php, api: CloudApi
) -> None:
    for number in range(200):
        add(php, f"vendor-{number}", str(number))
    api.refused["10"] = (4, None)
    lines = await look()
    assert len(api.asked) < 100
    left = named(lines, f"{NUMBERS}, not tried")
    assert left.detail.endswith("of 200 because Meta's limit of calls is reached")


async def test_the_api_fails_for_one_number_alone(look: Any, php: Php, api: CloudApi) -> None:
    for number in ("1", "2", "3", "4"):
        add(php, f"vendor-{number}", number)
    api.broken = {"1"}
    lines = await look()
    assert levels(lines) == {WHAT: "OK", NUMBERS: "OK", "number 1 of vendor vendor-1": "FAIL"}


async def test_the_api_is_down(look: Any, php: Php, api: CloudApi) -> None:
    for number in range(20):
        add(php, f"vendor-{number}", str(number))
    api.broken = {str(number) for number in range(20)}
    [line] = await look()
    assert (line.what, line.level) == (WHAT, "FAIL")
    assert "HTTP 502" in line.detail
    assert len(api.asked) == cloud_api.FIRST, "the others are not tried"


async def test_no_vendor_and_no_php(look: Any, php: Php, api: CloudApi) -> None:
    for php_answers, why in ((True, "no vendor has one"), (False, "PHP does not answer")):
        lines = await look(php_answers=php_answers)
        assert levels(lines) == {WHAT: "OK", NUMBERS: "WARN"}
        assert why in named(lines, NUMBERS).detail


async def test_php_does_not_tell_who_its_vendors_are(look: Any, php: Php, api: CloudApi) -> None:
    php.override = lambda call: refusal(500, "failed")
    lines = await look()
    assert levels(lines) == {"vendors": "FAIL", WHAT: "OK", NUMBERS: "WARN"}


async def test_more_than_the_time_allows(
    look: Any, php: Php, api: CloudApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cloud_api, "BRIEF_S", 0.2)
    for number in range(30):
        add(php, f"vendor-{number}", str(number))
    api.hanging = {str(number) for number in range(3, 25)}
    lines = await look()
    left = named(lines, f"{NUMBERS}, not tried")
    assert left.level == "WARN"
    assert left.detail.endswith("of 30 within 0.2 s")
    assert "--deep" in (left.do or "")
