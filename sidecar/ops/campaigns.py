"""Campaigns as a person wants to see them: what PHP keeps, beside what Redis and workers know."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from contracts import backend as contract
from contracts.backend import ErrorCode
from contracts.campaigns import CampaignState
from contracts.jobs import Queue
from sidecar.ops.backlog import (
    CampaignWork,
    Listed,
    read_campaign,
    read_campaigns,
    read_listed,
)
from sidecar.ops.sends import RecentSends, recent_sends
from sidecar.php.client import Backend, BackendRefused
from sidecar.redis.client import Redis
from sidecar.sending.halts import state_of

#: Most campaigns in one request, and so the most that are open of which PHP tells: the newest.
MAX_OPEN = _BATCH = 1000
#: Looking makes no row unknown.
_NEVER_S = 10 * 365 * 86_400

NO_WORKER = "no worker runs for campaigns"


@dataclass(frozen=True, slots=True)
class Campaign:
    """``php`` is None for one that PHP does not know (any more), or if PHP does not answer, and
    then ``php_away`` says why; ``work`` and ``recent`` are None where Redis knows nothing of it, or
    was not asked. ``no_worker``: none lives that would send it."""

    uid: str
    php: contract.DueCampaign | None
    work: CampaignWork | None = None
    recent: RecentSends | None = None
    php_away: str | None = None
    no_worker: bool = False

    @property
    def vendor_uid(self) -> str | None:
        if self.php is not None:
            return self.php.vendor_uid
        return self.work.vendor_uid if self.work else None

    @property
    def state(self) -> str:
        """A halt that PHP does not know yet is what counts. ``unknown to PHP``: it was deleted."""
        if self.php is None:
            return self.work.state if self.work and self.php_away else "unknown to PHP"
        return state_of(self.php.state, self.work.halt if self.work else None).value

    @property
    def finished(self) -> bool:
        """Whether it runs, and nothing is left of it: neither rows to send nor unknown outcomes. It
        may get some again (``contracts/campaigns.py``)."""
        if self.php is None or self.state != CampaignState.RUNNING or not self.total:
            return False
        counts = self.php.counts
        return not counts.queued + counts.processing + counts.unknown

    @property
    def standing(self) -> str:
        """How it stands, for people: its state, but for one that is finished."""
        return "finished" if self.finished else self.state

    @property
    def reason(self) -> str | None:
        """Why it does not send: of a halt, or why it waits."""
        halt = self.work.halt if self.work else None
        if self.state != CampaignState.RUNNING:
            return halt.reason if halt and halt.reason else self.php.reason if self.php else None
        if self.work and self.work.waits:
            return self.work.waits
        ours = self.php is None or (self.php.on_sidecar and self._left)
        return NO_WORKER if self.no_worker and ours else None

    @property
    def _left(self) -> int:
        """Messages that are still to be sent."""
        return self.php.counts.queued + self.php.counts.processing if self.php else 0

    @property
    def sent(self) -> int:
        """Messages that the API has taken."""
        if self.php is None:
            return 0
        counts = self.php.counts
        return counts.accepted + counts.sent + counts.delivered + counts.read + counts.failed

    @property
    def total(self) -> int:
        """All messages. Rows that await their status are in the log as well."""
        if self.php is None:
            return 0
        counts = self.php.counts
        rows = counts.queued + counts.processing + counts.error + counts.expired + counts.unknown
        return self.sent + rows

    @property
    def per_s(self) -> float:
        """Messages that were accepted in a second of the last minute; none of one that is finished:
        that minute is not of its sending any more."""
        return self.recent.per_s if self.recent and not self.finished else 0.0

    @property
    def left_s(self) -> float | None:
        """In how many seconds the rest is sent, if it goes on as it goes now; None if it does not,
        or if nothing is left."""
        if not self._left or self.state != CampaignState.RUNNING or not self.per_s:
            return None
        return self._left / self.per_s

    @property
    def json(self) -> dict[str, Any]:
        return {
            "campaign_uid": self.uid,
            "vendor_uid": self.vendor_uid,
            "title": self.php.title if self.php else None,
            "state": self.state,
            "finished": self.finished,
            "reason": self.reason,
            "sent": self.sent,
            "total": self.total,
            "per_s": self.per_s,
            "left_s": self.left_s,
            "php": self.php.model_dump(mode="json") if self.php else None,
            "work": asdict(self.work) | {"in_flight": self.work.in_flight} if self.work else None,
            "recent": asdict(self.recent) if self.recent else None,
        }


async def read_all(
    redis: Redis | None, backend: Backend, timeout_s: float | None = None
) -> list[Campaign]:
    """Return campaigns that have rows to send or of unknown outcome, or that Redis knows: being
    sent, halted. ``redis`` None: as far as PHP knows. ``timeout_s``: for each call to PHP, if not
    the usual. Raises ``BackendError`` and redis-py's errors."""
    known = await _all_of(redis)
    php = _Php(backend, timeout_s)
    found = {one.campaign_uid: one for one in await php.open()}
    found |= await php.find([uid for uid in known.works if uid not in found])
    uids = dict.fromkeys([*known.works, *found])
    return sorted(
        (known.campaign(uid, found.get(uid)) for uid in uids),
        key=lambda one: (one.state != "running", one.vendor_uid or "", one.uid),
    )


