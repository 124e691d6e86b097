"""``POST /match-bot``: which bots answer a message."""

import asyncio
import re
from datetime import UTC, datetime

from starlette.requests import Request

from contracts import sidecar_api as api
from contracts.backend import ErrorCode
from sidecar.bots.cache import Bots
from sidecar.bots.matcher import LONGEST, admitted
from sidecar.http.signed_route import CallRefused, parse

#: ``_uid`` of a row is char(36), and ``_id`` at most a BIGINT. Of others PHP is not asked.
_VENDOR_UID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_LARGEST_ID = 2**63 - 1


class MatchBot:
    """Answers from the vendor's compiled bots; PHP is asked for them once."""

    def __init__(self, bots: Bots) -> None:
        self._bots = bots

    async def match(self, request: Request, body: bytes) -> api.MatchBotAnswer:
        """Match a message, without the bots that the contact's state excludes."""
        asked = parse(api.MatchBotRequest, body)
        matcher = await self._bots.get(await self._vendor_uid(asked))
        if matcher is None:
            raise _unknown()
        now = datetime.now(UTC)
        if len(asked.message) <= LONGEST:
            found = matcher.match(asked.message, now)
        else:
            found = await asyncio.to_thread(matcher.match, asked.message, now)
        matches = admitted(found, asked.contact)
        return api.MatchBotAnswer(bot=matches[0] if matches else None, matches=matches)

    async def _vendor_uid(self, asked: api.MatchBotRequest) -> str:
        if asked.vendor_uid is not None:
            if not _VENDOR_UID.fullmatch(asked.vendor_uid):
                raise _unknown()
            return asked.vendor_uid
        if asked.vendor_id is None:
            raise CallRefused(
                400, ErrorCode.REQUEST_INVALID, "name the vendor by vendor_uid or vendorId"
            )
        if not 0 < asked.vendor_id <= _LARGEST_ID:
            raise _unknown()
        vendor_uid = await self._bots.uid_of(asked.vendor_id)
        if vendor_uid is None:
            raise _unknown()
        return vendor_uid


def _unknown() -> CallRefused:
    return CallRefused(404, ErrorCode.VENDOR_UNKNOWN, "PHP knows no such vendor")
