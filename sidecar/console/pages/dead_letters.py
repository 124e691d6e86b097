"""Dead letters: whose there are and why, one of them, and replaying and discarding them."""

import base64
import time
from collections import Counter
from typing import Any
from urllib.parse import urlencode

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from sidecar.console.bodies import Body, show_body, show_id, show_text, show_value, visible
from sidecar.console.console import Console
from sidecar.console.forms import Form
from sidecar.console.letter_choice import (
    FILTERS,
    asked_of,
    choice_of,
    item_of,
    link_to,
    ref_of,
)
from sidecar.console.live import Shared, live
from sidecar.console.page import back, confirm, failed, form, looks, operates, part, render, who
from sidecar.console.selection import Selections
from sidecar.console.sessions import User
from sidecar.console.vendor_titles import VendorTitles
from sidecar.format import many
from sidecar.ops.dead_letter import KINDS, DeadLetter, LetterRef, kind_of
from sidecar.ops.dead_letters import DeadLetters
from sidecar.ops.letter_actions import Carried, LetterAction, carry_out
from sidecar.ops.letter_advice import advise
from sidecar.ops.letter_pages import (
    MAX_CHOSEN,
    LetterHead,
    LetterPages,
    Reason,
    VendorLetters,
)
from sidecar.redis.client import AnyRedisError, reason_of

PATH = "/dead-letters"
#: Letters that are done in one step, and for how long one request goes on.
STEP = 100
REQUEST_S = 10.0
#: Vendors and reasons that are named.
MAX_NAMED = 20

#: Longest message id that a list shows whole.
MAX_ID = 24

_DONE = {LetterAction.REPLAY: "replayed", LetterAction.DISCARD: "discarded"}
_MEANS = {
    LetterAction.REPLAY: "They are processed again, as if for the first time. What fails again "
    "comes back here.",
    LetterAction.DISCARD: "They are deleted for good: discarded updates never reach PHP. "
    "sidecar dead-letters export saves them first.",
}
_LATER = "Letters that come from now on are left alone."


def routes(console: Console) -> list[BaseRoute]:
    page = _DeadLetters(console)
    return [
        Route(PATH, looks(page.show), methods=["GET"]),
        Route(f"{PATH}/live", looks(page.live), methods=["GET"]),
        Route(f"{PATH}/letter", looks(page.letter), methods=["GET"]),
        Route(f"{PATH}/ask", operates(page.ask), methods=["POST"]),
        Route(f"{PATH}/carry-out", operates(page.carry_out), methods=["POST"]),
    ]


class _DeadLetters:
    def __init__(self, console: Console) -> None:
        self._console = console
        self._letters = DeadLetters(console.redis)
        self._pages = LetterPages(console.redis)
        self._vendors = Shared(self._pages.vendors)
        self._titles = VendorTitles(console.backend)

    async def show(self, request: Request, user: User) -> Response:
        query = request.query_params
        try:
            choice, after = choice_of(query), ref_of(query["after"]) if "after" in query else None
        except ValueError as error:
            return failed(request, 400, str(error))
        vendors = await self._vendors.get()
        page = await self._pages.page(choice, after)
        reasons, looked_at = await self._pages.reasons(choice)
        return render(
            request,
            user,
            "dead_letters.html",
            summary=_summary(vendors),
            titles=await self._titles.get(),
            kinds=KINDS,
            asked={**dict.fromkeys(FILTERS, ""), **asked_of(query)},
            filtered=bool(asked_of(query)),
            selected=query.get("select") == "all",
            select=link_to(query, select="all", **({"after": item_of(after)} if after else {})),
            rows=[_row(head, user) for head in page.letters],
            looked_at=page.looked_at,
            reasons=[_reason(why, count, query) for why, count in reasons.most_common(MAX_NAMED)],
            counted=looked_at,
            first=link_to(query) if after else None,
            older=link_to(query, after=item_of(page.after)) if page.after else None,
        )

    async def live(self, request: Request, user: User) -> Response:
        async def fragments() -> dict[str, str]:
            shown = {
                "summary": _summary(await self._vendors.latest()),
                "titles": await self._titles.get(),
            }
            return {"summary": part("dead_letters_parts.html", "summary", **shown)}

        return live(request, user, 3.0, fragments)

    async def letter(self, request: Request, user: User) -> Response:
        query = request.query_params
        try:
            letter = await self._letters.get(query.get("id", ""), query.get("vendor") or None)
            shown = None if letter is None else _shown(letter, user)
        except (ValueError, KeyError, TypeError) as error:
            why = f"This letter is none that this version can read: {type(error).__name__}."
            return failed(request, 422, why)
        if shown is None:
            why = "There is no such dead letter any more: it was replayed, discarded or deleted."
            return failed(request, 404, why)
        titles = await self._titles.get()
        return render(request, user, "dead_letter.html", titles=titles, **shown)

    async def ask(self, request: Request, user: User) -> Response:
        """Count what is meant, and ask before it is done."""
        fields = await form(request)
        try:
            action = LetterAction(fields.get("do"))
            refs, details = await self._meant(fields)
        except ValueError as error:
            return failed(request, 400, str(error))
        if not refs:
            return back(request, PATH, "no dead letter is meant by that", failed=True)
        token = await Selections(self._console.redis, action).keep([item_of(ref) for ref in refs])
        return _question(
            request, user, action, token, len(refs), [*details, _MEANS[action], _LATER]
        )

    async def _meant(self, fields: Form) -> tuple[list[LetterRef], list[str]]:
        """Return the letters that are meant, the oldest first, and what to say of them."""
        if not fields.get("all"):
            refs = sorted({ref_of(item) for item in fields.all("letter")})
            return refs, _counts(Counter(ref.vendor_uid for ref in refs), "of vendor ")
        choice = choice_of(dict(fields.fields))
        chosen = await self._pages.chosen(choice)
        details = [f"All that the filter names: {choice.text}."]
        details += _counts(chosen.vendors, "of vendor ") + _counts(chosen.reasons, "because: ")
        if not chosen.complete:
            details.append(
                f"The oldest {MAX_CHOSEN:,} were looked through; there are more, for another time."
            )
        return chosen.refs, details

    async def carry_out(self, request: Request, user: User) -> Response:
        """Do what was asked about, in steps; what is left after a while is asked about again."""
        fields = await form(request)
        try:
            action = LetterAction(fields.get("do"))
        except ValueError as error:
            return failed(request, 400, str(error))
        token, carried = fields.get("selection"), Carried()
        selections = Selections(self._console.redis, action)
        if not await selections.left(token):
            text = "the question has stood for too long, or was answered already; ask again"
            return back(request, PATH, text, failed=True)
        try:
            await self._carry_out(user, action, selections, token, carried)
        except AnyRedisError as error:
            text = f"{_told(action, carried)}; then Redis failed ({reason_of(error)}). The rest is"
            return back(request, PATH, f"{text} where it was.", failed=True)
        if left := await selections.left(token):
            return _question(request, user, action, token, left, [_told(action, carried) + "."])
        return back(request, PATH, _told(action, carried), failed=not carried.done)

    async def _carry_out(
        self,
        user: User,
        action: LetterAction,
        selections: Selections,
        token: str,
        carried: Carried,
    ) -> None:
        """Record what is done as one action. Raises redis-py's errors."""
        vendors, end = Counter[str](), time.monotonic() + REQUEST_S
        async with self._console.audit.doing(who(user), f"dead_letters.{action}") as doing:
            try:
                while items := await selections.take(token, STEP):
                    refs = [ref_of(item) for item in items]
                    vendors.update(ref.vendor_uid for ref in refs)
                    await carry_out(self._letters, action, refs, carried)
                    if time.monotonic() >= end:
                        break
            finally:
                doing.details |= {**carried.counts, "vendors": dict(vendors.most_common(MAX_NAMED))}


