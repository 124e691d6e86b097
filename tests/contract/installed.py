"""What both backends under test have in common: an installation, and its tables."""

import uuid
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Generic, Self, TypeVar

import orjson

from simulator.backend.seed_bots import SeedBot
from simulator.installation import Installation
from tests.contract.under_test import Campaign, Row, Vendor

Installed = TypeVar("Installed", bound=Installation)

_JSON_COLUMNS = ("__data", "headers", "payload")


class InstalledBackend(ABC, Generic[Installed]):
    """Use as a context manager: starts PHP's side, and stops it."""

    keys: Mapping[str, bytes] = {
        "first": b"first-secret-of-the-tests",
        "second": b"second-secret-of-the-tests",
    }

    #: The database's comparison that takes NULL for a value.
    equals: str
    #: Its expression that sets ``{}`` in a row's JSON to a parameter that is JSON.
    json_set: str
    keeps_json_text = True

    def __init__(self, folder: Path) -> None:
        self.installation = self.install(folder)
        self.base_url = ""
        self._vendors = 0

    @abstractmethod
    def install(self, folder: Path) -> Installed:
        """Return the installation, of which nothing runs yet."""

    @abstractmethod
    def run(self, sql: str, parameters: tuple[Any, ...] = ()) -> list[Row]:
        """Run a statement and return its rows."""

    def __enter__(self) -> Self:
        try:
            self.installation.start_backend()
        except BaseException:
            self.installation.stop()
            raise
        self.base_url = self.installation.environment["SIDECAR_BACKEND_URL"]
        return self

    def __exit__(self, *error: object) -> None:
        self.installation.stop()

    def seed_vendor(self, *, numbers: int = 1, messages_per_second: float | None = None) -> Vendor:
        self._vendors += 1
        taken = self._vendors
        [seeded] = self.installation.seed_vendors(
            phone_number_ids=[f"{110_000_000 + 100 * taken + n}" for n in range(numbers)],
            access_token=f"token-{taken}",
            app_secret=f"secret-{taken}",
            messages_per_second=messages_per_second,
        )
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
        template_name: str = "spring_offer",
        category: str | None = "MARKETING",
    ) -> Campaign:
        seeded = self.installation.seed_campaign(
            vendor.uid,
            messages,
            scheduled_at_ms=scheduled_at,
            expiry_at_ms=expiry_at,
            from_phone_number_id=from_phone_number_id,
            template_name=template_name,
            category=category,
        )
        return Campaign(seeded.uid, seeded.id, vendor, seeded.row_uids, seeded.recipients)

    def seed_bots(self, vendor: Vendor, *bots: SeedBot) -> tuple[str, ...]:
        return self.installation.seed_bots(vendor.uid, bots)

    def seed_effects(self, vendor: Vendor, **options: Any) -> None:
        self.installation.seed_effects(vendor.uid, **options)

    def set_setting(self, vendor: Vendor, name: str, value: str) -> None:
        self.delete("vendor_settings", vendors__id=vendor.id, name=name)
        self.run(
            "INSERT INTO vendor_settings (_uid, created_at, vendors__id, name, value)"
            " VALUES (?, '2025-01-01 00:00:00', ?, ?, ?)",
            (str(uuid.uuid4()), vendor.id, name, value),
        )

    def setting(self, vendor: Vendor, name: str) -> str | None:
        rows = self.rows("vendor_settings", vendors__id=vendor.id, name=name)
        return rows[0]["value"] if rows else None

    def rows(self, table: str, **where: Any) -> list[Row]:
        condition, parameters = self._condition(where)
        found = self.run(f"SELECT * FROM {table} WHERE {condition} ORDER BY _id", parameters)
        return [_decoded(row) for row in found]

    def change(self, table: str, values: Mapping[str, Any], **where: Any) -> None:
        condition, parameters = self._condition(where)
        for name, value in values.items():
            assignment = f"{name} = ?"
            if name.startswith("__data."):
                assignment = f"__data = {self.json_set.format(name[7:])}"
                value = orjson.dumps(value).decode()
            self.run(f"UPDATE {table} SET {assignment} WHERE {condition}", (value, *parameters))

    def delete(self, table: str, **where: Any) -> None:
        condition, parameters = self._condition(where)
        self.run(f"DELETE FROM {table} WHERE {condition}", parameters)

    def _condition(self, where: Mapping[str, Any]) -> tuple[str, tuple[Any, ...]]:
        condition = " AND ".join(f"{name} {self.equals} ?" for name in where) or "TRUE"
        return condition, tuple(where.values())


def _decoded(row: Row) -> Row:
    return {
        name: orjson.loads(value) if name in _JSON_COLUMNS and value else value
        for name, value in row.items()
    }
