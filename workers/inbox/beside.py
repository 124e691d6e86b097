"""Batches beside the lane's, each of one vendor: updates that PHP has refused before, and all of
isolated vendors'. They must not hold up fresh updates."""

import random

from sidecar.clock import now_ms
from sidecar.redis.lease import Lease
from workers.inbox.batch import Batch
from workers.inbox.delivery import Delivery, Verdicts
from workers.inbox.isolation import IsolatedBatches, SharedLock, Why
from workers.inbox.processor import Deliver, Processor, Record
from workers.inbox.reader import FairReader, LanePolicy
from workers.inbox.retries import Retries
from workers.inbox.update import Update

#: Maximum order keys that are due that are inspected for one batch.
MAX_DUE = 200

#: When to look again at due updates whose vendor's batch is still in flight.
BUSY_MS = 2000

Waited = dict[str, list[Update]]


class Beside:
    """Starts such batches and keeps them for one run of a drain. All drains of the process share
    ``lock``."""

    def __init__(
        self,
        policy: LanePolicy,
        reader: FairReader,
        retries: Retries,
        delivery: Delivery,
        processor: Processor,
        lock: SharedLock,
    ) -> None:
        self._policy = policy
        self._reader = reader
        self._retries = retries
        self._delivery = delivery
        self._isolated = delivery.isolated
        self._processor = processor
        self._lock = lock
        self._batches = IsolatedBatches()
        self._closed = False
        #: Vendors whose fresh updates a batch has read and not committed yet. They may have been
        #: released meanwhile: PHP has taken the updates, and the inbox still has them.
        self.reading: set[str] = set()

    def __bool__(self) -> bool:
        """Return whether any batch is in flight."""
        return bool(self._batches)

    def close(self) -> None:
        """Start no more batches."""
        self._closed = True

    async def wait(self, timeout_s: float) -> None:
        """Wait until one has ended, at most for ``timeout_s``."""
        await self._batches.wait(timeout_s)

    def clear_ended(self) -> None:
        """Forget those that have ended. Raises what one of them raised."""
        self._batches.clear_ended()

    async def cancel(self) -> None:
        """Cancel those in flight: nothing of theirs is committed."""
        await self._batches.cancel()

    def blocked(self) -> set[str]:
        """Return the vendors whose fresh updates nobody may read now."""
        isolated = self._isolated.vendors()
        return self.reading | {vendor for vendor in isolated if not self._may_start(vendor)}

    async def anything_due(self) -> bool:
        """Return whether anything is due that is not in flight."""
        return await self._retries.anything_due(now_ms(), len(self._batches.order_keys))

    async def start_due(self, lease: Lease) -> Waited:
        """Start batches with what is due, and return what may go with the fresh updates."""
        due = await self._retries.due(now_ms(), limit=MAX_DUE, in_flight=self._batches.order_keys)
        isolated = self._isolated.vendors()
        mine: Waited = {}
        others: dict[str, Waited] = {}
        for order_key, updates in due.items():
            vendor_uid = updates[0].vendor_uid
            if vendor_uid in isolated or any(update.attempts for update in updates):
                others.setdefault(vendor_uid, {})[order_key] = updates
            else:
                mine[order_key] = updates
        left: list[str] = []
        for vendor_uid, waited in others.items():
            if not self._start(lease, vendor_uid, waited):
                left += waited
        await self._retries.postpone(left, now_ms() + BUSY_MS)
        return mine

    def start_fresh(self, lease: Lease, vendors: list[str]) -> None:
        """Start batches with isolated vendors' fresh updates, for as many as may have one."""
        for vendor_uid in random.sample(vendors, len(vendors)):
            self._start(lease, vendor_uid, {})

    def _may_start(self, vendor_uid: str) -> bool:
        hangs = self._isolated.why(vendor_uid) is Why.HANGS
        return (
            self._batches.has_room_for(vendor_uid, hangs=hangs)
            and self._isolated.wait_s(vendor_uid) == 0
        )

    def _start(self, lease: Lease, vendor_uid: str, due: Waited) -> bool:
        """Start a batch with what is due of one vendor. Return False if that is impossible now."""
        if self._closed or not self._may_start(vendor_uid):
            return False
        hangs = self._isolated.why(vendor_uid) is Why.HANGS
        self._batches.start(vendor_uid, self._run(lease, vendor_uid, due), set(due), hangs=hangs)
        return True

    async def _run(self, lease: Lease, vendor_uid: str, due: Waited) -> None:
        """Process fresh updates, if the vendor is isolated, and those that PHP refused before."""
        refused = {k: some for k, some in due.items() if any(one.attempts for one in some)}
        waited = {k: some for k, some in due.items() if k not in refused}
        if vendor_uid in self._isolated.vendors():
            self.reading.add(vendor_uid)
            try:
                await self._run_fresh(lease, vendor_uid, waited)
            finally:
                self.reading.discard(vendor_uid)
        elif waited:
            refused |= waited
        if refused:
            await self._process(lease, vendor_uid, Batch(waited=refused), lambda _commit: None)

    async def _run_fresh(self, lease: Lease, vendor_uid: str, waited: Waited) -> None:
        reader = self._reader.another()
        taken = await reader.take_of(vendor_uid)
        reader.forget()
        if taken or waited or reader.empty:
            batch = Batch(taken, waited)
            await self._process(
                lease, vendor_uid, batch, lambda commit: commit.remove_empty(reader.empty)
            )

    async def _process(self, lease: Lease, vendor_uid: str, batch: Batch, record: Record) -> None:
        deliver = alone(self._delivery, vendor_uid, self._policy.batch_size)
        async with self._lock.together():
            await self._processor.process(batch, deliver, lease, record)


def alone(delivery: Delivery, vendor_uid: str, batch_size: int) -> Deliver:
    """Return what hands over updates of one vendor in requests of their own."""

    async def deliver(updates: list[Update]) -> Verdicts:
        return await delivery.deliver_isolated(vendor_uid, updates, batch_size=batch_size)

    return deliver
