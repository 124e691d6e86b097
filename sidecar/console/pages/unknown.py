"""Messages whose outcome is unknown: which there are, and what a person decides about them."""

import time
from collections import Counter
from typing import Any
from urllib.parse import urlencode

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from contracts.backend import ResolveAction, UnknownMessage
from sidecar.clock import now_ms
from sidecar.console.bodies import show_text, visible
from sidecar.console.console import Console
from sidecar.console.forms import Form
from sidecar.console.live import Shared, live
from sidecar.console.page import back, confirm, failed, form, looks, operates, part, render, who
from sidecar.console.selection import Selections
from sidecar.console.sessions import User
from sidecar.console.vendor_titles import VendorTitles
from sidecar.format import messages
from sidecar.php.client import BackendError
from sidecar.redis.client import AnyRedisError, reason_of
from sidecar.sending import settling
from sidecar.sending.settling import Found, Settled, find, outcome, settle, warning
from sidecar.sending.unknown_messages import Choice, UnknownMessages

PATH = "/unknown"
#: Messages of a page, and those that are meant at once.
PAGE = 50
MAX_CHOSEN = 20_000
#: For how long one request goes on, and campaigns that are named.
REQUEST_S = 10.0
MAX_NAMED = 10
#: The longest reason that PHP keeps.
MAX_REASON = 500

#: For how long they have been unknown, as a filter offers it.
AGES = {"": 0, "10 min": 600, "1 h": 3600, "24 h": 86_400, "3 d": 259_200, "7 d": 604_800}
FILTERS = ("vendor", "campaign", "older")

_DO = {ResolveAction.RESEND: "Send {} again", ResolveAction.GIVE_UP: "Give {} up"}


def routes(console: Console) -> list[BaseRoute]:
    page = _Unknown(console)
    return [
        Route(PATH, looks(page.show), methods=["GET"]),
        Route(f"{PATH}/live", looks(page.live), methods=["GET"]),
        Route(f"{PATH}/ask", operates(page.ask), methods=["POST"]),
        Route(f"{PATH}/settle", operates(page.settle), methods=["POST"]),
    ]


