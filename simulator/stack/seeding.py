"""The simulator's ready-made installations in MariaDB: made in SQLite, and copied row by row."""

import sqlite3
from pathlib import Path

from simulator.backend.database import open_database
from simulator.backend.seed import SeededCampaign, SeededVendor, seed_campaign, seed_installation
from simulator.stack.mariadb import MariaDB

#: In the order in which their foreign keys want them.
_TABLES = ("vendors", "vendor_settings", "contacts", "campaigns", "whatsapp_message_queue")

#: Settings that the application keeps encrypted.
_SECRET = frozenset({"whatsapp_access_token"})


class Seeding:
    """Adds vendors and campaigns. Both databases give rows the same ``_id``."""

    def __init__(self, database: MariaDB) -> None:
        self._database = database
        self._model: sqlite3.Connection = open_database(Path(":memory:"))

    def vendors(
        self,
        *,
        vendors: int = 1,
        phone_number_ids: list[str],
        access_token: str,
        app_secret: str,
        messages_per_second: float | None = None,
    ) -> list[SeededVendor]:
        before = self._align()
        seeded = seed_installation(
            self._model,
            vendors=vendors,
            phone_number_ids=phone_number_ids,
            access_token=access_token,
            app_secret=app_secret,
            messages_per_second=messages_per_second,
        )
        self._copy(before)
        return seeded

    def campaign(
        self,
        vendor_uid: str,
        messages: int,
        *,
        scheduled_at_ms: int | None = None,
        expiry_at_ms: int | None = None,
        from_phone_number_id: str | None = None,
    ) -> SeededCampaign:
        before = self._align()
        seeded = seed_campaign(
            self._model,
            vendor_uid,
            messages=messages,
            scheduled_at_ms=scheduled_at_ms,
            expiry_at_ms=expiry_at_ms,
            from_phone_number_id=from_phone_number_id,
        )
        self._copy(before)
        return seeded

    def close(self) -> None:
        self._model.close()

    def _align(self) -> dict[str, int]:
        """Have the next rows of both databases begin at the same ``_id``; return the last ones."""
        last = {}
        for table in _TABLES:
            (found,) = self._database.rows(f"SELECT COALESCE(MAX(_id), 0) AS _id FROM {table}")
            (known,) = self._model.execute(f"SELECT COALESCE(MAX(_id), 0) FROM {table}").fetchone()
            last[table] = max(int(found["_id"]), known)
            self._model.execute("DELETE FROM sqlite_sequence WHERE name = ?", (table,))
            self._model.execute("INSERT INTO sqlite_sequence VALUES (?, ?)", (table, last[table]))
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
