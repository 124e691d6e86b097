"""The embedded backend under test: a real process, and its database file."""

import sqlite3
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx
import orjson

from contracts.console import Role, make_link
from contracts.signing import Audience, Signer
from simulator.backend.database import open_database
from simulator.backend.stored_modes import MODES
from simulator.embedded import EmbeddedInstallation
from simulator.ports import free_ports
from tests.contract.installed import InstalledBackend
from tests.contract.under_test import Row, Vendor


class EmbeddedBackend(InstalledBackend[EmbeddedInstallation]):
    equals = "IS"
    json_set = "json_set(coalesce(__data, '{{}}'), '$.{}', json(?))"

    def install(self, folder: Path) -> EmbeddedInstallation:
        installation = EmbeddedInstallation(folder, dict(self.keys))
        [sidecar_port] = free_ports(1)
        installation.configure(port=sidecar_port)
        installation.share_media()
        return installation

    def __exit__(self, *error: object) -> None:
        self._connection.close()
        super().__exit__(*error)

    @property
    def database(self) -> Path:
        return self.installation.database

    @cached_property
    def _connection(self) -> sqlite3.Connection:
        return open_database(self.database)

    def run(self, sql: str, parameters: tuple[Any, ...] = ()) -> list[Row]:
        return [dict(row) for row in self._connection.execute(sql, parameters)]

    def leave_to_php(self, vendor: Vendor) -> None:
        left = {"webhooks": "php", "campaigns": "php"}
        self.set_setting(vendor, MODES, orjson.dumps(left).decode())

    def console_link(self, name: str, role: Role) -> str:
        key_id, secret = next(iter(self.keys.items()))
        return make_link(Signer(Audience.CONSOLE, key_id, secret), name, role)

    def poison(self, text: str) -> None:
        fault = {"endpoint": "process-webhooks", "kind": "update_error", "body_contains": text}
        self._control("POST", orjson.dumps(fault))

    def cure(self) -> None:
        self._control("DELETE", None)

    def _control(self, method: str, body: bytes | None) -> None:
        url = f"{self.base_url}/_simulator/faults"
        httpx.request(method, url, content=body, timeout=10).raise_for_status()
