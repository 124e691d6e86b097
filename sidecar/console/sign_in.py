"""Signing in and out."""

import re
from urllib.parse import urlsplit

import structlog
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from contracts.console import Role
from sidecar.console.attempts import TooManyTries
from sidecar.console.cookies import delete_token, set_token
from sidecar.console.forms import TooLarge
from sidecar.console.links import LinkRefused
from sidecar.console.page import (
    NO_REDIS,
    address_of,
    console_of,
    form,
    looks,
    record_refusal,
    render,
    user_of,
    who,
)
from sidecar.console.paths import ROOT, SIGN_IN, STATIC
from sidecar.console.sessions import Origin, User
from sidecar.console.users import LocalUser, TooManyAtOnce
from sidecar.format import duration
from sidecar.ops.audit import Who
from sidecar.redis.client import AnyRedisError, reason_of

#: Printable ASCII, without what some browsers take for a slash.
_TARGET = re.compile(re.escape(ROOT) + r"/[!-\[\]-~]*")

log = structlog.get_logger()

_WRONG = "The name or the password is wrong."


def routes() -> list[BaseRoute]:
    return [
        Route("/sign-in", _show, methods=["GET"]),
        Route("/sign-in", _sign_in, methods=["POST"]),
        Route("/sign-in/link", _open_link, methods=["GET"]),
        Route("/sign-out", _sign_out, methods=["POST"]),
    ]


async def open_session(
    request: Request,
    name: str,
    role: Role,
    *,
    origin: Origin = Origin.LINK,
    local: LocalUser | None = None,
    to: str = f"{ROOT}/",
) -> Response:
    """Sign somebody in: open a session, record it, and lead to ``to`` with its cookie. Whatever
    session this browser had ends. Raises redis-py's errors."""
    console = console_of(request)
    if before := user_of(request):
        await console.sessions.close(before.session)
    token = await console.sessions.open(name, role, origin, local)
    await console.audit.record(
        Who("console", name, role), "console.sign_in", origin=origin, address=address_of(request)
    )
    answer = RedirectResponse(to, 303)
    set_token(request, answer, token, console.sessions.longest_s)
    return answer


def refused(request: Request, status: int, why: str) -> Response:
    """Return the sign-in page with the reason for which somebody was not let in."""
    return render(request, None, "sign_in.html", status, why=why, to=_target(""))


async def _show(request: Request) -> Response:
    to = _target(request.query_params.get("to", ""))
    if user_of(request):
        return RedirectResponse(to, 303)
    return render(request, None, "sign_in.html", why="", to=to)


async def _sign_in(request: Request) -> Response:
    if _is_foreign(request):
        return refused(request, 403, "The form came from another site. Sign in here.")
    try:
        sent = await form(request)
    except TooLarge as error:
        return refused(request, 413, str(error))
    name, password = sent.get("name"), sent.exact("password")
    console, address = console_of(request), address_of(request)
    try:
        await console.attempts.begin(name, address)
        user = await console.users.check(name, password)
        if user is None:
            return await _refuse(request, name, 403, _WRONG)
        await console.attempts.succeeded(name, address)
        to = _target(sent.get("to"))
        return await open_session(
            request, user.name, user.role, origin=Origin.PASSWORD, local=user, to=to
        )
    except TooManyTries as error:
        what = "with this name" if error.scope == "name" else "from your address"
        why = f"There were too many tries {what}. Try again in {duration(error.wait_s)}."
        return await _refuse(request, name, 429, why)
    except TooManyAtOnce:
        why = "Too many people sign in at this moment. Try again in some seconds."
        return await _refuse(request, name, 503, why)
    except AnyRedisError as error:
        log.warning("console.redis_unavailable", reason=reason_of(error))
        return refused(request, 503, NO_REDIS)


async def _open_link(request: Request) -> Response:
    """Sign in whom PHP's admin sends here (``contracts/console.py``)."""
    if request.method == "HEAD":  # who only looks at a link does not use it up
        return Response(status_code=405, headers={"Allow": "GET"})
    try:
        query = request.scope["query_string"].decode("latin-1")
        visitor = await console_of(request).links.open(query)
        return await open_session(request, visitor.name, visitor.role)
    except LinkRefused as error:
        return await _refuse_link(request, str(error))
    except AnyRedisError as error:
        return await _refuse_link(request, f"Redis does not answer: {reason_of(error)}.")


async def _refuse_link(request: Request, why: str) -> Response:
    await record_refusal(request, Who("console"), why)
    return refused(request, 403, why)


async def _refuse(request: Request, name: str, status: int, why: str) -> Response:
    known = await console_of(request).users.find(name)
    await record_refusal(request, Who("console", known.name if known else ""), why)
    return refused(request, status, why)


@looks
async def _sign_out(request: Request, user: User) -> Response:
    console = console_of(request)
    await console.sessions.close(user.session)
    await console.audit.record(who(user), "console.sign_out")
    answer = RedirectResponse(SIGN_IN, 303)
    delete_token(request, answer)
    return answer


def _is_foreign(request: Request) -> bool:
    """Tell whether another site posts the form, to sign somebody in as somebody else. Browsers say
    whose it is."""
    headers = request.headers
    if site := headers.get("sec-fetch-site"):
        return site not in ("same-origin", "none")
    origin = headers.get("origin")
    return origin is not None and _host(origin) != _host(f"//{headers.get('host', '')}")


def _host(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return url


def _target(to: str) -> str:
    """Return where to go after the sign-in: a page of the console, and nothing else."""
    path = to.partition("?")[0].lower().replace("%2e", ".")
    is_closed = path.startswith((SIGN_IN, STATIC)) or "/." in path or not _TARGET.fullmatch(to)
    return f"{ROOT}/" if is_closed else to
