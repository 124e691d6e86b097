"""The way of a message: source -> pacer -> sender -> results, for campaigns and replies alike.

Each stage takes no more than the next one has room for. A source puts rows in while few wait
(:meth:`Pipeline.has_room`); for each number a pacer takes slots of the limiter, a quarter of a
second ahead and for as many rows as may be under way; each send starts at its slot; how it ended
goes to the results. The ledger says at any moment what is known of each row.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from enum import StrEnum
from math import ceil
from typing import Any, Protocol

import structlog

from contracts.backend import SendError, SendOutcome, SendResult, VendorConfig
from contracts.modes import Mode
from sidecar.clock import now_ms
from sidecar.php.breaker import Breaker
from sidecar.redis.client import AnyRedisError
from sidecar.redis.lease import Lease, LeaseLost
from sidecar.tasks import cancel
from workers.sending.cloud_api import Attempt, Prepared
from workers.sending.error_actions import ErrorActions
from workers.sending.error_policy import MAX_REASON
from workers.sending.ledger import Halted, Ledger, LedgerState
from workers.sending.limiter import CampaignRests, NumberPaused
from workers.sending.limits import Limits
from workers.sending.pacer import Blocked, Pacer
from workers.sending.recheck import Recheck
from workers.sending.send_config import SendConfig, Way
from workers.sending.send_queue import ClaimedSend
from workers.sending.sender import Sender
from workers.sending.services import Services

log = structlog.get_logger()

#: When a number that keeps replies from going is asked for slots again.
OBSTACLE_PAUSE_S = 1.0
#: A reply that cannot go out for now (a paused number, no token) comes again after so long.
LATER_S = 30.0

Work = Coroutine[Any, Any, None]

#: Why nothing is sent for a vendor that PHP has deactivated, and how often a campaign looks whether
#: it is active again.
INACTIVE = "the vendor is not active"
INACTIVE_PAUSE_S = 5.0

#: What is said of a row that an earlier holder has left as being sent; and of one of which Redis
#: has forgotten whether it was (``compared.lua``).
LEFT_SENDING = SendError(code=None, message="the worker ended between the call and its record")
FORGOTTEN = SendError(code=None, message="Redis went back in time, and it may have been sent")

#: Redis is well again when nothing has failed for so long.
WELL_S = 5.0

_COLLISION = "a campaign's row of the same uid is being sent: no status could be told apart"


class Source(Protocol):
    """Where rows come from: puts them in until there are none, or the pipeline has ended. What this
    has begun by then, it may finish."""

    async def feed(self) -> None: ...


class Results(Protocol):
    """Where it goes how sends ended. What is known (:meth:`add_known`) is in the ledger already.
    :meth:`finish` reports what is left, for at most so long."""

    def start(self) -> None: ...
    def add(self, result: SendResult) -> None: ...
    def add_known(self, results: list[SendResult]) -> None: ...
    async def finish(self, timeout_s: float) -> None: ...
    async def stop(self) -> None: ...


class End(StrEnum):
    """Why a pipeline ends before everything was sent.

    - ``failed``: unexpectedly; the log has the details
    - ``halted``: the campaign was paused or cancelled by a person, or by PHP
    - ``inactive``: the vendor was deactivated
    - ``lease_lost``: another process may send it now
    - ``moved``: it is PHP that sends the vendor's campaigns now
    - ``paused``: an error paused it, its number or its account
    - ``refused``: PHP gives out no more rows of it
    - ``stopping``: the process ends, or leaves its work to others
    - ``waiting``: nothing of it can be sent for now
    """

    FAILED = "failed"
    HALTED = "halted"
    INACTIVE = "inactive"
    LEASE_LOST = "lease_lost"
    MOVED = "moved"
    PAUSED = "paused"
    REFUSED = "refused"
    STOPPING = "stopping"
    WAITING = "waiting"


class SendingFailed(Exception):
    """An unexpected failure; the log has the details. Try again later."""


class Pipeline:
    """Sends what ``source`` puts in, under ``lease``. Use once.

    What stops one message of a campaign stops them all, and ends the pipeline. Replies that cannot
    be sent come again later, and the others go on.
    """

    def __init__(
        self,
        services: Services,
        config: SendConfig,
        lease: Lease,
        ledger: Ledger,
        source: Source,
        results: Results,
    ) -> None:
        self._services = services
        self._config = config
        self._lease = lease
        self._ledger = ledger
        self._source = source
        self._results = results
        self._log = log.bind(vendor=config.vendor_uid, campaign=config.name)
        actions = ErrorActions(
            config.settings, services.redis, services.limiter, of_campaign=config.of_campaign
        )
        self._sender = Sender(
            services.cloud_api, services.limiter, ledger, actions, config, outlet=self
        )
        self._recheck = Recheck(services.vendors, config, self.follow, self._wake_pacers)
        self._pacers: dict[str, Pacer] = {}
        self._pacing: list[asyncio.Task[None]] = []
        self._sends: set[asyncio.Task[None]] = set()
        self._feeding: asyncio.Task[None] | None = None
        self._change = asyncio.Event()
        self.ended = asyncio.Event()
        #: Why it ends early, and more of that: the reason of a pause, or what all rows wait for.
        self.end_reason: End | None = None
        self.pause_reason: str | None = None
        self.blocked: Blocked | None = None

    async def settle_leftovers(self) -> LedgerState:
        """Report to PHP what an earlier holder left: known outcomes as they are, and rows that were
        being sent as unknown. Return what the ledger held. Raises if Redis is away, and
        :class:`LeaseLost`."""
        state = await self._ledger.leftovers(self._lease)
        self._results.add_known(state.known)
        for row_uid, (claim_uid, number) in state.sending.items():
            error = LEFT_SENDING if number else FORGOTTEN
            left = self._config.result(row_uid, claim_uid, number, SendOutcome.UNKNOWN, error=error)
            self.report(left)
        if state.claimed or state.sending or state.known:
            self._log.warning(
                "ledger.leftovers_found",
                claimed=len(state.claimed),
                sending=len(state.sending),
                known=len(state.known),
            )
        return state

    async def run(self, longest_s: float | None = None) -> None:
        """Send until the source has no more and everything has ended, or for so long at most, or
        until something ends it. Nothing more is begun then; what is under way goes on."""
        self._results.start()
        ends = [
            self._spawn(self._end_when(self._services.stopping, End.STOPPING)),
            self._spawn(self._end_when(self._services.aside, End.STOPPING)),
            self._spawn(self._end_when(self._lease.lost, End.LEASE_LOST)),
        ]
        self._feeding = self._spawn(self._source.feed())
        try:
            await self.until(self._is_over, longest_s)
        finally:
            self.ended.set()
            self.changed()
            await cancel([*ends, *self._pacing])
            # A claim that is under way is better finished than found again by the next holder.
            await asyncio.wait([self._feeding], timeout=self._config.settings.backend_timeout_s)
            await cancel([self._feeding])

    async def drain(self) -> None:
        """Wait for what is under way, and report it all."""
        if self._sends:
            await asyncio.wait(self._sends, timeout=self._config.settings.send_timeout_s + 1)
        await self._results.finish(self._config.settings.backend_timeout_s)

    async def close(self) -> None:
        """End what is left."""
        await cancel(list(self._sends))
        await self._results.stop()

    def end(self, reason: End) -> None:
        """Begin nothing more."""
        if self.end_reason is None:
            self.end_reason = reason
        self.ended.set()
        self.changed()

    async def until(
        self, condition: Callable[[], bool] = lambda: False, longest_s: float | None = None
    ) -> None:
        """Return when that is true, or it has ended, or after so long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(longest_s):
                while not (self.ended.is_set() or condition()):
                    await self._change.wait()

    def changed(self) -> None:
        """Have all look again that wait for something here."""
        self._change.set()
        self._change.clear()  # whoever waits is woken all the same

    def follow(self, vendor: VendorConfig | None) -> None:
        """Send as PHP says now: with this access token, at these rates, from the current number.
        End if there is no such vendor any more, or it is PHP that sends its campaigns, or a
        campaign's vendor is not active. Replies to that wait."""
        if vendor is None or self._moved(vendor):
            self.end(End.MOVED)
        elif vendor != self._config.vendor:
            self._config.vendor = vendor
            for pacer in list(self._pacers.values()):
                pacer.follow(self._config.limits_of(pacer.limits.number))
        if not self._config.vendor.active:
            self._rest_inactive()

    def _moved(self, vendor: VendorConfig) -> bool:
        return self._config.of_campaign and vendor.modes.campaigns is not Mode.SIDECAR

    def _rest_inactive(self) -> None:
        if self._config.of_campaign:
            self.blocked = Blocked(time.monotonic() + INACTIVE_PAUSE_S, INACTIVE)
            self.end(End.INACTIVE)
            return
        for pacer in self._pacers.values():
            self._postpone_waiting(pacer, INACTIVE)

    # -- rows --

    async def has_room(self, most: int) -> None:
        """Return when no more rows than that wait for slots, or it has ended."""
        await self.until(lambda: sum(len(p.queue) for p in self._pacers.values()) <= most)

    def put(self, rows: list[ClaimedSend]) -> None:
        for row in rows:
            if self._config.of_campaign or self._config.vendor.active:
                self._pacer_of(row).queue.append([row])
            else:
                self.postpone(row, LATER_S, INACTIVE)

    async def take_unstarted(self) -> list[ClaimedSend]:
        """Return the rows that certainly were not sent, once it has ended."""
        rows = [row for pacer in self._pacers.values() for row in pacer.take_unstarted()]
        if rows and self.holds_lease:
            # Some were written down as being sent, and then were not.
            with suppress(*AnyRedisError):
                await self._ledger.not_sent(rows)
        return rows

    @property
    def holds_lease(self) -> bool:
        """Whether the ledger is still ours, as far as is known."""
        return not self._lease.lost.is_set() and self.end_reason is not End.LEASE_LOST

    def report(self, result: SendResult) -> None:
        self._services.recent.ended(result)
        self._results.add(result)

    def postpone(self, row: ClaimedSend, wait_s: float, reason: str | None = None) -> None:
        """Have a row come again from its source after so long, which counts no attempt for it."""
        error = None if reason is None else SendError(code=None, message=reason)
        due_at = now_ms() + ceil(wait_s * 1000)
        self._end_row(row, SendOutcome.REQUEUE, attempted=False, error=error, due_at=due_at)

    def fail(self, row: ClaimedSend, error: SendError) -> None:
        """Have a row end that is not to be sent."""
        self._end_row(row, SendOutcome.FAILED, error=error)

    def _end_row(self, row: ClaimedSend, outcome: SendOutcome, **more: Any) -> None:
        number = self._config.number_of(row)
        self.report(self._config.result(row.uid, row.claim_uid, number, outcome, **more))
        self.changed()

    # -- what pacers and sender call --

    @property
    def room(self) -> int:
        if self._recheck.busy:
            return 0
        planned = sum(pacer.planned for pacer in self._pacers.values())
        return self._config.settings.send_concurrency - len(self._sends) - planned

    def prepare(self, row: ClaimedSend) -> Prepared | None:
        return self._sender.prepare(row)

    def start(self, row: ClaimedSend, limits: Limits, prepared: Prepared | None) -> None:
        self._sends.add(self._spawn(self._sender.send(row, limits, prepared)))

    def asked(self, pacer: Pacer) -> None:
        if pacer.blocked and not self._config.of_campaign:
            self._postpone_waiting(pacer)
        self.changed()

    async def ask_api(self, limits: Limits, timeout_s: float) -> Attempt | None:
        token = self._config.vendor.access_token
        if not limits.number or not token:
            return None  # a row tells what is missing
        return await self._services.cloud_api.ask(limits.number, token, timeout_s)

    def refuse(self, row: ClaimedSend) -> None:
        if not self._config.of_campaign:
            self.fail(row, SendError(code=None, message=_COLLISION))
        self.changed()

    @property
    def holding(self) -> bool:
        return self._recheck.busy

    @property
    def stopped(self) -> bool:
        return self.end_reason in (End.HALTED, End.PAUSED)

    async def explains(self, row: ClaimedSend, way: Way, sent_at: float) -> bool:
        return await self._recheck.explains(row, way, sent_at)

    def put_back(self, row: ClaimedSend, number: str) -> None:
        # To the pacer that took the slot, which returns what it took; it passes on a row that goes
        # from another number by now.
        self._pacers[number].put_back([row])

    def give_back(self, row: ClaimedSend) -> None:
        if self._config.of_campaign:
            self._pacer_of(row).put_back([row])  # the campaign ends, and gives it back
        else:
            self.postpone(row, LATER_S)

    def pause(self, reason: str) -> None:
        if not self._config.of_campaign:
            self._log.error("reply.unsendable", reason=reason)
            return
        if self.pause_reason is None:
            self.pause_reason = reason[:MAX_REASON]
            self._log.error("campaign.paused", reason=reason)
        self.end(End.PAUSED)

    def rest(self) -> None:
        if self._config.of_campaign:
            self.end(End.WAITING)

    # -- pacing --

    def _pacer_of(self, row: ClaimedSend) -> Pacer:
        number = self._config.number_of(row)
        if number not in self._pacers:
            self._pacers[number] = self._make_pacer(number)
        return self._pacers[number]

    def _make_pacer(self, number: str) -> Pacer:
        limits = self._config.limits_of(number)
        pacer = Pacer(
            self._services.limiter, self._ledger, self._lease, limits, self._config, outlet=self
        )
        if not self.ended.is_set():
            for work in (pacer.plan, pacer.begin_before_slots, pacer.start_at_slots):
                self._pacing.append(self._spawn(self._keep_up(pacer, work)))
        return pacer

    async def _keep_up(self, pacer: Pacer, work: Callable[[], Work]) -> None:
        breaker = Breaker("sending.redis_unavailable", campaign=self._config.name)
        later = asyncio.get_running_loop().call_later
        while not self.ended.is_set():
            well = later(WELL_S, breaker.worked)
            try:
                try:
                    await work()  # it does not end while all is well
                finally:
                    well.cancel()
            except LeaseLost:
                self.end(End.LEASE_LOST)
            except (Halted, NumberPaused, CampaignRests) as obstacle:
                if self._config.of_campaign:
                    await self._stop_for(obstacle, pacer)
                else:
                    self._postpone_waiting(pacer, f"the number is paused: {obstacle}")
                    await self.until(longest_s=OBSTACLE_PAUSE_S)
            except AnyRedisError as error:
                breaker.failed(str(error))
                await self.until(longest_s=breaker.wait_s)

    async def _stop_for(self, obstacle: Exception, pacer: Pacer) -> None:
        if isinstance(obstacle, NumberPaused):
            if self.ended.is_set():
                return  # by the refusal that paused it
            pauses = pacer.limits.pauses
            answered = await self._recheck.ask(time.monotonic())
            if answered and pacer.unstarted and pacer.limits.pauses == pauses:
                self.pause(str(obstacle))
        else:
            self.end(End.HALTED if isinstance(obstacle, Halted) else End.WAITING)

    def _postpone_waiting(self, pacer: Pacer, reason: str | None = None) -> None:
        for row in pacer.queue.take_all():
            self.postpone(row, LATER_S, reason)

    # -- the end --

    def _is_over(self) -> bool:
        """Tell whether everything has ended, or nothing of a campaign can go on for now: that ends
        it too."""
        pacers = [pacer for pacer in self._pacers.values() if pacer.unstarted]
        if self._sends or any(pacer.planned for pacer in pacers):
            return False
        if self._config.of_campaign and pacers and all(pacer.blocked for pacer in pacers):
            blocked = [pacer.blocked for pacer in pacers if pacer.blocked]
            self.blocked = min(blocked, key=lambda one: one.until)
            self.end(End.WAITING)
            return True
        return not pacers and self._feeding is not None and self._feeding.done()

    async def _end_when(self, event: asyncio.Event, reason: End) -> None:
        await event.wait()
        self.end(reason)

    def _spawn(self, work: Work) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        task.add_done_callback(self._work_ended)
        return task

    def _wake_pacers(self) -> None:
        for pacer in self._pacers.values():
            pacer.wake()

    def _work_ended(self, task: asyncio.Task[None]) -> None:
        if task in self._sends:
            self._sends.remove(task)
            self._wake_pacers()
        if not self._sends:  # as long as one is under way, it is not over, whichever has ended
            self.changed()
        if not task.cancelled() and (error := task.exception()):
            self._log.error("sending.failed", exc_info=error)
            self.end(End.FAILED)
