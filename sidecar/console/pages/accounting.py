"""The accounting: everything that came in is accounted for, of all vendors and of each."""

from dataclasses import dataclass
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from sidecar.console.console import Console
from sidecar.console.live import Shared, live
from sidecar.console.page import looks, part, render
from sidecar.console.paths import ROOT
from sidecar.console.sessions import User
from sidecar.console.vendor_titles import VendorTitles
from sidecar.ops.accounting import Accounting, Counters
from sidecar.ops.accounting_words import Equation, Totals, equations

#: Vendors on a page.
PAGE = 50
#: Of many vendors all are read at once, which takes a while: looks within this time share it.
SHARED_S = 5.0


def routes(console: Console) -> list[BaseRoute]:
    page = _AccountingPage(console)
    return [
        Route("/accounting", looks(page.show), methods=["GET"]),
        Route("/accounting/{vendor_uid}", looks(page.show_vendor), methods=["GET"]),
        Route("/accounting/{vendor_uid}/live", looks(page.live), methods=["GET"]),
    ]


@dataclass(frozen=True, slots=True)
class Everything:
    """What the page says of all vendors. ``wrong`` are some of those that do not balance."""

    vendors: list[str]
    equations: list[Equation]
    wrong: list[Accounting]


class _AccountingPage:
    def __init__(self, console: Console) -> None:
        self._counters = Counters(console.redis)
        self._shared = Shared(self._read, SHARED_S)
        self._titles = VendorTitles(console.backend)

    async def _read(self) -> Everything:
        vendors, totals = await self._counters.vendors(), Totals()
        wrong: list[Accounting] = []
        async for some in self._counters.chunks(vendors):
            totals.add(some)
            wrong += [one for one in some if not one.balanced][: PAGE - len(wrong)]
        return Everything(vendors, totals.equations(), wrong)

    async def show(self, request: Request, user: User) -> Response:
        wanted = request.query_params.get("vendor", "").strip()[:200]
        after = request.query_params.get("after", "")
        everything = await self._shared.get()
        fitting = [
            uid for uid in everything.vendors if wanted.lower() in uid.lower() and uid > after
        ]
        shown = await self._counters.read_some(fitting[:PAGE])
        return render(
            request,
            user,
            "accounting.html",
            everything=everything,
            wanted=wanted,
            shown=shown,
            titles=await self._titles.get(),
            first=_address(wanted) if after else "",
            next=_address(wanted, shown[-1].vendor_uid) if len(fitting) > PAGE else "",
        )

    async def show_vendor(self, request: Request, user: User) -> Response:
        accounting = await self._vendor(request)
        return render(
            request,
            user,
            "accounting_vendor.html",
            accounting=accounting,
            equations=equations(accounting),
        )

    async def live(self, request: Request, user: User) -> Response:
        async def fragments() -> dict[str, str]:
            found = equations(await self._vendor(request))
            return {"equations": part("accounting_parts.html", "equations", equations=found)}

        return live(request, user, 2.0, fragments)

    async def _vendor(self, request: Request) -> Accounting:
        [found] = await self._counters.read_some([request.path_params["vendor_uid"]])
        return found


def _address(wanted: str, after: str = "") -> str:
    given = {name: value for name, value in (("vendor", wanted), ("after", after)) if value}
    return f"{ROOT}/accounting?{urlencode(given)}"
