"""Campaigns: how far each is, how fast, and why it does not send; stopping and starting them."""

import asyncio
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from contracts.campaigns import TRANSITIONS, CampaignAction, CampaignState
from sidecar.console.campaign_choice import STATES, Choice
from sidecar.console.campaign_retry import RetryFailed, campaign_path
from sidecar.console.campaign_views import CampaignViews
from sidecar.console.console import Console
from sidecar.console.live import live
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
from sidecar.console.paged import Paged
from sidecar.console.sessions import User
from sidecar.console.vendor_titles import VendorTitles
from sidecar.format import messages
from sidecar.ops.campaign_actions import MAX_REASON, act
from sidecar.ops.campaigns import MAX_OPEN, Campaign

_PARTS = "campaigns_parts.html"
PER_PAGE = 50
#: How often pages are brought up to date.
LIST_EVERY_S = 5.0
ONE_EVERY_S = 2.0


def routes(console: Console) -> list[BaseRoute]:
    page = _Campaigns(console)
    again = RetryFailed(console, page.forget)
    one = "/campaigns/{uid}"
    return [
        Route("/campaigns", looks(page.index), methods=["GET"]),
        Route("/campaigns/live", looks(page.index_live), methods=["GET"]),
        Route(one, looks(page.show), methods=["GET"]),
        Route(f"{one}/live", looks(page.show_live), methods=["GET"]),
        Route(f"{one}/pause", operates(page.pause), methods=["POST"]),
        Route(f"{one}/resume", operates(page.resume), methods=["POST"]),
        Route(f"{one}/cancel", operates(page.cancel), methods=["POST"]),
        Route(
            f"{one}/retry-failed",
            operates(again.post),
            methods=["POST"],
        ),
    ]


def allowed(one: Campaign) -> list[CampaignAction]:
    """Return what may be done to a campaign, as far as is known (``docs/states.md``)."""
    if one.state not in STATES:  # of one that PHP does not tell of: what errs on the safe side
        return [CampaignAction.PAUSE, CampaignAction.CANCEL] if one.php_away and one.work else []
    state = CampaignState(one.state)
    found = [
        action
        for action in (CampaignAction.PAUSE, CampaignAction.RESUME, CampaignAction.CANCEL)
        if TRANSITIONS.after(state, action) not in (None, state)
    ]
    waits = state is CampaignState.RUNNING and one.work and one.work.waits
    return [*found, CampaignAction.RESUME] if waits else found


class _Campaigns:
    def __init__(self, console: Console) -> None:
        self._console = console
        self._views = CampaignViews(console)
        self.forget = self._views.forget
        self._titles = VendorTitles(console.backend)

    # -- the list --

    async def index(self, request: Request, user: User) -> Response:
        choice = Choice.of(request)
        found = await self._chosen(choice)
        return render(request, user, "campaigns.html", choice=choice, states=STATES, **found)

    async def index_live(self, request: Request, user: User) -> Response:
        choice = Choice.of(request)

        async def fragments() -> dict[str, str]:
            return {"rows": part(_PARTS, "rows", find=choice.find, **await self._chosen(choice))}

        return live(request, user, LIST_EVERY_S, fragments)

    async def _chosen(self, choice: Choice) -> dict[str, Any]:
        everything, titles = await asyncio.gather(self._views.all(), self._titles.get())
        found = [one for one in everything if choice.fits(one, titles)]
        page = Paged.of(found, choice.page, PER_PAGE)
        return {
            "campaigns": page.items,
            "total": len(found),
            "titles": titles,
            "links": [None if one is None else choice.query(one) for one in page.neighbours],
            "php_away": next((one.php_away for one in everything if one.php_away), None),
            "only": MAX_OPEN if len(everything) >= MAX_OPEN else None,
        }

    # -- one --

    async def show(self, request: Request, user: User) -> Response:
        uid = request.path_params["uid"]
        view, titles = await asyncio.gather(self._views.one(uid), self._titles.get())
        if view.one.php is None and view.one.work is None:
            away = view.one.php_away
            why = f"PHP does not answer: {away}" if away else f"PHP knows no campaign {uid}."
            return failed(request, 503 if away else 404, why)
        return render(
            request,
            user,
            "campaign.html",
            view=view,
            errors=None if view.one.php_away else await self._views.errors(uid),
            title=(view.one.php.title if view.one.php else None) or uid,
            vendor=titles.get(view.one.vendor_uid or "", ""),
            allowed=allowed(view.one),
            max_reason=MAX_REASON,
        )

    async def show_live(self, request: Request, user: User) -> Response:
        uid = request.path_params["uid"]

        async def fragments() -> dict[str, str]:
            view = await self._views.one(uid)
            found = {
                "state": part(_PARTS, "state", one=view.one),
                "progress": part(_PARTS, "progress", view=view),
                "numbers": part(_PARTS, "numbers", view=view),
            }
            if user.operates:
                asked = {"one": view.one, "allowed": allowed(view.one), "user": user}
                found["actions"] = part(_PARTS, "actions", **asked, max_reason=MAX_REASON)
            return found

        return live(request, user, ONE_EVERY_S, fragments)

    # -- stopping and starting --

    async def pause(self, request: Request, user: User) -> Response:
        return await self._act(request, user, CampaignAction.PAUSE)

    async def resume(self, request: Request, user: User) -> Response:
        if await confirmed(request):
            return await self._act(request, user, CampaignAction.RESUME)
        details = [
            "What is due goes out at once, and a message that was sent cannot be taken back.",
            "What is paused of the vendor's numbers, accounts and access token is tried again too: "
            "if the fault stands, the first message pauses them once more.",
        ]
        return await self._ask(request, user, CampaignAction.RESUME, details)

    async def cancel(self, request: Request, user: User) -> Response:
        if await confirmed(request):
            return await self._act(request, user, CampaignAction.CANCEL)
        details = ["It cannot be resumed. Only the application's admin can start it again."]
        return await self._ask(request, user, CampaignAction.CANCEL, details)

    async def _ask(
        self, request: Request, user: User, action: CampaignAction, details: list[str]
    ) -> Response:
        uid = request.path_params["uid"]
        one = (await self._views.one(uid)).one
        title = (one.php.title if one.php else None) or uid
        if one.php is not None:
            counts = one.php.counts
            waiting = counts.queued + counts.processing
            becomes = "would go out" if action is CampaignAction.RESUME else "would not be sent"
            what = f"{messages(waiting)} of {one.total:,} {becomes}."
            details = [what if waiting else "No message is left to send.", *details]
        return confirm(
            request,
            user,
            question=f"{action.capitalize()} {title}?",
            details=details,
            action=f"{campaign_path(uid)}/{action}",
            fields={"reason": (await form(request)).get("reason")},
            yes=f"{action.capitalize()} the campaign",
            cancel=campaign_path(uid),
        )

    async def _act(self, request: Request, user: User, action: CampaignAction) -> Response:
        uid = request.path_params["uid"]
        reason = (await form(request)).get("reason")[:MAX_REASON]
        if not reason and action is not CampaignAction.RESUME:
            reason = f"by {user.name}"
        by = (self._console.audit, who(user))
        acted = await act(self._console.control, uid, action, reason or None, by)
        self._views.forget(uid)
        words = [words for words in (str(acted), acted.trouble) if words]
        return back(request, campaign_path(uid), "; but ".join(words), failed=not acted.done)
