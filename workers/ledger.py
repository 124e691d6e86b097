"""The ledger: what is known of every claimed row until PHP has it, on disk in Redis.

A row is *claimed*, then *sending* (written right before the call, together with the others whose
slots have come), then *known* (written when the call is over), and is dropped when PHP has
recorded the outcome. So after a crash: claimed rows were certainly not sent, known ones are
reported, and for those that were being sent nobody can tell.
"""

from dataclasses import dataclass
from typing import Any, cast

from contracts.backend import SendResult, UpdateKind
from sidecar import keys
from sidecar.lease import Lease
from sidecar.redis_client import Hash, Redis, script
from workers.item import Item
from workers.rows import QueuedRow

_CLAIMED = b"c:"
_SENDING = b"s:"
_KNOWN = b"k:"


def sending(number: str, claim_uid: str) -> bytes:
    """Return the state of a row of a claim that is about to be sent from a number."""
    return _SENDING + f"{claim_uid}:{number}".encode()


@dataclass(frozen=True, slots=True)
class LedgerState:
    """``claimed`` maps a row to its claim, ``sending`` to its claim and the number it was sent
    from."""

    claimed: dict[str, str]
    sending: dict[str, tuple[str, str]]
    known: list[SendResult]


class Halted(Exception):
    """The campaign is paused or cancelled."""


class NotTheHolder(Exception):
    """Somebody else holds the campaign now."""


def refuse(answer: int, campaign_uid: str) -> None:
    """Raise what a script's answer of -1 or -2 stands for."""
    if answer == -1:
        raise NotTheHolder(campaign_uid)
    if answer == -2:
        raise Halted(campaign_uid)


class Ledger:
    """The ledger of one campaign."""

    def __init__(self, redis: Redis, campaign_uid: str) -> None:
        self._redis = redis
        self._campaign_uid = campaign_uid
        self._begin = script(redis, "begin")
        self._ledger = keys.ledger(campaign_uid)
        self._claims = keys.claims(campaign_uid)

    async def about_to_claim(self, claim_uid: str, now: int) -> None:
        """Note a claim before PHP is asked for it, so that its rows are found whatever happens."""
        await self._redis.hset(self._claims, claim_uid, now)

    async def claimed(self, claim_uid: str, row_uids: list[str]) -> None:
        """Note the rows that the claim has brought. States that rows have already are kept."""
        pipeline = self._redis.pipeline(transaction=True)
        for row_uid in row_uids:
            pipeline.hsetnx(self._ledger, row_uid, _CLAIMED + claim_uid.encode())
        pipeline.hdel(self._claims, claim_uid)
        await pipeline.execute()

    async def open_claims(self) -> list[str]:
        """Return the claims of which it is not known what they have brought."""
        claims = cast(list[bytes], await self._redis.hkeys(self._claims))
        return [claim.decode() for claim in claims]

    async def begin(self, lease: Lease, sends: list[tuple[QueuedRow, str]]) -> None:
        """Note that rows are about to be sent, each from its number, in one round trip. Raises
        :class:`Halted`, :class:`NotTheHolder`; then they must not be sent."""
        states: list[str | bytes] = []
        for row, number in sends:
            states += [row.uid, sending(number, row.claim_uid)]
        answer = await self._begin(
            keys=[lease.key, keys.halt(self._campaign_uid), self._ledger],
            args=[lease.token, *states],
        )
        refuse(answer, self._campaign_uid)

    async def not_sent(self, rows: list[QueuedRow]) -> None:
        """Note that rows that were (perhaps) about to be sent certainly were not."""
        states: dict[Any, Any] = {row.uid: _CLAIMED + row.claim_uid.encode() for row in rows}
        await self._redis.hset(self._ledger, mapping=states)

    async def known(self, results: list[SendResult]) -> None:
        """Note outcomes, in one round trip."""
        states: dict[Any, Any] = {
            r.uid: _KNOWN + r.model_dump_json(exclude_defaults=True).encode() for r in results
        }
        await self._redis.hset(self._ledger, mapping=states)

    async def settled(self, row_uids: list[str]) -> None:
        """Drop rows that PHP has."""
        await self._redis.hdel(self._ledger, *row_uids)

    async def empty(self) -> bool:
        """Tell whether nothing is left to be settled."""
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.hlen(self._ledger)
        pipeline.hlen(self._claims)
        return not any(await pipeline.execute())

    async def load(self) -> LedgerState:
        """Return all that is in the ledger. Only rows in flight are, so it is small."""
        state = LedgerState({}, {}, [])
        entries = cast(Hash, await self._redis.hgetall(self._ledger))
        for row_uid, value in entries.items():
            if value.startswith(_SENDING):
                claim_uid, _, number = value.removeprefix(_SENDING).decode().partition(":")
                state.sending[row_uid.decode()] = (claim_uid, number)
            elif value.startswith(_KNOWN):
                state.known.append(SendResult.model_validate_json(value.removeprefix(_KNOWN)))
            else:
                state.claimed[row_uid.decode()] = value.removeprefix(_CLAIMED).decode()
        return state


class LedgerView:
    """Lets the drain of statuses see which sends are not recorded with PHP yet."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def unsettled(self, items: list[Item]) -> set[str]:
        """Return the ids of those statuses whose send is in a ledger."""
        statuses = [i for i in items if i.kind is UpdateKind.STATUS and i.callback_data]
        if not statuses:
            return set()
        campaigns = cast(Hash, await self._redis.hgetall(keys.CAMPAIGNS))
        vendors = {item.vendor_uid for item in statuses}
        ledgers = [
            keys.ledger(campaign.decode())
            for campaign, vendor in campaigns.items()
            if vendor.decode() in vendors
        ]
        if not ledgers:
            return set()
        row_uids = [item.callback_data or "" for item in statuses]
        pipeline = self._redis.pipeline(transaction=False)
        for ledger in ledgers:
            pipeline.hmget(ledger, row_uids)
        answers = await pipeline.execute()
        return {
            item.id
            for item, *states in zip(statuses, *answers, strict=True)
            if any(state is not None for state in states)
        }
