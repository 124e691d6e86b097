"""Who did what, and when: from the console, the command line and PHP."""

import re
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from sidecar.clock import now_ms
from sidecar.console.console import Console
from sidecar.console.masks import ids, phone
from sidecar.console.page import looks, render
from sidecar.console.paths import ROOT
from sidecar.console.sessions import User
from sidecar.ops.audit import Audit, Entry, Filter

#: Entries on a page.
PAGE = 50

#: How far back to look, in seconds.
SINCE = {"": 0, "hour": 3600, "day": 86_400, "week": 7 * 86_400}
KINDS = ("", "console", "command", "php", "worker")

_ID = re.compile(r"\d{1,18}-\d{1,18}")
#: A phone number, and not a part of a uid or of a longer number.
_PHONE = re.compile(r"(?<![\w-])\+?\d{7,15}(?![\w-])")


def routes(console: Console) -> list[BaseRoute]:
    return [Route("/audit", looks(_AuditPage(console.audit).show), methods=["GET"])]


class _AuditPage:
    def __init__(self, audit: Audit) -> None:
        self._audit = audit

    async def show(self, request: Request, user: User) -> Response:
        asked = {
            name: request.query_params.get(name, "").strip()[:200]
            for name in ("kind", "who", "action", "target", "outcome", "since")
        }
        before = request.query_params.get("before", "")
        wanted = Filter(
            kind=asked["kind"] if asked["kind"] in KINDS else "",
            who=asked["who"],
            action=asked["action"],
            target=asked["target"],
            outcome=asked["outcome"],
        )
        if since_s := SINCE.get(asked["since"], 0):
            wanted = replace(wanted, since_ms=now_ms() - 1000 * since_s)
        first = not _ID.fullmatch(before)
        found = await self._audit.read(None if first else before, PAGE + 1, wanted)
        shown = found[:PAGE]
        return render(
            request,
            user,
            "audit.html",
            entries=[
                (entry, _masked(entry.target, user), _details(entry, user)) for entry in shown
            ],
            asked=asked,
            kinds=KINDS,
            since=SINCE,
            first="" if first else _address(asked),
            older=_address(asked, before=shown[-1].id) if len(found) > PAGE else "",
        )


def _address(asked: dict[str, str], **more: str) -> str:
    given = {name: value for name, value in {**asked, **more}.items() if value}
    return f"{ROOT}/audit?{urlencode(given)}"


def _details(entry: Entry, user: User) -> list[tuple[str, str]]:
    return [
        (name.replace("_", " "), _masked(_words(value), user))
        for name, value in entry.details.items()
    ]


def _words(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(_words(one) for one in value)
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _masked(text: str, user: User) -> str:
    return _PHONE.sub(lambda found: phone(found[0], user), ids(text, user))
