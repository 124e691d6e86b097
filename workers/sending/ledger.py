"""The ledger: what is known of every claimed row until PHP has it, on disk in Redis.

A row is *claimed*, then *sending* (written right before the call, together with the others whose
slots have come), then *known* (written when the call is over), and is dropped when PHP has
recorded the outcome. So after a crash: claimed rows were certainly not sent, known ones are
reported, and for those that were being sent nobody can tell.

A row stands in one ledger, once: where PHP gives out one that somebody has in hand, it is not sent
a second time. What PHP holds of the second claim becomes 6 there (``stale_claim_s``).

What may follow which state is in ``sidecar/sending/row_states.py``. A process that has stood still
may find that somebody else sends the campaign by now. What it says of a row that has ended, or was
claimed anew, is not written; it brings no row in and begins none without the lease; and it takes
nothing that is there for its own (:meth:`Ledger.leftovers`).

The scripts also move the vendor's counters, with the rows that they count: a row that comes into
the ledger is *claimed*, and one that leaves it has ended (:class:`RowEnd`).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import cast

from contracts.backend import SendOutcome, SendResult
from sidecar.redis import keys
from sidecar.redis.client import Hash, Redis, script
from sidecar.redis.lease import Fenced, Lease, LeaseLost
from sidecar.redis.replicas import InSync
from sidecar.sending.epoch import Begun
from sidecar.sending.row_states import RowEnd, RowState, dump, load
from workers.sending.send_queue import ClaimedSend

#: How a row ends that has this outcome.
ENDS = {
    SendOutcome.ACCEPTED: RowEnd.ACCEPTED,
    SendOutcome.FAILED: RowEnd.FAILED,
    SendOutcome.REQUEUE: RowEnd.REQUEUED,
    SendOutcome.UNKNOWN: RowEnd.UNKNOWN,
}

#: How long before its slot a row is written down as being sent, at most. That takes a write to
#: disk, and sends should not go out in the rhythm of the disk; but after a crash nobody can tell of
#: what was written down whether it was sent.
BEGIN_AHEAD_S = 0.02


def sending(number: str, claim_uid: str) -> bytes:
    """Return the state of a row of a claim that is about to be sent from a number."""
    return dump(RowState.SENDING, claim_uid, number)


def _known(result: SendResult) -> bytes:
    outcome = result.model_dump_json(exclude_defaults=True)
    return dump(RowState.KNOWN, result.claim_uid or "", ENDS[result.outcome], outcome)


@dataclass(frozen=True, slots=True)
class LedgerState:
    """``claimed`` maps a row to its claim, ``sending`` to its claim and the number it was sent
    from."""

    claimed: dict[str, str]
    sending: dict[str, tuple[str, str]]
    known: list[SendResult]


class Halted(Exception):
    """The campaign is paused or cancelled."""


class NumberHeld(Exception):
    """Nothing goes out from the number for a while."""


def refuse(answer: int, campaign_uid: str) -> None:
    """Raise what a script's answer below zero stands for."""
    if answer == -1:
        raise LeaseLost(campaign_uid)
    if answer == -2:
        raise Halted(campaign_uid)
    if answer == -3:
        raise NumberHeld(campaign_uid)


