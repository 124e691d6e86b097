"""Search: what a message, a number, a campaign, a vendor or a contact's name leads to, as ``sidecar
find`` says it."""

import asyncio

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from sidecar.console.console import Console
from sidecar.console.page import looks, render
from sidecar.console.sessions import User
from sidecar.ops.event import Found
from sidecar.ops.timeline import find

#: Searches that run at once, of all viewers: one may read many megabytes of Redis.
AT_ONCE = 2


def routes(console: Console) -> list[BaseRoute]:
    return [Route("/search", looks(_Search(console).show), methods=["GET"])]


class _Search:
    def __init__(self, console: Console) -> None:
        self._console = console
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def show(self, request: Request, user: User) -> Response:
        query = request.query_params.get("q", "").strip()
        vendor = request.query_params.get("vendor", "").strip()
        found: Found | None = None
        wrong = ""
        if query:
            try:
                async with self._turns:
                    found = await find(
                        self._console.redis, self._console.backend, query, vendor or None
                    )
            except ValueError as error:
                wrong = str(error)
        return render(request, user, "search.html", found=found, wrong=wrong, vendor=vendor)
