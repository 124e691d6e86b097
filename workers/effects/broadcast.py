"""Broadcasts to browsers, over a server with Pusher's HTTP API."""

import time
from collections.abc import Awaitable, Callable, Iterator
from functools import partial

import structlog

from contracts.backend import VendorConfig
from contracts.effects import Broadcast, Broadcaster, EffectKind
from sidecar.effects.outbound import OutboundFailed, OutboundRefused, Reply
from workers.effects.calls import REFUSED, Once, count, may_come_again, result_of, retry_after_s
from workers.effects.handler import Again, Done, End, GivenUp, Queued
from workers.effects.pusher import MAX_BATCH, MAX_BATCH_BYTES, Event, Pusher

log = structlog.get_logger()

#: Maximum concurrent calls for one vendor. Pusher promises no order.
AT_ONCE = 4
TIMEOUT_S = 10.0
LONGEST_PAUSE_S = 60.0
#: How long to wait if a person has to act first: a wrong key, app or URL.
WRONG_S = 15.0
#: What an event adds to a batch besides its texts.
_EVENT_BYTES = 60


class Broadcasts:
    """Triggers events: :class:`workers.effects.handler.Handler` of ``broadcast``.

    ``pusher`` is the handler's own, and is closed with it.
    """

    kind = EffectKind.BROADCAST
    batch = MAX_BATCH
    at_once = AT_ONCE

    def __init__(self, pusher: Pusher) -> None:
        self._pusher = pusher
        self._without_server = Once()
        self._wrong = Once()
        self._without_batches = Once()

    def arrived(self, queued: Queued) -> None:
        """Do nothing: there is nothing to prepare."""

    async def close(self) -> None:
        await self._pusher.close()

    async def do(self, config: VendorConfig, batch: list[Queued]) -> list[End]:
        if config.broadcaster is None:
            return [self._nowhere(queued) for queued in batch]
        self._without_server.over(config.vendor_uid)
        ends: dict[int, End] = {}
        events: dict[int, Event] = {}
        for index, queued in enumerate(batch):
            if not isinstance(queued.effect, Broadcast):
                ends[index] = GivenUp(f"{queued.effect.kind} is no broadcast")
                continue
            try:
                events[index] = Event.of(queued.effect)
            except ValueError as error:
                ends[index] = GivenUp(str(error))
        for part in _parts(events):
            ends.update(await self._part(config.broadcaster, part))
            if isinstance(failed := ends[next(reversed(part))], Again):
                # The others would wait for the same server.
                ends = {**dict.fromkeys(events, failed), **ends}
                break
        return [ends[index] for index in range(len(batch))]

    async def _part(self, server: Broadcaster, part: dict[int, Event]) -> dict[int, End]:
        """Trigger the events of one call, or each alone if they are refused together: one of them
        may be the cause, or the server has no batches."""
        if len(part) > 1 and not self._without_batches.known(_name(server)):
            call = partial(self._pusher.trigger_batch, server, list(part.values()))
            reply = await self._call(server, call)
            if isinstance(reply, Again):
                return dict.fromkeys(part, reply)
            if reply.status in (404, 405):
                self._without_batches.first(_name(server))
            elif not isinstance(end := self._conclude(server, reply), GivenUp):
                return dict.fromkeys(part, end)
        ends: dict[int, End] = {}
        for index, event in part.items():
            reply = await self._call(server, partial(self._pusher.trigger, server, event))
            end = reply if isinstance(reply, Again) else self._conclude(server, reply)
            if isinstance(end, Again):
                return dict.fromkeys(part, end) | ends
            ends[index] = end
        return ends

    async def _call(
        self, server: Broadcaster, call: Callable[[], Awaitable[Reply]]
    ) -> Reply | Again:
        started_at = time.perf_counter()
        try:
            reply = await call()
        except OutboundRefused as error:
            count(self.kind, "refused_address")
            return self._a_person_must_act(server, str(error))
        except OutboundFailed as error:
            count(self.kind, error.how, started_at)
            return Again(str(error))
        count(self.kind, result_of(reply.status), started_at)
        return reply

    def _conclude(self, server: Broadcaster, reply: Reply) -> End:
        reason = f"the broadcasting server answered {reply.status}"
        if reply.status in REFUSED or 300 <= reply.status < 400:
            return self._a_person_must_act(server, reason)
        if self._wrong.over(_name(server)):
            log.info("broadcast.accepted_again", server=server.url, app=server.app_id)
        if 200 <= reply.status < 300:
            return Done()
        if may_come_again(reply.status):
            return Again(reason, after_s=retry_after_s(reply.retry_after, LONGEST_PAUSE_S))
        if reply.status == 413:
            reason += ": the event is larger than it takes"
        return GivenUp(reason)

    def _a_person_must_act(self, server: Broadcaster, reason: str) -> Again:
        if self._wrong.first(_name(server)):
            log.error(
                "broadcast.refused",
                server=server.url,
                app=server.app_id,
                reason=reason,
                action="check the URL, app id, key and secret of the broadcaster that PHP names",
            )
        return Again(reason, after_s=WRONG_S, counts=False, refused=True)

    def _nowhere(self, queued: Queued) -> End:
        count(self.kind, "no_target")
        if self._without_server.first(queued.vendor_uid):
            log.info("broadcast.no_server", vendor=queued.vendor_uid)
        return Done()


def _name(server: Broadcaster) -> str:
    return f"{server.url} {server.app_id}"


def _parts(events: dict[int, Event]) -> Iterator[dict[int, Event]]:
    """Yield the events of each call."""
    part: dict[int, Event] = {}
    size = 0
    for index, event in events.items():
        if not event.fits_a_batch:
            yield {index: event}
            continue
        its = _size(event)
        if part and (len(part) == MAX_BATCH or size + its > MAX_BATCH_BYTES):
            yield part
            part, size = {}, 0
        part[index] = event
        size += its
    if part:
        yield part


def _size(event: Event) -> int:
    texts = (event.name, *event.channels, event.socket_id or "", event.data)
    # Quotes and backslashes of the data are escaped once more in the body.
    escaped = event.data.count('"') + event.data.count("\\")
    return _EVENT_BYTES + escaped + sum(len(text.encode()) for text in texts)
