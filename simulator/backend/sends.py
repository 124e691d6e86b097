"""One row of the queue on its way to the log: what accepted results and early statuses share."""

import uuid
from dataclasses import dataclass, field
from typing import Any

from contracts.cloud_api.people import phone_digits
from simulator.backend import wamids
from simulator.backend.database import Row
from simulator.backend.jsontext import dump, load, section, shallow
from simulator.backend.recipients import phone_of

#: Namespace of the uids of log rows. A log row's uid follows from its queue row's uid and its
#: wamid, so that the unique index keeps it from being stored twice.
_NAMESPACE = uuid.UUID("9d0c6f0a-5a5b-4f4f-9a49-6b1c2f2d7f10")

QUEUE_COLUMNS = """
    queue._id, queue._uid, queue.vendors__id, queue.campaigns__id, queue.contacts__id,
    queue.status, queue.phone_with_country_code, queue.retries, queue.__data
"""


@dataclass(slots=True)
class QueueRow:
    """A row of the queue as the call found it, and what a call makes of it."""

    id: int
    uid: str
    vendor_id: int
    campaign_id: int | None
    contact_id: int | None
    status: int
    phone: str
    retries: int
    data: dict[str, Any]
    #: ``__data.sidecar``: the claim, the results that were applied, the wamids that are over.
    sidecar: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, row: Row) -> "QueueRow":
        data = load(row["__data"])
        return cls(
            id=row["_id"],
            uid=row["_uid"],
            vendor_id=row["vendors__id"],
            campaign_id=row["campaigns__id"],
            contact_id=row["contacts__id"],
            status=row["status"],
            phone=row["phone_with_country_code"] or "",
            retries=row["retries"] or 0,
            data=data,
            sidecar=section(data, "sidecar"),
        )

    @property
    def claim_uid(self) -> str | None:
        """The claim that holds the row, if one does."""
        uid = section(self.sidecar, "claim").get("uid")
        return uid if isinstance(uid, str) else None

    def count_retry(self) -> None:
        self.retries += 1
        self.sidecar = {**self.sidecar, RETRIES: own_retries(self.sidecar) + 1}

    def remembers(self, name: str, value: str) -> bool:
        """Return whether ``value`` stands in the list ``name`` of ``__data.sidecar``."""
        values = self.sidecar.get(name)
        return isinstance(values, list) and value in values

    def remember(self, name: str, value: str) -> None:
        values = self.sidecar.get(name)
        kept = values if isinstance(values, list) else []
        self.sidecar = {**self.sidecar, name: [*kept, value]}


#: List in a queue row's ``__data.sidecar``: wamids of sends that failed and are to be sent anew.
#: Neither their results nor their statuses say anything about the row any more.
SUPERSEDED = "superseded_wamids"
#: List in a queue row's ``__data.sidecar``: results that were applied, as ``outcome:at``.
RESULTS = "results"
#: In a log row's ``__data.sidecar``: when the API accepted the message, unix ms.
ACCEPTED_AT = "accepted_at"
#: In a log row's ``__data.sidecar``: when each status was set, by its name, as Meta says, in unix
#: seconds. Of a message that is ``delivered`` and nothing more, ``messaged_at`` says it.
STATUSES = "statuses"
#: In a queue row's ``__data.sidecar``: when it failed without having been sent, as its
#: ``updated_at`` says too. If that says something else, somebody has had the row since.
NOT_SENT = "not_sent_at"
#: In a queue row's ``__data.sidecar``: how many of ``retries`` are the sidecar's. The others are a
#: cron's, of which nobody knows whether they sent the row.
RETRIES = "retries"
#: In a queue row's ``__data.sidecar``: an earlier attempt may have sent it, and a person had it
#: sent again.
MAYBE_SENT = "maybe_sent"


def own_retries(sidecar: dict[str, Any]) -> int:
    """Return how many of a row's retries are the sidecar's."""
    retries = sidecar.get(RETRIES)
    return retries if isinstance(retries, int) else 0


def log_uid(queue_row_uid: str, wamid: str) -> str:
    """Return the ``_uid`` of the log row for this send."""
    return str(uuid.uuid5(_NAMESPACE, f"{queue_row_uid}:{wamid}"))


@dataclass(frozen=True, slots=True)
class Sent:
    """A send that the API accepted."""

    wamid: str
    status: str = "accepted"
    wa_id: str | None = None
    phone_number_id: str | None = None
    response: dict[str, Any] | None = None
    #: When the API accepted it, unix ms; None where only a status says so.
    accepted_at: int | None = None


def _history(row: QueueRow, sent: Sent) -> dict[str, Any]:
    """Return what a log row keeps of its queue row, which goes: for whoever asks later."""
    known = {
        "queue_row_uid": row.uid,
        "claimed_at": section(row.sidecar, "claim").get("at"),
        ACCEPTED_AT: sent.accepted_at,
        RESULTS: row.sidecar.get(RESULTS),
    }
    return {name: value for name, value in known.items() if value is not None}


def log_row(row: QueueRow, sent: Sent, now: str) -> dict[str, Any]:
    """Return the columns of a send's log row."""
    campaign_data = section(row.data, "campaign_data")
    number = sent.phone_number_id or campaign_data.get("fromPhoneNumberId")
    wamid = wamids.stored(sent.wamid)
    return {
        "_uid": log_uid(row.uid, wamid),
        "created_at": now,
        "updated_at": now,
        "vendors__id": row.vendor_id,
        "contacts__id": row.contact_id,
        "campaigns__id": row.campaign_id,
        "status": sent.status,
        "wamid": wamid,
        "contact_wa_id": phone_digits(sent.wa_id or "") or (phone_of(row.phone) and row.phone),
        "wab_phone_number_id": str(number) if number else None,
        "is_incoming_message": 0,
        "__data": dump(
            {
                "contact_data": row.data.get("contact_data"),
                "initial_response": shallow(sent.response),
                "template_proforma": campaign_data.get("templateProforma"),
                "template_components": campaign_data.get("templateComponents"),
                "template_component_values": campaign_data.get("messageComponents"),
                "sidecar": _history(row, sent),
                **wamids.data(sent.wamid),
            }
        ),
    }
