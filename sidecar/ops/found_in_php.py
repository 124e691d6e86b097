"""What PHP's tables say of whatever a query names, as events and in words."""

from collections.abc import Callable, Iterator

from contracts.backend import QueueStatus
from contracts.cloud_api.webhook import STATUS_RANK
from contracts.effects import EffectKind
from contracts.find import FindAnswer, FoundMessage, FoundRow
from sidecar.clock import utc_text
from sidecar.ops.event import Event, Named, Part, Source, Step, Thing
from sidecar.ops.failures import explain
from sidecar.php.reasons import scrub

_PHP, _META, _SIDECAR = Source.PHP, Source.META, Source.SIDECAR

#: What an attempt has ended in, as PHP and the ledger keep it.
RESULTS = {
    "requeue": (Step.REQUEUED, "the send did not happen; PHP's queue sends it again later"),
    "failed": (Step.FAILED, "the send failed"),
    "unknown": (Step.UNKNOWN, "the outcome of the send is unknown: it may have been sent"),
}
ACCEPTED = "the Cloud API accepted it as {}"
_ROWS = {
    QueueStatus.QUEUED: "it is in PHP's queue",
    QueueStatus.ERROR: "it has failed, and stays in PHP's queue",
    QueueStatus.PROCESSING: "it is claimed, and being sent",
    QueueStatus.AWAITING_STATUS: "it was sent; its first status has not come yet",
    QueueStatus.EXPIRED: "it expired before it was sent",
    QueueStatus.UNKNOWN: "nobody knows whether it was sent; a status settles it, or a person: "
    "sidecar unknown list",
}
_EFFECTS: dict[str, str] = {
    EffectKind.SEND_MESSAGE: "to send a reply",
    EffectKind.AI_REPLY: "to ask an AI",
    EffectKind.FORWARD: "to forward it to the vendor's webhook",
    EffectKind.BROADCAST: "to broadcast it to browsers",
    EffectKind.FETCH_MEDIA: "to fetch its media",
}
#: Statuses of a message that has none from Meta yet, and of one that has been delivered.
_BEFORE_STATUSES = ("pending", "unknown", "accepted", "held_for_quality_assessment")
_DELIVERED = ("delivered", "read", "played")
#: Makes an event of a message at a time, if that is known.
_MakeEvent = Callable[[int | None, Step, str, Source], Iterator[Event]]
_UNANSWERED = {
    "type": "nobody answers messages of its type",
    "group": "nobody answers messages in groups",
    "window_closed": "it came too late to be answered",
}


def read_answer(answer: FindAnswer) -> Part:
    """Return what PHP's answer says."""
    part = Part(things=list(_things(answer)))
    for name in answer.more:
        part.notes.append(f"there are more {name} in PHP than are shown; the newest are")
    for name, count in answer.looked_at.items():
        part.notes.append(f"looked for the text in the newest {count:,} {name} of PHP only")
    for row in answer.rows:
        part.events += _of_row(row)
        part.where.append(f"message {row.uid}: {_row_text(row)}")
    logged = {one.queue_row_uid for one in answer.messages}
    part.things += [
        Named(Thing.MESSAGE, row.uid, row.vendor_uid)
        for row in answer.rows
        if row.uid not in logged
    ]
    for message in answer.messages:
        part.events += _of_incoming(message) if message.incoming else _of_outgoing(message)
        if not message.incoming:
            of = f", of campaign {message.campaign_uid}" if message.campaign_uid else ""
            part.where.append(f"message {name_of(message)}{of}: {_status_text(message)}")
    return part


def name_of(message: FoundMessage) -> str:
    """Return what a message is called: Meta's id, or its row's while it has none."""
    return message.wamid or message.uid


def _things(answer: FindAnswer) -> Iterator[Named]:
    for vendor in answer.vendors:
        yield Named(Thing.VENDOR, vendor.uid, vendor.uid, vendor.title)
    for campaign in answer.campaigns:
        yield Named(Thing.CAMPAIGN, campaign.uid, campaign.vendor_uid, campaign.title)
    for contact in answer.contacts:
        yield Named(Thing.CONTACT, contact.uid, contact.vendor_uid, contact.name, contact.wa_id)
    for message in answer.messages:
        yield Named(Thing.MESSAGE, name_of(message), message.vendor_uid, phone=message.wa_id)


# -- a row of the queue --


def _of_row(row: FoundRow) -> Iterator[Event]:
    details = {"row": row.uid, "campaign_uid": row.campaign_uid}

    def event(at: int, step: Step, text: str, source: Source = _PHP) -> Event:
        return Event(at, step, text, source, row.vendor_uid, details)

    if row.created_at is not None:
        yield event(row.created_at, Step.QUEUED, f"queued for {_campaign(row.campaign_uid)}")
    if row.claimed_at is not None:
        yield event(row.claimed_at, Step.CLAIMED, "the sidecar claimed it", _SIDECAR)
    ended = row.status in (QueueStatus.ERROR, QueueStatus.EXPIRED) and not _by_result(row)
    for number, result in enumerate(row.results, 1):
        step, text, at = _result(result)
        why = _why(row) if number == len(row.results) and not ended else ""
        yield event(at, step, f"{text}{why}", _SIDECAR)
    if ended and row.updated_at is not None:
        yield event(row.updated_at, Step.ENDED, f"PHP has ended it{_why(row)}")


def _by_result(row: FoundRow) -> bool:
    """Return whether its last result has ended it, and not PHP or a person."""
    return bool(row.results) and row.results[-1].startswith(("failed:", "requeue:"))