async def read_one(
    redis: Redis | None,
    backend: Backend,
    uid: str,
    timeout_s: float | None = None,
    *,
    errors: bool = False,
) -> Campaign:
    """As :func:`read_all`, of one, whatever its rows; costs the same however many others there
    are. With ``errors`` PHP names what its messages have failed of, if its package can."""
    known = await _one_of(redis, uid)
    php = _Php(backend, timeout_s)
    found = await (php.find_with_errors if errors else php.find)([uid])
    return known.campaign(uid, found.get(uid))


async def read_all_of_redis(redis: Redis, php_away: str) -> list[Campaign]:
    """As :func:`read_all`, as far as Redis knows, while PHP does not answer."""
    known = await _all_of(redis)
    return [known.campaign(uid, None, php_away) for uid in known.works]


async def read_one_of_redis(redis: Redis, uid: str, php_away: str) -> Campaign:
    """As :func:`read_one`, as far as Redis knows, while PHP does not answer."""
    return (await _one_of(redis, uid)).campaign(uid, None, php_away)


@dataclass(frozen=True, slots=True)
class _Known:
    """What Redis and the workers know of campaigns, by their uids."""

    works: dict[str, CampaignWork] = field(default_factory=dict)
    recent: dict[str | None, RecentSends] = field(default_factory=dict)
    no_worker: bool = False

    @classmethod
    def of(cls, listed: Listed, works: Iterable[CampaignWork]) -> Self:
        recent = {one.campaign_uid: one for one in recent_sends(listed.processes)}
        queues = {queue for one in listed.processes if one.alive for queue in one.queues}
        return cls({one.uid: one for one in works}, recent, Queue.CAMPAIGNS not in queues)

    def campaign(
        self, uid: str, php: contract.DueCampaign | None, php_away: str | None = None
    ) -> Campaign:
        work, recent = self.works.get(uid), self.recent.get(uid)
        return Campaign(uid, php, work, recent, php_away, self.no_worker)


async def _all_of(redis: Redis | None) -> _Known:
    if redis is None:
        return _Known()
    listed = await read_listed(redis)
    return _Known.of(listed, await read_campaigns(redis, listed))


async def _one_of(redis: Redis | None, uid: str) -> _Known:
    if redis is None:
        return _Known()
    listed = await read_listed(redis)
    work = await read_campaign(redis, listed, uid)
    return _Known.of(listed, [work] if work else [])


class _Php:
    def __init__(self, backend: Backend, timeout_s: float | None) -> None:
        self._backend = backend
        self._timeout_s = timeout_s

    async def find(self, uids: Sequence[str]) -> dict[str, contract.DueCampaign]:
        found: list[contract.DueCampaign] = []
        for start in range(0, len(uids), _BATCH):
            some = list(uids[start : start + _BATCH])
            found += await self._ask(campaign_uids=some, limit=_BATCH)
        return {one.campaign_uid: one for one in found}

    async def find_with_errors(self, uids: Sequence[str]) -> dict[str, contract.DueCampaign]:
        """As :meth:`find`; without errors of a package that cannot tell them."""
        try:
            found = await self._ask(campaign_uids=list(uids), errors=True)
        except BackendRefused as error:
            if error.code != ErrorCode.REQUEST_INVALID:
                raise
            return await self.find(uids)
        return {one.campaign_uid: one for one in found}

    async def open(self) -> list[contract.DueCampaign]:
        """Return those that are not over; of a package that cannot tell, those with rows due."""
        try:
            return await self._ask(open=True, limit=_BATCH)
        except BackendRefused as error:
            if error.code != ErrorCode.REQUEST_INVALID:
                raise
        return await self._ask(limit=_BATCH)

    async def _ask(self, **wanted: Any) -> list[contract.DueCampaign]:
        request = contract.DueCampaignsRequest(stale_after_s=_NEVER_S, **wanted)
        answer = await self._backend.call(
            contract.DUE_CAMPAIGNS, request, contract.DueCampaignsAnswer, timeout_s=self._timeout_s
        )
        return answer.campaigns