class Ledger:
    """The ledger of one campaign of a vendor. ``begun`` is told of each write of rows about to be
    sent."""

    def __init__(
        self, redis: Redis, campaign_uid: str, vendor_uid: str, begun: Begun | None = None
    ) -> None:
        self._redis = redis
        self._begun = begun or Begun()
        self._campaign_uid = campaign_uid
        self._vendor_uid = vendor_uid
        self._scripts = {
            name: script(redis, f"sending/{name}") for name in ("claimed", "set_state", "settled")
        }
        self._begin = InSync(redis, "sending/begin")
        self._fenced = Fenced(redis, in_sync=True)
        self._ledger = keys.ledger(campaign_uid)
        self._claims = keys.claims(campaign_uid)
        #: What the scripts are given that move rows into the ledger or out of it.
        counters = keys.counters(vendor_uid)
        self._accounting = [self._ledger, keys.LEDGERS, counters, keys.VENDORS, keys.ROWS]

    async def about_to_claim(self, lease: Lease, claim_uid: str, now: int) -> None:
        """Note a claim before PHP is asked for it, so that its rows are found whatever happens.
        Raises :class:`LeaseLost`: the next holder has looked for claims already."""
        await self._fenced.run(lease, ("HSET", self._claims, claim_uid, now))

    async def claimed(
        self,
        lease: Lease,
        claim_uid: str,
        row_uids: list[str],
        *,
        expired: int = 0,
        skipped: int = 0,
        in_hand: Sequence[str] = (),
    ) -> list[str]:
        """Note the rows that the claim has brought; states that they have already are kept.
        ``expired`` and ``skipped`` are how many rows PHP found to be too old, and how many their
        contact is not to get: they are only counted. ``in_hand`` are the caller's earlier claims.

        Return for each row why it must not be sent, or ""
        (``sidecar/redis/lua/sending/claimed.lua``). Raises :class:`LeaseLost`: the next holder asks
        PHP what the claim has brought, or has done so, given it back and perhaps claimed it anew.
        """
        reasons = await self._scripts["claimed"](
            keys=[*self._accounting, self._claims, lease.key],
            args=[
                *(self._campaign_uid, self._vendor_uid, claim_uid, expired, skipped),
                lease.token,
                keys.ledger(""),
                len(in_hand),
                *in_hand,
                *row_uids,
            ],
        )
        if reasons == -1:
            raise LeaseLost(lease.name)
        return [reason.decode() for reason in cast("list[bytes]", reasons)]

    async def open_claims(self) -> list[str]:
        """Return the claims of which it is not known what they have brought."""
        claims = cast(list[bytes], await self._redis.hkeys(self._claims))
        return [claim.decode() for claim in claims]

    async def begin(
        self,
        lease: Lease,
        sends: list[tuple[ClaimedSend, str]],
        line: str | None = None,
        *,
        probe: str = "",
        probe_s: float = 0.0,
    ) -> list[ClaimedSend]:
        """Note that rows are about to be sent, each from its number, in one round trip. ``line`` is
        the numbers' name in Redis (``limits.py``), where it is another one. With ``probe`` they are
        one row, which may take ``probe_s`` and goes out although the Cloud API is down. Return
        those that must not be sent: somebody else has them. Raises :class:`Halted`,
        :class:`LeaseLost`, :class:`NumberHeld`; then none must be sent."""
        states: list[str | bytes] = []
        for row, number in sends:
            states += [row.uid, sending(number, row.claim_uid)]
        lines = {line or number for _, number in sends}
        answer = await self._begin(
            keys=[
                *(lease.key, keys.halt(self._campaign_uid), *self._accounting, keys.EPOCH),
                *(key for of in lines for key in (keys.number(of), keys.outage(of))),
            ],
            args=[
                *(lease.token, self._campaign_uid, self._vendor_uid),
                *(int(BEGIN_AHEAD_S * 1_000_000), keys.ledger("")),
                *(probe, int(probe_s * 1_000_000), *states),
            ],
        )
        refuse(0 if isinstance(answer, list) else answer, self._campaign_uid)
        number, *places = answer
        self._begun.note(number)
        return [sends[place][0] for place in places]

    async def not_sent(self, rows: list[ClaimedSend]) -> None:
        """Note that rows that were (perhaps) about to be sent certainly were not."""
        await self._note([(r.uid, r.claim_uid, dump(RowState.CLAIMED, r.claim_uid)) for r in rows])

    async def known(self, results: list[SendResult]) -> None:
        """Note outcomes of rows that are in the ledger, in one round trip."""
        await self._note([(r.uid, r.claim_uid or "", _known(r)) for r in results])

    async def _note(self, states: list[tuple[str, str, bytes]]) -> None:
        flat = [word for state in states for word in state]
        await self._scripts["set_state"](keys=[self._ledger], args=flat)

    async def settled(self, results: list[SendResult]) -> None:
        """Drop rows whose outcome PHP has, and count them."""
        await self._drop([(r.uid, r.claim_uid or "", ENDS[r.outcome]) for r in results])

    async def released(self, claim_uid: str, row_uids: list[str]) -> None:
        """Drop rows that PHP has back, and count them."""
        await self._drop([(row_uid, claim_uid, RowEnd.RELEASED) for row_uid in row_uids])

    async def _drop(self, ends: list[tuple[str, str, str]]) -> None:
        flat = [word for end in ends for word in end]
        await self._scripts["settled"](
            keys=[*self._accounting[:3], keys.ROWS], args=[self._campaign_uid, *flat]
        )

    async def empty(self) -> bool:
        """Tell whether nothing is left to be settled."""
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.hlen(self._ledger)
        pipeline.hlen(self._claims)
        return not any(await pipeline.execute())

    async def leftovers(self, lease: Lease) -> LedgerState:
        """Return what the ledger holds before anything is begun under this lease: what earlier
        holders have left. It is small, for only rows in flight are there. Raises
        :class:`LeaseLost`: it may be what the next holder is sending."""
        pipeline = self._redis.pipeline(transaction=True)
        pipeline.get(lease.key)
        pipeline.hgetall(self._ledger)
        token, entries = cast("tuple[bytes | None, Hash]", tuple(await pipeline.execute()))
        if token != str(lease.token).encode():
            raise LeaseLost(lease.name)
        state = LedgerState({}, {}, [])
        for row_uid, value in entries.items():
            row_state, claim_uid, more = load(value)
            if row_state is RowState.CLAIMED:
                state.claimed[row_uid.decode()] = claim_uid
            elif row_state is RowState.SENDING:
                state.sending[row_uid.decode()] = (claim_uid, more)
            else:
                _, _, outcome = more.partition(":")
                state.known.append(SendResult.model_validate_json(outcome))
        return state


class LedgerView:
    """Lets the drain of statuses see which sends are not recorded with PHP yet."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def unsettled(self, rows: Iterable[tuple[str, str]]) -> set[str]:
        """Return which of these rows, by their vendor and uid, are in a ledger of the vendor's."""
        wanted: dict[str, list[str]] = {}
        for vendor_uid, row_uid in rows:
            wanted.setdefault(vendor_uid, []).append(row_uid)
        if not wanted:
            return set()
        ledgers = cast(Hash, await self._redis.hgetall(keys.LEDGERS))
        asked = [
            (name.decode(), wanted[vendor.decode()])
            for name, vendor in ledgers.items()
            if vendor.decode() in wanted
        ]
        pipeline = self._redis.pipeline(transaction=False)
        for name, row_uids in asked:
            pipeline.hmget(keys.ledger(name), row_uids)
        answers = await pipeline.execute()
        return {
            row_uid
            for (_, row_uids), states in zip(asked, answers, strict=True)
            for row_uid, state in zip(row_uids, states, strict=True)
            if state is not None
        }
