"""``find``: what the tables know of whatever a query names."""

import re
from typing import Any

from contracts.cloud_api.people import number_forms
from contracts.find import NEWEST, FindRequest
from simulator.backend import wamids
from simulator.backend.database import Row
from simulator.backend.jsontext import dump, load, section
from simulator.backend.recipients import recipient_of
from simulator.backend.times import to_ms
from simulator.backend.work import Work

_SEPARATORS = re.compile(r"[\s+().-]")
_PHONE = re.compile(r"[0-9]{5,20}", re.ASCII)
_UID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)

#: What LIKE takes for something else than itself.
_WILDCARD, _ESCAPED = re.compile("[%_!]"), r"!\g<0>"

_MESSAGES = """
    SELECT logs.*, vendors._uid AS vendor_uid, campaigns._uid AS campaign_uid
    FROM whatsapp_message_logs AS logs
    JOIN vendors ON vendors._id = logs.vendors__id
    LEFT JOIN campaigns ON campaigns._id = logs.campaigns__id
"""
_ROWS = """
    SELECT queue.*, vendors._uid AS vendor_uid, campaigns._uid AS campaign_uid,
           json_extract(contacts.__data, '$.user_id') AS user_id
    FROM whatsapp_message_queue AS queue
    JOIN vendors ON vendors._id = queue.vendors__id
    LEFT JOIN contacts ON contacts._id = queue.contacts__id
    LEFT JOIN campaigns ON campaigns._id = queue.campaigns__id
"""
_OF_A_CONTACT = """
    SELECT {table}._id FROM json_each(?) AS contact
    CROSS JOIN {table} ON {table}.contacts__id = contact.value
    ORDER BY {table}._id DESC LIMIT ?
"""


def find(work: Work, request: FindRequest) -> dict[str, Any]:
    return _Search(work, request).answer()


class _Search:
    def __init__(self, work: Work, request: FindRequest) -> None:
        self._db = work.db
        self._limit = request.limit
        self._vendor_uid = request.vendor_uid
        self._query = request.query.strip()
        digits = _SEPARATORS.sub("", self._query)
        self._numbers = list(number_forms(digits)) if _PHONE.fullmatch(digits) else []
        is_name = not (
            self._numbers or self._query.startswith("wamid.") or _UID.fullmatch(self._query)
        )
        self._pattern = f"%{_WILDCARD.sub(_ESCAPED, self._query)}%" if is_name else None
        self._more: list[str] = []
        self._looked_at: dict[str, int] = {}

    def answer(self) -> dict[str, Any]:
        vendors = self._named("vendors", "vendors.title")
        campaigns = self._named("campaigns", "campaigns.title")
        contacts = self._contacts()
        messages = self._messages([row["_id"] for row in contacts])
        rows = self._rows([row["_id"] for row in contacts], messages)
        return {
            "vendors": [{"uid": row["_uid"], "title": row["title"]} for row in vendors],
            "campaigns": [
                _common(row) | {"title": row["title"], "created_at": _ms(row["created_at"])}
                for row in campaigns
            ],
            "contacts": [_contact(row) for row in contacts],
            "rows": [_row(row) for row in rows],
            "messages": [_message(row) for row in [*messages, *self._related(messages)]],
            "more": self._more,
            "looked_at": self._looked_at,
        }

    def _cut(self, name: str, rows: list[Row]) -> list[Row]:
        if len(rows) > self._limit:
            self._more.append(name)
        return rows[: self._limit]

    def _named(self, table: str, title: str, extra: str = "FALSE") -> list[Row]:
        """Return rows of a table with this ``_uid``, or whose title is like it."""
        join = "" if table == "vendors" else f"JOIN vendors ON vendors._id = {table}.vendors__id"
        newest = (
            f"SELECT {table}._id FROM {table} {join} WHERE {self._mine} ORDER BY {table}._id DESC"
        )
        rows = self._db.rows(
            f"WITH newest AS ({newest} LIMIT {NEWEST})"
            f" SELECT {table}.*, vendors._uid AS vendor_uid FROM {table} {join}"
            f" WHERE {self._mine} AND ({table}._uid = ? OR {extra}"
            f"  OR (? IS NOT NULL AND {table}._id IN newest AND {title} LIKE ? ESCAPE '!'))"
            f" ORDER BY {table}._id DESC LIMIT ?",
            (*self._mine_twice, self._query, self._pattern, self._pattern, self._limit + 1),
        )
        if self._pattern is not None:
            count = self._db.row(
                f"SELECT count(*) AS rows FROM ({newest} LIMIT {NEWEST + 1})", (self._vendor_uid,)
            )
            if count is not None and count["rows"] > NEWEST:
                self._looked_at[table] = NEWEST
        return self._cut(table, rows)

    @property
    def _mine(self) -> str:
        return "coalesce(?, vendors._uid) = vendors._uid"

    @property
    def _mine_twice(self) -> tuple[str | None, str | None]:
        return self._vendor_uid, self._vendor_uid

    def _contacts(self) -> list[Row]:
        numbers = ", ".join(f"'{number}'" for number in self._numbers)
        name = "trim(coalesce(first_name, '') || ' ' || coalesce(last_name, ''))"
        return self._named("contacts", name, f"contacts.wa_id IN ({numbers})")

    def _messages(self, contact_ids: list[int]) -> list[Row]:
        wamid = wamids.stored(self._query)
        rows = self._db.rows(
            f"{_MESSAGES} WHERE {self._mine} AND logs._id IN ("
            " SELECT found._id FROM vendors AS of CROSS JOIN whatsapp_message_logs AS found"
            "  ON found.vendors__id = of._id AND found.wamid = ?"
            "  AND CAST(found.wamid AS BLOB) = CAST(? AS BLOB)"
            " UNION SELECT _id FROM whatsapp_message_logs WHERE _uid = ?"
            f" UNION SELECT _id FROM ({_OF_A_CONTACT.format(table='whatsapp_message_logs')})"
            ") ORDER BY logs._id DESC LIMIT ?",
            (
                *(self._vendor_uid, wamid, wamid, self._query, dump(contact_ids)),
                *(self._limit + 1, self._limit + 1),
            ),
        )
        return self._cut("messages", rows)

    def _related(self, messages: list[Row]) -> list[Row]:
        """Return the messages that were asked for by these, and those that these answer."""
        known = {row["_uid"] for row in messages}
        uids = {uid for row in messages for uid in _related_uids(row)} - known
        return self._db.rows(
            f"{_MESSAGES} WHERE {self._mine} AND logs._uid IN (SELECT value FROM json_each(?))"
            " ORDER BY logs._id DESC LIMIT ?",
            (self._vendor_uid, dump(sorted(uids)), self._limit),
        )

    def _rows(self, contact_ids: list[int], messages: list[Row]) -> list[Row]:
        kept = (section(load(row["__data"]), "sidecar") for row in messages)
        named = [uid for one in kept if isinstance(uid := one.get("queue_row_uid"), str)]
        numbers = [form for number in self._numbers for form in (number, f"+{number}")]
        rows = self._db.rows(
            f"{_ROWS} WHERE {self._mine} AND queue._id IN ("
            " SELECT _id FROM whatsapp_message_queue"
            "  WHERE _uid IN (SELECT value FROM json_each(?))"
            " UNION SELECT _id FROM (SELECT _id FROM whatsapp_message_queue"
            "  WHERE phone_with_country_code IN (SELECT value FROM json_each(?))"
            "  ORDER BY _id DESC LIMIT ?)"
            f" UNION SELECT _id FROM ({_OF_A_CONTACT.format(table='whatsapp_message_queue')})"
            ") ORDER BY queue._id DESC LIMIT ?",
            (
                *(self._vendor_uid, dump([self._query, *named]), dump(numbers), self._limit + 1),
                *(dump(contact_ids), self._limit + 1, self._limit + 1),
            ),
        )
        return self._cut("rows", rows)


