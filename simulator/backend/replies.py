"""What bots answer to a customer's message, and the question for the AI where none does."""

from dataclasses import dataclass
from typing import Any

from contracts.backend import Update
from contracts.bots import MatchedBots, TriggerType
from contracts.cloud_api.answering import Unanswered, unanswered
from contracts.cloud_api.text import said_text
from contracts.effects import EffectKind
from simulator.backend.bots import matches, read_bots
from simulator.backend.contacts import address_of
from simulator.backend.database import Row
from simulator.backend.jsontext import dump, load, section
from simulator.backend.messages import Text, id_of, pending, to_send
from simulator.backend.times import to_text
from simulator.backend.vendors import AI_BOT_INSTRUCTIONS, Vendor
from simulator.backend.work import Work

_DAY_MS = 24 * 3_600_000

#: How long a question may wait for its answer.
_QUESTION_MS = 5 * 60_000

#: How many texts of a conversation the AI gets, the question included.
_TURNS = 10

#: What a bot of these types does to the contact.
_SWITCHES = {
    TriggerType.START_PROMOTIONAL: ("whatsapp_opt_out", 0),
    TriggerType.STOP_PROMOTIONAL: ("whatsapp_opt_out", 1),
    TriggerType.START_AI_BOT: ("disable_ai_bot", 0),
    TriggerType.STOP_AI_BOT: ("disable_ai_bot", 1),
}


@dataclass(frozen=True, slots=True)
class Said:
    """A customer's message in the log. ``until``: when it may be answered at the latest (unix
    ms)."""

    id: int
    uid: str
    wamid: str
    contact_id: int
    number: str
    element: dict[str, Any]
    until: int

    @property
    def text(self) -> str:
        return said_text(self.element)

    @property
    def quick_reply(self) -> bool:
        """It answers a button, of a template or of an interactive message."""
        interactive = self.element.get("interactive")
        pressed = isinstance(interactive, dict) and interactive.get("button_reply") is not None
        return pressed or self.element.get("button") is not None


def reply(work: Work, vendor: Vendor, said: Said, update: Update | None) -> list[Any]:
    """Do what the bots that match say, and return the effects; both are kept with the message, or
    why nobody answers it. In a raw webhook (``update`` is None) nobody does."""
    config = work.config
    refusal = unanswered(said.element, config.answered_types, groups=config.answer_groups)
    effects: list[Any] = []
    kept: dict[str, Any] = {}
    if refusal is not None:
        kept["unanswered"] = refusal
    elif update is not None:
        answering, effects = _reply(work, vendor, said, update.bots)
        kept["bots"] = [bot["_uid"] for bot in answering]
        if said.until <= work.now_ms:
            kept["unanswered"] = Unanswered.WINDOW_CLOSED
    if effects:
        kept |= {"effects": effects, "answer_until": said.until}
    if kept:
        work.db.execute(
            "UPDATE whatsapp_message_logs SET __data = json_patch(__data, ?) WHERE _id = ?",
            (dump({"sidecar": kept}), said.id),
        )
    return effects


def _reply(
    work: Work, vendor: Vendor, said: Said, matched: MatchedBots | None
) -> tuple[list[Row], list[Any]]:
    """Return the bots that answer, and the effects."""
    bots = work.bots.get(vendor.id)
    if bots is None:
        bots = work.bots[vendor.id] = read_bots(work.db, vendor)
    if not bots and vendor.ai_bot is None:
        return [], []
    contact = work.db.row(
        "SELECT _id, _uid, wa_id, __data, disable_ai_bot, disable_reply_bot FROM contacts"
        " WHERE _id = ?",
        (said.contact_id,),
    )
    assert contact is not None
    answering = _answering(work, bots, contact, said, matched)
    for bot in answering:
        _switch(work, contact, bot)
    effects: list[Any] = []
    if address_of(contact) and said.until > work.now_ms:
        effects = [
            to_send(
                work,
                vendor,
                contact,
                Text(
                    id_of(said.wamid, bot["_uid"]),
                    bot["reply_text"],
                    said.number,
                    f"bot {bot['_uid']}",
                    said.until,
                ),
            )
            for bot in answering
            if bot["reply_text"]
        ]
        if not answering and said.text.strip() and not contact["disable_ai_bot"]:
            effects += _question(work, vendor, contact, said)
    return answering, effects


