"""Acts on failed statuses: they may concern the recipient, the campaign, the number or the account.

A failure may be reported by the answer to the send, by a status, or by both. It counts here if PHP
says that the status has changed a campaign's message: so neither repeated statuses count, nor those
whose failure the answer has reported.

Whoever knows a vendor's app secret can send its webhooks, and may name somebody else's number. And
what is held or paused must be something that a send asks for (``limits.py``), or nothing would come
of it. So it is what the vendor sends from: the number, if PHP lists it or rows go from it, and that
number's account by PHP, whatever account the webhook names; of another number, the account if it is
one of the vendor's by PHP. Where nothing fits, nothing is held, and that is counted and logged. If
PHP says nothing of the vendor, the number and the access token can be paused for this vendor alone.

Actions follow the batch's commit. A worker that dies in between loses them, and the next failure
triggers them again; nothing is counted twice, because PHP has the status by then and says that it
changes nothing.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

import msgspec
import structlog

from contracts.backend import SendError, VendorConfig
from contracts.cloud_api.errors import rule_for
from contracts.cloud_api.people import identifier, person
from contracts.cloud_api.webhook import Status, WebhookError
from contracts.modes import Mode
from sidecar.metrics import METRICS, STATUSES_MISFIT
from sidecar.php.client import BackendError
from sidecar.redis import keys
from sidecar.redis.client import AnyRedisError, Redis
from sidecar.sending.campaigns import ErrorPath
from sidecar.sending.pauses import own_name
from sidecar.sending.recipients import name_of
from sidecar.settings import Settings
from workers.inbox.commit import Commit
from workers.inbox.delivery import Fate, Verdicts
from workers.inbox.update import Update
from workers.sending.error_actions import Actions, ErrorActions, Failure
from workers.sending.error_policy import Decision, decide_error
from workers.sending.holds import Scope
from workers.sending.limiter import Limiter
from workers.sending.limits import Limits

log = structlog.get_logger()

#: A status older than this does not trigger holds, which end by themselves: Meta repeats webhooks
#: that could not be delivered for days.
STALE_S = 600.0

#: Larger numbers are not codes of Meta's.
MAX_CODE = 10**9

FindConfig = Callable[[str], Awaitable[VendorConfig | None]]


@dataclass(slots=True)
class _Row:
    """A campaign's errors in one batch: the one that stops it; else the last one that counts, how
    many have come in a row (``times``), and whether something was sent before (``broken``)."""

    stop: Failure | None = None
    last: Failure | None = None
    times: int = 0
    broken: bool = False

    def failed(self, failure: Failure) -> None:
        if failure.decision.stops_campaign:
            self.stop = self.stop or failure
        elif failure.decision.counts:
            self.times += 1
            self.last = failure

    def sent(self) -> None:
        self.broken, self.last, self.times = True, None, 0


@dataclass(slots=True)
class CollectedErrors:
    """The failures of one batch, and the rows of errors by campaign."""

    failures: list[Failure] = field(default_factory=list)
    rows: dict[str, _Row] = field(default_factory=dict)

    def add_to(self, commit: Commit) -> None:
        """Reset the campaigns' error counts if something was sent, in the batch's commit."""
        for campaign_uid, row in self.rows.items():
            if row.broken:
                commit.add_command("DEL", keys.errors(campaign_uid, ErrorPath.STATUS))


class StatusErrors:
    """Collects failed statuses and acts on them. ``find_config`` returns a vendor's configuration,
    and is called only if something failed."""

    def __init__(
        self, settings: Settings, redis: Redis, limiter: Limiter, find_config: FindConfig
    ) -> None:
        self._settings = settings
        self._redis = redis
        self._error_actions = ErrorActions(settings, redis, limiter)
        self._find_config = find_config

    def collect(self, updates: list[Update], verdicts: Verdicts) -> CollectedErrors:
        """Return the failures among the statuses that PHP has applied."""
        collected = CollectedErrors()
        for update in updates:
            verdict = verdicts[update.id]
            if verdict.fate is not Fate.DONE or verdict.campaign_uid is None:
                continue
            row = collected.rows.setdefault(verdict.campaign_uid, _Row())
            if update.status == "failed":
                failure = self._failure(update, verdict.campaign_uid)
                collected.failures.append(failure)
                row.failed(failure)
            elif _was_sent(update):
                row.sent()
        return collected

    async def apply(self, collected: CollectedErrors) -> None:
        """Take all actions concurrently. Those that Redis refuses are lost, and logged."""
        if not collected.failures:
            return
        actions: Actions = {}
        configs: dict[str, VendorConfig | None] = {}
        misfits: set[tuple[str, ...]] = set()
        suppressed: dict[str, dict[str, SendError]] = {}
        for failure in collected.failures:
            decision = failure.decision
            if decision.suppress:
                errors = suppressed.setdefault(failure.vendor_uid, {})
                errors |= dict.fromkeys(failure.recipients, failure.error)
            if _scope(decision) is not None:
                if failure.vendor_uid not in configs:
                    configs[failure.vendor_uid] = await self._config(failure.vendor_uid)
                placed = await self._placed(failure, configs[failure.vendor_uid])
                if placed is None:
                    misfits.add((failure.vendor_uid, failure.limits.number, _account(failure)))
                    METRICS.counter(STATUSES_MISFIT).add()
                else:
                    actions |= self._error_actions.plan(placed)
        for vendor_uid, number, account in sorted(misfits):
            log.warning("status.number_unknown", vendor=vendor_uid, number=number, account=account)
        calls = [
            *(apply() for apply in actions.values()),
            *(self._error_actions.suppressed.add(*one) for one in suppressed.items()),
            *(self._count(row) for row in collected.rows.values()),
        ]
        for error in await asyncio.gather(*calls, return_exceptions=True):
            if isinstance(error, AnyRedisError):
                log.error("status_errors.lost", error=str(error))
            elif isinstance(error, BaseException):
                raise error

    async def _count(self, row: _Row) -> None:
        failure, times = (row.stop, 1) if row.stop else (row.last, row.times)
        if failure is None or not await self._is_ours(failure.vendor_uid):
            return
        streak = await self._error_actions.count(failure, ErrorPath.STATUS, times)
        if streak.reason is not None:
            log.error(
                "campaign.paused",
                vendor=failure.vendor_uid,
                campaign=failure.campaign_uid,
                reason=streak.reason,
            )

    async def _is_ours(self, vendor_uid: str) -> bool:
        """Return whether campaigns are not PHP's own: its cron would heed a pause."""
        config = await self._config(vendor_uid)
        return config is None or config.modes.campaigns in (Mode.SIDECAR, Mode.HELD)

    async def _config(self, vendor_uid: str) -> VendorConfig | None:
        try:
            return await self._find_config(vendor_uid)
        except BackendError as error:
            log.warning("status.vendor_unknown", vendor=vendor_uid, error=str(error))
            return None

    async def _placed(self, failure: Failure, config: VendorConfig | None) -> Failure | None:
        """Return the failure with the names that the vendor's sends ask for; None if it is of
        nothing that the vendor sends from, as far as PHP says."""
        decision, number = failure.decision, failure.limits.number
        scope = _scope(decision)
        if scope in (Scope.CAMPAIGN, Scope.TOKEN):
            return failure
        if config is None:
            # Every send asks for this one (``Limits.pauses``), and for no other that is certain.
            return failure if number and decision.pause is Scope.NUMBER else None
        known = _numbers(config)
        limits = Limits.of(config, number, self._settings)
        if number and (number in known or await self._is_asked_for(limits)):
            return replace(failure, limits=limits)
        named = {_account(failure), failure.limits.account}
        for one in known:
            limits = Limits.of(config, one, self._settings)
            if scope is Scope.APP or (scope is Scope.ACCOUNT and limits.account in named):
                return replace(failure, limits=limits)
        return None

    async def _is_asked_for(self, limits: Limits) -> bool:
        """Return whether slots of a number were asked for within a day. PHP may have rows go from
        numbers that it does not list."""
        try:
            asked_at = await self._redis.zscore(keys.NUMBERS, keys.number(limits.line))
        except AnyRedisError as error:
            log.error("status_errors.lost", error=str(error))
            return False
        return asked_at is not None

    def _failure(self, update: Update, campaign_uid: str) -> Failure:
        """Return a failed status's failure. Its limits follow the webhook, so they are the vendor's
        own."""
        status, number, account = _read(update)
        named = VendorConfig(vendor_uid=update.vendor_uid, whatsapp_business_account_id=account)
        limits = Limits.of(named, number, self._settings)
        return _failure(update, campaign_uid, status, limits)


