"""Plans what the sidecar would do with webhooks, with the code that would deliver them."""

from collections.abc import Iterable

import orjson

from contracts.backend import UpdateKind, VendorConfig
from contracts.cloud_api.fields import LISTS
from contracts.cloud_api.webhook import higher_status
from contracts.modes import Mode
from sidecar.bots.matcher import Matcher
from sidecar.inbox.store import InboxEntry, RawWebhook
from sidecar.shadow.rules import Kind
from workers.inbox.clean import clean
from workers.inbox.coalesce import coalesce
from workers.inbox.split import split_webhook
from workers.inbox.update import Update
from workers.shadow.planned import PlannedMessage, plan_message, plan_status
from workers.shadow.store import RecordedWebhook


def kinds_of(config: VendorConfig | None) -> frozenset[Kind]:
    """Return what is compared of a vendor. Where the sidecar has the webhooks, only bots can be."""
    if config is None:
        return frozenset()
    if config.modes.webhooks is Mode.SHADOW:
        return frozenset(Kind) - {Kind.CAMPAIGN}
    return frozenset([Kind.BOTS] if config.modes.bots is Mode.SHADOW else [])


def by_wamid(updates: list[Update]) -> dict[str, list[Update]]:
    """Return the updates that can be compared, by message."""
    found: dict[str, list[Update]] = {}
    for update in updates:
        if update.wamid is None or update.kind in (None, UpdateKind.CHANGE):
            continue
        if update.kind is not UpdateKind.STATUS or update.status is not None:
            found.setdefault(update.wamid, []).append(update)
    return found


def split_recorded(
    vendor_uid: str, webhooks: list[RecordedWebhook]
) -> tuple[list[Update], set[str]]:
    """Return the updates of webhooks, and the ids of those that PHP's routine looks at."""
    updates: list[Update] = []
    firsts: set[str] = set()
    for webhook in webhooks:
        raw = RawWebhook(b"", webhook.body)
        entry = InboxEntry(vendor_uid, f"{webhook.received_at}-0", (raw,))
        mine = split_webhook(raw, entry, webhook.id)
        updates += mine
        if _looks_at_first(webhook.body):
            firsts.add(mine[0].id)
    return updates, firsts


def _looks_at_first(body: bytes) -> bool:
    """Return whether PHP's routine, which looks at the first change of the first entry, and in it
    at one list, finds the first update."""
    try:
        value = orjson.loads(clean(body))["entry"][0]["changes"][0]["value"]
    except (ValueError, LookupError, TypeError):
        return False
    return isinstance(value, dict) and sum(bool(value.get(name)) for name in LISTS) == 1


def plan(
    planned: PlannedMessage,
    updates: list[Update],
    firsts: set[str],
    config: VendorConfig,
    matcher: Matcher | None,
) -> Iterable[Kind]:
    """Plan the effects of one message's updates; return the kinds to compare."""
    opened: list[Kind] = []
    for update in updates:
        if update.kind is UpdateKind.STATUS:
            opened += plan_status(planned, update, update.id in firsts)
        else:
            opened += plan_message(planned, update, update.id in firsts, config, matcher)
    for update in coalesce(updates).updates:  # as it would be handed over
        if update.status is not None and higher_status(planned.highest, update.status):
            planned.highest = update.status
    return opened
