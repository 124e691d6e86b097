"""Everything that ``sidecar status`` shows, in one object."""

import asyncio
from dataclasses import asdict, dataclass, field
from typing import Any

from contracts import backend as contract
from contracts.campaigns import CampaignState
from contracts.jobs import Lane
from contracts.modes import ModesAnswer, ModesRequest, VendorModes
from sidecar.ops.accounting import FIRST, Accounting, BalanceCheck
from sidecar.ops.backlog import CampaignWork, Deferred, read_campaigns, read_deferred
from sidecar.ops.effects_backlog import WaitingEffects, read_effects
from sidecar.ops.ignored import IgnoredMessages, read_ignored_messages
from sidecar.ops.notifications import Notifications, TargetState
from sidecar.ops.numbers import read_lines
from sidecar.ops.sends import RecentSends, recent_sends
from sidecar.ops.snapshot import Observer, Overview
from sidecar.ops.waits import WaitingMessage, read_waiting_messages
from sidecar.php.client import Backend, BackendError
from sidecar.php.modes import counts, held
from sidecar.redis.client import Redis
from sidecar.sending.numbers import NumberState
from sidecar.sending.pauses import Paused, Pauses

#: A difference that remains for this long is not just work between two reads.
LOOK_AGAIN_S = 0.5
#: How long to wait for PHP's view of the campaigns.
PHP_TIMEOUT_S = 3.0
#: Messages of unknown outcome that are counted.
MAX_UNKNOWN = 100
#: Looking makes no row unknown.
_NEVER_S = 10 * 365 * 86_400


@dataclass(frozen=True, slots=True)
class PhpReport:
    """PHP's view. ``error`` says why it did not answer. ``vendors`` are all, with their modes;
    ``campaigns`` are PHP's own counts. ``unknown_for_long``: how many messages' outcomes have been
    unknown for a day, as far as :data:`MAX_UNKNOWN`."""

    error: str | None = None
    vendors: list[VendorModes] = field(default_factory=list)
    campaigns: dict[str, contract.DueCampaign] = field(default_factory=dict)
    unknown_for_long: int = 0


@dataclass(frozen=True, slots=True)
class Reached:
    """Why what was tried beside Redis and PHP cannot be used (``sidecar/ops/reach.py``);
    ``failover``: why there would be none."""

    dramatiq: str | None = None
    public: str | None = None
    failover: str | None = None


@dataclass(frozen=True, slots=True)
class Report:
    overview: Overview
    deferred: dict[Lane, Deferred]
    effects: list[WaitingEffects]
    campaigns: list[CampaignWork]
    numbers: list[NumberState]
    #: Numbers and accounts that a person must resume.
    paused: list[Paused]
    php: PhpReport
    #: Vendors whose accounting showed the same difference twice, a moment apart.
    unbalanced: list[Accounting]
    #: Customers' messages that have waited for too long, and those ignored within an hour.
    waiting_messages: list[WaitingMessage] = field(default_factory=list)
    ignored_messages: list[IgnoredMessages] = field(default_factory=list)
    #: How the sends of the last ten minutes went, as far as live workers know.
    sends: list[RecentSends] = field(default_factory=list)
    reached: Reached = field(default_factory=Reached)
    #: Targets of notifications that have failed or dropped something.
    targets: list[TargetState] = field(default_factory=list)

    @property
    def balanced(self) -> bool:
        return not self.unbalanced


async def read_report(redis: Redis, backend: Backend) -> Report:
    """Look at everything; changes nothing. Raises redis-py's errors if Redis is unavailable."""
    observer = Observer(redis)
    overview = await observer.read()
    campaigns = await read_campaigns(redis, overview)
    sends = recent_sends(overview.processes)
    unbalanced = await _standing_differences(observer, overview)
    return Report(
        overview=overview,
        deferred={lane: await read_deferred(redis, overview, lane) for lane in Lane},
        waiting_messages=await read_waiting_messages(redis, overview),
        ignored_messages=await read_ignored_messages(redis, overview.now),
        effects=await read_effects(redis, overview.now),
        campaigns=campaigns,
        paused=await Pauses(redis).all(),
        numbers=await read_numbers(redis),
        php=await _ask_php(backend, _asked_about(campaigns, sends)),
        unbalanced=unbalanced,
        sends=sends,
        targets=await Notifications(redis).targets(),
    )


async def read_numbers(redis: Redis) -> list[NumberState]:
    """Return how the numbers stand that were used lately."""
    return [state for _, state in await read_lines(redis) if state is not None]


def _asked_about(campaigns: list[CampaignWork], sends: list[RecentSends]) -> list[str]:
    """Return the campaigns that PHP's counts matter of, those in trouble first."""
    ill = [one.campaign_uid for one in sends if one.campaign_uid and (one.failing or one.unclear)]
    known = [one.uid for one in campaigns if one.state != CampaignState.CANCELLED]
    return list(dict.fromkeys([*ill, *known]))


