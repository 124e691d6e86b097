"""``GET /metrics``: how the sidecar is doing, for Prometheus.

What is shown is the same whichever ``sidecar serve`` is asked, because it is kept in Redis: what
all processes have counted and timed (sidecar/metrics.py), the accounting of all vendors together,
and the current state. So scrape one of them; if you scrape several, take the highest of a
metric and not the sum. While Redis is away, there is ``sidecar_redis_up`` and what was counted.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from time import monotonic

from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, CollectorRegistry, generate_latest
from prometheus_client.core import HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response

from sidecar.http.families import counter, gauge
from sidecar.http.routes.metrics_accounting import accounting
from sidecar.http.routes.metrics_sending import sending
from sidecar.logs import LogOnce
from sidecar.metrics import FAMILIES, INF, SUM, Family, Series
from sidecar.ops.backlog import read_waits
from sidecar.ops.effects_backlog import WaitingEffects, read_effects
from sidecar.ops.notifications import Notifications
from sidecar.ops.publisher import Telemetry
from sidecar.ops.reach import dramatiq_problem
from sidecar.ops.replicas import lacking
from sidecar.ops.report import read_numbers
from sidecar.ops.send_problems import MOMENT_S
from sidecar.ops.snapshot import Observer, Overview
from sidecar.ops.waits import WaitingMessage, read_waiting_messages
from sidecar.redis.client import Redis, RedisUnavailable, reason_of
from sidecar.redis.letter_bounds import Bounds
from sidecar.settings import Settings

#: Answers are cached for this long.
FRESH_S = 1.0


class Metrics:
    """The route. It adds what this process has counted and not yet published."""

    def __init__(
        self, redis: Redis, telemetry: Telemetry, settings: Settings, redis_url: str
    ) -> None:
        self._redis = redis
        self._settings = settings
        self._redis_url = redis_url
        self._bounds = Bounds.of(settings)
        self._observer = Observer(redis)
        self._telemetry = telemetry
        self._lock = asyncio.Lock()
        self._last: dict[Series, float] = {}
        self._page = b""
        self._until = 0.0
        self._outage = LogOnce("metrics.redis_unavailable")

    async def show(self, request: Request) -> Response:
        async with self._lock:
            if monotonic() >= self._until:
                self._page = generate_latest(_registry(await self._collect()))
                self._until = monotonic() + FRESH_S
            return Response(self._page, media_type=CONTENT_TYPE_PLAIN_0_0_4)

    async def _collect(self) -> list[Metric]:
        overview: Overview | None = None
        effects: list[WaitingEffects] = []
        waiting: list[WaitingMessage] = []
        of_sending: list[Metric] = []
        try:
            async with self._telemetry.paused():
                overview = await self._observer.read()
                here = self._telemetry.unpublished()
            self._last = overview.metrics
            effects = await read_effects(self._redis, overview.now)
            waiting = await read_waiting_messages(self._redis, overview)
            of_sending = [
                *sending(overview, await read_numbers(self._redis)),
                *await self._waits(overview),
            ]
            self._outage.worked()
        except RedisUnavailable as error:
            self._outage.failed(reason_of(error))
            here = self._telemetry.unpublished()
        counted = dict(self._last)
        for series, by in here.items():
            counted[series] = counted.get(series, 0.0) + by
        up = gauge("sidecar_redis_up", "Whether Redis answers.", [((), overview is not None)])
        state: list[Metric] = []
        if overview is not None:
            state = [
                *_state(overview, self._bounds),
                *accounting(overview.accounting),
                _overdue(effects),
                _waiting(waiting),
                *of_sending,
            ]
        return [up, *state, *_counted(counted)]

    async def _waits(self, overview: Overview) -> list[Metric]:
        dramatiq = await dramatiq_problem(self._settings, self._redis_url)
        waits_s = await read_waits(self._redis, overview)
        targets = await Notifications(self._redis).targets()
        return [
            gauge(
                "sidecar_redis_replicas_missing",
                "Whether too few replicas have what is written (redis_replicas_in_sync).",
                [((), lacking(overview, self._settings) is not None)],
            ),
            gauge(
                "sidecar_notification_targets_failing",
                "Targets of notifications that have not taken the last one that they were sent.",
                [((), sum(target.failures > 0 for target in targets))],
            ),
            gauge(
                "sidecar_dramatiq_up",
                "Whether the Redis database of the wake-ups (Dramatiq) can be used.",
                [((), dramatiq is None)],
            ),
            gauge(
                "sidecar_campaigns_waiting",
                "Campaigns that send nothing for a while, for a reason that sidecar status says.",
                [((), sum(seconds > MOMENT_S for seconds in waits_s))],
            ),
        ]


def _registry(metrics: list[Metric]) -> CollectorRegistry:
    class Given(Collector):
        def collect(self) -> Iterable[Metric]:
            return metrics

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Given())
    return registry


# -- what all processes have counted --


def _counted(counted: Mapping[Series, float]) -> Iterator[Metric]:
    """Yield every family, also one of which nothing was counted yet."""
    by_family: dict[str, dict[tuple[str, ...], dict[str, float]]] = defaultdict(dict)
    for series, value in counted.items():
        by_family[series.name].setdefault(series.labels, {})[series.part] = value
    for family in FAMILIES.values():
        found = by_family[family.name]
        if not found and not family.labels:
            found = {(): {}}
        fitting = {labels: p for labels, p in found.items() if len(labels) == len(family.labels)}
        yield (
            _histogram(family, fitting)
            if family.bounds
            else counter(
                family.name,
                family.help,
                ((labels, parts.get("", 0.0)) for labels, parts in fitting.items()),
                family.labels,
            )
        )


def _histogram(family: Family, found: Mapping[tuple[str, ...], Mapping[str, float]]) -> Metric:
    metric = HistogramMetricFamily(family.name, family.help, labels=family.labels)
    for labels, parts in found.items():
        total = 0.0
        buckets: list[tuple[str, float]] = []
        for part in (*map(repr, family.bounds), INF):
            total += parts.get(part, 0.0)
            buckets.append((part, total))
        metric.add_metric(labels, buckets, parts.get(SUM, 0.0))
    return metric


# -- how things stand --


def _state(overview: Overview, bounds: Bounds) -> Iterator[Metric]:
    redis = overview.redis
    yield gauge("sidecar_redis_memory_bytes", "Memory that Redis uses.", [((), redis.used_bytes)])
    yield gauge(
        "sidecar_redis_memory_limit_bytes",
        "Memory that Redis may use: beyond it, webhooks are refused. 0 for no limit.",
        [((), redis.limit_bytes)],
    )
    yield gauge(
        "sidecar_redis_writes_durable",
        "Whether all that is written to Redis gets into its append-only file.",
        [((), redis.durable and redis.writes_ok)],
    )
    yield gauge("sidecar_redis_replicas", "Replicas that keep up.", [((), redis.replicas)])

    epoch = overview.epoch
    yield gauge(
        "sidecar_redis_unchecked",
        "Whether nothing is sent until Redis, which was restarted or has failed over, is compared "
        "with PHP.",
        [((), epoch.unchecked)],
    )
    yield gauge(
        "sidecar_redis_went_back",
        "Whether Redis was found within a day to have gone back in time.",
        [((), epoch.went_back_lately(overview.now) is not None)],
    )
    yield from _lanes(overview)
    yield gauge(
        "sidecar_dead_letters",
        "Updates that PHP would not take, and effects that could not be done, which wait for a "
        "person.",
        [((), overview.dead_letters)],
    )
    fullness = [one.letters.fullness(bounds, overview.now) for one in overview.accounting]
    yield gauge(
        "sidecar_dead_letters_fullness",
        "How near a vendor's dead letters are to what is kept of them, by number, bytes or age; of "
        "the vendor that is nearest. At 1 the oldest are deleted.",
        [((), max(fullness, default=0.0))],
    )
    if overview.backend_ok_s is not None:
        yield gauge(
            "sidecar_backend_ok_age_seconds",
            "Since PHP last took an update.",
            [((), overview.backend_ok_s)],
        )
    yield gauge(
        "sidecar_campaigns_active",
        "Campaigns that are being sent, or are to be.",
        [((), len(overview.campaigns))],
    )
    yield gauge(
        "sidecar_paused",
        "Numbers, accounts and access tokens with which nothing goes out until a person resumes "
        "them.",
        [((scope,), overview.paused.get(scope, 0)) for scope in ("number", "account", "token")],
        ("scope",),
    )
    unasked = [process.unasked.get("messages", 0) for process in overview.alive]
    yield gauge(
        "sidecar_messages_unasked",
        "Messages that stand pending in PHP's log, that nobody sends, and whose outcome PHP does "
        "not take.",
        [((), max(unasked, default=0))],
    )
    yield from _processes(overview)


def _lanes(overview: Overview) -> Iterator[Metric]:
    breakers = overview.breakers
    lanes = [((lane.value,), state) for lane, state in overview.lanes.items()]
    for name, help_, values in (
        ("inbox_webhooks", "Webhooks that wait in the inbox.", [s.webhooks for _, s in lanes]),
        (
            "inbox_oldest_age_seconds",
            "How long the oldest webhook in the inbox has waited.",
            [s.oldest_s for _, s in lanes],
        ),
        (
            "inbox_drained",
            "Whether a worker holds the lane.",
            [s.held_s is not None for _, s in lanes],
        ),
        (
            "deferred",
            "Contacts (messages, for statuses) with updates that wait to be tried again.",
            [s.deferred for _, s in lanes],
        ),
        (
            "deferred_overdue_seconds",
            "How long ago the first of them should have been tried again.",
            [max(0.0, -(s.next_due_in_s or 0.0)) for _, s in lanes],
        ),
        (
            "breaker_open",
            "Whether PHP did not take what it was last given of this lane.",
            [lane[0] in breakers for lane, _ in lanes],
        ),
        (
            "vendors_isolated",
            "Vendors of whose updates PHP does not take what it is given.",
            [sum(name == lane[0] for name, _ in overview.isolated) for lane, _ in lanes],
        ),
    ):
        samples = [(lane, value) for (lane, _), value in zip(lanes, values, strict=True)]
        yield gauge(f"sidecar_{name}", help_, samples, ("lane",))


def _processes(overview: Overview) -> Iterator[Metric]:
    alive = overview.alive
    roles = ("serve", "worker")
    labels = ("role", "process")
    yield gauge(
        "sidecar_processes",
        "Processes that run.",
        [((role,), sum(p.role == role for p in alive)) for role in roles],
        ("role",),
    )
    yield gauge(
        "sidecar_processes_died",
        "Processes that have died without a word since yesterday.",
        [((), len(overview.processes) - len(alive))],
    )
    yield gauge(
        "sidecar_process_memory_bytes",
        "Memory of a process.",
        [((p.role, p.name), p.memory_bytes) for p in alive],
        labels,
    )
    yield counter(
        "sidecar_process_cpu_seconds",
        "Processor time of a process.",
        [((p.role, p.name), p.cpu_s) for p in alive],
        labels,
    )


def _overdue(effects: list[WaitingEffects]) -> Metric:
    return gauge(
        "sidecar_effects_overdue_seconds",
        "How long ago the first effect of this kind should have been tried.",
        [((one.kind.value,), one.overdue_s) for one in effects],
        ("kind",),
    )


def _waiting(waiting: list[WaitingMessage]) -> Metric:
    return gauge(
        "sidecar_message_wait_seconds",
        "How long a customer's message has waited since it was acknowledged, wherever it waits; of "
        "those that wait for more than 10 s the longest, 0 without any.",
        [((), max((one.waited_s for one in waiting), default=0.0))],
    )
