"""Moving a percentage of all vendors: the dry run, and then the move that it has shown."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from contracts.modes import Capability
from contracts.sidecar_api import ModesChange
from sidecar.console.console import Console
from sidecar.console.forms import Form
from sidecar.console.moves import CHOICES, Moves, Unclear, asked_of
from sidecar.console.page import form, looks, operates, render
from sidecar.console.sessions import User
from sidecar.migration.cutover import VendorUnknown
from sidecar.migration.preview import changes
from sidecar.migration.rollout import Plan, changed_by_hand, make_plan, rollout_reason, seen
from sidecar.php.modes import read_vendors

Planned = tuple[ModesChange, Plan]

#: Vendors of each list that are shown.
MAX_SHOWN = 100


def routes(console: Console) -> list[BaseRoute]:
    page = _RolloutPage(console)
    return [
        Route("/vendors/rollout", looks(page.show), methods=["GET"]),
        Route("/vendors/rollout", operates(page.move), methods=["POST"]),
    ]


class _RolloutPage:
    def __init__(self, console: Console) -> None:
        self._backend = console.backend
        self._moves = Moves(console)

    async def show(self, request: Request, user: User) -> Response:
        """Show the form, and what it would do if it was filled in."""
        query = Form(request.query_params.multi_items())
        if not query.get("percent"):
            return _page(request, user, query)
        try:
            planned = await self._plan(query, user)
        except (Unclear, VendorUnknown) as error:
            return _page(request, user, query, _wrong(error))
        return await self._show(request, user, query, planned, meanwhile=False)

    async def move(self, request: Request, user: User) -> Response:
        """Move what the dry run has shown; if that is not what would be moved now, show it anew."""
        sent = await form(request)
        try:
            asked, plan = await self._plan(sent, user)
        except (Unclear, VendorUnknown) as error:
            return _page(request, user, sent, _wrong(error))
        if not plan.moving or sent.get("seen") != seen(plan.moving, asked):
            return await self._show(request, user, sent, (asked, plan), meanwhile=True)
        uids = [vendor.vendor_uid for vendor in plan.moving]
        moving = asked.model_copy(update={"vendor_uids": uids})
        return await self._moves.move(request, user, moving, "/vendors")

    async def _plan(self, fields: Form, user: User) -> Planned:
        asked = asked_of(fields, user)
        try:
            percent = float(fields.get("percent"))
        except ValueError:
            percent = -1.0
        if not 0 <= percent <= 100:
            raise Unclear("The percentage is a number from 0 to 100.")
        excepted = tuple(fields.get("except").replace(",", " ").split())
        reason = rollout_reason(percent, asked.reason)[:500]
        asked = asked.model_copy(update={"reason": reason})
        return asked, make_plan(await read_vendors(self._backend), asked, percent, excepted)

    async def _show(
        self, request: Request, user: User, fields: Form, planned: Planned, *, meanwhile: bool
    ) -> Response:
        asked, plan = planned
        by_hand = [(one, changed_by_hand(one, asked)) for one in plan.moving]
        return _page(
            request,
            user,
            fields,
            plan=plan,
            seen=seen(plan.moving, asked),
            notes=await self._moves.preview(plan.moving, asked),
            moving=[(one, ", ".join(changes(one, asked)), hand) for one, hand in by_hand][
                :MAX_SHOWN
            ],
            by_hand=sum(hand is not None for _, hand in by_hand),
            meanwhile=meanwhile,
        )


def _page(request: Request, user: User, fields: Form, wrong: str = "", **values: Any) -> Response:
    names = ("percent", "except", "reason", *(name.value for name in Capability))
    known = {
        "given": {name: fields.get(name) for name in names},
        "capabilities": list(Capability),
        "choices": CHOICES,
        "wrong": wrong,
        "meanwhile": False,
        "plan": None,
        "max_shown": MAX_SHOWN,
    }
    return render(request, user, "rollout.html", 400 if wrong else 200, **known | values)


def _wrong(error: Exception) -> str:
    return str(error) if isinstance(error, Unclear) else f"PHP knows no vendor {error}."
