"""A private nginx on the files of ``nginx/``, in a folder and on ports of its own.

What is tested is what is shipped: the folder ``nginx/sidecar`` as it is, and ``nginx/site.conf``
with nothing changed but its addresses and paths.
"""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

SHIPPED = Path(__file__).parents[2] / "nginx"
START_TIMEOUT_S = 10.0

#: For ``files``: a sidecar that hangs is waited for for one second, and not for four.
IMPATIENT = {"sidecar/public.conf": {"proxy_read_timeout 4s": "proxy_read_timeout 1s"}}

_MAIN = """\
daemon off;
{user}
worker_processes 2;
pid {folder}/nginx.pid;
error_log {folder}/error.log info;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include site.conf;
}}
"""


def find_nginx() -> str | None:
    """Return the path of nginx, which Debian does not put into everybody's PATH."""
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")


def free_ports(count: int) -> list[int]:
    """Return ports that nothing listens on."""
    with_sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [listener.getsockname()[1] for listener in with_sockets]
    for listener in with_sockets:
        listener.close()
    return ports


def substitute(text: str, replacements: Mapping[str, str]) -> str:
    """Replace each of these, all of which must be there."""
    for old, new in replacements.items():
        if old not in text:
            raise AssertionError(f"there is no {old!r} in what is shipped")
        text = text.replace(old, new)
    return text


class Nginx:
    """One nginx. ``sidecar`` and ``php`` are addresses as ``upstream`` takes them; ``files`` are
    further replacements in the shipped files, by their names."""

    def __init__(
        self,
        folder: Path,
        *,
        sidecar: str,
        php: str,
        php_over_http: bool = True,
        ports: tuple[int, int] | None = None,
        files: Mapping[str, Mapping[str, str]] | None = None,
    ) -> None:
        self.folder = folder
        self.port, self.internal_port = ports or free_ports(2)
        #: Where it speaks TLS, for those who have it do so.
        self.https_port = 0
        self._sidecar, self._php = sidecar, php
        self._php_over_http = php_over_http
        self._files: dict[str, Mapping[str, str]] = dict(files or {})
        self._popen: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def internal_url(self) -> str:
        return f"http://127.0.0.1:{self.internal_port}"

    @property
    def root(self) -> Path:
        """The application's folder ``public``."""
        return self.folder / "public"

    @property
    def access_log(self) -> Path:
        return self.folder / "access.log"

    @property
    def error_log(self) -> Path:
        return self.folder / "error.log"

    def __enter__(self) -> Self:
        self._write()
        binary = find_nginx()
        assert binary is not None
        main = self.folder / "nginx.conf"
        with (self.folder / "stderr.log").open("wb") as stderr:
            self._popen = subprocess.Popen(
                [binary, "-p", str(self.folder), "-e", str(self.error_log), "-c", str(main)],
                stdin=subprocess.DEVNULL,
                stdout=stderr,
                stderr=stderr,
            )
        try:
            self._wait_until_ready()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop()

    def _write(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.root.mkdir(exist_ok=True)
        shutil.copytree(SHIPPED / "sidecar", self.folder / "sidecar")
        site = {
            "server 127.0.0.1:8600 ": f"server {self._sidecar} ",
            "server unix:/run/php/php8.2-fpm.sock;": f"server {self._php};",
            "listen 80;": f"listen 127.0.0.1:{self.port};",
            "listen 127.0.0.1:8601;": f"listen 127.0.0.1:{self.internal_port};",
            "/var/www/whatsapp/public": str(self.root),
            "/var/log/nginx/whatsapp.log": str(self.access_log),
            "/var/log/nginx/whatsapp-internal.log": str(self.folder / "internal.log"),
        }
        text = substitute((SHIPPED / "site.conf").read_text(), site)
        (self.folder / "site.conf").write_text(substitute(text, self._files.pop("site.conf", {})))
        if self._php_over_http:
            self._files["sidecar/php.conf"] = {
                "\ninclude sidecar/php-fpm.conf;": "\n#include sidecar/php-fpm.conf;",
                "\n#include sidecar/php-http.conf;": "\ninclude sidecar/php-http.conf;",
            }
        for name, replacements in self._files.items():
            path = self.folder / name
            path.write_text(substitute(path.read_text(), replacements))
        user = "user root;" if os.geteuid() == 0 else ""
        (self.folder / "nginx.conf").write_text(_MAIN.format(folder=self.folder, user=user))

    def _wait_until_ready(self) -> None:
        assert self._popen is not None
        end = time.monotonic() + START_TIMEOUT_S
        pause = 0.005
        while True:
            if self._popen.poll() is not None:
                words = (self.folder / "stderr.log").read_text()
                raise AssertionError(f"nginx did not start:\n{words}")
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                if time.monotonic() > end:
                    raise AssertionError("nginx does not listen") from None
            else:
                return
            # A process that starts cannot be awaited in any other way.
            try:
                self._popen.wait(pause)
            except subprocess.TimeoutExpired:
                continue

    def _stop(self) -> None:
        assert self._popen is not None
        self._popen.terminate()
        try:
            self._popen.wait(10)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()
