"""Asks everybody what they have of odd payloads."""

import base64
from collections.abc import Sequence
from typing import Any, cast

import orjson
import redis

from simulator.control import lines, requests
from simulator.odd_outcome import LoggedMessage, OddEvidence
from simulator.processes import Process
from simulator.tables import Tables

#: Of one attempt at a forward and of those that repeat it.
_FORWARD_ID = "webhook-id"


def collect_odd(
    tables: Tables,
    vendor_uids: Sequence[str],
    client: "redis.Redis",
    cloud_api: Process,
    webhook: Process | None = None,
) -> OddEvidence:
    """Return what the Cloud API, the backend's tables, Redis and the vendor's own ``webhook``
    have. All parts run."""
    log, contacts = _rows(tables, vendor_uids)
    return OddEvidence(
        uses=lines(cloud_api, "odd"),
        messages=lines(cloud_api, "messages"),
        mishaps=lines(cloud_api, "mishaps"),
        log=log,
        contacts=contacts,
        dead=[letter for uid in vendor_uids for letter in _dead(client, uid)],
        told=None if webhook is None else _told(webhook),
        ignored=ignored(client, vendor_uids),
    )


def ignored(client: "redis.Redis", vendor_uids: Sequence[str]) -> dict[str, int]:
    """Return how many updates of these vendors were ignored, by reason
    (sidecar/inbox/ignored.py)."""
    found: dict[str, int] = {}
    for uid in vendor_uids:
        counts = cast("dict[bytes, bytes]", client.hgetall(f"ignored:{uid}"))
        for reason, count in counts.items():
            if not reason.startswith(b"@"):
                found[reason.decode()] = found.get(reason.decode(), 0) + int(count)
    return found


def _dead(client: "redis.Redis", vendor_uid: str) -> list[str]:
    letters = cast("list[bytes]", client.hvals(f"dead:letters:{vendor_uid}"))
    return [_text(letter) for letter in letters]


def _text(letter: bytes) -> str:
    """Return a dead letter with what it holds in Base64, so that names are found in it."""
    update = orjson.loads(letter)["update"]
    body = base64.b64decode(update.get("body") or "").decode(errors="replace")
    return f"{letter.decode(errors='replace')} {body}"


def _told(webhook: Process) -> list[bytes]:
    """Return the bodies that a vendor's webhook was told, without repeated attempts."""
    found: dict[str, bytes] = {}
    for at, one in enumerate(requests(webhook)):
        found.setdefault(one["headers"].get(_FORWARD_ID, f"post {at}"), one["body"].encode())
    return list(found.values())


def _rows(
    tables: Tables, vendor_uids: Sequence[str]
) -> tuple[list[LoggedMessage], list[dict[str, Any]]]:
    marks = ", ".join("?" * len(vendor_uids))
    of = f"vendors__id IN (SELECT _id FROM vendors WHERE _uid IN ({marks}))"
    user_id = tables.json_text.format("user_id")
    with tables.snapshot() as query:
        logged = query(
            f"SELECT wamid, message FROM whatsapp_message_logs WHERE {of}"
            " AND is_incoming_message = 1",
            vendor_uids,
        )
        contacts = query(
            f"SELECT wa_id, {user_id} AS user_id, first_name, last_name, whatsapp_opt_out"
            f" FROM contacts WHERE {of}",
            vendor_uids,
        )
    return [LoggedMessage(*row) for row in logged], [
        {
            "wa_id": wa_id,
            "user_id": user_id,
            "first_name": first_name,
            "last_name": last_name,
            "whatsapp_opt_out": int(opt_out or 0),
        }
        for wa_id, user_id, first_name, last_name, opt_out in contacts
    ]
