"""The Laravel package under test: nginx, PHP-FPM and MariaDB, as an installation has them."""

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import orjson

from simulator.stack.installation import Installation
from simulator.stack.seeding import Seeding
from tests.contract.under_test import Campaign, Row, Vendor

_JSON_COLUMNS = ("__data", "headers", "payload")


class LaravelBackend:
    """Use as a context manager: starts the servers, and stops them by their ids."""

    keys: Mapping[str, bytes] = {"first": b"first-secret-of-the-tests", "second": b"second-secret"}

    def __init__(self, folder: Path) -> None:
        self._installation = Installation(folder, self.keys)
        self._exit = ExitStack()
        self._vendors = 0
        self.base_url = ""

    def __enter__(self) -> "LaravelBackend":
        with ExitStack() as stack:
            self.installation = stack.enter_context(self._installation)
            self.database = self.installation.database
            self._seeding = Seeding(self.database)
            stack.callback(self._seeding.close)
            self._exit = stack.pop_all()
        self.base_url = self.installation.base_url
        return self

    def __exit__(self, *_: object) -> None:
        self._exit.close()

    @property
    def _poison(self) -> Path:
        return self.installation.application.storage / "poison"

    def seed_vendor(self, *, numbers: int = 1, messages_per_second: float | None = None) -> Vendor:
        self._vendors += 1
        taken = self._vendors
        seeded = self._seeding.vendors(
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
        seeded = self._seeding.campaign(
            vendor.uid,
            messages,
            scheduled_at_ms=scheduled_at,
            expiry_at_ms=expiry_at,
            from_phone_number_id=from_phone_number_id,
        )
        return Campaign(seeded.uid, seeded.id, vendor, seeded.row_uids, seeded.recipients)

    def set_setting(self, vendor: Vendor, name: str, value: str) -> None:
        self.delete("vendor_settings", vendors__id=vendor.id, name=name)
        self.database.rows(
            "INSERT INTO vendor_settings (_uid, created_at, vendors__id, name, value)"
            " VALUES (UUID(), UTC_TIMESTAMP(), ?, ?, ?)",
            (vendor.id, name, value),
        )

    def setting(self, vendor: Vendor, name: str) -> str | None:
        rows = self.rows("vendor_settings", vendors__id=vendor.id, name=name)
        return rows[0]["value"] if rows else None

    def rows(self, table: str, **where: Any) -> list[Row]:
        condition, parameters = _condition(where)
        found = self.database.rows(
            f"SELECT * FROM {table} WHERE {condition} ORDER BY _id", parameters
        )
        return [_decoded(row) for row in found]

    def change(self, table: str, values: Mapping[str, Any], **where: Any) -> None:
        condition, parameters = _condition(where)
        for name, value in values.items():
            if name.startswith("__data."):
                key = name[7:]
                assignment = (
                    f"__data = JSON_SET(COALESCE(__data, '{{}}'), '$.{key}', JSON_EXTRACT(?, '$'))"
                )
                value = orjson.dumps(value).decode()
            else:
                assignment = f"{name} = ?"
            self.database.rows(
                f"UPDATE {table} SET {assignment} WHERE {condition}", (value, *parameters)
            )

    def delete(self, table: str, **where: Any) -> None:
        condition, parameters = _condition(where)
        self.database.rows(f"DELETE FROM {table} WHERE {condition}", parameters)

    def refused_statements(self) -> list[str]:
        """Return what the application's log says of SQL that the database refused. A batch that is
        refused is made again piece by piece, so the answers do not tell."""
        log = self.installation.application.log().splitlines()
        return [line[:500] for line in log if "SQLSTATE" in line and ".ERROR:" in line]

    def poison(self, text: str) -> None:
        self._poison.write_text(text)

    def cure(self) -> None:
        self._poison.unlink(missing_ok=True)


def _condition(where: Mapping[str, Any]) -> tuple[str, tuple[Any, ...]]:
    condition = " AND ".join(f"{name} <=> ?" for name in where) or "TRUE"
    return condition, tuple(where.values())


def _decoded(row: Row) -> Row:
    return {
        name: orjson.loads(value) if name in _JSON_COLUMNS and value else value
        for name, value in row.items()
    }
