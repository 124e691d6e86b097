"""The reference application behind PHP-FPM and nginx."""

import os
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path

from simulator.stack.child import Child
from simulator.stack.packages import program

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
{environment}
"""

_SERVER = """\
{user}
worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log;
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_max_body_size 32m;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port};
        location / {{
            include /etc/nginx/fastcgi_params;
            fastcgi_param SCRIPT_FILENAME {root}/public/index.php;
            fastcgi_param SCRIPT_NAME /index.php;
            fastcgi_pass unix:{folder}/fpm.sock;
            fastcgi_read_timeout 60s;
        }}
    }}
}}
"""


class Application:
    """Starts both servers in a folder. ``environment`` is what PHP sees besides its own folders."""

    def __init__(self, folder: Path, environment: Mapping[str, str], workers: int = 3) -> None:
        folder.mkdir()
        self.folder = folder
        self.storage = folder / "storage"
        for name in ("framework/cache/data", "framework/views", "logs", "bootstrap"):
            (self.storage / name).mkdir(parents=True)
        self.environment = {**environment, **_folders(self.storage)}
        root = os.geteuid() == 0
        self._php = self._start_php(workers, root)
        try:
            self.port = free_port()
            self._nginx = self._start_nginx(root)
        except BaseException:
            self._php.stop()
            raise
        self.base_url = f"http://127.0.0.1:{self.port}"

    def _start_php(self, workers: int, root: bool) -> Child:
        settings = _POOL.format(
            folder=self.folder,
            user="user = root" if root else "",
            workers=workers,
            environment="\n".join(f'env[{k}] = "{v}"' for k, v in self.environment.items()),
        )
        (self.folder / "fpm.conf").write_text(settings)
        arguments = ["--nodaemonize", "--fpm-config", str(self.folder / "fpm.conf")]
        child = Child(
            [program("php-fpm8.2"), *arguments, *(["--allow-to-run-as-root"] if root else [])],
            self.folder / "fpm.out",
        )
        child.wait_until((self.folder / "fpm.sock").exists)
        return child

    def _start_nginx(self, root: bool) -> Child:
        settings = _SERVER.format(
            folder=self.folder, user="user root;" if root else "", port=self.port, root=APPLICATION
        )
        (self.folder / "nginx.conf").write_text(settings)
        child = Child(
            [
                *(program("nginx"), "-e", str(self.folder / "nginx.log")),
                *("-p", str(self.folder), "-c", str(self.folder / "nginx.conf")),
            ],
            self.folder / "nginx.out",
        )
        child.wait_until(lambda: _answers(self.port))
        return child

    def artisan(self, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        """Run a command of the application's."""
        return subprocess.run(
            [program("php"), str(APPLICATION / "artisan"), *arguments],
            env={**os.environ, **self.environment, **environment},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def log(self) -> str:
        """Return what the application has logged."""
        file = self.storage / "logs" / "laravel.log"
        return file.read_text() if file.exists() else ""

    def stop(self) -> None:
        self._nginx.stop()
        self._php.stop()


def _folders(storage: Path) -> dict[str, str]:
    caches = ("services", "packages", "config", "routes", "events")
    return {
        "APP_STORAGE": str(storage),
        **{f"APP_{name.upper()}_CACHE": str(storage / f"bootstrap/{name}.php") for name in caches},
    }


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True
