"""Media of messages: the effects that fetch it, and ``media``: what became of them."""

from typing import Any

import structlog

from contracts.effects import EffectKind, MediaReport, MediaRequest, MediaState
from simulator.backend import wamids
from simulator.backend.database import Row
from simulator.backend.envelope import Part, identifier, text
from simulator.backend.jsontext import OBJECT, dump, load, section
from simulator.backend.messages import id_of
from simulator.backend.outcome import DONE, Outcome, failed, ignored
from simulator.backend.vendors import Vendor
from simulator.backend.work import Work

logger = structlog.get_logger(__name__)

_TYPES = ("image", "video", "document", "audio", "sticker")
_REQUESTED = "requested"


def requested(work: Work, vendor: Vendor, part: Part) -> list[dict[str, Any]]:
    """Return the effects that fetch the media of a message, which the log has; each time that it
    comes, until the media is reported. The message keeps that it was requested."""
    wamid, effect = identifier(part.element.get("id")), _effect(vendor, part.element)
    if work.config.media_dir is None or wamid is None or effect is None:
        return []
    row = _row(work, vendor, wamid)
    if row is None:
        return []
    known = section(load(row["__data"]), "media")
    if known.get("state") not in (None, _REQUESTED):
        return []
    media = {"id": effect["media_id"], "state": _REQUESTED, "mime_type": effect.get("mime_type")}
    _keep(work, row, media)
    return [effect]


def _effect(vendor: Vendor, element: dict[str, Any]) -> dict[str, Any] | None:
    for kind in _TYPES:
        media = section(element, kind)
        media_id, wamid = identifier(media.get("id")), identifier(element.get("id"))
        if media_id is not None and wamid is not None:
            facts = {name: text(media.get(name)) for name in ("mime_type", "sha256", "filename")}
            return {
                "kind": EffectKind.FETCH_MEDIA.value,
                "id": id_of(vendor.uid, wamid, "media", media_id),
                "media_id": media_id,
                "wamid": wamid,
                "type": kind,
                **{name: value for name, value in facts.items() if value is not None},
            }
    return None


def record_media(work: Work, request: MediaRequest) -> dict[str, Any]:
    """Take reports one by one: a fault in one has that one alone come again."""
    work.vendors.load(list({report.vendor_uid for report in request.media}))
    return {"results": [{"id": one.id, **_guarded(work, one).as_json()} for one in request.media]}


def _guarded(work: Work, report: MediaReport) -> Outcome:
    try:
        with work.db.savepoint():
            return _take(work, report)
    except Exception as error:
        logger.exception("media_failed", id=report.id, vendor_uid=report.vendor_uid)
        return failed(error)


def _take(work: Work, report: MediaReport) -> Outcome:
    vendor = work.vendors.find(report.vendor_uid)
    if vendor is None:
        return ignored("vendor_unknown")
    row = _row(work, vendor, report.wamid)
    if row is None:
        return ignored("message_unknown")
    known = section(load(row["__data"]), "media")
    if known.get("state") != MediaState.STORED or report.state is MediaState.STORED:
        said = report.model_dump(mode="json", exclude_none=True)
        names = ("state", "path", "bytes", "mime_type", "sha256", "reason", "at")
        kept = {name: said[name] for name in names if name in said}
        _keep(work, row, {"id": report.media_id, **kept})
    return DONE


def _row(work: Work, vendor: Vendor, wamid: str) -> Row | None:
    return work.db.row(
        f"SELECT _id, __data FROM whatsapp_message_logs WHERE vendors__id = ? AND {wamids.SAME}",
        (vendor.id, *wamids.same(wamid)),
    )


def _keep(work: Work, row: Row, media: dict[str, Any]) -> None:
    work.db.execute(
        f"UPDATE whatsapp_message_logs SET __data = json_set({OBJECT}, '$.media', json(?)),"
        " updated_at = ? WHERE _id = ?",
        (dump(media), work.now, row["_id"]),
    )
