"""Takes over the webhooks that PHP stored while the sidecar was down.

nginx sends webhooks to PHP when the sidecar does not answer, and PHP keeps them in its own table.
From there they are handled like all others: a page is fetched, written to the inbox on disk, and
then acknowledged, upon which PHP deletes it. After a crash before that, the same page is fetched
again, and what was written twice is dropped like any duplicate, by its mark or by PHP. So there is
nothing to clean up, and no state in this process alone.

They are late: later webhooks of the same contact may have been delivered before. A status only
moves up, and a message carries its own time. ``received_at`` is when they were taken over, so that
a status whose send PHP has not recorded yet gets its full waiting time.
"""

import asyncio
import base64
import binascii
import re
import time
from collections.abc import Callable, Iterator
from typing import cast

import structlog

from contracts import backend as contract
from contracts.cloud_api.webhook import SIGNATURE_HEADER
from contracts.jobs import Job, Lane, drain
from sidecar.inbox.lanes import lane_of
from sidecar.inbox.store import MAX_ENTRY_WEBHOOKS, Inbox, InboxUnavailable
from sidecar.logs import LogOnce
from sidecar.php.client import Backend, BackendError
from sidecar.redis import keys
from sidecar.redis.client import Redis
from sidecar.redis.lease import Lease

log = structlog.get_logger()

#: Webhooks of one page. PHP bounds their bytes.
PAGE = 500

#: Bytes and webhooks of one write, so that live webhooks do not wait long behind it.
WRITE_BYTES = 1024 * 1024
WRITE_WEBHOOKS = MAX_ENTRY_WEBHOOKS

#: Nobody waits for the answer to a write.
WRITE_TIMEOUT_S = 5.0

#: A page is taken only while fewer webhooks than this wait in the inbox. The others are as safe in
#: PHP's table, and here would delay live webhooks. Statuses wait for others in any case:
#: some hundreds do at Meta's fastest.
ROOM = {Lane.MESSAGES: 500, Lane.STATUSES: 5000}

#: How long it runs before the reconciler does other work.
MAX_RUN_S = 1.0
_ROOM_PAUSE_S = 0.05

_SIGNATURE = re.compile("sha256=[0-9a-fA-F]{64}")


class Backlog:
    """Run it under a lease. Two at once would do no harm, only double work."""

    def __init__(
        self,
        redis: Redis,
        backend: Backend,
        wake: Callable[[Job], None],
        *,
        memory_share: float = 1.0,
        vendor_share: float = 1.0,
    ) -> None:
        self._redis = redis
        self._backend = backend
        self._inbox = Inbox(
            redis,
            timeout_s=WRITE_TIMEOUT_S,
            pending_limit_bytes=WRITE_BYTES,
            wake=lambda lane: wake(drain(lane)),
            memory_share=memory_share,
            vendor_share=vendor_share,
        )
        self._outage = LogOnce("stored_webhooks.not_adopted")
        self._taken = 0

    async def take_over(self, lease: Lease) -> bool:
        """Take over what is there, for a limited time, while the lease is held. Return whether to
        come back soon: not if nothing is left, or if PHP or the inbox refuses. Raises Redis's
        errors."""
        try:
            end = time.monotonic() + MAX_RUN_S
            while not lease.lost.is_set() and time.monotonic() < end:
                if not await self._has_room():
                    await asyncio.sleep(_ROOM_PAUSE_S)
                elif not await self._take_page():
                    return False
            return not lease.lost.is_set()
        except (BackendError, InboxUnavailable) as error:
            self._outage.failed(str(error))
            return False
        finally:
            await self._inbox.close()
            if self._taken:
                log.info("stored_webhooks.adopted", webhooks=self._taken)
                self._taken = 0

    async def _has_room(self) -> bool:
        pipeline = self._redis.pipeline(transaction=False)
        for lane in Lane:
            pipeline.hvals(keys.waiting(lane))
        answers = cast("list[list[bytes]]", await pipeline.execute())
        return all(
            sum(map(int, waiting)) < ROOM[lane] for lane, waiting in zip(Lane, answers, strict=True)
        )

    async def _take_page(self) -> bool:
        """Take over the next page. Return whether there is another one."""
        page = await self._call(limit=PAGE)
        written, refusal = await self._write(page.webhooks)
        if written:
            # Also when the inbox refused the others: these would be written to it again and again.
            answer = await self._call(limit=0, taken=written)
            self._taken += len(written)
            if not answer.deleted:
                self._outage.failed("PHP has deleted none of them, or somebody else had before")
                return False
        if refusal is not None:
            raise refusal
        self._outage.worked()
        return bool(page.webhooks and page.pending)

    async def _call(self, **fields: object) -> contract.PendingWebhooksAnswer:
        request = contract.PendingWebhooksRequest.model_validate(fields)
        return await self._backend.call(
            contract.PENDING_WEBHOOKS, request, contract.PendingWebhooksAnswer
        )

    async def _write(
        self, webhooks: list[contract.PendingWebhook]
    ) -> tuple[list[str], InboxUnavailable | None]:
        """Return those that are on disk now, and why the others are not."""
        written: list[str] = []
        for group in _groups([(webhook, body_of(webhook)) for webhook in webhooks]):
            try:
                await asyncio.gather(
                    *(
                        self._inbox.put(
                            lane_of(body), webhook.vendor_uid, signature_of(webhook), body
                        )
                        for webhook, body in group
                    )
                )
            except InboxUnavailable as error:
                return written, error
            written += [webhook.uid for webhook, _ in group]
        return written, None


_Pair = tuple[contract.PendingWebhook, bytes]


def _groups(pairs: list[_Pair]) -> Iterator[list[_Pair]]:
    """Divide webhooks and their bodies into writes."""
    group: list[_Pair] = []
    size = 0
    for webhook, body in pairs:
        if group and (len(group) >= WRITE_WEBHOOKS or size + len(body) > WRITE_BYTES):
            yield group
            group, size = [], 0
        group.append((webhook, body))
        size += len(body)
    if group:
        yield group


def body_of(webhook: contract.PendingWebhook) -> bytes:
    """Return the body of a stored webhook. An unreadable one must not hold up the others: it is
    passed on as it is, and PHP decides what it is."""
    if webhook.body_base64 is None:
        return (webhook.body or "").encode()
    try:
        return base64.b64decode(webhook.body_base64, validate=True)
    except (binascii.Error, ValueError):
        return webhook.body_base64.encode()


def signature_of(webhook: contract.PendingWebhook) -> bytes:
    """Return Meta's signature as it was stored with the webhook; empty if there is none."""
    for name, value in webhook.headers.items():
        if name.lower() == SIGNATURE_HEADER.lower() and _SIGNATURE.fullmatch(value):
            return value.encode()
    return b""