class _Unknown:
    def __init__(self, console: Console) -> None:
        self._console = console
        self._messages = UnknownMessages(console.backend)
        self._titles = VendorTitles(console.backend)
        self._oldest = Shared(self._read_oldest, for_s=5.0)

    async def show(self, request: Request, user: User) -> Response:
        query = request.query_params
        try:
            choice = _choice(query)
        except ValueError as error:
            return failed(request, 400, str(error))
        found, after = await self._messages.page(choice, query.get("after") or None, PAGE)
        return render(
            request,
            user,
            "unknown.html",
            summary=await self._oldest.get(),
            ages=AGES,
            asked={name: query.get(name, "") for name in FILTERS},
            filtered=bool(_asked(query)),
            rows=[_row(message) for message in found],
            titles=await self._titles.get(),
            max_reason=MAX_REASON,
            first=_link(query) if "after" in query else None,
            later=_link(query, after=after) if after else None,
        )

    async def live(self, request: Request, user: User) -> Response:
        async def fragments() -> dict[str, str]:
            oldest = await self._oldest.latest()
            return {"summary": part("unknown_parts.html", "summary", summary=oldest)}

        return live(request, user, 10.0, fragments)

    async def _read_oldest(self) -> dict[str, Any]:
        found, _ = await self._messages.page(Choice(), None, 1)
        return {"since": found[0].since if found else None}

    async def ask(self, request: Request, user: User) -> Response:
        """Count what is meant, and ask before it is done."""
        fields = await form(request)
        try:
            action = ResolveAction(fields.get("do"))
            if len(reason := fields.get("reason")) > MAX_REASON:
                raise ValueError(f"A reason has {MAX_REASON} characters at most.")
            found, details = await self._meant(fields)
        except ValueError as error:
            return failed(request, 400, str(error))
        if not found.uids:
            return back(request, PATH, "no message is meant by that", failed=True)
        token = await Selections(self._console.redis, action).keep(found.uids)
        details.append("What becomes unknown from now on is left alone.")
        return _question(request, user, action, token, len(found.uids), details, reason)

    async def _meant(self, fields: Form) -> tuple[Found, list[str]]:
        """Return the messages that are meant, and what to say of them."""
        if not fields.get("all"):
            return Found(list(dict.fromkeys(fields.all("message"))), Counter()), []
        choice = _choice(dict(fields.fields))
        found = await find(self._messages, choice, MAX_CHOSEN)
        details = [f"All that the filter names: {choice.text}."]
        details += [
            f"{count:,} of campaign {visible(campaign_uid)}, vendor {visible(vendor_uid)}"
            for (vendor_uid, campaign_uid), count in found.campaigns.most_common(MAX_NAMED)
        ]
        if (more := len(found.campaigns) - MAX_NAMED) > 0:
            details.append(f"and of {more:,} other campaigns")
        if not found.complete:
            details.append(
                f"These are the oldest {MAX_CHOSEN:,}; there are more, for another time."
            )
        return found, details

    async def settle(self, request: Request, user: User) -> Response:
        """Do what was asked about, in steps; what is left after a while is asked about again."""
        fields = await form(request)
        try:
            action = ResolveAction(fields.get("do"))
        except ValueError as error:
            return failed(request, 400, str(error))
        token, reason, settled = fields.get("selection"), fields.get("reason"), Settled()
        selections = Selections(self._console.redis, action)
        if not await selections.left(token):
            text = "the question has stood for too long, or was answered already; ask again"
            return back(request, PATH, text, failed=True)
        try:
            await self._settle(user, action, selections, token, reason or None, settled)
        except (BackendError, *AnyRedisError) as error:
            text = f"{_told(action, settled)}; then it failed ({reason_of(error)})"
            return back(request, PATH, f"{text}. The rest is as it was.", failed=True)
        if left := await selections.left(token):
            details = [_told(action, settled) + "."]
            return _question(request, user, action, token, left, details, reason)
        return back(request, PATH, _told(action, settled), failed=not settled.count)

    async def _settle(
        self,
        user: User,
        action: ResolveAction,
        selections: Selections,
        token: str,
        reason: str | None,
        settled: Settled,
    ) -> None:
        """Record what is done as one action. Raises redis-py's errors and BackendError."""
        named, end = list[str](), time.monotonic() + REQUEST_S
        async with self._console.audit.doing(who(user), f"unknown.{action}") as doing:
            try:
                while uids := await selections.take(token, settling.STEP):
                    named += uids[: MAX_NAMED - len(named)]
                    await settle(self._messages, uids, action, reason, settled)
                    if time.monotonic() >= end:
                        break
            finally:
                doing.details |= {"done": settled.count, "skipped": settled.skipped.total()}
                doing.details |= {"messages": named} | ({"why": reason} if reason else {})


def _question(
    request: Request,
    user: User,
    action: ResolveAction,
    token: str,
    count: int,
    details: list[str],
    reason: str,
) -> Response:
    what = _DO[action].format(messages(count))
    return confirm(
        request,
        user,
        question=f"{what}?",
        details=[warning(action, count), *details],
        action=f"{PATH}/settle",
        fields={"do": action.value, "selection": token, "reason": reason},
        yes=what,
        cancel=PATH,
    )


def _told(action: ResolveAction, settled: Settled) -> str:
    skipped = [f"{messages(n)} skipped: {why}" for why, n in settled.skipped.most_common()]
    return "; ".join([outcome(action, settled.count), *skipped])


def _choice(query: QueryParams | dict[str, str]) -> Choice:
    """Return what a filter means. Raises ValueError, in words."""
    if (older := query.get("older", "")) not in AGES:
        raise ValueError("There is no such age to choose.")
    vendor, campaign = (query.get(name, "").strip() or None for name in ("vendor", "campaign"))
    return Choice(vendor, campaign, AGES[older])


def _asked(query: QueryParams) -> dict[str, str]:
    return {name: query[name] for name in FILTERS if query.get(name)}


def _link(query: QueryParams, **more: str) -> str:
    return f"?{urlencode({**_asked(query), **more})}"


def _row(message: UnknownMessage) -> dict[str, Any]:
    return {
        "message": message,
        "age_s": max(0, now_ms() - message.since) / 1000,
        "to": message.to or message.recipient,
        "reason": show_text(message.reason or ""),
    }
