"""The console as one application: its routes, who may reach them, and what every answer carries."""

from importlib import import_module

import structlog
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse
from starlette.routing import BaseRoute, Mount, Route, Router
from starlette.types import Message, Receive, Scope, Send

from sidecar.console import sign_in
from sidecar.console.console import Console
from sidecar.console.cookies import token_of
from sidecar.console.page import NO_REDIS, failed, path_of, record_refusal, to_sign_in
from sidecar.console.paths import ROOT, SIGN_IN, STATIC
from sidecar.console.sessions import User
from sidecar.console.static import serve_static
from sidecar.console.templates import page_names
from sidecar.logs import LogOnce
from sidecar.ops.audit import Who
from sidecar.redis.client import AnyRedisError, reason_of

log = structlog.get_logger()

#: Nothing comes from elsewhere, nothing is written into a page, and no other site shows a page in
#: its own.
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; "
    "img-src 'self' data:; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; "
    "base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Not less: browsers would not say of a form from where it comes.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


def make_console(console: Console) -> list[BaseRoute]:
    """Return the routes of ``/sidecar`` and all below it."""
    front = _Front(console)
    return [Route(ROOT, front), Mount(ROOT, front)]


def console_routes(console: Console) -> list[BaseRoute]:
    """Return the routes below ``/sidecar``."""
    pages = (import_module(f"sidecar.console.pages.{name}") for name in page_names())
    return [
        Route("/static/{digest}/{name}", serve_static, methods=["GET"]),
        *sign_in.routes(),
        *(route for page in pages for route in page.routes(console)),
    ]


class _Front:
    """Lets nobody through who is not signed in, but to static files and to the sign-in; gives every
    answer its headers, and errors a page."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._outage = LogOnce("console.redis_unavailable")
        self._router = Router(console_routes(console), redirect_slashes=False)

    @property
    def routes(self) -> list[BaseRoute]:
        return self._router.routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def send_with_headers(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                headers.update(HEADERS)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        scope["console"], scope["console_user"] = self._console, None
        request = Request(scope, receive)
        try:
            await self._answer(request, send_with_headers)
        except Exception:
            log.exception("console.failed", path=scope["path"])
            if started:
                raise
            answer = failed(request, 500, "The console itself failed; its log says why.")
            await answer(scope, receive, send_with_headers)

    async def _answer(self, request: Request, send: Send) -> None:
        scope, receive, path = request.scope, request.receive, path_of(request)
        if path == ROOT:
            await RedirectResponse(f"{ROOT}/", 308)(scope, receive, send)
            return
        is_open = path.startswith((STATIC, f"{SIGN_IN}/")) or path == SIGN_IN
        try:
            scope["console_user"] = None if path.startswith(STATIC) else await self._user(request)
        except AnyRedisError as error:
            # Why is for the log: nobody knows who asks.
            self._outage.failed(reason_of(error))
            await failed(request, 503, NO_REDIS)(scope, receive, send)
            return
        self._outage.worked()
        if scope["console_user"] is None and not is_open:
            if request.method not in ("GET", "HEAD"):
                await record_refusal(request, Who("console"), "not signed in")
            await to_sign_in(request)(scope, receive, send)
            return
        try:
            await self._router(scope, receive, send)
        except HTTPException as error:
            why = "There is no such page." if error.status_code == 404 else error.detail
            await failed(request, error.status_code, why)(scope, receive, send)

    async def _user(self, request: Request) -> User | None:
        token = token_of(request)
        return await self._console.sessions.find(token) if token else None
