"""An installation as users have it: Laravel in PHP-FPM, MariaDB, Redis and nginx."""

import base64
import secrets
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from simulator.backend.seed import SeededCampaign, SeededVendor
from simulator.backend.seed_bots import SeedBot
from simulator.installation import Installation
from simulator.ports import free_ports
from simulator.processes import Process, ProcessFailed
from simulator.stack.application import APPLICATION, Application
from simulator.stack.database import Database
from simulator.stack.host import Host
from simulator.stack.mariadb import MariaDB
from simulator.stack.mariadb_tables import MariaDbTables
from simulator.stack.mysql import MySQL
from simulator.stack.nginx import Nginx
from simulator.stack.packages import MYSQL, database_server, find
from simulator.stack.seeding import Seeding
from simulator.stack.sql_server import DATABASE, SqlServer
from simulator.stack.versions import versions

CONTRACTS = Path(__file__).resolve().parents[2] / "contracts"
INDEXES = CONTRACTS / "sql" / "indexes.sql"
INDEXES_DOWN = CONTRACTS / "sql" / "indexes_down.sql"

#: What leaves room for the sockets' names in the 107 characters that their paths may have.
_LONGEST_FOLDER = 107 - len("/mariadb/sql.sock")


class StackInstallation(Installation):
    """``processes`` has ``mariadb``, ``php-fpm`` and ``nginx`` beside those that every
    installation has. nginx is as shipped; Redis is Debian's, or the embedded Valkey where there is
    none. ``php`` is what PHP sees besides what it needs; ``durable`` has MariaDB sync each commit.
    ``host`` says what its Laravel does differently.
    """

    def __init__(
        self,
        folder: Path,
        keys: dict[str, bytes] | None = None,
        *,
        php: Mapping[str, str] | None = None,
        php_workers: int = 5,
        durable: bool = False,
        host: Host | None = None,
    ) -> None:
        super().__init__(folder, keys)
        self.host = host or Host()
        if len(str(folder)) > _LONGEST_FOLDER:
            raise ProcessFailed(f"the path {folder} is too long for sockets; use a shorter one")
        [sidecar_port] = free_ports(1)
        self.configure(port=sidecar_port)
        encryption_key = base64.b64encode(secrets.token_bytes(32)).decode()
        schema = self.host.schema((APPLICATION / "schema.sql").read_text() + INDEXES.read_text())
        server = MySQL if database_server() is MYSQL else MariaDB
        #: A MySQL, where the path has one first.
        self.mariadb: SqlServer = server(
            folder / "mariadb", schema, encryption_key, durable=durable
        )
        #: SQL for those who look from outside.
        self.database: Database = self.mariadb.connect(self.host.database)
        self.database.zone = self.host.zone
        self.tables = MariaDbTables(self.database)
        self.seeding = Seeding(self.database)
        self.application = Application(
            folder / "php",
            {
                "APP_KEY": f"base64:{encryption_key}",
                "DB_SOCKET": str(self.mariadb.socket),
                "DB_DATABASE": DATABASE,
                "WHATSAPP_SIDECAR_URL": f"http://127.0.0.1:{sidecar_port}",
                "WHATSAPP_SIDECAR_KEYS": self.signing_keys,
                "WHATSAPP_SIDECAR_VENDORS": "all",
                **(php or {}),
            },
            php_workers,
            self.host,
        )
        self.nginx = Nginx(
            folder / "nginx",
            sidecar=f"127.0.0.1:{sidecar_port}",
            php=f"unix:{self.application.socket}",
            root=APPLICATION / "public",
        )

    def share_media(self) -> Path:
        folder = super().share_media()
        self.application.variables["WHATSAPP_SIDECAR_MEDIA_DIR"] = str(folder)
        return folder

    def redis_program(self) -> str | None:
        return find("redis-server")

    def start_backend(self) -> Process:
        self.add(self.mariadb)
        self.add(self.application)
        self.configure(backend_url=self.nginx.internal_url)
        return self.add(self.nginx)

    def start_cloud_api(self, *arguments: str) -> Process:
        cloud_api = super().start_cloud_api(*arguments)
        # The application's own crons call it too; they are started anew for each run.
        self.application.variables["WHATSAPP_API_URL"] = f"{cloud_api.url}/v26.0"
        return cloud_api

    def webhook_url(self, vendor_uid: str) -> str:
        return f"{self.nginx.url}/whatsapp-webhook/{vendor_uid}"

    def stop(self) -> None:
        super().stop()
        self.seeding.close()
        self.database.close()

    def copy_to_replica(self) -> None:
        """Have the host's replica catch up."""
        for statement in self.host.copying():
            self.database.rows(statement)

    def _seed_vendors(self, options: dict[str, Any]) -> list[SeededVendor]:
        return self.seeding.vendors(**options)

    def seed_campaign(self, vendor_uid: str, messages: int, **options: Any) -> SeededCampaign:
        return self.seeding.campaign(vendor_uid, messages, **options)

    def seed_bots(self, vendor_uid: str, bots: Sequence[SeedBot]) -> tuple[str, ...]:
        return self.seeding.bots(vendor_uid, bots)

    def seed_effects(self, vendor_uid: str, **options: Any) -> None:
        self.seeding.effects(vendor_uid, **options)

    def backend_requests(self) -> Counter[str]:
        return Counter(
            line["path"].removeprefix("/internal/") for line in self.nginx.internal_requests()
        )

    def backend_statements(self) -> int:
        return self.database.statements()

    def backend_errors(self) -> list[str]:
        return [line for line in self.application.logged().splitlines() if ".ERROR:" in line]

    def description(self) -> str:
        return f"the real stack: {versions()}"
