"""nginx in front of a peer: webhooks go to PHP or to a receiver, and the rest to PHP."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import orjson

from simulator.ports import free_ports, listens
from simulator.processes import Process
from simulator.stack.nginx import SHIPPED
from simulator.stack.packages import program

_CONFIG = """\
daemon off;
{user}
worker_processes 2;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    log_format path escape=json '{{"path":"$uri"}}';
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    client_max_body_size 32m;
    client_body_buffer_size 256k;
    keepalive_requests 100000;
    upstream php {{ server unix:{socket}; }}
    upstream receiver {{ server 127.0.0.1:{receiver}; keepalive 64; keepalive_requests 100000; }}
    server {{
        listen 127.0.0.1:{port};
        listen 127.0.0.1:{internal};
        root {root};
        set $php_uri $request_uri;
        set $client_scheme http;
        set $client_port $server_port;
        set $client_https "";
        location / {{
            access_log {folder}/internal.log path;
            include {shipped}/php-fpm.conf;
        }}
        {webhooks}
    }}
}}
"""
_WEBHOOKS = """\
location /whatsapp-webhook/ {
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_pass http://receiver;
        }
"""


class PeerNginx(Process):
    """``receiver``: the port of what takes webhooks; None: PHP does."""

    def __init__(self, folder: Path, socket: Path, root: Path, receiver: int | None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        port, self.internal_port = free_ports(2)
        text = _CONFIG.format(
            folder=folder,
            user="user root;" if os.geteuid() == 0 else "",
            socket=socket,
            root=root,
            port=port,
            internal=self.internal_port,
            receiver=receiver or 9,
            webhooks=_WEBHOOKS if receiver else "",
            shipped=SHIPPED / "sidecar",
        )
        (folder / "nginx.conf").write_text(text)
        command = [program("nginx"), "-p", str(folder), "-e", str(folder / "error.log")]
        command += ["-c", str(folder / "nginx.conf")]
        super().__init__("nginx", command, folder / "stderr.log", port=port)

    @property
    def internal_url(self) -> str:
        return f"http://127.0.0.1:{self.internal_port}"

    def start(self) -> Self:
        return super().start()

    def is_ready(self) -> bool:
        return listens(self.port) and listens(self.internal_port)

    def internal_requests(self) -> Iterator[dict[str, Any]]:
        """Yield the path of each request that PHP has answered."""
        with (self.folder / "internal.log").open("rb") as lines:
            for line in lines:
                yield orjson.loads(line)
