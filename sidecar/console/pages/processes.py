"""The processes of the sidecar: which run, what they hold, and what troubles them."""

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from sidecar.console.console import Console
from sidecar.console.live import Shared, live
from sidecar.console.page import looks, part, render
from sidecar.console.sessions import User
from sidecar.ops import process_words
from sidecar.ops.processes import Process, read_processes
from sidecar.redis.clock import redis_now_us

#: Processes that are shown, those that live first.
MAX_SHOWN = 200


@dataclass(frozen=True, slots=True)
class Line:
    """One process, as the page shows it."""

    process: Process
    up_s: float
    held: str
    troubles: list[str]


@dataclass(frozen=True, slots=True)
class Processes:
    lines: list[Line]
    #: How many more there are.
    more: int
    wrong: list[str]


def routes(console: Console) -> list[BaseRoute]:
    page = _ProcessesPage(console)
    return [
        Route("/processes", looks(page.show), methods=["GET"]),
        Route("/processes/live", looks(page.live), methods=["GET"]),
    ]


class _ProcessesPage:
    def __init__(self, console: Console) -> None:
        self._redis = console.redis
        self._shared = Shared(self._read)

    async def show(self, request: Request, user: User) -> Response:
        return render(request, user, "processes.html", found=await self._shared.get())

    async def live(self, request: Request, user: User) -> Response:
        async def fragments() -> dict[str, str]:
            found = await self._shared.latest()
            return {"processes": part("processes_parts.html", "processes", found=found)}

        return live(request, user, 2.0, fragments)

    async def _read(self) -> Processes:
        now = await redis_now_us(self._redis) // 1000
        processes = await read_processes(self._redis)
        processes.sort(key=lambda one: (not one.alive, one.role, one.name, one.since))
        return Processes(
            lines=[
                Line(
                    process=one,
                    up_s=max(0, now - one.since) / 1000,
                    held=process_words.held(one),
                    troubles=process_words.troubles(one, now),
                )
                for one in processes[:MAX_SHOWN]
            ],
            more=max(0, len(processes) - MAX_SHOWN),
            wrong=list(process_words.together(processes)),
        )
