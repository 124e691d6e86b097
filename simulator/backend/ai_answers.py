"""``ai-answers``: what AIs have answered, and the messages that come of it."""

from typing import Any

import structlog

from contracts.cloud_api.answering import WINDOW_MS, Unanswered
from contracts.effects import AiAnswer, AiAnswersRequest, AiOutcome, EffectKind
from simulator.backend.contacts import address_of
from simulator.backend.database import Row
from simulator.backend.jsontext import dump, load, section
from simulator.backend.messages import Text, id_of, pending, to_send
from simulator.backend.outcome import DONE, Outcome, failed, ignored
from simulator.backend.times import to_ms
from simulator.backend.vendors import AI_BOT_FAILURE_MESSAGE, Vendor
from simulator.backend.work import Work

logger = structlog.get_logger(__name__)

#: SQL: a message of the customer's, or one that a person has sent: by hand in the application, or
#: from the business's own phone. What bots, AIs and campaigns send makes no answer stale; nor does
#: what nobody answers, a reaction say.
_MAKES_STALE = """
    (messaged_by_users__id IS NOT NULL
     OR (campaigns__id IS NULL AND coalesce(is_system_message, 0) = 0
         AND json_extract(__data, '$.sidecar.source') IS NULL))
    AND json_extract(__data, '$.sidecar.unanswered') IS NULL
    AND coalesce(json_extract(__data, '$.message.type'), '') <> 'reaction'
"""


def ai_answers(work: Work, request: AiAnswersRequest) -> dict[str, Any]:
    """Take answers one by one: a fault in one has that one alone come again."""
    work.vendors.load(list({answer.vendor_uid for answer in request.answers}))
    return {
        "results": [
            {"id": answer.id, **_guarded(work, answer).as_json()} for answer in request.answers
        ]
    }


def _guarded(work: Work, answer: AiAnswer) -> Outcome:
    try:
        with work.db.savepoint():
            return _take(work, answer)
    except Exception as error:
        logger.exception("answer_failed", id=answer.id, vendor_uid=answer.vendor_uid)
        return failed(error)


def _take(work: Work, answer: AiAnswer) -> Outcome:
    vendor = work.vendors.find(answer.vendor_uid)
    if vendor is None:
        return ignored("vendor_unknown")
    question = _question(work, vendor, answer.id)
    if question is None:
        return ignored("question_unknown")
    sidecar = section(load(question["__data"]), "sidecar")
    if sidecar.get("answered"):
        return _again(work, answer, sidecar)
    reason = lateness(work, question, sidecar)
    outcome = ignored(reason) if reason is not None else _send(work, vendor, question, answer)
    decided = {"answered": answer.outcome.value}
    if outcome.reason is not None:
        decided["answer_ignored"] = outcome.reason
    work.db.execute(
        "UPDATE whatsapp_message_logs SET __data = json_patch(__data, ?) WHERE _id = ?",
        (dump({"sidecar": decided}), question["_id"]),
    )
    return outcome


def _question(work: Work, vendor: Vendor, id_: str) -> Row | None:
    row = work.db.row(
        "SELECT _id, contacts__id, wab_phone_number_id, created_at, messaged_at, __data"
        " FROM whatsapp_message_logs"
        " WHERE _uid = ? AND vendors__id = ? AND is_incoming_message = 1",
        (id_, vendor.id),
    )
    effects = [] if row is None else section(load(row["__data"]), "sidecar").get("effects") or []
    asked = any(effect["kind"] == EffectKind.AI_REPLY for effect in effects)
    return row if asked else None


def lateness(work: Work, question: Row, sidecar: dict[str, Any]) -> str | None:
    """Return why an answer comes too late; None if it does not."""
    if "revoked_at" in sidecar or _is_stale(work, question) or not _wants_ai(work, question):
        return "stale"
    return Unanswered.WINDOW_CLOSED if _until(question) <= work.now_ms else None


def _until(question: Row) -> int:
    """Return until when the question may be answered, in unix ms. One that a routine of the
    application has stored does not say."""
    until: int | None = section(load(question["__data"]), "sidecar").get("answer_until")
    if until is None:
        sent_at = min(question["messaged_at"] or question["created_at"], question["created_at"])
        until = to_ms(sent_at) + WINDOW_MS
    return until


def _wants_ai(work: Work, question: Row) -> bool:
    contact = work.db.row(
        "SELECT disable_ai_bot FROM contacts WHERE _id = ?", (question["contacts__id"],)
    )
    return contact is None or not contact["disable_ai_bot"]


def _is_stale(work: Work, question: Row) -> bool:
    newer = work.db.row(
        "SELECT 1 FROM whatsapp_message_logs"
        f" WHERE contacts__id = ? AND _id > ? AND ({_MAKES_STALE}) LIMIT 1",
        (question["contacts__id"], question["_id"]),
    )
    return newer is not None


def _send(work: Work, vendor: Vendor, question: Row, answer: AiAnswer) -> Outcome:
    text = answer.text if answer.outcome is AiOutcome.ANSWERED else None
    if answer.outcome is not AiOutcome.SUPERSEDED and not text:
        text = vendor.settings.get(AI_BOT_FAILURE_MESSAGE)
    contact = work.db.row(
        "SELECT _id, wa_id, __data FROM contacts WHERE _id = ?", (question["contacts__id"],)
    )
    if not text or contact is None or address_of(contact) is None:
        return DONE
    number = question["wab_phone_number_id"]
    message = Text(id_of(answer.id, "answer"), text, number, "ai", _until(question))
    return Outcome("done", effects=[to_send(work, vendor, contact, message)])


def _again(work: Work, answer: AiAnswer, sidecar: dict[str, Any]) -> Outcome:
    """Return what was decided before, with the message as long as it waits to be sent."""
    if "answer_ignored" in sidecar:
        return ignored(sidecar["answer_ignored"])
    waiting = pending(work, [id_of(answer.id, "answer")])
    return Outcome("done", effects=list(waiting.values()))