async def _standing_differences(observer: Observer, overview: Overview) -> list[Accounting]:
    """Return the vendors that show the same difference twice."""
    first = {one.vendor_uid: one for one in overview.accounting if not one.balanced}
    if not first:
        return []
    await asyncio.sleep(LOOK_AGAIN_S)
    again = await observer.read()
    return [
        one
        for one in again.accounting
        if one.vendor_uid in first and _same_difference(one, first[one.vendor_uid])
    ]


def _same_difference(one: Accounting, other: Accounting) -> bool:
    return any(
        a.difference and a.difference == b.difference
        for a, b in zip(one.checks, other.checks, strict=True)
    )


async def _ask_php(backend: Backend, campaign_uids: list[str]) -> PhpReport:
    campaigns: list[contract.DueCampaign] = []
    try:
        if campaign_uids:
            due = contract.DueCampaignsRequest(
                campaign_uids=campaign_uids[:100], stale_after_s=_NEVER_S
            )
            found = await backend.call(
                contract.DUE_CAMPAIGNS, due, contract.DueCampaignsAnswer, timeout_s=PHP_TIMEOUT_S
            )
            campaigns = found.campaigns
        unknown = await backend.call(
            contract.UNKNOWN_MESSAGES,
            contract.UnknownMessagesRequest(limit=MAX_UNKNOWN),
            contract.UnknownMessagesAnswer,
            timeout_s=PHP_TIMEOUT_S,
        )
        modes = await backend.call(
            contract.MODES, ModesRequest(), ModesAnswer, timeout_s=PHP_TIMEOUT_S
        )
    except BackendError as error:
        return PhpReport(error=str(error))
    return PhpReport(
        vendors=modes.vendors,
        campaigns={one.campaign_uid: one for one in campaigns},
        unknown_for_long=len(unknown.messages),
    )


def total(accounting: list[Accounting], name: str) -> BalanceCheck:
    """Return one balance check over all vendors."""
    checks = [one.check(name) for one in accounting]
    parts: dict[str, int | None] = {}
    for check in checks:
        for part, value in check.parts.items():
            so_far = parts.get(part, 0)
            parts[part] = None if value is None or so_far is None else so_far + value
    return BalanceCheck(name, sum(check.total for check in checks), parts)


# -- as JSON --


def as_json(report: Report) -> dict[str, Any]:
    """Return the report as plain values. Ages and durations are seconds, times unix ms."""
    overview = report.overview
    php = report.php
    return {
        "at": overview.now,
        "redis": {"up": True, **asdict(overview.redis)},
        "epoch": {**asdict(overview.epoch), "unchecked": overview.epoch.unchecked},
        "processes": [{**asdict(p), "alive": p.alive} for p in overview.processes],
        "reconciler": overview.reconciler,
        "php": {
            "answers": php.error is None,
            "error": php.error,
            "took_updates_s_ago": overview.backend_ok_s,
            "breakers": overview.breakers,
            "isolated": [
                {"lane": lane, "vendor_uid": vendor_uid, "reason": reason}
                for (lane, vendor_uid), reason in overview.isolated.items()
            ],
        },
        "modes": {
            capability.value: {mode.value: vendors for mode, vendors in count.items()}
            for capability, count in counts(php.vendors).items()
        },
        "held": [vendor.vendor_uid for vendor in held(php.vendors)],
        "lanes": {
            lane.value: {**asdict(state), "waiting_because": asdict(report.deferred[lane])}
            for lane, state in overview.lanes.items()
        },
        "waiting_messages": [asdict(one) for one in report.waiting_messages],
        "ignored_messages": [asdict(one) for one in report.ignored_messages],
        "effects": [asdict(one) for one in report.effects],
        "dead_letters": {
            "count": overview.dead_letters,
            "oldest_s": overview.oldest_dead_letter_s,
            "vendors": {
                accounting.vendor_uid: asdict(accounting.letters)
                for accounting in overview.accounting
                if accounting.letters.number or accounting.letters.dropped_at
            },
        },
        "campaigns": [_campaign_json(one, php.campaigns.get(one.uid)) for one in report.campaigns],
        "sends": [asdict(one) for one in report.sends],
        "reached": asdict(report.reached),
        "notifications": [asdict(one) for one in report.targets],
        "paused": [asdict(one) for one in report.paused],
        "numbers": [{**asdict(one), "reason": one.reason} for one in report.numbers],
        "accounting": {
            "balanced": report.balanced,
            "unbalanced": [one.vendor_uid for one in report.unbalanced],
            "vendors": {one.vendor_uid: _accounting_json(one) for one in overview.accounting},
        },
    }


def _campaign_json(one: CampaignWork, php: contract.DueCampaign | None) -> dict[str, Any]:
    return {
        **asdict(one),
        "state": one.state,
        "in_flight": one.in_flight,
        "php": None if php is None else php.model_dump(mode="json"),
    }


def _accounting_json(accounting: Accounting) -> dict[str, Any]:
    found: dict[str, Any] = {
        check.name: {
            FIRST[check.name]: check.total,
            **check.parts,
            "difference": check.difference,
        }
        for check in accounting.checks
    }
    return {**found, "expired": accounting.expired, "skipped": accounting.skipped}
