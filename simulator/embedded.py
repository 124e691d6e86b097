"""An installation whose PHP side is the embedded backend, on SQLite."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from sqlite3 import Connection
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
from simulator.backend.sqlite_tables import SqliteTables
from simulator.control import read
from simulator.installation import Installation
from simulator.processes import Process, python


class EmbeddedInstallation(Installation):
    """``database`` is the file with the backend's tables."""

    def __init__(self, folder: Path, keys: dict[str, bytes] | None = None) -> None:
        super().__init__(folder, keys)
        self.database = folder / "backend.sqlite"
        self.tables = SqliteTables(self.database)

    def start_backend(self, *arguments: str) -> Process:
        keys = [f"--key={key}" for key in self.signing_keys.split(",")]
        command = ["simulator", "backend", "--port", "{port}", "--database", str(self.database)]
        if self.environment["SIDECAR_PORT"] != "0":  # else nobody knows it yet
            keys.append(f"--sidecar-url=http://127.0.0.1:{self.environment['SIDECAR_PORT']}")
        if media_dir := self.environment.get("SIDECAR_MEDIA_DIR"):
            keys.append(f"--media-dir={media_dir}")
        backend = self.add(
            Process("backend", python(*command, *keys, *arguments), self.folder / "backend.log")
        )
        self.configure(backend_url=backend.url)
        return backend

    def webhook_url(self, vendor_uid: str) -> str:
        return f"{self.processes['sidecar'].url}/webhook/{vendor_uid}"

    def _seed_vendors(self, options: dict[str, Any]) -> list[SeededVendor]:
        with self._writing() as connection:
            return seed_installation(connection, **options)

    def seed_campaign(self, vendor_uid: str, messages: int, **options: Any) -> SeededCampaign:
        with self._writing() as connection:
            return seed_campaign(connection, vendor_uid, CampaignSeed(messages, **options))

    def seed_bots(self, vendor_uid: str, bots: Sequence[SeedBot]) -> tuple[str, ...]:
        with self._writing() as connection:
            return seed_bots(connection, vendor_uid, bots)

    def seed_effects(self, vendor_uid: str, **options: Any) -> None:
        with self._writing() as connection:
            seed_effects(connection, vendor_uid, EffectsSeed(**options))

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        connection = open_database(self.database)
        try:
            yield connection
        finally:
            connection.close()

    def report(self) -> dict[str, Any]:
        """Return what the backend has counted since it was started."""
        return read(self.processes["backend"], "report")

    def backend_errors(self) -> list[str]:
        log = self.processes["backend"].log.read_text(errors="replace")
        return [line for line in log.splitlines() if '"level": "error"' in line]

    def description(self) -> str:
        return "the embedded backend and Valkey"

    def backend_statements(self) -> int:
        return int(self.report()["sql_statements"])

    def backend_requests(self) -> Counter[str]:
        return Counter(
            {
                endpoint: sum(by_status.values())
                for endpoint, by_status in self.report()["requests"].items()
            }
        )
