"""Attaching bots to customers' messages on their way to PHP.

This never delays a message for long and never withholds one: if its bots are not known in time, the
message goes without, and PHP matches it itself.
"""

import asyncio
import time
from collections.abc import Iterable
from datetime import UTC, datetime

import structlog

from contracts.backend import UpdateKind
from contracts.bots import MatchedBots
from contracts.cloud_api.text import message_text
from sidecar.bots.cache import Bots
from sidecar.bots.matcher import LONGEST, Matcher
from sidecar.php.client import BackendError
from sidecar.php.vendors import Vendors
from sidecar.tasks import cancel
from workers.inbox.update import Update

log = structlog.get_logger()

#: After PHP has not answered in time, no message waits for it for this long.
IMPATIENT_S = 5.0


class Matching:
    """Finds the bots of messages, from memory. One for each process.

    PHP is asked about vendors that are new to this process; that may take ``wait_s``, for all
    vendors of a batch together.
    """

    def __init__(self, vendors: Vendors, bots: Bots, *, wait_s: float) -> None:
        self._vendors = vendors
        self._bots = bots
        self._wait_s = wait_s
        self._impatient_until = 0.0

    async def attach(self, updates: Iterable[Update]) -> None:
        """Attach bots to the customers' messages of vendors whose bots are matched here."""
        texts: dict[str, list[tuple[Update, str]]] = {}
        for update in updates:
            text = _text_of(update) if update.kind is UpdateKind.MESSAGE else None
            if text is not None and update.bots is None:
                texts.setdefault(update.vendor_uid, []).append((update, text))
        if cold := [vendor_uid for vendor_uid in texts if not self._find(vendor_uid)[0]]:
            await self._wait(cold)
        now = datetime.now(UTC)
        for vendor_uid, mine in texts.items():
            matcher = self._find(vendor_uid)[1]
            if matcher is not None:
                for update, text in mine:
                    if len(text) <= LONGEST:
                        _match(matcher, update, text, now)
                    else:
                        await asyncio.to_thread(_match, matcher, update, text, now)

    def _find(self, vendor_uid: str) -> tuple[bool, Matcher | None]:
        """Return (True, the matcher or None where PHP matches), or (False, None) if that is not
        known yet."""
        known, config = self._vendors.peek(vendor_uid)
        if config is None:
            return known, None
        return self._bots.peek(vendor_uid) if config.bots_on_sidecar else (True, None)

    async def _wait(self, vendor_uids: list[str]) -> None:
        """Ask PHP, and wait a little if it has been quick lately."""
        wait_s = 0.0 if time.monotonic() < self._impatient_until else self._wait_s
        questions = [asyncio.create_task(self._learn(vendor_uid)) for vendor_uid in vendor_uids]
        try:
            _, late = await asyncio.wait(questions, timeout=wait_s)
            if late and wait_s:
                self._impatient_until = time.monotonic() + IMPATIENT_S
        finally:
            await cancel(questions)  # PHP's answer is for the next message

    async def _learn(self, vendor_uid: str) -> None:
        try:
            config = await self._vendors.get(vendor_uid)
            if config is not None and config.bots_on_sidecar:
                await self._bots.get(vendor_uid)
        except BackendError:
            return  # the caches have said so


def _text_of(update: Update) -> str | None:
    return message_text(update.element)


def _match(matcher: Matcher, update: Update, text: str, at: datetime) -> None:
    try:
        update.bots = MatchedBots(matches=matcher.match(text, at))
    except Exception as error:  # a fault of ours, and PHP can still match it
        log.error(
            "bots.not_matched",
            vendor=update.vendor_uid,
            update=update.id,
            wamid=update.wamid,
            exc_info=error,
        )
