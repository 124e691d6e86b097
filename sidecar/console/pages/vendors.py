"""Vendors: who does which one's work, what shadow has found, and moving them."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote, urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from contracts.modes import Capability, Mode, VendorModes
from contracts.sidecar_api import ModesChange
from sidecar.console.console import Console
from sidecar.console.moves import CHOICES, Moves, Unclear, asked_of, fields_of
from sidecar.console.page import back, confirm, confirmed, failed, form, looks, operates, render
from sidecar.console.page import who as who_of
from sidecar.console.paged import page_number
from sidecar.console.paths import ROOT
from sidecar.console.sessions import User
from sidecar.format import many
from sidecar.migration.preview import changes
from sidecar.migration.rollout import ROLLBACK_S, rollback_all_reason, seen
from sidecar.php.client import BackendError
from sidecar.php.modes import counts, differs, held, read_vendor
from sidecar.shadow.differences import DID, by_rule, example_text, sides
from sidecar.shadow.parity import ParityReader, VendorParity
from sidecar.shadow.rules import SENTENCES, UNEXPLAINED, Class, Kind

#: Vendors on a page.
PAGE = 100
#: Changes of a vendor's modes that are shown.
MAX_CHANGES = 20
#: Differences of each kind and class that are shown.
MAX_EXAMPLES = 20

CHANGED_MEANWHILE = (
    "Somebody has changed modes since this was shown. Nothing was done: this is how it stands now."
)


def routes(console: Console) -> list[BaseRoute]:
    page = _VendorsPage(console)
    return [
        Route("/vendors", looks(page.show), methods=["GET"]),
        Route("/vendors/rollback", operates(page.rollback_all), methods=["POST"]),
        Route("/vendors/{vendor_uid}", looks(page.show_vendor), methods=["GET"]),
        Route("/vendors/{vendor_uid}/move", operates(page.move), methods=["POST"]),
        Route("/vendors/{vendor_uid}/reset", operates(page.reset), methods=["POST"]),
    ]


class _VendorsPage:
    def __init__(self, console: Console) -> None:
        self._settings = console.settings
        self._audit = console.audit
        self._backend = console.backend
        self._moves = Moves(console)
        self._parity = ParityReader(console.redis)

    # -- looking --

    async def show(self, request: Request, user: User) -> Response:
        query = request.query_params
        wanted, mode = query.get("vendor", "").strip()[:200], query.get("mode", "")
        number = page_number(query.get("page", ""))
        vendors = await self._moves.vendors.get()
        fitting = [one for one in vendors if _fits(one, wanted.lower(), mode)]
        number = min(number, max(1, -(-len(fitting) // PAGE)))
        asked = {"vendor": wanted, "mode": mode}
        return render(
            request,
            user,
            "vendors.html",
            total=len(vendors),
            counts=counts(vendors),
            held=len(held(vendors)),
            modes=list(Mode),
            capabilities=list(Capability),
            asked=asked,
            shown=fitting[PAGE * (number - 1) : PAGE * number],
            found=len(fitting),
            previous=_address(asked, number - 1) if number > 1 else "",
            next=_address(asked, number + 1) if PAGE * number < len(fitting) else "",
        )

    async def show_vendor(self, request: Request, user: User) -> Response:
        vendor_uid = request.path_params["vendor_uid"]
        parity = await self._parity.read(vendor_uid)
        vendor, trouble = None, ""
        try:
            vendor = await read_vendor(self._backend, vendor_uid)
            if vendor is None and not parity.counts:
                return failed(request, 404, f"PHP knows no vendor {vendor_uid}.")
        except BackendError as error:
            trouble = f"PHP cannot be asked for its modes: {error}"
        return render(
            request,
            user,
            "vendor.html",
            vendor_uid=vendor_uid,
            vendor=vendor,
            trouble=trouble,
            choices=CHOICES,
            capabilities=list(Capability),
            changes=[_change(past) for past in (vendor.history if vendor else [])[::-1]][
                :MAX_CHANGES
            ],
            parity=parity,
            obstacles=parity.obstacles(self._settings),
            kinds=list(Kind),
            classes=list(Class),
            rules=[(rule, count, SENTENCES[rule]) for rule, count in by_rule(parity).items()],
            differences=_differences(parity),
        )

    # -- moving --

    async def move(self, request: Request, user: User) -> Response:
        """Move one vendor: first a page that says what would be done, then it is done."""
        vendor_uid = request.path_params["vendor_uid"]
        path, sent = f"/vendors/{quote(vendor_uid, safe='')}", await form(request)
        try:
            asked = asked_of(sent, user, vendor_uid)
        except Unclear as error:
            return back(request, path, str(error), failed=True)
        vendor = await self._moves.find(vendor_uid)
        if vendor is None:
            return failed(request, 404, f"PHP knows no vendor {vendor_uid}.")
        if not differs(vendor.modes, asked):
            return back(request, path, "nothing: the vendor has these modes already")
        shown = seen([vendor], asked)
        sure = await confirmed(request)
        if sure and sent.get("seen") == shown:
            return await self._moves.move(request, user, asked, path)
        return confirm(
            request,
            user,
            question=f"Move {vendor.title or vendor_uid}?",
            details=[
                *([CHANGED_MEANWHILE] if sure else []),
                *changes(vendor, asked),
                *await self._moves.preview([vendor], asked),
            ],
            action=f"{path}/move",
            fields={**fields_of(asked), "seen": shown},
            yes="Move it",
            cancel=path,
        )

    async def rollback_all(self, request: Request, user: User) -> Response:
        """Give all vendors back to PHP."""
        sent = await form(request)
        modes = dict.fromkeys((name.value for name in Capability), Mode.PHP)
        reason = rollback_all_reason(sent.get("reason"))[:500]
        asked = ModesChange(
            vendor_uids=[], by=user.name[:100], reason=reason, timeout_s=ROLLBACK_S, **modes
        )
        vendors = [one for one in await self._moves.read() if differs(one.modes, asked)]
        if not vendors:
            return back(request, "/vendors", "nothing: PHP does the work of all vendors already")
        if await confirmed(request):
            return await self._moves.move(request, user, asked, "/vendors")
        return confirm(
            request,
            user,
            question=f"Give the work of all vendors back to PHP? {len(vendors):,} "
            f"change{'s' if len(vendors) == 1 else ''}.",
            details=await self._moves.preview(vendors, asked),
            action="/vendors/rollback",
            fields={"reason": sent.get("reason")},
            yes="Give all back",
            cancel="/vendors",
        )

    async def reset(self, request: Request, user: User) -> Response:
        """Delete what shadow has found, so that the comparison starts over."""
        vendor_uid = request.path_params["vendor_uid"]
        path = f"/vendors/{quote(vendor_uid, safe='')}"
        if not await confirmed(request):
            parity = await self._parity.read(vendor_uid)
            return confirm(
                request,
                user,
                question="Delete what shadow has found, and compare anew?",
                details=[
                    f"{many(parity.updates, 'update was', 'updates were')} compared; "
                    "this cannot be undone."
                ],
                action=f"{path}/reset",
                yes="Start over",
                cancel=path,
            )
        async with self._audit.doing(who_of(user), "parity.reset", vendor_uid):
            await self._parity.forget(vendor_uid)
        return back(request, path, "the comparison starts over")


def _fits(vendor: VendorModes, wanted: str, mode: str) -> bool:
    named = wanted in vendor.vendor_uid.lower() or wanted in (vendor.title or "").lower()
    return named and (not mode or mode in vendor.modes.model_dump().values())


def _address(asked: dict[str, str], page: int) -> str:
    given = {name: value for name, value in asked.items() if value}
    return f"{ROOT}/vendors?{urlencode({**given, 'page': page})}"


def _change(past: Any) -> tuple[Any, str]:
    moved = [
        f"{name} {getattr(past.before, name.value)} → {getattr(past.after, name.value)}"
        for name in Capability
        if getattr(past.before, name.value) is not getattr(past.after, name.value)
    ]
    return past, ", ".join(moved) or "kept as PHP's configuration had them"


def _differences(parity: VendorParity) -> list[dict[str, Any]]:
    """Return the differences that no rule explains, by kind and class."""
    found = []
    for kind in Kind:
        for class_ in UNEXPLAINED:
            mine: Sequence[dict[str, Any]] = [
                one for one in parity.examples if (one["kind"], one["class"]) == (kind, class_)
            ]
            if count := parity.total(kind=kind, class_=class_):
                examples = [(example_text(one), sides(one)) for one in mine[:MAX_EXAMPLES]]
                found.append(
                    {"kind": kind, "class": class_, "count": count, "did": DID[class_]}
                    | {"examples": examples}
                )
    return found
