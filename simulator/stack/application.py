"""The reference application in PHP-FPM."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from simulator.ports import listens
from simulator.processes import Process, ProcessFailed
from simulator.stack.host import Host
from simulator.stack.packages import fpm, program

APPLICATION = Path(__file__).resolve().with_name("laravel_app")

_POOL = """\
[global]
error_log = {folder}/fpm.log
pid = {folder}/fpm.pid
daemonize = no
[reference]
listen = {folder}/fpm.sock
{user}
pm = static
pm.max_children = {workers}
clear_env = yes
catch_workers_output = yes
php_admin_value[memory_limit] = 256M
php_admin_value[post_max_size] = 64M
php_admin_value[error_log] = {folder}/php.log
php_admin_flag[log_errors] = on
php_admin_flag[display_errors] = off
php_admin_flag[opcache.validate_timestamps] = {timestamps}
{environment}
"""


class Application(Process):
    """PHP-FPM in a folder, with one pool. ``variables`` are what PHP sees besides its own
    folders; where the host has cached its configuration, only what makes that."""

    def __init__(
        self,
        folder: Path,
        variables: Mapping[str, str],
        workers: int = 3,
        host: Host | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.socket = folder / "fpm.sock"
        self.storage = folder / "storage"
        self.host = host or Host()
        self._folders = _folders(self.storage)
        self.variables = {**variables, **self.host.variables(), **self._folders}
        self._settings = folder / "fpm.conf"
        self._workers = workers
        command = [program(fpm()), "--nodaemonize", "--fpm-config", str(self._settings)]
        if os.geteuid() == 0:
            command.append("--allow-to-run-as-root")
        super().__init__("php-fpm", command, folder / "fpm.err")

    def start(self) -> Self:
        for name in ("framework/cache/data", "framework/views", "logs", "bootstrap"):
            (self.storage / name).mkdir(parents=True, exist_ok=True)
        if self.host.cached:
            self.cache()
        settings = _POOL.format(
            folder=self._settings.parent,
            user="user = root" if os.geteuid() == 0 else "",
            workers=self._workers,
            timestamps="off" if self.host.opcache else "on",
            environment="\n".join(f'env[{k}] = "{v}"' for k, v in self._seen_by_php.items()),
        )
        self._settings.write_text(settings)
        return super().start()

    def is_ready(self) -> bool:
        return listens(self.socket)

    @property
    def _seen_by_php(self) -> dict[str, str]:
        """Return the variables that PHP sees: those of `.env` are not read any more once they are
        cached."""
        return self._folders if self.host.cached else self.variables

    def cache(self) -> None:
        """Cache configuration, routes and events, as ``php artisan optimize`` does."""
        for command in ("config:cache", "route:cache", "event:cache"):
            done = self.artisan(command, **self.variables)
            if done.returncode != 0:
                raise ProcessFailed(f"{command} failed:\n{done.stdout}{done.stderr}")

    def artisan(self, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        """Run a command of the application's."""
        return subprocess.run(
            [program("php"), str(APPLICATION / "artisan"), *arguments],
            env={**os.environ, **self._seen_by_php, **environment},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def logged(self) -> str:
        """Return what the application has logged."""
        file = self.storage / "logs" / "laravel.log"
        return file.read_text(errors="replace") if file.exists() else ""


def _folders(storage: Path) -> dict[str, str]:
    caches = ("services", "packages", "config", "routes", "events")
    return {
        "APP_STORAGE": str(storage),
        **{f"APP_{name.upper()}_CACHE": str(storage / f"bootstrap/{name}.php") for name in caches},
    }
