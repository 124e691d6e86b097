"""What pages are made with: who may, what is asked before, what is said after, and what goes
wrong."""

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route
from structlog.testing import capture_logs

from contracts.console import Role
from sidecar.console.forms import MAX_BYTES
from sidecar.console.page import (
    address_of,
    back,
    confirm,
    confirmed,
    form,
    looks,
    operates,
    part,
    who,
)
from sidecar.console.sessions import Origin, User
from sidecar.http.front import Front
from sidecar.ops.audit import Audit, Who
from sidecar.php.client import BackendUnavailable
from sidecar.redis.client import Redis, RedisUnavailable, ResponseError
from tests.sidecar.console.browser import Browser

BACKEND_AWAY = BackendUnavailable("no answer within 30 s")


class Page:
    """A page that does what a test wants."""

    def __init__(self) -> None:
        self.done: list[list[str]] = []
        self.error: Exception | None = None

    async def show(self, request: Request, user: User) -> Response:
        if self.error:
            raise self.error
        return PlainTextResponse(f"{user.name} from {address_of(request)}")

    async def act(self, request: Request, user: User) -> Response:
        ids = (await form(request)).all("id")
        if not await confirmed(request):
            return confirm(
                request,
                user,
                question=f"Replay {len(ids)} <letters>?",
                details=["of vendor <b>"],
                action="/page",
                fields={"id": ids, "kind": "update"},
                yes="Replay",
                cancel="/page",
            )
        self.done.append(ids)
        return back(request, "/", f"{len(ids)} letters are tried again")

    async def fail(self, request: Request, user: User) -> Response:
        return back(request, "/", "PHP is away", failed=True)

    async def silent(self, request: Request, user: User) -> Response:
        return back(request, "/")


@pytest.fixture
def page(app: Front) -> Page:
    """A page, at /page for everybody, and what it does for operators."""
    page = Page()
    [mount] = [route for route in app.routes if isinstance(route, Mount)]
    mount.routes.extend(
        [
            Route("/page", looks(page.show), methods=["GET"]),
            Route("/page", operates(page.act), methods=["POST"]),
            Route("/fail", looks(page.fail), methods=["POST"]),
            Route("/silent", looks(page.silent), methods=["POST"]),
        ]
    )
    return page


# -- who --


async def test_who_looks_and_from_where(viewer: Browser, page: Page) -> None:
    answer = await viewer.get("/page")
    assert answer.text == "look-user from 127.0.0.1"
    answer = await viewer.get("/page", headers={"x-real-ip": "192.0.2.7"})
    assert answer.text == "look-user from 192.0.2.7"


async def test_a_refused_try_is_in_the_audit(viewer: Browser, page: Page, redis: Redis) -> None:
    answer = await viewer.post("/page", {"id": "1"})
    assert answer.status_code == 403
    assert page.done == []
    [entry, _] = await Audit(redis, 100).read()
    assert (entry.action, entry.target, entry.outcome) == (
        "console.refused",
        "POST /sidecar/page",
        "refused",
    )
    assert entry.who == Who("console", "look-user", Role.LOOK)


async def test_whoever_signs_in_again_gets_no_more_of_the_audit(
    viewer: Browser, page: Page, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sidecar.console.attempts.MAX_OF_USER", 2)
    for _ in range(3):
        assert (await viewer.post("/page", {"id": "1"})).status_code == 403
        await viewer.sign_in(Role.LOOK)
    recorded = [one.action for one in await Audit(redis, 100).read()]
    assert recorded.count("console.refused") == 2


async def test_a_refusal_stands_also_where_it_cannot_be_recorded(
    viewer: Browser, browser: Browser, page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*arguments: object) -> bool:
        raise RedisUnavailable[0]("away")

    monkeypatch.setattr("sidecar.console.attempts.Attempts.is_recorded", fail)
    with capture_logs() as logs:
        assert (await viewer.post("/page", {"confirmed": "yes"})).status_code == 403
        assert (await browser.post("/page", token=False)).status_code == 303
    assert [line["name"] for line in logs if line["event"] == "console.refused"] == [
        "look-user",
        "",
    ]
    assert page.done == []


async def test_a_form_that_is_too_large(operator: Browser, page: Page) -> None:
    answer = await operator.post("/page", {"id": "x" * MAX_BYTES})
    assert answer.status_code == 403
    assert "Nothing was done" in answer.text


# -- asking before, saying after --


async def test_what_is_asked_before_it_is_done(operator: Browser, page: Page) -> None:
    asked = await operator.post("/page", {"id": ["1", "2"]})
    assert asked.status_code == 200
    assert page.done == []
    for written in (
        "<h1>Replay 2 &lt;letters&gt;?</h1>",
        "<li>of vendor &lt;b&gt;</li>",
        'action="/sidecar/page"',
        'name="id" value="1"',
        'name="id" value="2"',
        'name="kind" value="update"',
        'href="/sidecar/page"',
        ">Replay</button>",
    ):
        assert written in asked.text
    answer = await operator.post("/page", {"id": ["1", "2"], "confirmed": "yes"})
    assert page.done == [["1", "2"]]
    assert await operator.notice(answer) == "Done: 2 letters are tried again"


async def test_a_notice_is_shown_once_and_to_nobody_else(
    operator: Browser, viewer: Browser, page: Page
) -> None:
    answer = await operator.post("/page", {"confirmed": "yes"})
    viewer.client.cookies.update({"sidecar_notice": answer.cookies["sidecar_notice"]})
    assert "tried again" not in await viewer.page("/")
    assert "0 letters are tried again" in await operator.page("/")
    assert "tried again" not in await operator.page("/")


async def test_a_notice_of_what_was_not_done(operator: Browser, page: Page) -> None:
    answer = await operator.post("/fail")
    assert await operator.notice(answer) == "Not done: PHP is away"
    assert "HttpOnly" in answer.headers["set-cookie"]
    answer = await operator.post("/silent")
    assert "set-cookie" not in answer.headers


# -- what goes wrong --


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (BACKEND_AWAY, "PHP did not do what was asked: no answer within 30 s"),
        (RedisUnavailable[0]("gone"), "Redis did not do what was asked: gone"),
        (ResponseError("WRONGTYPE"), "Redis did not do what was asked: WRONGTYPE"),
    ],
)
async def test_php_or_redis_does_not_work(
    operator: Browser, page: Page, error: Exception, said: str
) -> None:
    page.error = error
    answer = await operator.get("/page")
    assert answer.status_code == 503
    assert said in answer.text


def test_who_it_is_in_the_audit() -> None:
    user = User("ada", Role.OPERATE, Origin.LINK, "token", "session")
    assert who(user) == Who("console", "ada", "operate")


def test_a_part_is_what_the_page_shows() -> None:
    written = part("overview_parts.html", "problems", problems=[])
    assert written.strip() == '<p class="notice good">All is well.</p>'