def _scope(decision: Decision) -> Scope | None:
    """Return what a decision holds or pauses. A recipient is held on a number."""
    if decision.pause is not None:
        return decision.pause
    if decision.hold is not None:
        return decision.hold.pause.scope
    return Scope.NUMBER if decision.hold_pair_s else None


def _account(failure: Failure) -> str:
    """Return the id of the account that the webhook names."""
    return failure.limits.account.removeprefix(own_name(failure.vendor_uid, ""))


def _numbers(config: VendorConfig) -> list[str]:
    """Return the numbers that PHP lists, the current one first."""
    current = config.current_phone_number_id
    listed = [one.phone_number_id for one in config.phone_numbers]
    return list(dict.fromkeys([*([current] if current else []), *listed]))


def _failure(update: Update, campaign_uid: str, status: Status, limits: Limits) -> Failure:
    found = next((error for error in status.errors or [] if error), WebhookError())
    code = found.code if found.code is not None and 0 <= found.code < MAX_CODE else None
    rule = rule_for(code, None, found.error_subcode)
    details = (found.error_data or {}).get("details")
    error = SendError(
        code=code,
        message=found.message or found.title or rule.meaning,
        details=details if isinstance(details, str) else None,
    )
    at = _seconds(status.timestamp, update.received_at)
    named = update.element
    whom = person(named.get("recipient_id"), user_ids=(named.get("recipient_user_id"),))
    decision = decide_error(rule, error, by_user_id=whom.wa_id is None and whom.user_id is not None)
    if time.time() - at > STALE_S:
        decision = replace(decision, hold=None, hold_pair_s=0.0)
    recipients = tuple(name_of(one) for one in (whom.wa_id, whom.user_id) if one is not None)
    return Failure(update.vendor_uid, campaign_uid, limits, recipients, at, error, decision)


def _was_sent(update: Update) -> bool:
    """Return whether a message was sent just now. Delivered or read ones may have been sent long
    ago, and prove nothing about current sends."""
    lower = {msgspec.json.decode(status).get("status") for status in update.lower_statuses}
    return update.status == "sent" or "sent" in lower


def _read(update: Update) -> tuple[Status, str, str | None]:
    """Return the status of an update (``split.py``), and the number and account that its message
    was sent from, if named."""
    assert update.payload is not None
    account = update.payload["entry"][0]
    value = account["changes"][0]["value"]
    metadata = value.get("metadata")
    number = identifier(metadata.get("phone_number_id")) if isinstance(metadata, dict) else None
    status = Status.model_validate(value["statuses"][0])
    return status, number or "", identifier(account.get("id"))


def _seconds(timestamp: str | None, received_at: int) -> float:
    """Return a status's own time, which is never later than its receipt."""
    if timestamp is not None and timestamp.isascii() and timestamp.isdigit():
        return min(float(timestamp[:15]), received_at / 1000)
    return received_at / 1000