def _question(
    request: Request, user: User, action: LetterAction, token: str, count: int, details: list[str]
) -> Response:
    letters = many(count, "dead letter")
    return confirm(
        request,
        user,
        question=f"{action.capitalize()} {letters}?",
        details=details,
        action=f"{PATH}/carry-out",
        fields={"do": action.value, "selection": token},
        yes=f"{action.capitalize()} {letters}",
        cancel=PATH,
    )


def _told(action: LetterAction, carried: Carried) -> str:
    left = f"; {carried.text}" if carried.text else ""
    again = "; workers pick them up within a second"
    done = f"{carried.done:,} {_DONE[action]}"
    return done + (again if action is LetterAction.REPLAY and carried.done else "") + left


def _counts(counts: Counter[str], before: str) -> list[str]:
    """Say how many there are of each, and of how many others."""
    found = [f"{count:,} {before}{visible(name)}" for name, count in counts.most_common(MAX_NAMED)]
    if (more := len(counts) - MAX_NAMED) > 0:
        rest = counts.total() - sum(count for _, count in counts.most_common(MAX_NAMED))
        found.append(f"{rest:,} {before}{more:,} others")
    return found


def _summary(vendors: list[VendorLetters]) -> dict[str, Any]:
    return {
        "number": sum(one.number for one in vendors),
        "size": sum(one.size_bytes for one in vendors),
        "vendors": vendors[:MAX_NAMED],
        "more": max(0, len(vendors) - MAX_NAMED),
    }


def _reason(why: Reason, count: int, query: QueryParams) -> dict[str, Any]:
    kind = why.kind or why.letter.value
    return {
        "count": count,
        "kind": kind,
        "text": show_text(why.text),
        "advice": advise(why.letter, why.kind, why.text),
        "link": f"{PATH}{link_to(query, kind=kind, reason=why.text)}",
    }


def _row(head: LetterHead, user: User) -> dict[str, Any]:
    return {
        "head": head,
        "item": item_of(head.ref),
        "link": f"{PATH}/letter?{urlencode({'vendor': head.ref.vendor_uid, 'id': head.ref.id})}",
        "kind": head.kind,
        # Of a long one the end is enough to tell it from others.
        "wamid": show_id(head.wamid, clear=user.operates and len(head.wamid or "") <= MAX_ID),
        "reason": show_text(head.reason),
    }


def _shown(letter: DeadLetter, user: User) -> dict[str, Any]:
    """Return what the page of one letter says. Raises ValueError, KeyError or TypeError."""
    update = letter.update
    reason, kind = str(update.get("reason") or "no reason is known"), update.get("kind")
    return {
        "letter": letter,
        "item": item_of(letter.ref),
        "kind": kind_of(kind),
        "reason": show_text(reason),
        "advice": advise(letter.kind, kind, reason),
        "wamid": show_id(str(update.get("wamid") or ""), clear=user.operates),
        "received_at": update.get("received_at"),
        "attempts": update.get("attempts"),
        "body": _body(letter, user),
    }


def _body(letter: DeadLetter, user: User) -> Body:
    """Return what a letter holds: the webhook, the bytes that could not be read, or the effect."""
    update, clear = letter.update, user.operates
    effect = update.get("effect") or {}
    if isinstance(effect.get("raw"), str):  # a forward's, which is posted as it is
        return show_body(effect["raw"].encode(errors="replace"), clear=clear)
    value = update.get("payload") or effect
    if value:
        return show_value(value, clear=clear)
    return show_body(base64.b64decode(update.get("body") or ""), clear=clear)
