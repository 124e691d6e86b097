"""The simulator's ready-made installations in MariaDB: made in SQLite, and copied row by row."""

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from simulator.backend.database import open_database
from simulator.backend.seed import (
    CampaignSeed,
    SeededCampaign,
    SeededVendor,
    seed_campaign,
    seed_installation,
)
from simulator.backend.seed_bots import EffectsSeed, SeedBot, seed_bots, seed_effects
from simulator.stack.database import Database

#: In the order in which their foreign keys want them.
_TABLES = (
    *("vendors", "vendor_settings", "whatsapp_templates"),
    *("contacts", "campaigns", "whatsapp_message_queue"),
    *("bot_flows", "bot_replies"),
)

#: PHP adds to these while rows are copied.
_ROOM = {"contacts": 1000, "vendor_settings": 1000}

#: Settings that the application keeps encrypted.
_SECRET = frozenset({"whatsapp_access_token", "ai_providers", "broadcaster"})


class Seeding:
    """Adds vendors and campaigns. Both databases give rows the same ``_id``."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._model: sqlite3.Connection = open_database(Path(":memory:"))

    def vendors(self, **options: Any) -> list[SeededVendor]:
        """As :func:`~simulator.backend.seed.seed_installation`."""
        before = self._align()
        seeded = seed_installation(self._model, **options)
        self._copy(before)
        return seeded

    def campaign(self, vendor_uid: str, messages: int, **options: Any) -> SeededCampaign:
        """As :func:`~simulator.backend.seed.seed_campaign`."""
        before = self._align()
        seeded = seed_campaign(self._model, vendor_uid, CampaignSeed(messages, **options))
        self._copy(before)
        return seeded

    def bots(self, vendor_uid: str, bots: Sequence[SeedBot]) -> tuple[str, ...]:
        """As :func:`~simulator.backend.seed_bots.seed_bots`."""
        before = self._align()
        seeded = seed_bots(self._model, vendor_uid, bots)
        self._copy(before)
        return seeded

    def effects(self, vendor_uid: str, **options: Any) -> None:
        """As :func:`~simulator.backend.seed_bots.seed_effects`."""
        before = self._align()
        seed_effects(self._model, vendor_uid, EffectsSeed(**options))
        self._copy(before)

    def close(self) -> None:
        self._model.close()

    def _align(self) -> dict[str, int]:
        """Have the next rows of both databases begin at the same ``_id``, with room for what PHP
        adds meanwhile; return the last ones."""
        last = {}
        for table in _TABLES:
            (found,) = self._database.rows(f"SELECT COALESCE(MAX(_id), 0) AS _id FROM {table}")
            (known,) = self._model.execute(f"SELECT COALESCE(MAX(_id), 0) FROM {table}").fetchone()
            last[table] = max(int(found["_id"]), known)
            self._model.execute("DELETE FROM sqlite_sequence WHERE name = ?", (table,))
            first = last[table] + _ROOM.get(table, 0)
            self._model.execute("INSERT INTO sqlite_sequence VALUES (?, ?)", (table, first))
        return last

    def _copy(self, before: dict[str, int]) -> None:
        for table in _TABLES:
            found = self._model.execute(
                f"SELECT * FROM {table} WHERE _id > ? ORDER BY _id", (before[table],)
            )
            rows = [dict(row) for row in found]
            for row in rows if table == "vendor_settings" else ():
                if row["name"] in _SECRET:
                    row["value"] = self._database.encrypted(row["value"])
            self._database.insert(table, rows)
