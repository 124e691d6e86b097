"""Replies under test: a vendor's outbox, on a stage."""

import uuid
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, cast

from contracts import backend as contract
from contracts.effects import SendMessage
from sidecar.clock import now_ms
from sidecar.effects.outbox import Outbox, effects_lease, make_outbox, replies_of
from sidecar.redis import keys
from sidecar.redis.lease import Leases
from tests.eventually import eventually
from tests.workers.crashing import Process
from tests.workers.stage import Stage
from workers.sending.ledger import Ledger
from workers.sending.replies import KIND, ReplyRun


@dataclass
class Replies:
    """``told`` is what PHP was told of each reply, in order."""

    stage: Stage
    outbox: Outbox = field(init=False)
    ids: list[str] = field(default_factory=list)
    _asked: list[SendMessage] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.outbox = make_outbox(self.stage.settings, self.stage.redis)

    @property
    def vendor_uid(self) -> str:
        return self.stage.vendor.uid

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.stage.redis, replies_of(self.vendor_uid), self.vendor_uid)

    async def ask(self, count: int = 1, **more: Any) -> list[str]:
        """Have PHP ask for so many replies, each to somebody else."""
        first = len(self._asked)
        for _ in range(count):
            place = len(self.ids)
            self.ids.append(str(uuid.uuid4()))
            values: dict[str, Any] = {
                "id": self.ids[-1],
                "to": f"49151{place:08}",
                "message": {"type": "text", "text": {"body": f"answer {place}"}},
                **more,
            }
            self._asked.append(SendMessage(**values))
        await self.outbox.put(self.vendor_uid, self._asked[first:])
        return self.ids[first:]

    async def ask_again(self) -> None:
        """Have PHP ask for all of them again, whose rows were stored just now."""
        again = [one.model_copy(update={"asked_at": now_ms()}) for one in self._asked]
        await self.outbox.put(self.vendor_uid, again)

    def make_run(self, lease: Any, process: Process | None = None) -> ReplyRun:
        services = self.stage.services(process)
        outbox = make_outbox(services.settings, services.redis)
        return ReplyRun(services, outbox, self.stage.config, lease)

    async def run(self, process: Process | None = None) -> None:
        """Run once, under the lease."""
        leases = Leases(process.redis if process else self.stage.redis, 60_000)
        async with leases.hold(effects_lease(KIND, self.vendor_uid)) as lease:
            assert lease is not None, "somebody sends the replies"
            await self.make_run(lease, process).run()

    async def run_to_the_end(self) -> None:
        """Run as often as the reconciler would, whatever waits being due."""

        async def ended() -> bool:
            await self.make_due()
            await self.run()
            return await self.waiting() == 0 and await self.ledger.empty()

        await eventually(ended, 20)

    async def make_due(self) -> None:
        outbox = keys.outbox_of(KIND, self.vendor_uid)
        ids = cast("list[bytes]", await self.stage.redis.zrange(outbox, 0, -1))
        for effect_id in ids:
            await self.stage.redis.zadd(outbox, {effect_id: now_ms()})

    async def waiting(self) -> int:
        return int(await self.stage.redis.zcard(keys.outbox_of(KIND, self.vendor_uid)))

    async def reasons(self) -> set[str | None]:
        """Return why those wait that wait."""
        due = await self.outbox.due(KIND, self.vendor_uid, now_ms() + 10**9, 1000)
        return {queued.reason for queued in due}

    async def drop_lease(self) -> None:
        lease = effects_lease(KIND, self.vendor_uid)
        await self.stage.redis.delete(keys.lease(lease))

    @property
    def told(self) -> dict[str, list[str]]:
        """Return which outcomes PHP was told of each reply, the same one as often as it was."""
        found: dict[str, list[str]] = {}
        calls = self.stage.php.to(contract.UPDATE_MESSAGE_STATUSES)
        results = [result for call in calls for result in call.json["results"]]
        results += [call.json for call in self.stage.php.to(contract.UPDATE_MESSAGE_STATUS)]
        for result in results:
            assert result.get("campaign_uid") is None
            found.setdefault(result["uid"], []).append(result["outcome"])
        return found

    @property
    def sent(self) -> Counter[str]:
        """Count how often each reply was accepted."""
        return Counter(self.stage.accepts())

    async def assert_settled(self) -> None:
        """Each reply has gone out at most once, has ended, and PHP was told the truth."""
        assert max(self.sent.values(), default=0) <= 1, self.sent
        assert await self.waiting() == 0
        assert await self.ledger.empty()
        told = self.told
        assert set(told) == set(self.ids)
        for reply_uid, outcomes in told.items():
            assert len(set(outcomes)) == 1, outcomes
            if outcomes[0] == "accepted":
                assert self.sent[reply_uid] == 1
            elif outcomes[0] == "failed":
                assert self.sent[reply_uid] == 0
        await self.stage.assert_balanced()
