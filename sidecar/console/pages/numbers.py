"""Numbers: how fast each may and does send, why it is slow, held or paused, and until when; lifting
and resuming."""

from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from sidecar.console.console import Console
from sidecar.console.live import Shared, live
from sidecar.console.number_rows import NumberRow, rows_of
from sidecar.console.page import (
    back,
    confirm,
    confirmed,
    failed,
    form,
    looks,
    operates,
    part,
    render,
    who,
)
from sidecar.console.paged import Paged, page_number
from sidecar.console.sessions import User
from sidecar.console.vendor_titles import VendorTitles
from sidecar.ops.audit import DONE, NOTHING
from sidecar.ops.lifting import Lifting
from sidecar.ops.numbers import read_lines, resume, resumed_text
from sidecar.sending.lifting import SCOPES
from sidecar.sending.numbers import line_text, number_of
from sidecar.sending.pauses import Paused, Pauses

_PARTS = "numbers_parts.html"
PER_PAGE = 100
#: How often the page is brought up to date, and how long what was read holds.
EVERY_S = 2.0
KEPT_S = 1.5


def routes(console: Console) -> list[BaseRoute]:
    page = _Numbers(console)
    return [
        Route("/numbers", looks(page.show), methods=["GET"]),
        Route("/numbers/live", looks(page.live), methods=["GET"]),
        Route("/numbers/lift", operates(page.lift), methods=["POST"]),
        Route("/numbers/resume", operates(page.resume), methods=["POST"]),
    ]


class _Numbers:
    def __init__(self, console: Console) -> None:
        self._console = console
        self._titles = VendorTitles(console.backend)
        self._shared = self._fresh()

    def _fresh(self) -> Shared[tuple[list[Paused], list[NumberRow]]]:
        return Shared(self._read, KEPT_S)

    async def _read(self) -> tuple[list[Paused], list[NumberRow]]:
        redis = self._console.redis
        return await Pauses(redis).all(), rows_of(await read_lines(redis))

    async def show(self, request: Request, user: User) -> Response:
        return render(request, user, "numbers.html", **await self._found(request))

    async def live(self, request: Request, user: User) -> Response:
        async def fragments() -> dict[str, str]:
            found = await self._found(request)
            rows = {name: found[name] for name in ("rows", "total", "links", "titles")}
            paused = {name: found[name] for name in ("pauses", "titles")}
            return {
                "paused": part(_PARTS, "paused", user=user, **paused),
                "lines": part(_PARTS, "lines", user=user, **rows),
            }

        return live(request, user, EVERY_S, fragments)

    async def _found(self, request: Request) -> dict[str, Any]:
        asked = request.query_params
        find, troubled = asked.get("find", "").strip()[:200], asked.get("only") == "troubled"
        titles = await self._titles.get()
        pauses, rows = await self._shared.get()
        found = [row for row in rows if row.named(find, titles) and (row.trouble or not troubled)]
        page = Paged.of(found, page_number(asked.get("page", "")), PER_PAGE)
        query = {"find": find, "only": "troubled" if troubled else ""}
        links = [None if one is None else _query({**query, "page": one}) for one in page.neighbours]
        return {
            "find": find,
            "troubled": troubled,
            "pauses": pauses,
            "rows": page.items,
            "total": len(found),
            "links": links,
            "query": _query({**query, "page": page.number}),
            "titles": titles,
        }

    # -- actions --

    async def lift(self, request: Request, user: User) -> Response:
        """Lift holds, named ``scope:name`` as Redis knows them."""
        holds = [hold.partition(":") for hold in (await form(request)).all("hold")]
        if not holds or any(scope not in SCOPES or not name for scope, _, name in holds):
            return failed(request, 400, "The form does not name what is to be lifted.")
        names = [f"{scope} {line_text(*number_of(name))}" for scope, _, name in holds]
        if not await confirmed(request):
            return self._ask_lift(request, user, names, ["".join(hold) for hold in holds])
        doing = self._console.audit.doing(who(user), "number.lift", ", ".join(names))
        async with doing as record:
            lifting = Lifting(self._console.redis, [])
            lifted = [
                one for scope, _, name in holds for one in await lifting.lift_exactly(scope, name)
            ]
            record.outcome = DONE if lifted else NOTHING
            record.details["lifted"] = [f"{one.scope} {one.name}" for one in lifted]
        self._shared = self._fresh()
        text = "lifted " + "; ".join(map(str, lifted)) if lifted else "nothing was held any more"
        return back(request, "/numbers", text, failed=not lifted)

    def _ask_lift(
        self, request: Request, user: User, names: list[str], holds: list[str]
    ) -> Response:
        return confirm(
            request,
            user,
            question=f"Lift what holds {' and '.join(names)}?",
            details=[
                "It would end by itself at the time that the page says.",
                "Messages go out again at once. If the cause stands, the next one holds it again, "
                "and Meta sees one more refusal.",
            ],
            action="/numbers/lift",
            fields={"hold": holds},
            yes="Lift it",
            cancel="/numbers",
        )

    async def resume(self, request: Request, user: User) -> Response:
        name = (await form(request)).get("name")
        standing = {one.name: one for one in await Pauses(self._console.redis).all()}
        if name not in standing:
            return back(request, "/numbers", "it is not paused any more", failed=True)
        if not await confirmed(request):
            return self._ask_resume(request, user, standing[name])
        async with self._console.audit.doing(who(user), "number.resume", name) as record:
            resumed, _ = await resume(self._console.redis, [name])
            record.outcome = DONE if resumed else NOTHING
        self._shared = self._fresh()
        text = "; ".join(map(resumed_text, resumed)) or "it is not paused any more"
        return back(request, "/numbers", text, failed=not resumed)

    def _ask_resume(self, request: Request, user: User, one: Paused) -> Response:
        return confirm(
            request,
            user,
            question=f"Resume {one.what}?",
            details=[
                f"It was paused for: {one.reason}",
                "If the fault stands, the first message pauses it again, and Meta sees one more "
                "refusal.",
                "Campaigns that were paused with it stay paused until they are resumed themselves.",
            ],
            action="/numbers/resume",
            fields={"name": one.name},
            yes="Resume it",
            cancel="/numbers",
        )


def _query(asked: dict[str, Any]) -> str:
    return urlencode({name: value for name, value in asked.items() if value})
