"""``observe``: what has become of messages, as the tables say."""

from typing import Any

from contracts.observation import ObserveRequest
from simulator.backend import wamids
from simulator.backend.database import Row
from simulator.backend.jsontext import dump, load, section
from simulator.backend.work import Work

_LOGGED = """
    SELECT new.key AS place, logs.is_incoming_message, logs.status, logs.__data,
           campaigns._uid AS campaign_uid, contacts.disable_reply_bot,
           (SELECT queue.status FROM whatsapp_message_queue AS queue
            WHERE queue.campaigns__id = logs.campaigns__id
              AND queue.contacts__id = logs.contacts__id
            ORDER BY queue._id DESC LIMIT 1) AS queue_status,
           NOT EXISTS (SELECT 1 FROM whatsapp_message_logs AS earlier
            WHERE earlier.contacts__id = logs.contacts__id AND earlier.is_incoming_message = 1
              AND earlier._id < logs._id
              AND earlier.created_at >= datetime(logs.created_at, '-24 hours')) AS first_in_24h
    FROM json_each(?) AS new
    JOIN vendors ON vendors._uid = new.value ->> 'vendor_uid'
    JOIN whatsapp_message_logs AS logs
      ON logs.vendors__id = vendors._id AND logs.wamid = new.value ->> 'stored'
      AND CAST(logs.wamid AS BLOB) = CAST(new.value ->> 'stored' AS BLOB)
    LEFT JOIN campaigns ON campaigns._id = logs.campaigns__id
    LEFT JOIN contacts ON contacts._id = logs.contacts__id
    ORDER BY logs._id DESC
"""


def observe(work: Work, request: ObserveRequest) -> dict[str, Any]:
    messages = [message.model_dump() for message in request.messages]
    asked = [{**message, "stored": wamids.stored(message["wamid"])} for message in messages]
    logged = {row["place"]: row for row in work.db.rows(_LOGGED, (dump(asked),))}
    return {
        "messages": [
            {**message, **_said(logged.get(place))} for place, message in enumerate(messages)
        ]
    }


def _said(row: Row | None) -> dict[str, Any]:
    if row is None:
        return {"logged": False}
    incoming = bool(row["is_incoming_message"])
    bots = section(load(row["__data"]), "sidecar").get("bots") if incoming else None
    return {
        "logged": True,
        "incoming": incoming,
        "status": row["status"],
        "campaign_uid": row["campaign_uid"],
        "queue_status": row["queue_status"],
        "bots": bots if isinstance(bots, list) else None,
        "first_in_24h": bool(row["first_in_24h"]) if incoming else None,
        "bots_off": bool(row["disable_reply_bot"]),
    }
