"""The inbox: what waits for PHP and why, a vendor's webhooks, and what PHP had no use for."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from contracts.jobs import Lane
from sidecar.clock import now_ms
from sidecar.console.bodies import show_body, show_id, show_text
from sidecar.console.console import Console
from sidecar.console.live import Shared, live
from sidecar.console.page import failed, looks, part, render
from sidecar.console.sessions import User
from sidecar.console.vendor_titles import VendorTitles
from sidecar.inbox.lanes import lane_of, may_hold_messages
from sidecar.ops.ignored import IgnoredCount, last_ignored, read_ignored
from sidecar.ops.inbox import (
    LaneWaiting,
    WaitingReader,
    WaitingWebhook,
    by_reason,
    read_webhook,
    read_webhooks,
)
from sidecar.ops.message_problems import WORDS

PATH = "/inbox"
#: Bytes of each webhook that a list shows.
SHORT_BYTES = 4096
#: Reasons that are shown, and vendors of one.
MAX_REASONS = 30
MAX_VENDORS = 30


def routes(console: Console) -> list[BaseRoute]:
    page = _Inbox(console)
    return [
        Route(PATH, looks(page.show), methods=["GET"]),
        Route(f"{PATH}/live", looks(page.live), methods=["GET"]),
        Route(f"{PATH}/vendor", looks(page.vendor), methods=["GET"]),
        Route(f"{PATH}/webhook", looks(page.webhook), methods=["GET"]),
        Route(f"{PATH}/ignored", looks(page.ignored), methods=["GET"]),
    ]


class _Inbox:
    def __init__(self, console: Console) -> None:
        self._redis = console.redis
        self._reader = WaitingReader(console.redis)
        self._waiting = Shared(self._reader.read)
        self._titles = VendorTitles(console.backend)
        self._ignored = Shared(self._read_ignored, for_s=5.0)

    async def show(self, request: Request, user: User) -> Response:
        reasons = by_reason(await self._ignored.get())
        return render(
            request,
            user,
            "inbox.html",
            lanes=_lanes(await self._waiting.get()),
            titles=await self._titles.get(),
            ignored=_ignored(reasons),
            more=max(0, len(reasons) - MAX_REASONS),
        )

    async def live(self, request: Request, user: User) -> Response:
        async def fragments() -> dict[str, str]:
            lanes, titles = _lanes(await self._waiting.latest()), await self._titles.get()
            return {"lanes": part("inbox_parts.html", "lanes", lanes=lanes, titles=titles)}

        return live(request, user, 2.0, fragments)

    async def _read_ignored(self) -> list[IgnoredCount]:
        return await read_ignored(self._redis)

    async def vendor(self, request: Request, user: User) -> Response:
        """Show a vendor's webhooks in a lane."""
        query = request.query_params
        vendor_uid = query.get("vendor", "").strip()
        try:
            lane = Lane(query.get("lane", Lane.MESSAGES))
            page = await read_webhooks(self._redis, lane, vendor_uid, query.get("after") or None)
        except ValueError:
            return failed(request, 400, "There is no such lane, or no such place in it.")
        asked = {"vendor": vendor_uid, "lane": lane.value}
        return render(
            request,
            user,
            "inbox_vendor.html",
            vendor_uid=vendor_uid,
            titles=await self._titles.get(),
            lane=lane,
            waiting=await self._reader.vendor(vendor_uid),
            webhooks=[_webhook(one, asked, user, SHORT_BYTES) for one in page.webhooks],
            first=f"?{urlencode(asked)}" if "after" in query else None,
            later=f"?{urlencode({**asked, 'after': page.after})}" if page.after else None,
            ignored=_ignored(by_reason(await read_ignored(self._redis, vendor_uid))),
        )

    async def webhook(self, request: Request, user: User) -> Response:
        query = request.query_params
        vendor_uid = query.get("vendor", "")
        try:
            lane = Lane(query.get("lane", ""))
            found = await read_webhook(self._redis, lane, vendor_uid, query.get("at", ""))
        except ValueError:
            found = None
        if found is None:
            return failed(request, 404, "No such webhook waits: if it did, PHP has it by now.")
        asked = {"vendor": vendor_uid, "lane": lane.value}
        return render(
            request,
            user,
            "inbox_webhook.html",
            vendor_uid=vendor_uid,
            titles=await self._titles.get(),
            lane=lane,
            asked=urlencode(asked),
            one=_webhook(found, asked, user),
        )

    async def ignored(self, request: Request, user: User) -> Response:
        """Show of whom updates were ignored for a reason, with the last of each."""
        reason, vendor_uid = (request.query_params.get(one, "") for one in ("reason", "vendor"))
        found = await (read_ignored(self._redis, vendor_uid) if vendor_uid else self._ignored.get())
        mine = [one for one in found if one.reason == reason]
        return render(
            request,
            user,
            "inbox_ignored.html",
            reason=reason,
            titles=await self._titles.get(),
            words=WORDS.get(reason),
            counts=[(one, await self._last(one, user)) for one in mine[:MAX_VENDORS]],
            more=max(0, len(mine) - MAX_VENDORS),
        )

    async def _last(self, count: IgnoredCount, user: User) -> dict[str, Any] | None:
        last = await last_ignored(self._redis, count, now_ms())
        if last is None:
            return None
        return {
            "kind": last.get("kind"),
            "wamid": show_id(last.get("wamid"), clear=user.operates),
            "reason": show_text(last["reason"]),
            "body": show_body(last["payload"].encode(errors="replace"), clear=user.operates),
        }


def _lanes(waiting: Mapping[Lane, LaneWaiting]) -> list[dict[str, Any]]:
    """Return what is shown of the lanes."""
    return [
        {
            "lane": lane.value,
            "waiting": found,
            "reasons": list(found.deferred.reasons.items())[:5],
            "unit": "contacts" if lane is Lane.MESSAGES else "messages",
        }
        for lane, found in waiting.items()
    ]


def _ignored(reasons: Mapping[str, tuple[int, int, int]]) -> list[tuple[str, str, int, int, int]]:
    """Return reasons with what they mean, how many updates, of how many vendors, when the last."""
    return [(name, WORDS.get(name, ""), *numbers) for name, numbers in reasons.items()][
        :MAX_REASONS
    ]


def _webhook(
    one: WaitingWebhook, asked: dict[str, str], user: User, most: int | None = None
) -> dict[str, Any]:
    """Return what is shown of a webhook: all of it, or its first bytes."""
    body = one.webhook.body
    more = {} if most is None else {"most": most}
    return {
        "received_at": one.received_at,
        "size": len(body),
        "done": one.done,
        "what": _what(body),
        "link": f"{PATH}/webhook?{urlencode({**asked, 'at': one.at})}",
        "body": show_body(body, clear=user.operates, **more),
    }


def _what(body: bytes) -> str:
    """Guess what a webhook holds, as the lanes do."""
    if may_hold_messages(body):
        return "a customer's message"
    return "statuses" if lane_of(body) is Lane.STATUSES else "something else"
