"""nginx as it is set up in a container, with nothing changed but addresses and folders."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from simulator.ports import free_ports
from simulator.stack.nginx import SHIPPED, find_nginx, substitute
from tests.eventually import eventually
from tests.nginx.stub import Stub

DOCKER = SHIPPED.parent / "deploy" / "docker"


@pytest.fixture
def alive_url(tmp_path: Path, sidecar: Stub, php: Stub) -> Iterator[str]:
    public, internal, alive = free_ports(3)
    site = {
        "172.30.86.10:8600": sidecar.address,
        "172.30.86.11:9000": php.address,
        "listen 8080": f"listen 127.0.0.1:{public}",
        "172.30.86.12:8601": f"127.0.0.1:{internal}",
        "/dev/stdout": str(tmp_path / "access.log"),
    }
    main = {
        " /tmp/": f" {tmp_path}/",
        " /var/lib/nginx/files/": f" {tmp_path}/",
        "127.0.0.1:8602": f"127.0.0.1:{alive}",
    }
    shutil.copytree(SHIPPED / "sidecar", tmp_path / "sidecar")
    for name in ("webhook-body.conf", "internal.conf"):
        path = tmp_path / "sidecar" / name
        path.write_text(substitute(path.read_text(), {" /var/lib/nginx/": f" {tmp_path}/"}))
    (tmp_path / "mime.types").write_text("types { text/html html; }\n")
    (tmp_path / "site.conf").write_text(substitute((DOCKER / "site.conf").read_text(), site))
    config = tmp_path / "nginx.conf"
    config.write_text(substitute((DOCKER / "nginx.conf").read_text(), main))
    binary = find_nginx()
    assert binary is not None
    with (tmp_path / "stderr.log").open("wb") as stderr:
        process = subprocess.Popen(
            [binary, "-e", "stderr", "-p", str(tmp_path), "-c", str(config)], stderr=stderr
        )
    try:
        yield f"http://127.0.0.1:{alive}/alive"
    finally:
        process.terminate()
        assert process.wait(10) == 0


async def test_it_starts_and_is_alive(alive_url: str, client: aiohttp.ClientSession) -> None:
    async def alive() -> bool:
        try:
            async with client.get(alive_url) as answer:
                return answer.status == 200
        except aiohttp.ClientConnectionError:
            return False

    await eventually(alive)
