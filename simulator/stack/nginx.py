"""A private nginx on the files of ``nginx/``, in a folder and on ports of its own.

What runs is what is shipped: the folder ``nginx/sidecar`` as it is, and ``nginx/site.conf`` with
nothing changed but its addresses and paths.
"""

import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import orjson

from simulator.ports import free_ports, listens
from simulator.processes import Process
from simulator.stack.packages import find, program

SHIPPED = Path(__file__).parents[2] / "nginx"

#: An address at which there is no sidecar.
NO_SIDECAR = "127.0.0.1:9"

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
    """Return the path of nginx, or None where there is none."""
    return find("nginx")


def substitute(text: str, replacements: Mapping[str, str]) -> str:
    """Replace each of these, all of which must be there."""
    for old, new in replacements.items():
        if old not in text:
            raise AssertionError(f"there is no {old!r} in what is shipped")
        text = text.replace(old, new)
    return text


def several_hosts(addresses: Sequence[str], for_php: int) -> dict[str, str]:
    """Return what else is replaced in ``site.conf`` where there are several hosts, the first of
    which is the ``sidecar`` of :class:`Nginx`. PHP calls them at the port ``for_php``."""
    text = (SHIPPED / "site.conf").read_text().replace("127.0.0.1:8600", addresses[0])
    off = text[text.index("#upstream sidecar_for_php") :]
    on = re.sub("(?m)^#", "", off).replace("127.0.0.1:8602", f"127.0.0.1:{for_php}")
    servers = [f"    server {address} max_fails=3 fail_timeout=2s;" for address in addresses]
    return {off: on, servers[0]: "\n".join(servers)}


class Nginx(Process):
    """One nginx. ``sidecar`` and ``php`` are addresses as ``upstream`` takes them; ``root`` is the
    application's folder ``public``, an empty one if not given; ``files`` are further replacements
    in the shipped files, by their names."""

    def __init__(
        self,
        folder: Path,
        *,
        sidecar: str,
        php: str,
        ports: tuple[int, int] | None = None,
        root: Path | None = None,
        files: Mapping[str, Mapping[str, str]] | None = None,
    ) -> None:
        self.folder = folder
        self.error_log = folder / "error.log"
        self.access_log = folder / "access.log"
        self.root = root or folder / "public"
        port, self.internal_port = ports or free_ports(2)
        #: Where it speaks TLS, for those who have it do so.
        self.https_port = 0
        self._sidecar, self._php = sidecar, php
        self._files = dict(files or {})
        command = [program("nginx"), "-p", str(folder), "-e", str(self.error_log)]
        command += ["-c", str(folder / "nginx.conf")]
        super().__init__("nginx", command, folder / "stderr.log", port=port)

    @property
    def internal_url(self) -> str:
        return f"http://127.0.0.1:{self.internal_port}"

    def start(self) -> Self:
        if not (self.folder / "nginx.conf").exists():
            self._write()
        return super().start()

    def is_ready(self) -> bool:
        # Both: somebody who looks for a free port may listen on one of them for a moment.
        return listens(self.port) and listens(self.internal_port)

    def internal_requests(self) -> Iterator[dict[str, Any]]:
        """Yield what the access log has of each call that reached PHP without the sidecar in
        between, in the order in which they ended."""
        with (self.folder / "internal.log").open("rb") as lines:
            for line in lines:
                if line.endswith(b"\n"):
                    yield orjson.loads(line)

    def _write(self) -> None:
        self.root.mkdir(parents=True, exist_ok=True)
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
        if not self._php.startswith("unix:"):
            self._files["sidecar/php.conf"] = {
                "\ninclude sidecar/php-fpm.conf;": "\n#include sidecar/php-fpm.conf;",
                "\n#include sidecar/php-http.conf;": "\ninclude sidecar/php-http.conf;",
            }
        for name in ("sidecar/webhook-body.conf", "sidecar/internal.conf"):
            places = {" /var/lib/nginx/": f" {self.folder}/"}
            self._files[name] = {**places, **self._files.get(name, {})}
        for name, replacements in self._files.items():
            path = self.folder / name
            path.write_text(substitute(path.read_text(), replacements))
        user = "user root;" if os.geteuid() == 0 else ""
        (self.folder / "nginx.conf").write_text(_MAIN.format(folder=self.folder, user=user))
