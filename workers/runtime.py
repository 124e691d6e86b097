"""What the actors of one worker process share: connections, and whether it is stopping."""

import asyncio
import time
from functools import partial
from typing import Any

import structlog

from contracts.backend import VendorConfig
from contracts.effects import EffectKind
from contracts.jobs import Lane, Queue, drain, send_campaign
from contracts.sidecar_api import InvalidateScope
from sidecar.bots.cache import make_bots
from sidecar.effects.outbox import make_outbox
from sidecar.inbox.wakeups import WakeUpBroker, Wakeups
from sidecar.logs import LogOnce
from sidecar.notify.notifier import make_notifier
from sidecar.ops.publisher import Telemetry
from sidecar.php.breaker import Breaker
from sidecar.php.client import BackendError, make_backend
from sidecar.php.config_feed import ConfigChanges
from sidecar.php.vendors import make_vendors
from sidecar.redis import keys
from sidecar.redis.client import RedisUnavailable, connect, reason_of
from sidecar.redis.lease import Lease, Leases
from sidecar.redis.replicas import with_replicas
from sidecar.sending.campaigns import campaign_lease
from sidecar.settings import Settings, dramatiq_url
from sidecar.spans import make_exporter
from sidecar.tasks import cancel, keep_running
from sidecar.trace import tracing
from workers.aside import Aside
from workers.effects.ai_reply import AiReplies
from workers.effects.handlers import make_handlers
from workers.effects.media import remove_parts
from workers.effects.supervisor import EffectRuns
from workers.inbox.bots import Matching
from workers.inbox.delivery import Delivery
from workers.inbox.drain import LINGER_S, Drain, Host
from workers.inbox.effects import UpdateEffects
from workers.inbox.processor import Processor
from workers.inbox.reader import LanePolicy
from workers.inbox.status_errors import StatusErrors
from workers.reconciler import Reconciler
from workers.sending.campaign import CampaignRun
from workers.sending.cloud_api import CloudApi
from workers.sending.epoch_watch import EpochWatch
from workers.sending.ledger import Ledger
from workers.sending.limiter import Limiter
from workers.sending.services import Services
from workers.shadow.work import ShadowWork

log = structlog.get_logger()

#: Longest pause of a lane whose updates PHP does not take. It is short, because some vendors may be
#: the cause, and the next attempt serves the others.
LANE_PAUSE_S = 2.0

#: How long sends in progress may take when PHP is left to others.
LEAVE_S = 3.0

#: A worker waits longer for Redis than the HTTP side: nobody waits for its answer.
REDIS_TIMEOUT_S = 5.0


