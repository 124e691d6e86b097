"""The Laravel package under test: nginx, PHP-FPM and MariaDB, as an installation has them."""

from pathlib import Path
from typing import Any

import orjson

from contracts.console import Role
from simulator.stack.database import Database
from simulator.stack.host import Host
from simulator.stack.installation import StackInstallation
from simulator.stack.packages import MYSQL, database_server
from tests.contract.installed import InstalledBackend
from tests.contract.under_test import Row, Vendor
from tests.stack.checked_package import checked_package
from tests.stack.php_code import SIDECAR, run_php


class LaravelBackend(InstalledBackend[StackInstallation]):
    equals = "<=>"
    json_set = "JSON_SET(COALESCE(__data, '{{}}'), '$.{}', JSON_EXTRACT(?, '$'))"

    def __init__(self, folder: Path, host: Host | None = None) -> None:
        self._host = host
        self.keeps_json_text = database_server() is not MYSQL
        super().__init__(folder)

    def install(self, folder: Path) -> StackInstallation:
        php = {
            "WHATSAPP_SIDECAR_VENDORS": "App\\OwnedVendors",
            "WHATSAPP_SIDECAR_STATUS_TIMES": "true",
        }
        if self._host is None:
            php |= checked_package(folder / "package")
        installation = StackInstallation(folder, dict(self.keys), php=php, host=self._host)
        installation.share_media()
        return installation

    @property
    def database(self) -> Database:
        return self.installation.database

    def run(self, sql: str, parameters: tuple[Any, ...] = ()) -> list[Row]:
        return self.database.rows(sql, parameters)

    def refused_statements(self) -> list[str]:
        """Return what the application's log says of SQL that the database refused. A batch that is
        refused is made again piece by piece, so the answers do not tell."""
        return [line[:500] for line in self.installation.backend_errors() if "SQLSTATE" in line]

    def leave_to_php(self, vendor: Vendor) -> None:
        with (self.installation.application.storage / "left-to-php").open("a") as left:
            left.write(f"{vendor.uid}\n")

    def console_link(self, name: str, role: Role) -> str:
        gate = {Role.LOOK: "viewSidecar", Role.OPERATE: "operateSidecar"}[role]
        code = f"""
            $app->register(Illuminate\\Auth\\AuthServiceProvider::class);
            Illuminate\\Support\\Facades\\Gate::define('{gate}', fn ($user) => true);
            $user = ['id' => 1, 'name' => json_decode(getenv('USER_NAME'))];
            return {SIDECAR}::consoleUrl(new Illuminate\\Auth\\GenericUser($user));
        """
        named = {"USER_NAME": orjson.dumps(name).decode()}
        link: str = run_php(self.installation.application, code, named)
        return link

    @property
    def _poison(self) -> Path:
        return self.installation.application.storage / "poison"

    def poison(self, text: str) -> None:
        self._poison.write_text(text)

    def cure(self) -> None:
        self._poison.unlink(missing_ok=True)
