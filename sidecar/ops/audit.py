"""The audit: who did what to the system and when, from the console, the command line and PHP alike.

It is a Redis stream, bounded by count. An entry is one action of a person (or of PHP for one), not
a step of the work that follows from it. Recording never fails an action: without Redis the log has
the entry instead (``audit.not_recorded``).
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, cast

import orjson
import structlog

from sidecar.logs import writable
from sidecar.redis import keys
from sidecar.redis.client import AnyRedisError, Redis, reason_of

log = structlog.get_logger()

#: Outcomes. Others are free.
DONE = "done"
NOTHING = "nothing to do"
FAILED = "failed"
REFUSED = "refused"

#: Longest of a name, a target and an outcome, in characters.
MAX_TEXT = 200
#: An entry's details beyond this many bytes are cut, each to :data:`MAX_TEXT`.
MAX_DETAILS_BYTES = 4000
MAX_DETAILS = 20
#: Entries that are read at once.
CHUNK = 500


@dataclass(frozen=True, slots=True)
class Who:
    """Who acts. ``name``: a user of the console, of the machine (``ada@host``), whom PHP named, or
    a worker's host: where the sidecar itself decides what a person has to know.
    ``role`` is one of the console's, and empty elsewhere."""

    kind: Literal["console", "command", "php", "worker"]
    name: str = ""
    role: str = ""


@dataclass(slots=True)
class Doing:
    """An action under way. Whoever does it may add to it until it is over."""

    outcome: str = DONE
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Entry:
    """``action`` is ``noun.verb``, ``target`` what it was done to (a uid, a number, or nothing).
    ``details`` are plain values. ``at_ms``: by Redis's clock. ``id`` is the stream's."""

    id: str
    at_ms: int
    who: Who
    action: str
    target: str
    outcome: str
    details: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Filter:
    """What to look for; empty: all. ``action`` may be a noun alone (``campaign``), and is else
    exact. ``who`` and ``target`` may stand anywhere in theirs, in either case. ``since_ms``: not
    before this."""

    kind: str = ""
    who: str = ""
    action: str = ""
    target: str = ""
    outcome: str = ""
    since_ms: int = 0

    def fits(self, entry: Entry) -> bool:
        """Tell whether an entry is among what is looked for."""
        return (
            self.kind in ("", entry.who.kind)
            and self.who.lower() in entry.who.name.lower()
            and self.action in ("", entry.action, entry.action.partition(".")[0])
            and self.target.lower() in entry.target.lower()
            and self.outcome in ("", entry.outcome)
        )


EVERYTHING = Filter()


class Audit:
    """Records what is done, and reads it. ``keep``: so many entries are kept, about (the setting
    ``audit_entries``)."""

    def __init__(self, redis: Redis, keep: int) -> None:
        self._redis = redis
        self._keep = keep

    async def record(
        self, who: Who, action: str, target: str = "", outcome: str = DONE, **details: Any
    ) -> None:
        """Record an action that is over, in one Redis command. Never raises. ``details`` must hold
        neither secrets nor the texts of messages."""
        await self._record(who, action, target, Doing(outcome, details))

    async def _record(self, who: Who, action: str, target: str, done: Doing) -> None:
        entry = {
            "kind": who.kind,
            "name": _short(who.name),
            "role": _short(who.role),
            "action": action,
            "target": _short(target),
            "outcome": _short(done.outcome),
            "details": _plain(done.details),
        }
        try:
            await self._redis.xadd(
                keys.AUDIT, {"entry": orjson.dumps(entry)}, maxlen=self._keep, approximate=True
            )
        except AnyRedisError as error:
            tell = log.warning if done.outcome == FAILED else log.error
            tell("audit.not_recorded", reason=reason_of(error), **entry)

    @asynccontextmanager
    async def doing(
        self, who: Who, action: str, target: str = "", **details: Any
    ) -> AsyncIterator[Doing]:
        """Record what is done inside the block when it is over: as done, or, if it raises, as
        failed, with the reason. An interrupted one is recorded too; of a killed process nothing."""
        doing = Doing(details=details)
        try:
            yield doing
        except BaseException as error:
            reason = reason_of(error) if isinstance(error, Exception) else "interrupted"
            outcome = FAILED if doing.outcome == DONE else doing.outcome
            failed = Doing(outcome, {**doing.details, "reason": reason})
            await self._record(who, action, target, failed)
            raise
        await self._record(who, action, target, doing)

    async def read(
        self, before: str | None = None, count: int = 50, wanted: Filter = EVERYTHING
    ) -> list[Entry]:
        """Return the last ``count`` entries that fit, the newest first; only such as came before
        the entry with the id ``before``. Raises redis-py's errors; and ``ResponseError`` if
        ``before`` is no id."""
        found: list[Entry] = []
        latest = "+" if before is None else f"({before}"
        while len(found) < count:
            chunk = await self._redis.xrevrange(
                keys.AUDIT, latest, str(wanted.since_ms), count=CHUNK
            )
            entries = [
                _entry(*one) for one in cast("list[tuple[bytes, dict[bytes, bytes]]]", chunk)
            ]
            found += [entry for entry in entries if wanted.fits(entry)]
            if len(entries) < CHUNK:
                break
            latest = f"({entries[-1].id}"
        return found[:count]


def as_json(entry: Entry) -> dict[str, Any]:
    """Return an entry in plain values."""
    return asdict(entry)


def _entry(id_: bytes, fields: dict[bytes, bytes]) -> Entry:
    said = _said(fields)
    return Entry(
        id=id_.decode(),
        at_ms=int(id_.partition(b"-")[0]),
        who=Who(said.get("kind", ""), said.get("name", ""), said.get("role", "")),
        action=said.get("action", "(cannot be read)"),
        target=said.get("target", ""),
        outcome=said.get("outcome", ""),
        details=said.get("details", {}),
    )


def _said(fields: dict[bytes, bytes]) -> dict[str, Any]:
    """Return what an entry says; nothing, if it is another version's, or by somebody's hand."""
    try:
        said = orjson.loads(fields.get(b"entry", b""))
    except orjson.JSONDecodeError:
        return {}
    return said if isinstance(said, dict) else {}


def _short(text: str) -> str:
    shown = str(writable(text))
    return shown if len(shown) <= MAX_TEXT else f"{shown[:MAX_TEXT]}..."


def _plain(details: dict[str, Any]) -> dict[str, Any]:
    plain = {name: writable(value) for name, value in details.items()}
    if len(orjson.dumps(plain)) <= MAX_DETAILS_BYTES:
        return plain
    return {name: _short(str(value)) for name, value in list(plain.items())[:MAX_DETAILS]}
