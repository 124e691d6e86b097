"""What brings each alert about, and what only nearly does: one case for each, for promtool."""

from dataclasses import dataclass, field

#: Prometheus looks so often.
STEP_S = 30

Sample = float | None


@dataclass(frozen=True, slots=True)
class Grows:
    """A counter that grows by so much a minute."""

    per_minute: float


@dataclass(frozen=True, slots=True)
class Jump:
    """Stands still, but for once, four minutes before it is looked, when it goes up by so much."""

    by: float
    start: float = 3


Value = float | Grows | Jump
Series = dict[str, Value]


@dataclass(frozen=True, slots=True)
class Case:
    """``fires`` brings the alert about, ``silent`` is just below. ``labels`` are the alert's own
    beside its severity. It is looked after so many ``minutes``. ``more``: other ways."""

    fires: Series
    silent: Series
    labels: dict[str, str] = field(default_factory=dict)
    minutes: int = 25
    more: tuple["Case", ...] = ()


def samples(value: Value, minutes: int, *, disturbed: bool = False) -> list[Sample]:
    """Return a series' samples. ``disturbed``: two in seven are missing, as when scrapes fail, and
    what grows begins anew twice, as after a restart or the loss of Redis."""
    steps = range(minutes * 60 // STEP_S + 1)
    starts = [step for step in (len(steps) // 2, len(steps) - 5) if disturbed]
    found: list[Sample] = []
    for step in steps:
        begun = max((start for start in starts if start <= step), default=0)
        missing = disturbed and step % 7 in (3, 4)
        found.append(None if missing else _sample(value, step, begun, len(steps)))
    return found


def _sample(value: Value, step: int, begun: int, steps: int) -> float:
    match value:
        case Grows(per_minute):
            return per_minute * (step - begun) * STEP_S / 60
        case Jump(by, start):
            return start + (by if step >= steps - 4 * 60 // STEP_S else 0)
        case _:
            return float(value)


def _histogram(name: str, labels: str, slow: float, bound: str, above: str) -> Series:
    """Return buckets of which so large a part is above ``bound``, and none above ``above``."""
    comma = f"{labels}, " if labels else ""
    return {
        f'{name}_bucket{{{comma}le="{bound}"}}': Grows(1000 * (1 - slow)),
        f'{name}_bucket{{{comma}le="{above}"}}': Grows(1000),
        f'{name}_bucket{{{comma}le="+Inf"}}': Grows(1000),
    }


def _gauge(series: str, fires: float, silent: float, **labels: str) -> Case:
    return Case({series: fires}, {series: silent}, labels)


def _share(bad: str, good: str, fires: float, silent: float, **labels: str) -> Case:
    """A case of two counters of which the first is so large a part."""

    def series(share: float) -> Series:
        return {bad: Grows(100 * share), good: Grows(100 * (1 - share))}

    return Case(series(fires), series(silent), labels)


_ACK = "sidecar_webhook_ack_seconds"
_HANDOVER = "sidecar_handover_seconds"
_BACKEND = "sidecar_backend_request_seconds"
_OF_MESSAGES = 'lane="messages"'
_ENDPOINT = "process-webhooks"

CASES: dict[str, Case] = {
    "SidecarDown": Case(
        {'up{job="sidecar", instance="a"}': 0, 'up{job="other"}': 1},
        # One of two is enough.
        {'up{job="sidecar", instance="a"}': 0, 'up{job="sidecar", instance="b"}': 1},
    ),
    "SidecarRedisDown": _gauge("sidecar_redis_up", 0, 1),
    "SidecarRedisNotDurable": _gauge("sidecar_redis_writes_durable", 0, 1),
    "SidecarRedisReplicasMissing": _gauge("sidecar_redis_replicas_missing", 1, 0),
    "SidecarRedisFilling": Case(
        {"sidecar_redis_memory_bytes": 66e6, "sidecar_redis_memory_limit_bytes": 100e6},
        {
            'sidecar_redis_memory_bytes{instance="a"}': 65e6,
            'sidecar_redis_memory_limit_bytes{instance="a"}': 100e6,
            # Without a limit nothing is full.
            'sidecar_redis_memory_bytes{instance="b"}': 900e6,
            'sidecar_redis_memory_limit_bytes{instance="b"}': 0,
        },
    ),
    "SidecarRedisUnchecked": _gauge("sidecar_redis_unchecked", 1, 0),
    "SidecarRedisWentBack": _gauge("sidecar_redis_went_back", 1, 0),
    "SidecarNotEverythingAccountedFor": _gauge(
        'sidecar_accounting_difference{accounting="sends"}', 1, 0, accounting="sends"
    ),
    "SidecarNoWorker": _gauge('sidecar_processes{role="worker"}', 0, 1),
    "SidecarProcessDied": Case(
        {"sidecar_processes_died": Jump(1)},
        # One is forgotten after a day.
        {
            'sidecar_processes_died{instance="a"}': 3,
            'sidecar_processes_died{instance="b"}': Jump(-1),
        },
    ),
    "SidecarDramatiqDown": _gauge("sidecar_dramatiq_up", 0, 1),
    "SidecarNotificationsFail": _gauge("sidecar_notification_targets_failing", 1, 0),
    "SidecarMessagesLate": Case(
        {'sidecar_inbox_oldest_age_seconds{lane="messages"}': 10.1},
        {
            'sidecar_inbox_oldest_age_seconds{lane="messages"}': 10,
            'sidecar_inbox_oldest_age_seconds{lane="statuses"}': 60,
        },
    ),
    "SidecarMessageWaits": _gauge("sidecar_message_wait_seconds", 10.1, 10),
    "SidecarStatusesLate": Case(
        {'sidecar_inbox_oldest_age_seconds{lane="statuses"}': 61},
        {'sidecar_inbox_oldest_age_seconds{lane="statuses"}': 60},
    ),
    "SidecarInboxLong": _gauge(
        'sidecar_inbox_webhooks{lane="statuses"}', 10_001, 10_000, lane="statuses"
    ),
    "SidecarHandoverSlow": Case(
        _histogram(_HANDOVER, _OF_MESSAGES, 0.06, "0.5", "1.0"),
        {
            **_histogram(_HANDOVER, _OF_MESSAGES, 0.04, "0.5", "1.0"),
            **_histogram(_HANDOVER, 'lane="statuses"', 0.9, "0.5", "1.0"),
        },
        {"lane": "messages"},
    ),
    "SidecarAcknowledgesSlowly": Case(
        _histogram(_ACK, "", 0.0105, "0.25", "0.5"), _histogram(_ACK, "", 0.009, "0.25", "0.5")
    ),
    "SidecarRefusesWebhooks": Case(
        {'sidecar_webhooks_total{result="inbox_unavailable"}': Grows(4)},
        {
            'sidecar_webhooks_total{result="inbox_unavailable"}': 7,
            'sidecar_webhooks_total{result="acknowledged"}': Grows(600),
            'sidecar_webhooks_total{result="vendor_unknown"}': Grows(600),
        },
        {"result": "inbox_unavailable"},
    ),
    "SidecarUnknownVendors": Case(
        {'sidecar_webhooks_total{result="too_many_unknown_vendors"}': Grows(4)},
        {
            'sidecar_webhooks_total{result="too_many_unknown_vendors"}': 7,
            'sidecar_webhooks_total{result="vendor_unknown"}': Grows(600),
        },
    ),
    "SidecarSignaturesWrong": Case(
        {
            'sidecar_webhooks_total{result="signature_wrong"}': Jump(15),
            'sidecar_webhooks_total{result="signature_missing"}': Jump(8),
        },
        {
            'sidecar_webhooks_total{result="signature_wrong"}': Jump(15),
            'sidecar_webhooks_total{result="acknowledged"}': Grows(600),
        },
    ),
    "SidecarDeferredOverdue": _gauge(
        'sidecar_deferred_overdue_seconds{lane="messages"}', 61, 60, lane="messages"
    ),
    "SidecarDeadLetters": _gauge("sidecar_dead_letters", 1, 0),
    "SidecarDeadLettersFilling": _gauge("sidecar_dead_letters_fullness", 0.81, 0.8),
    "SidecarDeadLettersDeleted": Case(
        {'sidecar_dead_letters_deleted_total{kind="updates", reason="too_many"}': Jump(2)},
        {
            'sidecar_dead_letters_deleted_total{kind="updates", reason="too_many"}': 7,
            # By a person.
            'sidecar_dead_letters_deleted_total{kind="updates", reason="discarded"}': Jump(90),
        },
        {"kind": "updates", "reason": "too_many"},
    ),
    "SidecarPhpIll": _gauge('sidecar_breaker_open{lane="messages"}', 1, 0, lane="messages"),
    "SidecarProxyFails": _share(
        'sidecar_proxy_seconds_count{result="timed_out"}',
        'sidecar_proxy_seconds_count{result="answered"}',
        0.06,
        0.04,
    ),
    "SidecarPhpFails": Case(
        {
            f'sidecar_backend_requests_total{{endpoint="{_ENDPOINT}", result="server_error"}}': (
                Grows(6)
            ),
            f'sidecar_backend_requests_total{{endpoint="{_ENDPOINT}", result="ok"}}': Grows(94),
        },
        {
            f'sidecar_backend_requests_total{{endpoint="{_ENDPOINT}", result="server_error"}}': (
                Grows(4)
            ),
            f'sidecar_backend_requests_total{{endpoint="{_ENDPOINT}", result="ok"}}': Grows(96),
            # PHP's own decision.
            f'sidecar_backend_requests_total{{endpoint="{_ENDPOINT}", result="refused"}}': Grows(9),
        },
        {"endpoint": _ENDPOINT},
    ),
    "SidecarPhpSlow": Case(
        _histogram(_BACKEND, f'endpoint="{_ENDPOINT}"', 0.06, "5.0", "10.0"),
        _histogram(_BACKEND, f'endpoint="{_ENDPOINT}"', 0.04, "5.0", "10.0"),
        {"endpoint": _ENDPOINT},
    ),
    "SidecarCloudApiDown": _gauge("sidecar_cloud_api_down", 1, 0),
    "SidecarCloudApiFlaps": Case(
        {"sidecar_cloud_api_outages_total": Grows(0.19)},
        {"sidecar_cloud_api_outages_total": Grows(0.15)},
        minutes=65,
    ),
    "SidecarCloudApiSlow": _gauge("sidecar_cloud_api_slow_seconds", 2.5, 0),
    "SidecarNumberHeld": _gauge("sidecar_numbers_held", 1, 0),
    "SidecarCampaignWaits": _gauge("sidecar_campaigns_waiting", 1, 0),
    "SidecarRowsFail": Case(
        {'sidecar_campaigns_in_trouble{outcome="failed"}': 1},
        {
            'sidecar_campaigns_in_trouble{outcome="failed"}': 0,
            'sidecar_campaigns_in_trouble{outcome="unknown"}': 1,
        },
    ),
    "SidecarRowsUnknown": Case(
        {'sidecar_campaigns_in_trouble{outcome="unknown"}': 1},
        {
            'sidecar_campaigns_in_trouble{outcome="unknown"}': 0,
            'sidecar_campaigns_in_trouble{outcome="failed"}': 1,
        },
    ),
    "SidecarSendsUnknown": Case(
        {'sidecar_sends_total{outcome="unknown"}': Jump(1)},
        {
            'sidecar_sends_total{outcome="unknown"}': 7,
            'sidecar_sends_total{outcome="failed"}': Grows(60),
        },
    ),
    "SidecarSendsFail": Case(
        {
            'sidecar_sends_total{outcome="failed"}': Grows(21),
            'sidecar_sends_total{outcome="accepted"}': Grows(79),
        },
        {
            'sidecar_sends_total{outcome="failed"}': Grows(19),
            'sidecar_sends_total{outcome="accepted"}': Grows(81),
            # Nobody tried these.
            'sidecar_sends_total{outcome="expired"}': Grows(900),
        },
    ),
    "SidecarDeliveryLow": Case(
        {
            'sidecar_statuses_total{status="sent"}': Grows(2),
            'sidecar_statuses_total{status="delivered"}': Grows(0.9),
        },
        {
            'sidecar_statuses_total{status="sent"}': Grows(60),
            'sidecar_statuses_total{status="delivered"}': Grows(31),
        },
        minutes=100,
        more=(
            Case(
                # No status says that any was delivered.
                {'sidecar_statuses_total{status="sent"}': Grows(60)},
                # Too few to say anything: 96 an hour.
                {'sidecar_statuses_total{status="sent"}': Grows(1.6)},
                minutes=100,
            ),
        ),
    ),
    "SidecarThrottled": Case(
        {'sidecar_send_calls_total{code="130429", result="throttle_number"}': Grows(9)},
        {
            'sidecar_send_calls_total{code="130429", result="throttle_number"}': Grows(5),
            'sidecar_send_calls_total{code="131026", result="fail"}': Grows(90),
        },
        minutes=45,
    ),
    "SidecarPaused": _gauge('sidecar_paused{scope="number"}', 1, 0, scope="number"),
    "SidecarSendsNothing": Case(
        {
            "sidecar_campaigns_active": 2,
            'sidecar_send_calls_total{result="accepted", code=""}': 7,
        },
        {
            'sidecar_campaigns_active{instance="a"}': 2,
            'sidecar_send_calls_total{result="accepted", code=""}': Grows(1),
        },
        minutes=40,
        more=(
            Case(
                {
                    "sidecar_campaigns_active": 1,
                    'sidecar_send_calls_total{result="accepted", code=""}': 7,
                },
                # There is nothing to send.
                {
                    "sidecar_campaigns_active": 0,
                    'sidecar_send_calls_total{result="accepted", code=""}': 7,
                },
                minutes=40,
            ),
        ),
    ),
    "SidecarEffectsLate": _gauge(
        'sidecar_effects_overdue_seconds{kind="ai_reply"}', 61, 60, kind="ai_reply"
    ),
    "SidecarEffectsLong": _gauge("sidecar_effects_waiting", 10_001, 10_000),
    "SidecarMessagesUnasked": _gauge("sidecar_messages_unasked", 1, 0),
    "SidecarEffectsFail": Case(
        {
            'sidecar_effect_calls_total{kind="forward", result="server_error"}': Grows(51),
            'sidecar_effect_calls_total{kind="forward", result="ok"}': Grows(49),
        },
        {
            'sidecar_effect_calls_total{kind="forward", result="server_error"}': Grows(49),
            'sidecar_effect_calls_total{kind="forward", result="ok"}': Grows(51),
            # No failures: there was nothing to do.
            'sidecar_effect_calls_total{kind="ai_reply", result="superseded"}': Grows(900),
            'sidecar_effect_calls_total{kind="broadcast", result="no_target"}': Grows(900),
        },
        {"kind": "forward"},
    ),
    "SidecarEffectsDead": Case(
        {'sidecar_effects_total{result="dead"}': Jump(1)},
        {
            'sidecar_effects_total{result="dead"}': 7,
            'sidecar_effects_total{result="done"}': Grows(60),
        },
    ),
    "SidecarProcessorFull": Case(
        {'sidecar_process_cpu_seconds_total{role="worker", process="a:1"}': Grows(80)},
        # Two that share a core's worth.
        {
            'sidecar_process_cpu_seconds_total{role="worker", process="a:1"}': Grows(47),
            'sidecar_process_cpu_seconds_total{role="worker", process="a:2"}': Grows(47),
        },
        {"role": "worker", "process": "a:1"},
        minutes=45,
    ),
    "SidecarProcessLarge": _gauge(
        'sidecar_process_memory_bytes{role="serve", process="a:1"}',
        501e6,
        500e6,
        role="serve",
        process="a:1",
    ),
    "MachineProcessorFull": Case(
        {
            'node_cpu_seconds_total{mode="idle", cpu="0", instance="a"}': Grows(11),
            'node_cpu_seconds_total{mode="idle", cpu="1", instance="a"}': Grows(11),
        },
        # One core is busy, the other is not.
        {
            'node_cpu_seconds_total{mode="idle", cpu="0", instance="a"}': Grows(0),
            'node_cpu_seconds_total{mode="idle", cpu="1", instance="a"}': Grows(26),
        },
        {"instance": "a"},
    ),
    "MachineMemoryFull": Case(
        {
            'node_memory_MemAvailable_bytes{instance="a"}': 14e9,
            'node_memory_MemTotal_bytes{instance="a"}': 100e9,
        },
        {
            'node_memory_MemAvailable_bytes{instance="a"}': 16e9,
            'node_memory_MemTotal_bytes{instance="a"}': 100e9,
        },
        {"instance": "a"},
    ),
    "MachineDiskFull": Case(
        {
            'node_filesystem_avail_bytes{instance="a", mountpoint="/", fstype="ext4"}': 14e9,
            'node_filesystem_size_bytes{instance="a", mountpoint="/", fstype="ext4"}': 100e9,
        },
        {
            'node_filesystem_avail_bytes{instance="a", mountpoint="/", fstype="ext4"}': 16e9,
            'node_filesystem_size_bytes{instance="a", mountpoint="/", fstype="ext4"}': 100e9,
            # No disk.
            'node_filesystem_avail_bytes{instance="a", mountpoint="/run", fstype="tmpfs"}': 0,
            'node_filesystem_size_bytes{instance="a", mountpoint="/run", fstype="tmpfs"}': 100e9,
        },
        {"instance": "a", "mountpoint": "/", "fstype": "ext4"},
    ),
    "DatabaseConnectionsFull": Case(
        {
            "mysql_global_status_threads_connected": 81,
            "mysql_global_variables_max_connections": 100,
        },
        {
            "mysql_global_status_threads_connected": 80,
            "mysql_global_variables_max_connections": 100,
        },
    ),
    "PhpWorkersBusy": Case(
        {"phpfpm_active_processes": 19, "phpfpm_total_processes": 20},
        {
            'phpfpm_active_processes{pool="static"}': 18,
            'phpfpm_total_processes{pool="static"}': 20,
            # On demand: all that there are are busy, and there may be more.
            'phpfpm_active_processes{pool="ondemand"}': 4,
            'phpfpm_total_processes{pool="ondemand"}': Jump(-16, start=20),
        },
    ),
}
