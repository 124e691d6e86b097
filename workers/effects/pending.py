"""Finds what PHP has asked for and nobody does: after Redis was wiped, and where an answer of PHP's
or a call to the sidecar was lost.

Once in a while PHP is asked for messages that stand ``pending`` in its log. Those that were taken
are known by their marks. Of the others one that was asked for after Redis's memory begins was never
taken, and is. An older one may have been sent before Redis was wiped, so its outcome is unknown:
PHP is told, and a status settles it. Questions to an AI are asked for when the memory begins: an AI
may be asked twice, and what is sent of its answer PHP decides once
(``docs/decisions/0010-pending-messages.md``).
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import structlog

from contracts import backend as contract
from contracts.backend import SendError, SendOutcome, SendResult
from contracts.effects import Effect, EffectKind, SendMessage
from contracts.jobs import Job, do_effects
from sidecar.clock import now_ms
from sidecar.effects.memory import Memory, is_known
from sidecar.effects.outbox import make_outbox, parse_effects
from sidecar.logs import LogOnce
from sidecar.metrics import METRICS, PENDING_EFFECTS
from sidecar.php.client import Backend, BackendError
from sidecar.redis.client import Redis
from sidecar.settings import Settings
from workers.sending.results import tell_php

log = structlog.get_logger()

#: Rows that PHP looks at for one page. A question holds the conversation.
MAX_ROWS = {EffectKind.SEND_MESSAGE: contract.MAX_PENDING_EFFECTS, EffectKind.AI_REPLY: 200}

#: How long PHP is left alone after it has failed.
PAUSE_S = 5.0

FORGOTTEN = SendError(
    code=None, message="Redis was wiped, and nobody knows whether it was sent before"
)


@dataclass(slots=True)
class _Round:
    """From the first page to the last. With a ``token`` it is about questions, and Redis's memory
    begins when it is over: at ``began_at``, by PHP's clock. ``left`` says of the messages that
    nobody sends when they were asked for."""

    token: bytes | None
    after: str | None = None
    began_at: int = 0
    left: list[int] = field(default_factory=list)


class PendingEffects:
    """Run it under a lease. Two at once would do no harm, only double work. ``wake`` wakes a worker
    for a job."""

    def __init__(
        self, settings: Settings, redis: Redis, backend: Backend, wake: Callable[[Job], None]
    ) -> None:
        self._settings = settings
        self._backend = backend
        self._wake = wake
        self._outbox = make_outbox(settings, redis)
        self._memory = Memory(redis)
        self._outage = LogOnce("php.pending_effects.unavailable")
        self._round: _Round | None = None
        self._next_at = 0.0
        self._remembers = True
        #: How many messages nobody sends, and since when the oldest of them waits.
        self.unasked: dict[str, int] = {}

    def noticed(self, since: bytes | None) -> None:
        """``since`` is what stands at ``memory:since``: without a time, Redis was wiped."""
        if self._remembers and not is_known(since):
            self._next_at = 0.0
        self._remembers = is_known(since)

    async def look(self) -> None:
        """Ask PHP for the next page, if it is time to. Raises Redis's errors."""
        if time.monotonic() < self._next_at:
            return
        token = await self._memory.begin()
        if self._round is None or self._round.token != token:
            self._round = _Round(token)
        try:
            await self._page(self._round)
        except BackendError as error:
            self._outage.failed(str(error))
            self._next_at = time.monotonic() + PAUSE_S
            return
        self._outage.worked()
        if self._round.after is None:
            await self._end(self._round)
            self._round = None

    async def _end(self, ended: _Round) -> None:
        if ended.token is not None:
            await self._memory.since(ended.token, ended.began_at)
            log.warning("memory.begins", at=ended.began_at)
            return  # and now for the messages
        self.unasked = {"messages": len(ended.left), "oldest_at": min(ended.left, default=0)}
        self._next_at = time.monotonic() + self._settings.pending_effects_interval_s

    async def _page(self, this: _Round) -> None:
        kind = EffectKind.SEND_MESSAGE if this.token is None else EffectKind.AI_REPLY
        request: dict[str, Any] = {"kind": kind, "limit": MAX_ROWS[kind], "after": this.after}
        if this.token is None:
            request["older_than_s"] = self._settings.pending_effects_interval_s
        page = await self._backend.call(
            contract.PENDING_EFFECTS,
            contract.PendingEffectsRequest(**request),
            contract.PendingEffectsAnswer,
        )
        forgotten: list[tuple[str, SendMessage]] = []
        for one in page.results:
            effects = parse_effects(one.vendor_uid, one.effects)
            this.left += [0] * (len(one.effects) - len(effects))
            forgotten += [(one.vendor_uid, two) for two in await self._put(one.vendor_uid, effects)]
        if forgotten:
            this.left += await self._tell(forgotten)
        this.began_at = this.began_at or page.now
        this.after = page.next

    async def _put(self, vendor_uid: str, effects: list[Effect]) -> list[SendMessage]:
        """Put what was never taken into the outbox, and return the messages that may have been
        sent."""
        effects = [self._again(one) if isinstance(one, SendMessage) else one for one in effects]
        put = await self._outbox.put(vendor_uid, effects)
        if put.taken:
            kind = effects[0].kind
            log.warning("effects.found", kind=kind, vendor=vendor_uid, effects=put.taken)
            METRICS.counter(PENDING_EFFECTS, kind, "taken").add(put.taken)
            self._wake(do_effects(kind, vendor_uid))
        return [one for one in effects if isinstance(one, SendMessage) and one.id in put.forgotten]

    def _again(self, message: SendMessage) -> SendMessage:
        """Return a message as one that is asked for again, and that expires as if it had been taken
        when it was asked for."""
        asked_at = message.asked_at or 0
        expires_at = message.expires_at or asked_at + self._settings.reply_expiry_s * 1000
        return message.model_copy(update={"asked_at": asked_at, "expires_at": expires_at})

    async def _tell(self, forgotten: list[tuple[str, SendMessage]]) -> list[int]:
        """Tell PHP that the outcome of messages is unknown. Return of those for which it does not
        take that when they were asked for."""
        results = [
            SendResult(
                uid=one.id,
                vendor_uid=vendor_uid,
                outcome=SendOutcome.UNKNOWN,
                at=now_ms(),
                phone_number_id=one.phone_number_id or "",
                error=FORGOTTEN,
            )
            for vendor_uid, one in forgotten
        ]
        answers = await tell_php(self._backend)(results, False)
        taken = {answer.id for answer in answers if answer.result in ("done", "ignored")}
        METRICS.counter(PENDING_EFFECTS, EffectKind.SEND_MESSAGE, "unknown").add(len(taken))
        return [one.asked_at or 0 for _, one in forgotten if one.id not in taken]