def _common(row: Row) -> dict[str, Any]:
    return {"uid": row["_uid"], "vendor_uid": row["vendor_uid"]}


def _ms(text: str | None) -> int | None:
    return None if text is None else to_ms(text)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _integer(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _texts(value: object) -> list[str]:
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


def _contact(row: Row) -> dict[str, Any]:
    name = " ".join(part for part in (row["first_name"], row["last_name"]) if part)
    return _common(row) | {
        "wa_id": row["wa_id"],
        "name": name or None,
        "opted_out": bool(row["whatsapp_opt_out"]),
        "blocked": row["wa_blocked_at"] is not None,
    }


def _row(row: Row) -> dict[str, Any]:
    data = load(row["__data"])
    sidecar, response = section(data, "sidecar"), section(data, "process_response")
    return (
        _common(row)
        | recipient_of(row["phone_with_country_code"], row["user_id"], data)
        | {
            "campaign_uid": row["campaign_uid"],
            "status": row["status"],
            "retries": row["retries"] or 0,
            **{name: _ms(row[name]) for name in ("created_at", "scheduled_at", "updated_at")},
            "claimed_at": _integer(section(sidecar, "claim").get("at")),
            "results": _texts(sidecar.get("results")),
            "superseded": _texts(sidecar.get("superseded_wamids")),
            "error_status": _text(response.get("error_status")),
            "error_message": _text(response.get("error_message")),
        }
    )


def _effects(sidecar: dict[str, Any]) -> list[dict[str, Any]]:
    effects = sidecar.get("effects")
    effects = effects if isinstance(effects, list) else []
    return [
        {"kind": one["kind"], "id": _text(one.get("id"))}
        for one in effects
        if isinstance(one, dict) and isinstance(one.get("kind"), str)
    ]


def _related_uids(row: Row) -> list[str]:
    effects = _effects(section(load(row["__data"]), "sidecar"))
    uids = [one["id"] for one in effects if one["kind"] == "send_message"]
    return [uid for uid in (*uids, row["replied_to_whatsapp_message_logs__uid"]) if uid]


def _message(row: Row) -> dict[str, Any]:
    data = load(row["__data"])
    sidecar, error = section(data, "sidecar"), section(data, "error")
    statuses = section(sidecar, "statuses")
    return _common(row) | {
        "campaign_uid": row["campaign_uid"],
        "wamid": _text(data.get("wamid")) or row["wamid"],
        "incoming": bool(row["is_incoming_message"]),
        "status": row["status"],
        "wa_id": row["contact_wa_id"],
        "phone_number_id": row["wab_phone_number_id"],
        **{name: _ms(row[name]) for name in ("created_at", "updated_at", "messaged_at")},
        "received_at": _integer(sidecar.get("received_at")),
        "statuses": {name: 1000 * at for name, at in statuses.items() if _integer(at) is not None},
        "queue_row_uid": _text(sidecar.get("queue_row_uid")),
        "claimed_at": _integer(sidecar.get("claimed_at")),
        "accepted_at": _integer(sidecar.get("accepted_at")),
        "results": _texts(sidecar.get("results")),
        "error_code": _integer(error.get("code")),
        "error_message": _text(error.get("message")) or _text(error.get("title")),
        "reply_to": row["replied_to_whatsapp_message_logs__uid"],
        "source": _text(sidecar.get("source")),
        "unanswered": _text(sidecar.get("unanswered")),
        "effects": _effects(sidecar),
    }
