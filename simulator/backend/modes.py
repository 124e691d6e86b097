"""``modes``: who does each vendor's work, read and changed. Calls take turns, as all do here."""

import uuid
from typing import Any

import orjson

from contracts.backend import ErrorCode
from contracts.modes import Capability, Mode, ModeChange, Modes, ModesRequest, may_become
from simulator.backend.database import Row
from simulator.backend.jsontext import dump
from simulator.backend.refusal import Refused
from simulator.backend.stored_modes import MODES, MODES_HISTORY, read_modes
from simulator.backend.work import Work

#: How many past changes of a vendor are kept.
_KEPT = 50

_VENDORS = f"""
    SELECT vendors._id, vendors._uid, vendors.title, modes.value AS modes, history.value AS history
    FROM vendors
    LEFT JOIN vendor_settings AS modes
      ON modes.vendors__id = vendors._id AND modes.name = '{MODES}'
    LEFT JOIN vendor_settings AS history
      ON ? AND history.vendors__id = vendors._id AND history.name = '{MODES_HISTORY}'
    ORDER BY vendors._id
"""

_DELETE = f"""
    DELETE FROM vendor_settings WHERE name IN ('{MODES}', '{MODES_HISTORY}')
      AND vendors__id IN (SELECT new.value ->> 'vendor_id' FROM json_each(?) AS new)
"""

_INSERT = """
    INSERT INTO vendor_settings (_uid, created_at, vendors__id, name, value, data_type)
    SELECT new.value ->> 'uid', ?, new.value ->> 'vendor_id', new.value ->> 'name',
           new.value ->> 'value', 1
    FROM json_each(?) AS new
"""


def modes(work: Work, request: ModesRequest) -> dict[str, Any]:
    if request.changes:
        _change(work, request)
    rows = work.db.rows(_VENDORS, (request.history,))
    return {
        "version": _version(rows),
        "vendors": [
            {
                "vendor_uid": row["_uid"],
                "title": row["title"],
                "modes": _said(read_modes(row["modes"])[0]),
                "history": orjson.loads(row["history"] or "[]"),
            }
            for row in rows
        ],
    }


def _change(work: Work, request: ModesRequest) -> None:
    _check(request)
    rows = work.db.rows(_VENDORS, (True,))
    version = _version(rows)
    if request.version != version:
        raise Refused(
            ErrorCode.FENCE_STALE,
            f"the modes are of version {version}, not {request.version}: read them again",
        )
    known = {row["_uid"]: row for row in rows}
    wanted: dict[str, Modes] = {}
    for change in request.changes:
        row = known.get(change.vendor_uid)
        if row is None:
            raise Refused(ErrorCode.VENDOR_UNKNOWN, f"there is no vendor {change.vendor_uid!r}")
        if _named(change):
            before = wanted.get(change.vendor_uid) or read_modes(row["modes"])[0]
            wanted[change.vendor_uid] = before.model_copy(update=_named(change))
    settings: list[dict[str, Any]] = []
    for uid, after in wanted.items():
        settings += _settings(work, request, known[uid], after, version + 1)
    if settings:
        written = dump(settings)
        work.db.execute(_DELETE, (written,))
        work.db.execute(_INSERT, (work.now, written))


def _settings(
    work: Work, request: ModesRequest, row: Row, after: Modes, version: int
) -> list[dict[str, Any]]:
    """Return the two settings of a vendor whose modes change. One that has kept none so far does
    from now on, whatever they are: what somebody has said holds."""
    before, _ = read_modes(row["modes"])
    _check_step(row["_uid"], before, after)
    if before == after and row["modes"] is not None:
        return []
    past = {
        "at": work.now_ms,
        "by": request.by,
        "reason": request.reason,
        "version": version,
        "before": _said(before),
        "after": _said(after),
    }
    history = [*orjson.loads(row["history"] or "[]"), past][-_KEPT:]
    values = {MODES: {**_said(after), "version": version}, MODES_HISTORY: history}
    return [
        {"uid": str(uuid.uuid4()), "vendor_id": row["_id"], "name": name, "value": dump(value)}
        for name, value in values.items()
    ]


def _check(request: ModesRequest) -> None:
    if request.version is None:
        raise Refused(ErrorCode.REQUEST_INVALID, "version: is needed with changes")
    for position, change in enumerate(request.changes):
        for capability in (Capability.WEBHOOKS, Capability.BOTS):
            if getattr(change, capability) is Mode.HELD:
                raise Refused(
                    ErrorCode.REQUEST_INVALID,
                    f"changes.{position}.{capability}: only campaigns can be held",
                )


def _check_step(uid: str, before: Modes, after: Modes) -> None:
    for capability in Capability:
        now, wanted = getattr(before, capability), getattr(after, capability)
        if not may_become(capability, now, wanted):
            raise Refused(
                ErrorCode.MODE_CHANGE_FORBIDDEN,
                f"{capability} of vendor {uid!r} cannot become {wanted} at once: they are {now}",
            )


def _version(rows: list[Row]) -> int:
    return max((read_modes(row["modes"])[1] for row in rows), default=0)


def _named(change: ModeChange) -> dict[str, Mode]:
    return change.model_dump(exclude={"vendor_uid"}, exclude_none=True)


def _said(modes_: Modes) -> dict[str, str]:
    return {capability.value: str(getattr(modes_, capability)) for capability in Capability}