def _result(result: str) -> tuple[Step, str, int]:
    """Return a result that was applied, ``outcome:at``."""
    outcome, _, at = result.partition(":")
    step, text = RESULTS.get(outcome, (Step.FAILED, f"a result {outcome}"))
    return step, text, int(at) if at.isascii() and at.isdigit() else 0


def _why(row: FoundRow) -> str:
    """Return why the last attempt ended as it did, and what to do."""
    if row.error_status is None:
        return ""
    told = explain(row.error_status, scrub(row.error_message or ""))
    code = f" ({row.error_status})" if row.error_status.isdigit() else ""
    if row.status == QueueStatus.QUEUED:
        return f": {told.meaning}{code}"
    return f": {told.meaning}{code}; what to do: {told.do}"


def _row_text(row: FoundRow) -> str:
    text = _ROWS.get(row.status, f"it is in PHP's queue with status {row.status}")
    if row.status == QueueStatus.QUEUED and row.scheduled_at is not None:
        text += f", due at {utc_text(row.scheduled_at)}"
    if row.retries:
        text += f", after {row.retries} {'retry' if row.retries == 1 else 'retries'}"
    if row.superseded:
        text += "; an earlier send was refused by a status, and is made again"
    return text


def _campaign(uid: str | None) -> str:
    return "no campaign" if uid is None else f"campaign {uid}"


# -- a row of the log --


def _of_outgoing(message: FoundMessage) -> Iterator[Event]:
    details = {"wamid": message.wamid, "message": message.uid, "campaign_uid": message.campaign_uid}
    if message.queue_row_uid is not None:
        details["row"] = message.queue_row_uid

    def event(at: int | None, step: Step, text: str, source: Source) -> Iterator[Event]:
        if at is not None:
            yield Event(at, step, text, source, message.vendor_uid, details)

    if message.queue_row_uid is None and message.campaign_uid is None:
        by = f", by {message.source}" if message.source else ""
        yield from event(message.created_at, Step.REQUESTED, f"PHP asked to send it{by}", _PHP)
    yield from event(message.claimed_at, Step.CLAIMED, "the sidecar claimed it", _SIDECAR)
    for result in message.results:
        step, text, at = _result(result)
        why = _failure(message) if result.startswith(f"{message.status}:") else ""
        yield from event(at, step, f"{text}{why}", _SIDECAR)
    accepted = ACCEPTED.format(message.wamid)
    yield from event(message.accepted_at, Step.ACCEPTED, accepted, _SIDECAR)
    if message.campaign_uid is not None:
        recorded = "PHP recorded it in its log"
        yield from event(message.created_at, Step.RECORDED, recorded, _PHP)
    for name, at in sorted(message.statuses.items(), key=_by_time):
        why = _failure(message) if name == "failed" else ""
        yield from event(at, Step.STATUS, f"{name}{why}", _META)
    yield from _last_status(message, event)


def _by_time(status: tuple[str, int]) -> tuple[int, int]:
    """Return a status's place: Meta tells whole seconds, in which several may come."""
    name, at = status
    return at, STATUS_RANK.get(name, 0)


def _last_status(message: FoundMessage, event: _MakeEvent) -> Iterator[Event]:
    """Return the status that the row has, where its time is not kept: ``messaged_at`` is when the
    message was delivered, and ``updated_at`` when PHP stored the last status."""
    name = message.status
    told = {*message.statuses, *(result.partition(":")[0] for result in message.results)}
    if not name or name in told or name in _BEFORE_STATUSES:
        return
    if name in _DELIVERED:
        yield from event(message.messaged_at, Step.STATUS, "delivered", _META)
    if name != "delivered" or message.messaged_at is None:
        why = _failure(message) if name == "failed" else ""
        at = message.updated_at
        yield from event(at, Step.STATUS, f"{name}, as PHP stored it{why}", _PHP)


def _failure(message: FoundMessage) -> str:
    if message.error_code is None and message.error_message is None:
        return ""
    code = None if message.error_code is None else str(message.error_code)
    told = explain(code, scrub(message.error_message or ""))
    number = f" ({code})" if code else ""
    return f": {told.meaning}{number}; what to do: {told.do}"


def _status_text(message: FoundMessage) -> str:
    if message.status == "pending":
        return "PHP has asked for it, and does not know yet what became of it"
    if message.status == "unknown":
        return "nobody knows whether it was sent; a status settles it"
    if message.status == "accepted":
        return "the Cloud API has accepted it; no status has come yet"
    return message.status or "its row in PHP's log has no status"


def _of_incoming(message: FoundMessage) -> Iterator[Event]:
    details = {"wamid": message.wamid, "message": message.uid}

    def event(at: int | None, step: Step, text: str, source: Source) -> Iterator[Event]:
        if at is not None:
            yield Event(at, step, text, source, message.vendor_uid, details)

    yield from event(message.messaged_at, Step.WRITTEN, "the customer wrote it", _META)
    received = "its webhook was received, and was on disk"
    yield from event(message.received_at, Step.RECEIVED, received, _SIDECAR)
    stored = "handed to PHP, which stored it"
    asked = list(dict.fromkeys(_EFFECTS.get(one.kind, one.kind) for one in message.effects))
    if asked:
        stored += f", and asked {', '.join(asked)}"
    if message.unanswered:
        stored += f"; {_UNANSWERED.get(message.unanswered, message.unanswered)}"
    yield from event(message.created_at, Step.STORED, stored, _PHP)
