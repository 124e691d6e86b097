"""What hosts do differently with their Laravel and their database."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

from simulator.stack.sql_server import DATABASE

#: Those who look from outside find the tables here by their plain names, if they have a prefix.
_PLAIN = "plain"

#: What a replica that lags has of the tables.
_REPLICA = "replica"

#: The default connection's database, if the tables are not there.
_ELSEWHERE = "elsewhere"

_TABLES = (
    *("vendors", "vendor_settings", "contacts", "whatsapp_templates", "campaigns"),
    *("whatsapp_message_queue", "whatsapp_message_logs", "whatsapp_webhook_queue"),
    *("bot_flows", "bot_replies"),
)

#: What Laravel's own drivers keep in the database.
_FRAMEWORK_TABLES = ("cache", "cache_locks", "jobs", "failed_jobs")

_FRAMEWORK = Path(__file__).with_name("laravel_app") / "framework.sql"


@dataclass(frozen=True, slots=True)
class Host:
    """How a host has configured the application; as it comes, unless said otherwise.

    Each is also a variable of the environment for single commands, and the tables of the cache and
    the queue are always there. What changes the schema is for a whole installation: the prefix,
    ``replica`` and ``own_connection``.
    """

    cache_store: Literal["file", "database"] = "file"
    #: ``redis`` needs PHP's extension of that name, and the variable ``REDIS_URL``.
    queue: Literal["sync", "database", "redis"] = "sync"
    timezone: str = "UTC"
    #: The connection's; None: the strict one.
    sql_mode: str | None = None
    #: Updates count the rows that they have found, changed or not.
    found_rows: bool = False
    #: Lazy loading throws, and whatever else the Laravel has of this kind.
    strict_models: bool = False
    #: Of the package's transactions; empty: the connection's own.
    isolation: str = "READ COMMITTED"
    table_prefix: str = ""
    #: Reads go to a replica, which lags until :meth:`StackInstallation.copy_to_replica`.
    replica: bool = False
    #: Reads after a write of the same request do not.
    sticky: bool = False
    #: The application's tables are not on the default connection.
    own_connection: bool = False
    #: Configuration and routes are cached; `.env` is not read any more.
    cached: bool = False
    #: opcache does not look at files' times.
    opcache: bool = False

    def variables(self) -> dict[str, str]:
        """Return the application's variables for what differs."""
        chosen = {
            "CACHE_DRIVER": (self.cache_store, "file"),
            "QUEUE_CONNECTION": (self.queue, "sync"),
            "APP_TIMEZONE": (self.timezone, "UTC"),
            # Laravel's word for an empty text, which PHP-FPM's file cannot have.
            "DB_SQL_MODE": ("empty" if self.sql_mode == "" else self.sql_mode, None),
            "DB_FOUND_ROWS": (_flag(self.found_rows), "0"),
            "APP_STRICT_MODELS": (_flag(self.strict_models), "0"),
            "WHATSAPP_SIDECAR_DB_ISOLATION": (self.isolation or "empty", "READ COMMITTED"),
            "DB_PREFIX": (self.table_prefix, ""),
            "DB_REPLICA": (_REPLICA if self.replica else "", ""),
            "DB_STICKY": (_flag(self.sticky), "0"),
            "DB_DEFAULT_DATABASE": (_ELSEWHERE if self.own_connection else "", ""),
            "WHATSAPP_SIDECAR_DB_CONNECTION": ("whatsapp" if self.own_connection else "", ""),
        }
        return {name: value for name, (value, plain) in chosen.items() if value and value != plain}

    @property
    def database(self) -> str:
        """Where those who look from outside find the tables by their plain names."""
        return _PLAIN if self.table_prefix else DATABASE

    @property
    def zone(self) -> ZoneInfo | None:
        """The zone of the tables' times, if it is not UTC."""
        return None if self.timezone == "UTC" else ZoneInfo(self.timezone)

    def schema(self, tables: str) -> str:
        """Return the SQL that makes the database's tables, of that which makes them as they are."""
        framework = _FRAMEWORK.read_text()
        parts = [tables, framework]
        if self.table_prefix:
            parts += [
                f"RENAME TABLE {one} TO {self.table_prefix}{one};"
                for one in _TABLES + _FRAMEWORK_TABLES
            ]
            parts.append(f"CREATE DATABASE {_PLAIN};")
            parts += [
                f"CREATE VIEW {_PLAIN}.{one} AS SELECT * FROM {DATABASE}.{self.table_prefix}{one};"
                for one in _TABLES + _FRAMEWORK_TABLES
            ]
        if self.replica:
            parts.append(f"CREATE DATABASE {_REPLICA};")
            parts += [
                f"CREATE TABLE {_REPLICA}.{self.table_prefix}{one}"
                f" LIKE {DATABASE}.{self.table_prefix}{one};"
                for one in _TABLES + _FRAMEWORK_TABLES
            ]
        if self.own_connection:
            parts.append(f"CREATE DATABASE {_ELSEWHERE};")
            parts += [
                f"CREATE TABLE {_ELSEWHERE}.{self.table_prefix}{one}"
                f" LIKE {DATABASE}.{self.table_prefix}{one};"
                for one in _FRAMEWORK_TABLES
            ]
        return "\n".join(parts)

    def copying(self) -> list[str]:
        """Return the statements that have the replica catch up."""
        names = [self.table_prefix + one for one in _TABLES]
        return [
            statement
            for name in names
            for statement in (
                f"DELETE FROM {_REPLICA}.{name}",
                f"INSERT INTO {_REPLICA}.{name} SELECT * FROM {DATABASE}.{name}",
            )
        ]


def _flag(on: bool) -> str:
    return "1" if on else "0"