class Runtime:
    """Lives on the worker process's event loop; create and close it there. ``queues`` are those
    that the process works on."""

    def __init__(self, settings: Settings, redis_url: str, queues: tuple[str, ...] = ()) -> None:
        self._settings = settings
        self._queues = queues
        self._redis = connect(redis_url, timeout_s=REDIS_TIMEOUT_S, max_connections=64)
        self._replicas = with_replicas(self._redis, settings)
        self._wakeups = Wakeups(
            WakeUpBroker(dramatiq_url(settings, redis_url), timeout_s=REDIS_TIMEOUT_S)
        )
        self._backend = make_backend(settings)
        self._vendors = make_vendors(settings, self._backend)
        self._bots = make_bots(settings, self._backend)
        self._changes = ConfigChanges(
            self._redis,
            {InvalidateScope.SETTINGS: self._vendors, InvalidateScope.BOTS: self._bots},
        )
        self._leases = Leases(self._redis, settings.lease_ttl_ms)
        self._loop = asyncio.get_running_loop()
        self._services = Services(
            settings=settings,
            redis=self._redis,
            backend=self._backend,
            cloud_api=CloudApi(
                settings.cloud_api_url,
                settings.cloud_api_version,
                timeout_s=settings.send_timeout_s,
            ),
            limiter=Limiter(self._redis),
            stopping=asyncio.Event(),
            vendors=self._vendors,
        )
        self._backend.piggybacked = self._services.begun
        matching = Matching(self._vendors, self._bots, wait_s=settings.bots_wait_ms / 1000)
        self._deliveries = {
            lane: Delivery(
                self._backend,
                Breaker(f"php.{lane}.unavailable", longest_s=LANE_PAUSE_S),
                matching,
            )
            for lane in Lane
        }
        self._drain_outages = {lane: LogOnce("lane.not_drained", lane=lane.value) for lane in Lane}
        self._host = Host(
            self._leases,
            lambda: self._ending,
            lambda lane: self._wakeups.send(drain(lane)),
            LINGER_S,
        )
        status_errors = StatusErrors(
            settings, self._redis, self._services.limiter, self._vendors.get
        )
        self._outbox = make_outbox(settings, self._redis)
        handlers = make_handlers(settings, self._backend)
        self._ai_replies = handlers[EffectKind.AI_REPLY]
        here = not queues or Queue.EFFECTS in queues
        self._effects = EffectRuns(
            self._services,
            self._outbox,
            self._leases,
            handlers,
            self._vendors,
            wake_other=None if here else self._wakeups.send,
        )
        update_effects = UpdateEffects(self._outbox, self._effects.wake)
        self._processors = {
            lane: Processor(lane, settings, self._redis, update_effects, of_statuses)
            for lane, of_statuses in ((Lane.MESSAGES, None), (Lane.STATUSES, status_errors))
        }
        self._reconciler = Reconciler(
            *(settings, self._redis, self._backend, self._leases, self._wakeups.send),
            self._services.aside,
        )
        self._aside = Aside(
            self._redis, self._backend, queues, self._services.aside, self._leave_campaigns
        )
        self._epoch = EpochWatch(
            settings, self._redis, self._backend, self._leases, self._services.begun
        )
        self._notifier = make_notifier(settings, self._redis, redis_url, self._backend)
        self._shadow = ShadowWork(
            settings, self._redis, self._backend, self._leases, self._vendors, self._bots
        )
        self._telemetry = Telemetry(self._redis, "worker", self._facts)
        self._exporter = make_exporter(settings.otlp_url, settings.otlp_share, "worker")
        self._campaigns: dict[str, asyncio.Task[None]] = {}
        self._campaign_outages: dict[str, LogOnce] = {}
        self._leaving: set[asyncio.Task[None]] = set()
        self._background: list[asyncio.Task[None]] = []
        self.stopping = False
        self._leave_at: float | None = None

    async def start(self) -> None:
        """Start what runs beside the actors."""
        await self._changes.look()  # before anything is asked for
        self._background = [
            keep_running(self._reconciler.run, "reconciler"),
            keep_running(self._epoch.keep_telling, "epoch"),
            keep_running(self._epoch.keep_comparing, "epoch of Redis"),
            keep_running(self._aside.run, "aside"),
            keep_running(self._shadow.run, "shadow"),
            keep_running(self._changes.run, "configuration"),
            keep_running(self._telemetry.run, "telemetry"),
            keep_running(partial(remove_parts, self._settings), "media"),
        ]
        if self._notifier is not None:
            self._background.append(keep_running(self._notifier.run, "notifier"))
        if self._exporter is not None:
            self._background.append(keep_running(self._exporter.run, "spans"))

    def _facts(self) -> dict[str, Any]:
        """Return what operators want to know about this process (sidecar/ops/processes.py)."""
        breakers = {lane.value: d.breaker.fresh_reason for lane, d in self._deliveries.items()}
        return {
            "queues": list(self._queues),
            "partitioned": True,
            "leases": sorted(self._leases.held),
            "breakers": {lane: reason for lane, reason in breakers.items() if reason is not None},
            "isolated": {
                lane.value: reasons
                for lane, delivery in self._deliveries.items()
                if (reasons := delivery.isolated.report())
            },
            "isolated_since": {
                lane.value: delivery.isolated.report_since()
                for lane, delivery in self._deliveries.items()
            },
            "php_failures": self._backend.failures.report(),
            "wakeups": self._wakeups.failing,
            "replicas": self._replicas and self._replicas.missing,
            "ai_failures": self._ai_failures(),
            "in_vain": self._reconciler.in_vain(),
            "unasked": self._reconciler.unasked(),
            "sends": self._services.recent.report(),
            "slow": self._services.cloud_api.calls.slow(),
            "php_away": self._aside.php_away,
        }

    def _ai_failures(self) -> dict[str, str]:
        ai = self._ai_replies
        return ai.failures.report() if isinstance(ai, AiReplies) else {}

    @property
    def _ending(self) -> bool:
        """Whether nothing more is begun here."""
        return self.stopping or self._services.aside.is_set()

    def _leave_campaigns(self) -> None:
        """Give the campaigns up that do not end by themselves because they wait for PHP."""
        for campaign_uid, run in self._campaigns.items():
            task = asyncio.create_task(self._leave(campaign_uid, run), name=f"leave {campaign_uid}")
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)

    async def _leave(self, campaign_uid: str, run: asyncio.Task[None]) -> None:
        await asyncio.wait([run], timeout=LEAVE_S)
        if not run.done():  # or it may be sent here again already
            await self._leases.give_up(campaign_lease(campaign_uid))

    def stop(self) -> None:
        """Start nothing more, and begin to shut campaigns down."""
        if self._leave_at is None:
            self._leave_at = time.monotonic() + self._settings.shutdown_timeout_s
        self.stopping = True
        # It is called from a thread of Dramatiq's.
        self._loop.call_soon_threadsafe(self._services.stopping.set)

    async def close(self) -> None:
        """Close everything, after the actors have ended. Running campaigns are shut down first, for
        as long as a shutdown may take. What is left is in the ledger."""
        self.stop()
        assert self._leave_at is not None
        if self._campaigns:
            left_s = max(0.0, self._leave_at - time.monotonic())
            await asyncio.wait(list(self._campaigns.values()), timeout=left_s)
        for campaign_uid in self._campaigns:
            log.warning("campaign.shutdown_timeout", campaign=campaign_uid)
        await cancel(list(self._campaigns.values()))
        await self._effects.close(max(0.0, self._leave_at - time.monotonic()))
        await cancel([*self._background, *self._leaving])
        if self._notifier is not None:
            await self._notifier.close()
        if self._exporter is not None:
            await self._exporter.close()
        await self._telemetry.close()
        self._wakeups.close()
        await self._bots.close()
        await self._vendors.close()
        await self._backend.close()
        await self._services.cloud_api.close()
        if self._replicas is not None:
            await self._replicas.close()
        await self._redis.aclose()

    async def drain(self, lane: Lane) -> None:
        """Drain a lane, unless another worker does. Without Redis nothing is lost: the reconciler
        wakes a worker again."""
        work = Drain(
            LanePolicy.of(lane, self._settings),
            self._settings,
            self._redis,
            self._deliveries[lane],
            self._processors[lane],
            self._host,
        )
        try:
            more = await work.run()
        except RedisUnavailable as error:
            self._drain_outages[lane].failed(reason_of(error))
            return
        self._drain_outages[lane].worked()
        if more:
            self._wakeups.send(drain(lane))

    async def do_effects(self, kind: EffectKind, vendor_uid: str) -> None:
        """Start to run a vendor's effects of a kind, unless somebody does. Returns at once."""
        self._effects.begin(kind, vendor_uid)

    async def send_campaign(self, vendor_uid: str, campaign_uid: str) -> None:
        """Start to send a campaign, unless this process has enough to do. Returns at once: a
        campaign takes minutes, and needs the event loop, not a thread of Dramatiq's."""
        full = len(self._campaigns) >= self._settings.campaign_concurrency
        if self._ending or full or campaign_uid in self._campaigns:
            return  # the reconciler wakes a worker for what nobody holds
        task = asyncio.create_task(
            self._send_campaign(vendor_uid, campaign_uid), name=f"campaign {campaign_uid}"
        )
        self._campaigns[campaign_uid] = task
        task.add_done_callback(lambda done: self._campaign_ended(campaign_uid, done))

    def _campaign_ended(self, campaign_uid: str, task: asyncio.Task[None]) -> None:
        del self._campaigns[campaign_uid]
        if not task.cancelled() and (error := task.exception()):
            log.error("campaign.failed", campaign=campaign_uid, exc_info=error)

    async def _send_campaign(self, vendor_uid: str, campaign_uid: str) -> None:
        outage = self._campaign_outages.setdefault(
            campaign_uid, LogOnce("campaign.not_sent", vendor=vendor_uid, campaign=campaign_uid)
        )
        try:
            async with self._leases.hold(campaign_lease(campaign_uid)) as lease:
                if lease is None:
                    self._campaign_outages.pop(campaign_uid, None)
                    return  # another worker sends it
                config = await self._vendors.get(vendor_uid)
                if config is None:
                    outage.failed("PHP knows no such vendor")
                    if await Ledger(self._redis, campaign_uid, vendor_uid).empty():
                        await self._redis.hdel(keys.CAMPAIGNS, campaign_uid)
                    return
                more = await self._run(config, campaign_uid, lease)
        except (BackendError, *RedisUnavailable) as error:
            outage.failed(str(error))
            return
        outage.worked()
        self._campaign_outages.pop(campaign_uid, None)
        if more:
            self._wakeups.send(send_campaign(vendor_uid, campaign_uid))

    async def _run(self, config: VendorConfig, campaign_uid: str, lease: Lease) -> bool:
        run = CampaignRun(self._services, config, lease, campaign_uid)
        with self._vendors.watch(config.vendor_uid, run.follow), tracing(of=campaign_uid):
            return await run.run()
