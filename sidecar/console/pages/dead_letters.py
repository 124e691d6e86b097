"""Dead letters: whose there are and why, one of them, and replaying and discarding them."""

import base64
import time
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from sidecar.console.bodies import Body, show_body, show_id, show_value, visible
from sidecar.console.console import Console
from sidecar.console.forms import Form
from sidecar.console.live import Shared, live
from sidecar.console.page import back, confirm, failed, form, looks, operates, part, render, who
from sidecar.console.selection import Selections
from sidecar.console.sessions import User
from sidecar.ops.dead_letter import KINDS, Choice, DeadLetter, LetterRef
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
from sidecar.redis.letter_bounds import LetterKind

PATH = "/dead-letters"
#: Letters that are done in one step, and for how long one request goes on.
STEP = 100
REQUEST_S = 10.0
#: Vendors and reasons that are named.
MAX_NAMED = 20

#: Longest message id that a list shows whole.
MAX_ID = 24
#: The fields of a filter.
FILTERS = ("vendor", "kind", "reason", "since", "before")

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

    async def show(self, request: Request, user: User) -> Response:
        query = request.query_params
        try:
            choice, after = _choice(query), _ref(query["after"]) if "after" in query else None
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
            kinds=KINDS,
            asked={**dict.fromkeys(FILTERS, ""), **_asked(query)},
            filtered=bool(_asked(query)),
            rows=[_row(head, user) for head in page.letters],
            looked_at=page.looked_at,
            reasons=[_reason(why, count, query) for why, count in reasons.most_common(MAX_NAMED)],
            counted=looked_at,
            first=_link(query) if after else None,
            older=_link(query, after=_item(page.after)) if page.after else None,
        )

    async def live(self, request: Request, user: User) -> Response:
        async def fragments() -> dict[str, str]:
            summary = _summary(await self._vendors.get())
            return {"summary": part("dead_letters_parts.html", "summary", summary=summary)}

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
        return render(request, user, "dead_letter.html", **shown)

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
        token = await Selections(self._console.redis, action).keep([_item(ref) for ref in refs])
        return _question(
            request, user, action, token, len(refs), [*details, _MEANS[action], _LATER]
        )

    async def _meant(self, fields: Form) -> tuple[list[LetterRef], list[str]]:
        """Return the letters that are meant, the oldest first, and what to say of them."""
        if not fields.get("all"):
            refs = sorted({_ref(item) for item in fields.all("letter")})
            return refs, _counts(Counter(ref.vendor_uid for ref in refs), "of vendor ")
        choice = _choice(dict(fields.fields))
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
                    refs = [_ref(item) for item in items]
                    vendors.update(ref.vendor_uid for ref in refs)
                    await carry_out(self._letters, action, refs, carried)
                    if time.monotonic() >= end:
                        break
            finally:
                doing.details |= {**carried.counts, "vendors": dict(vendors.most_common(MAX_NAMED))}


def _question(
    request: Request, user: User, action: LetterAction, token: str, count: int, details: list[str]
) -> Response:
    letters = "1 dead letter" if count == 1 else f"{count:,} dead letters"
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


# -- addresses --


def _item(ref: LetterRef) -> str:
    """Return where a letter is as a text. No vendor's uid holds a slash."""
    return f"{ref.given_up_at}/{ref.kind}/{ref.vendor_uid}/{ref.id}"


def _ref(item: str) -> LetterRef:
    parts = item.split("/", 3)
    if len(parts) != 4:
        raise ValueError("this names no dead letter")
    return LetterRef(int(parts[0]), parts[2], parts[3], LetterKind(parts[1]))


def _choice(query: QueryParams | dict[str, str]) -> Choice:
    """Return what a filter means. Raises ValueError, in words."""
    kind = query.get("kind") or None
    if kind is not None and kind not in KINDS:
        raise ValueError("There is no such kind of dead letter.")
    return Choice(
        vendor_uid=query.get("vendor", "").strip() or None,
        reason=query.get("reason", "").strip() or None,
        before=_time(query.get("before", "")),
        since=_time(query.get("since", "")),
        kind=kind,
    )


def _time(text: str) -> int | None:
    """Return a time as browsers write it, in UTC, as unix ms."""
    if not text:
        return None
    try:
        return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)
    except ValueError:
        raise ValueError("That is no time; write it as 2026-01-31T14:05.") from None


def _asked(query: QueryParams) -> dict[str, str]:
    return {name: query[name] for name in FILTERS if query.get(name)}


def _link(query: QueryParams, **more: str) -> str:
    return f"?{urlencode({**_asked(query), **more})}"


# -- what is shown --


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
        "text": visible(why.text),
        "advice": advise(why.letter, why.kind, why.text),
        "link": f"{PATH}{_link(query, kind=kind, reason=why.text)}",
    }


def _row(head: LetterHead, user: User) -> dict[str, Any]:
    return {
        "head": head,
        "item": _item(head.ref),
        "link": f"{PATH}/letter?{urlencode({'vendor': head.ref.vendor_uid, 'id': head.ref.id})}",
        "kind": head.kind or "unreadable",
        # Of a long one the end is enough to tell it from others.
        "wamid": show_id(head.wamid, clear=user.operates and len(head.wamid or "") <= MAX_ID),
        "reason": visible(head.reason),
    }


def _shown(letter: DeadLetter, user: User) -> dict[str, Any]:
    """Return what the page of one letter says. Raises ValueError, KeyError or TypeError."""
    update = letter.update
    reason, kind = str(update.get("reason") or "no reason is known"), update.get("kind")
    return {
        "letter": letter,
        "item": _item(letter.ref),
        "kind": str(kind or "unreadable"),
        "reason": visible(reason),
        "advice": advise(letter.kind, kind, reason),
        "wamid": show_id(str(update.get("wamid") or ""), clear=user.operates),
        "received_at": update.get("received_at"),
        "attempts": update.get("attempts"),
        "body": _body(letter, user),
    }


def _body(letter: DeadLetter, user: User) -> Body:
    """Return what a letter holds: the webhook, the bytes that could not be read, or the effect."""
    held: Iterable[Any] = (letter.update.get(name) for name in ("payload", "effect"))
    value = next((one for one in held if one is not None), None)
    if value is not None:
        return show_value(value, clear=user.operates)
    return show_body(base64.b64decode(letter.update.get("body") or ""), clear=user.operates)
