"""What the console's pages are made with.

A handler is ``async (request, user) -> Response`` under :func:`looks` or :func:`operates`. What
changes something is a POST, whose form carries the session's token.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from functools import wraps
from typing import Any
from urllib.parse import urlencode

import structlog
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from contracts.console import Role
from sidecar.console.console import Console
from sidecar.console.forms import Form, TooLarge, read_form
from sidecar.console.notices import KEPT_S, Notice
from sidecar.console.paths import ROOT, SIGN_IN
from sidecar.console.sessions import User
from sidecar.console.templates import environment
from sidecar.ops.audit import REFUSED, Who
from sidecar.php.client import BackendError
from sidecar.redis.client import AnyRedisError, reason_of

log = structlog.get_logger()

Handler = Callable[[Request, User], Awaitable[Response]]
Endpoint = Callable[[Request], Awaitable[Response]]

#: For who is not signed in: why it does not is in the log.
NO_REDIS = (
    "Redis, which knows who may sign in and who is signed in, does not answer. sidecar status, on "
    "the machine, says why and what to do."
)

NOTICE_COOKIE = "sidecar_notice"


def console_of(request: Request) -> Console:
    console: Console = request.scope["console"]
    return console


def user_of(request: Request) -> User | None:
    """Return who is signed in. Handlers get theirs; only the sign-in's own pages have none."""
    user: User | None = request.scope["console_user"]
    return user


def path_of(request: Request) -> str:
    """Return the path, whatever the client says of the host that it is at."""
    path: str = request.scope["path"]
    return path


def who(user: User) -> Who:
    """Return a user as the audit has it."""
    return Who("console", user.name, user.role)


async def record_refusal(request: Request, user: Who, why: str) -> None:
    """Log that somebody was refused, and record it in the audit unless that has had enough of
    them. Of who is not signed in, and has no role, the name is a user's, or empty: what somebody
    types may be anything, a password for instance."""
    console, address = console_of(request), address_of(request)
    target = f"{request.method} {path_of(request)}"
    log.warning("console.refused", name=user.name, target=target, reason=why, address=address)
    with suppress(*AnyRedisError):  # it is logged, and refused in any case
        if await console.attempts.is_recorded(user.name if user.role else ""):
            await console.audit.record(
                user, "console.refused", target, REFUSED, reason=why, address=address
            )


def address_of(request: Request) -> str:
    """Return where a request comes from: nginx says it, whatever the client says."""
    peer = request.client.host if request.client else ""
    return request.headers.get("x-real-ip") or peer


# -- handlers --


def looks(handler: Handler) -> Endpoint:
    """Make an endpoint of a handler for everybody who is signed in. Of a POST the token is
    checked."""
    return _guarded(handler, Role.LOOK)


def operates(handler: Handler) -> Endpoint:
    """The same, for users who may act; a refused try is recorded in the audit."""
    return _guarded(handler, Role.OPERATE)


def _guarded(handler: Handler, role: Role) -> Endpoint:
    @wraps(handler)
    async def endpoint(request: Request) -> Response:
        user = user_of(request)
        assert user is not None, "the console lets nobody through who is not signed in"
        try:
            if why := await _refusal(request, user, role):
                await record_refusal(request, who(user), why)
                return failed(request, 403, why)
            return await handler(request, user)
        except BackendError as error:
            return failed(request, 503, f"PHP did not do what was asked: {error}")
        except AnyRedisError as error:
            return failed(request, 503, f"Redis did not do what was asked: {reason_of(error)}")

    endpoint.console_role = role  # type: ignore[attr-defined]
    return endpoint


async def _refusal(request: Request, user: User, role: Role) -> str | None:
    """Return why this user may not make this request."""
    if role is Role.OPERATE and not user.operates:
        return "Your role may look, and change nothing."
    if request.method in ("GET", "HEAD"):
        return None
    try:
        sent = await form(request)
    except TooLarge as error:
        return str(error)
    if not sent.has_token(user.csrf):
        return (
            "The form is of another session, or did not come from this page. Nothing was done. "
            "Go back, reload the page, and try again."
        )
    return None


