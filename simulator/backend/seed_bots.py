"""Seeding of bots, and of the settings that effects need."""

import sqlite3
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from contracts.bots import BotHours, TriggerType
from contracts.effects import AiProvider, Broadcaster, ForwardTarget
from contracts.modes import Mode
from simulator.backend import vendors as settings
from simulator.backend.jsontext import dump
from simulator.backend.seed_rows import insert_rows, next_id, transaction, vendor_id
from simulator.backend.stored_modes import DEFAULT, MODES
from simulator.backend.times import to_text

_ACTIVE, _INACTIVE = 1, 2

_BOTS_ON_SIDECAR = {**DEFAULT.model_dump(mode="json"), "bots": Mode.SIDECAR, "version": 1}


@dataclass(frozen=True, slots=True)
class SeedBot:
    """``triggers`` are separated by commas. ``flow_active``: None for a bot that is in no flow."""

    trigger_type: TriggerType | str
    triggers: str | None = None
    reply: str | None = None
    priority: int = 1
    active: bool = True
    flow_active: bool | None = None


def seed_bots(
    connection: sqlite3.Connection, vendor_uid: str, bots: Sequence[SeedBot]
) -> tuple[str, ...]:
    """Add bots, each of a flow in one of its own. Return their uids, in the order given."""
    now = to_text(int(time.time() * 1000))
    with transaction(connection):
        common = {"created_at": now, "vendors__id": vendor_id(connection, vendor_uid)}
        flow_id = next_id(connection, "bot_flows")
        flows: list[dict[str, Any]] = []
        rows: list[dict[str, Any]] = []
        for position, bot in enumerate(bots):
            in_flow = bot.flow_active is not None
            if in_flow:
                status = _ACTIVE if bot.flow_active else _INACTIVE
                flow = {"_id": flow_id + len(flows), "_uid": str(uuid.uuid4()), **common}
                flows.append({**flow, "status": status, "title": f"Flow of bot {position}"})
            rows.append(
                {
                    "_uid": str(uuid.uuid4()),
                    **common,
                    "status": _ACTIVE if bot.active else _INACTIVE,
                    "name": f"Bot {position}",
                    "reply_text": bot.reply,
                    "trigger_type": str(bot.trigger_type),
                    "reply_trigger": bot.triggers,
                    "priority_index": bot.priority,
                    "bot_flows__id": flows[-1]["_id"] if in_flow else None,
                }
            )
        insert_rows(connection, "bot_flows", flows)
        insert_rows(connection, "bot_replies", rows)
    return tuple(row["_uid"] for row in rows)


@dataclass(frozen=True, slots=True)
class EffectsSeed:
    """A vendor's settings for bots, its AI bot, its own webhook and its broadcasts. What is not
    given is not set."""

    bots_on_sidecar: bool = True
    hours: BotHours | None = None
    ai: AiProvider | None = None
    ai_instructions: str | None = None
    ai_failure_message: str | None = None
    forward: ForwardTarget | None = None
    broadcaster: Broadcaster | None = None


def seed_effects(connection: sqlite3.Connection, vendor_uid: str, seed: EffectsSeed) -> None:
    """Write the settings of a vendor that has none of these yet."""
    ai, forward = seed.ai, seed.forward
    values: dict[str, Any] = {
        MODES: dump(_BOTS_ON_SIDECAR) if seed.bots_on_sidecar else None,
        settings.BOT_HOURS: seed.hours and dump(seed.hours.model_dump()),
        settings.AI_PROVIDERS: ai and dump([ai.model_dump()]),
        settings.AI_BOT_PROVIDER: ai and ai.name,
        settings.AI_BOT_INSTRUCTIONS: seed.ai_instructions,
        settings.AI_BOT_FAILURE_MESSAGE: seed.ai_failure_message,
        settings.FORWARD_URL: forward and forward.url,
        settings.FORWARD_SECRET: forward and forward.secret,
        settings.BROADCASTER: seed.broadcaster and dump(seed.broadcaster.model_dump()),
    }
    now = to_text(int(time.time() * 1000))
    with transaction(connection):
        common = {"created_at": now, "vendors__id": vendor_id(connection, vendor_uid)}
        insert_rows(
            connection,
            "vendor_settings",
            [
                {"_uid": str(uuid.uuid4()), **common, "name": name, "value": value}
                for name, value in values.items()
                if value is not None
            ],
        )