def replied(work: Work, row: Row) -> list[Any]:
    """Return a message's effects again, but for messages of which it is known what became of them
    and a question that is answered."""
    kept = section(load(row["__data"]), "sidecar")
    effects = kept.get("effects")
    if not effects:
        return []
    waiting = pending(work, [effect["id"] for effect in effects])
    return [
        waiting.get(effect["id"], effect)
        for effect in effects
        if (
            effect["id"] in waiting
            if effect["kind"] == EffectKind.SEND_MESSAGE
            else not kept.get("answered")
        )
    ]


def _answering(
    work: Work, bots: list[Row], contact: Row, said: Said, matched: MatchedBots | None
) -> list[Row]:
    if contact["disable_reply_bot"] and not said.quick_reply:
        return []
    if matched is None:
        found = [bot for bot in bots if matches(bot, said.text)]
    else:
        by_uid = {bot["_uid"]: bot for bot in bots}
        uids = (match.bot_uid for match in matched.matches)
        found = [by_uid[uid] for uid in uids if uid in by_uid]
    found = [bot for bot in found if bot["active"]]
    if any(_is_welcome(bot) for bot in found) and not _is_first(work, said):
        found = [bot for bot in found if not _is_welcome(bot)]
    return found


def _is_welcome(bot: Row) -> bool:
    return bool(bot["trigger_type"] == TriggerType.WELCOME)


def _is_first(work: Work, said: Said) -> bool:
    """Return whether the contact has written nothing else lately. What nobody may answer, a
    reaction say, does not count."""
    row = work.db.row(
        "SELECT count(*) AS incoming FROM whatsapp_message_logs"
        " WHERE contacts__id = ? AND is_incoming_message = 1 AND created_at >= ?"
        " AND json_extract(__data, '$.sidecar.unanswered') IS NULL",
        (said.contact_id, to_text(work.now_ms - _DAY_MS)),
    )
    assert row is not None
    return bool(row["incoming"] <= 1)


def _switch(work: Work, contact: Row, bot: Row) -> None:
    switch = _SWITCHES.get(bot["trigger_type"])
    if switch is not None:
        column, value = switch
        work.db.execute(
            f"UPDATE contacts SET {column} = ?, updated_at = ? WHERE _id = ?",
            (value, work.now, contact["_id"]),
        )


def _question(work: Work, vendor: Vendor, contact: Row, said: Said) -> list[dict[str, Any]]:
    """Return the effect that asks the vendor's AI, if it has one. Its id is the message's uid."""
    provider = vendor.ai_bot
    if provider is None:
        return []
    turns = work.db.rows(
        "SELECT message, is_incoming_message FROM whatsapp_message_logs"
        " WHERE contacts__id = ? AND _id <= ? AND message IS NOT NULL"
        # Reactions, system messages and groups belong to no conversation of the two.
        " AND coalesce(json_extract(__data, '$.sidecar.unanswered'), '') NOT IN (?, ?)"
        " ORDER BY _id DESC LIMIT ?",
        (contact["_id"], said.id, Unanswered.TYPE, Unanswered.GROUP, _TURNS),
    )
    instructions = vendor.settings.get(AI_BOT_INSTRUCTIONS)
    messages = [{"role": "system", "content": instructions}] if instructions else []
    messages += [
        {
            "role": "user" if turn["is_incoming_message"] else "assistant",
            "content": turn["message"],
        }
        for turn in reversed(turns)
    ]
    return [
        {
            "kind": EffectKind.AI_REPLY.value,
            "id": said.uid,
            "conversation": contact["_uid"],
            "provider": provider.name,
            "messages": messages,
            "expires_at": min(work.now_ms + _QUESTION_MS, said.until),
        }
    ]
