"""The whole of it: database, application and web server."""

import base64
import secrets
from collections.abc import Mapping
from pathlib import Path

from simulator.stack.application import APPLICATION, Application
from simulator.stack.mariadb import DATABASE, MariaDB

CONTRACTS = Path(__file__).resolve().parents[2] / "contracts"
INDEXES = CONTRACTS / "sql" / "indexes.sql"
INDEXES_DOWN = CONTRACTS / "sql" / "indexes_down.sql"


class Installation:
    """Use as a context manager: starts everything, and stops it by its ids."""

    def __init__(
        self, folder: Path, keys: Mapping[str, bytes], environment: Mapping[str, str] | None = None
    ) -> None:
        self._folder = folder
        self._key = base64.b64encode(secrets.token_bytes(32)).decode()
        self._keys = ",".join(f"{key_id}:{secret.decode()}" for key_id, secret in keys.items())
        self._environment = dict(environment or {})

    def __enter__(self) -> "Installation":
        schema = APPLICATION / "schema.sql"
        self.database = MariaDB(self._folder / "mariadb", schema, self._key)
        try:
            self.database.script(INDEXES.read_text())
            self.application = Application(
                self._folder / "application",
                {
                    "APP_KEY": f"base64:{self._key}",
                    "DB_SOCKET": str(self.database.socket),
                    "DB_DATABASE": DATABASE,
                    "SIDECAR_KEYS": self._keys,
                    **self._environment,
                },
            )
        except BaseException:
            self.database.stop()
            raise
        self.base_url = self.application.base_url
        return self

    def __exit__(self, *_: object) -> None:
        self.application.stop()
        self.database.stop()
