"""The first page: what is wrong, and how everything is doing."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from sidecar.console.console import Console
from sidecar.console.live import Shared, live
from sidecar.console.page import looks, part, render
from sidecar.console.sessions import User
from sidecar.ops.problem import Problem
from sidecar.ops.problems import problems
from sidecar.ops.report import Report, read_report


def routes(console: Console) -> list[BaseRoute]:
    page = _Overview(console)
    return [
        Route("/", looks(page.show), methods=["GET"]),
        Route("/overview/live", looks(page.live), methods=["GET"]),
    ]


class _Overview:
    def __init__(self, console: Console) -> None:
        self._console = console
        self._shared = Shared(self._read)

    async def show(self, request: Request, user: User) -> Response:
        report, found = await self._shared.get()
        return render(request, user, "overview.html", report=report, problems=found)

    async def live(self, request: Request, user: User) -> Response:
        async def fragments() -> dict[str, str]:
            report, found = await self._shared.get()
            return {
                "problems": part("overview_parts.html", "problems", problems=found),
                "figures": part("overview_parts.html", "figures", report=report),
            }

        return live(request, user, 2.0, fragments)

    async def _read(self) -> tuple[Report, list[Problem]]:
        report = await read_report(self._console.redis, self._console.backend)
        return report, problems(report, self._console.settings)
