"""TLS and Meta's client certificate, with both includes switched on."""

import ssl
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from simulator.ports import free_ports
from simulator.stack.nginx import Nginx
from tests.nginx.certificates import Authority
from tests.nginx.stub import Stub
from tests.nginx.test_routes import UID

META = "/C=US/O=Meta Platforms, Inc./CN=client.webhooks.fbclientcerts.com"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Meta's, let us say."""
    return Authority(tmp_path_factory.mktemp("ca"), "meta-ca")


@pytest.fixture
def nginx(tmp_path: Path, sidecar: Stub, php: Stub, authority: Authority) -> Iterator[Nginx]:
    """nginx whose public server speaks https too, on ``https_port``."""
    certificate, key = authority.issue("server", "/CN=127.0.0.1")
    (port,) = free_ports(1)
    files = {
        "site.conf": {
            "#include sidecar/tls.conf;": "include sidecar/tls.conf;",
            "#include sidecar/meta-client-certificate.conf;": (
                "include sidecar/meta-client-certificate.conf;"
            ),
        },
        "sidecar/tls.conf": {
            "listen 443 ": f"listen 127.0.0.1:{port} ",
            "/etc/nginx/tls/fullchain.pem": str(certificate),
            "/etc/nginx/tls/privkey.pem": str(key),
        },
        "sidecar/meta-client-certificate.conf": {
            "/etc/nginx/tls/meta-outbound-api-ca.pem": str(authority.certificate),
        },
    }
    folder = tmp_path / "nginx"
    with Nginx(folder, sidecar=sidecar.address, php=php.address, files=files) as server:
        server.https_port = port
        yield server


def context(authority: Authority, client: tuple[Path, Path] | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(authority.certificate))
    context.check_hostname = False
    if client is not None:
        context.load_cert_chain(*client)
    return context


async def status_of(
    nginx: Nginx, authority: Authority, path: str, certificate: tuple[Path, Path] | None
) -> int:
    url = f"https://127.0.0.1:{nginx.https_port}{path}"
    connector = aiohttp.TCPConnector(ssl=context(authority, certificate))
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.post(url, data=b"{}") as answer,
    ):
        return answer.status


@pytest.mark.parametrize("path", [f"/webhook/{UID}", f"/whatsapp-webhook/{UID}"])
async def test_metas_certificate(
    nginx: Nginx, authority: Authority, sidecar: Stub, path: str
) -> None:
    metas = authority.issue("meta", META)
    assert await status_of(nginx, authority, path, metas) == 200
    assert sidecar.asked[0].headers["X-Forwarded-Proto"] == "https"


@pytest.mark.parametrize(
    "subject",
    [
        None,
        "/CN=another.example.com",
        "/CN=client.webhooks.fbclientcerts.com.example.com",
        "/CN=xclient.webhooks.fbclientcerts.com",
        "/OU=x,CN=client.webhooks.fbclientcerts.com/CN=another",
    ],
)
async def test_any_other_certificate_of_the_same_authority_or_none(
    nginx: Nginx, authority: Authority, sidecar: Stub, php: Stub, subject: str | None
) -> None:
    given = None if subject is None else authority.issue("other", subject)
    for path in (f"/webhook/{UID}", f"/%77ebhook/{UID}", f"/WHATSAPP-webhook/{UID}"):
        assert await status_of(nginx, authority, path, given) == 403
    assert sidecar.asked == php.asked == []
    assert await status_of(nginx, authority, "/login", given) == 200


async def test_the_right_name_from_another_authority(
    nginx: Nginx, authority: Authority, sidecar: Stub, php: Stub, tmp_path: Path
) -> None:
    forged = Authority(tmp_path, "another-ca").issue("forged", META)
    assert await status_of(nginx, authority, f"/webhook/{UID}", forged) == 400
    assert sidecar.asked == php.asked == []


async def test_without_tls_there_is_no_certificate(
    nginx: Nginx, sidecar: Stub, client: aiohttp.ClientSession
) -> None:
    """Port 80 is no way around it."""
    async with client.post(f"{nginx.url}/webhook/{UID}", data=b"{}") as answer:
        assert answer.status == 403
    assert sidecar.asked == []