async def form(request: Request) -> Form:
    """Return the form that was posted. It is read once, however often it is asked for."""
    if "console_form" not in request.scope:
        request.scope["console_form"] = await read_form(request)
    found: Form = request.scope["console_form"]
    return found


async def confirmed(request: Request) -> bool:
    """Tell whether a POST comes from the page of :func:`confirm`."""
    return (await form(request)).get("confirmed") == "yes"


# -- answers --


def render(
    request: Request, user: User | None, template: str, status: int = 200, **values: Any
) -> Response:
    """Return a page. Its template extends ``base.html``; besides ``values`` it has ``user``,
    ``page`` (the first part of the path), ``notice`` and ``q``."""
    cookie = request.cookies.get(NOTICE_COOKIE)
    notice = console_of(request).notices.load(cookie, user.session) if cookie and user else None
    body = (
        environment()
        .get_template(template)
        .render(
            user=user,
            page=_page(request),
            notice=notice,
            q=request.query_params.get("q", ""),
            **values,
        )
    )
    answer = HTMLResponse(body, status)
    if notice is not None:
        answer.delete_cookie(NOTICE_COOKIE, path=ROOT)
    return answer


def part(template: str, macro: str, **values: Any) -> str:
    """Return what a macro of a template makes, for :func:`sidecar.console.live.live`. The template
    holds macros only; the page imports it, so that both are the same."""
    module = environment().get_template(template).module
    return str(getattr(module, macro)(**values))


def failed(request: Request, status: int, why: str) -> Response:
    """Return a page that says why something was not done."""
    return render(request, user_of(request), "failed.html", status, why=why)


def back(request: Request, path: str, notice: str = "", *, failed: bool = False) -> Response:
    """Lead to a page of the console (``path`` is below ``/sidecar``: ``/numbers``), which shows the
    notice once. ``failed``: it says what was not done."""
    answer = RedirectResponse(ROOT + path, 303)
    user = user_of(request)
    if notice and user is not None:
        cookie = console_of(request).notices.dump(Notice(notice, failed), user.session)
        answer.set_cookie(
            NOTICE_COOKIE,
            cookie,
            max_age=KEPT_S,
            path=ROOT,
            secure=is_https(request),
            httponly=True,
            samesite="lax",
        )
    return answer


def confirm(
    request: Request,
    user: User,
    *,
    question: str,
    details: Sequence[str] = (),
    action: str,
    fields: Mapping[str, str | Sequence[str]] = {},
    yes: str = "Yes, do it",
    cancel: str = "/",
) -> Response:
    """Return a page that asks before something is done: a POST to ``action`` with ``fields``, in
    which :func:`confirmed` holds. ``yes`` is the button's text; ``action``, and ``cancel``, where
    who does not want it goes, are below ``/sidecar``."""
    pairs = [
        (name, value)
        for name, values in fields.items()
        for value in ([values] if isinstance(values, str) else values)
    ]
    return render(
        request,
        user,
        "confirm.html",
        question=question,
        details=details,
        action=ROOT + action,
        pairs=pairs,
        yes=yes,
        cancel=ROOT + cancel,
    )


def to_sign_in(request: Request) -> Response:
    """Lead to the sign-in page, and from there to where somebody wanted to go."""
    path, query = path_of(request), request.scope["query_string"].decode("latin-1")
    if request.headers.get("accept") == "text/event-stream" or request.method == "HEAD":
        return Response(status_code=401)  # a page that was open: its script loads it again
    if request.method != "GET" or path == f"{ROOT}/":
        return RedirectResponse(SIGN_IN, 303)
    target = f"{path}?{query}" if query else path
    return RedirectResponse(f"{SIGN_IN}?{urlencode({'to': target})}", 303)


def is_https(request: Request) -> bool:
    """Tell whether the client came by HTTPS, as nginx says."""
    return request.headers.get("x-forwarded-proto", request.scope["scheme"]) == "https"


def _page(request: Request) -> str:
    return path_of(request).removeprefix(ROOT).strip("/").partition("/")[0]
