"""The embedded backend under test: a real process, and its database file."""

import sqlite3
import subprocess
import sys
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from simulator.backend.database import open_database
from simulator.backend.seed import seed_campaign, seed_installation
from tests.contract.under_test import Campaign, Row, Vendor

_JSON_COLUMNS = ("__data", "headers", "payload")


class EmbeddedBackend:
    """Use as a context manager: starts the process, and stops it by its id."""

    keys: Mapping[str, bytes] = {"first": b"first-secret-of-the-tests", "second": b"second-secret"}

    def __init__(self, folder: Path) -> None:
        self.database = folder / "backend.sqlite3"
        self.log = folder / "backend.log"
        self.base_url = ""
        self._process: subprocess.Popen[str] | None = None
        self._connection: sqlite3.Connection | None = None

    def __enter__(self) -> "EmbeddedBackend":
        keys = [f"--key={key_id}:{secret.decode()}" for key_id, secret in self.keys.items()]
        with self.log.open("wb") as stderr:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-c"),
                    "from simulator.backend.command import command; command()",
                    *("--port", "0", "--database", str(self.database), *keys),
                ],
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line.startswith("listening on "), self.log.read_text()
        self.base_url = line.removeprefix("listening on ").strip()
        self._connection = open_database(self.database)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._db.close()
        self._process.terminate()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    @property
    def _db(self) -> sqlite3.Connection:
        assert self._connection is not None
        return self._connection

    def seed_vendor(self, *, numbers: int = 1, messages_per_second: float | None = None) -> Vendor:
        taken = self._db.execute("SELECT count(*) FROM vendors").fetchone()[0]
        seeded = seed_installation(
            self._db,
            phone_number_ids=[f"{110_000_000 + 100 * taken + n}" for n in range(numbers)],
            access_token=f"token-{taken}",
            app_secret=f"secret-{taken}",
            messages_per_second=messages_per_second,
        )[0]
        return Vendor(
            uid=seeded.uid,
            id=seeded.id,
            phone_number_ids=seeded.phone_number_ids,
            access_token=seeded.access_token,
            app_secret=seeded.app_secret,
            business_account_id=seeded.business_account_id,
        )

    def seed_campaign(
        self,
        vendor: Vendor,
        messages: int,
        *,
        scheduled_at: int | None = None,
        expiry_at: int | None = None,
        from_phone_number_id: str | None = None,
    ) -> Campaign:
        seeded = seed_campaign(
            self._db,
            vendor.uid,
            messages=messages,
            scheduled_at_ms=scheduled_at,
            expiry_at_ms=expiry_at,
            from_phone_number_id=from_phone_number_id,
        )
        return Campaign(seeded.uid, seeded.id, vendor, seeded.row_uids, seeded.recipients)

    def set_setting(self, vendor: Vendor, name: str, value: str) -> None:
        self.delete("vendor_settings", vendors__id=vendor.id, name=name)
        self._db.execute(
            "INSERT INTO vendor_settings (_uid, created_at, vendors__id, name, value)"
            " VALUES (lower(hex(randomblob(16))), datetime(), ?, ?, ?)",
            (vendor.id, name, value),
        )

    def setting(self, vendor: Vendor, name: str) -> str | None:
        rows = self.rows("vendor_settings", vendors__id=vendor.id, name=name)
        return rows[0]["value"] if rows else None

    def rows(self, table: str, **where: Any) -> list[Row]:
        condition, parameters = _condition(where)
        found = self._db.execute(
            f"SELECT * FROM {table} WHERE {condition} ORDER BY _id", parameters
        )
        return [_decoded(row) for row in found]

    def change(self, table: str, values: Mapping[str, Any], **where: Any) -> None:
        condition, parameters = _condition(where)
        for name, value in values.items():
            if name.startswith("__data."):
                assignment = f"__data = json_set(coalesce(__data, '{{}}'), '$.{name[7:]}', json(?))"
                value = orjson.dumps(value).decode()
            else:
                assignment = f"{name} = ?"
            self._db.execute(
                f"UPDATE {table} SET {assignment} WHERE {condition}", (value, *parameters)
            )

    def delete(self, table: str, **where: Any) -> None:
        condition, parameters = _condition(where)
        self._db.execute(f"DELETE FROM {table} WHERE {condition}", parameters)

    def poison(self, text: str) -> None:
        fault = {"endpoint": "process-webhooks", "kind": "item_error", "body_contains": text}
        self._control("POST", orjson.dumps(fault))

    def cure(self) -> None:
        self._control("DELETE", None)

    def _control(self, method: str, body: bytes | None) -> None:
        request = urllib.request.Request(
            f"{self.base_url}/_simulator/faults", data=body, method=method
        )
        with urllib.request.urlopen(request, timeout=10) as response:
            response.read()


def _condition(where: Mapping[str, Any]) -> tuple[str, tuple[Any, ...]]:
    condition = " AND ".join(f"{name} IS ?" for name in where) or "TRUE"
    return condition, tuple(where.values())


def _decoded(row: sqlite3.Row) -> Row:
    return {
        name: orjson.loads(value) if name in _JSON_COLUMNS and value else value
        for name, value in dict(row).items()
    }
