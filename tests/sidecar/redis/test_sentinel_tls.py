"""With ``sentinels://`` everything speaks TLS, to Sentinels and Redis alike."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, aclosing
from pathlib import Path

import pytest
import redis as blocking_redis

from contracts.jobs import Lane, drain
from sidecar.inbox.wakeups import WakeUpBroker, message
from sidecar.redis.client import RedisUnavailable, connect, reason_of, script
from sidecar.url import next_database
from simulator.ports import free_ports
from simulator.processes import Process
from simulator.redis_server import answers
from simulator.stack.packages import find

PASSWORD = "password-of-tls"

_SENTINEL = """
port 0
tls-port {port}
tls-replication yes
bind 127.0.0.1
dir {folder}
tls-cert-file {certificate}
tls-key-file {key}
tls-ca-cert-file {certificate}
tls-auth-clients no
requirepass {password}
sentinel monitor mymaster 127.0.0.1 {primary} 1
sentinel auth-pass mymaster {password}
"""


class Server(Process):
    """A redis-server that listens with TLS only."""

    def __init__(self, name: str, command: list[str], folder: Path, port: int, ca: Path) -> None:
        super().__init__(name, command, folder / f"{name}.log", port=port)
        self._address = f"rediss://:{PASSWORD}@127.0.0.1:{port}/0?ssl_ca_certs={ca}"

    def is_ready(self) -> bool:
        return answers(self._address, self.pid)


def certify(folder: Path, name: str) -> tuple[Path, Path]:
    """Return a certificate for this machine that is its own authority, and its key."""
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
    options = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    options += ["-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"]
    files = ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run(["openssl", "req", *options, *files], check=True, capture_output=True)
    return certificate, key


@pytest.fixture(scope="module")
def group(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Path, Path]]:
    """A Sentinel's port, the authority of its group, and another one."""
    program = find("redis-server")
    if program is None or shutil.which("openssl") is None:
        pytest.skip("there is no redis-server, or no openssl: run scripts/install-stack")
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = certify(folder, "ours")
    other, _ = certify(folder, "others")
    primary, port = free_ports(2)
    words = (
        f"--port 0 --tls-port {primary} --bind 127.0.0.1 --dir {folder} --requirepass {PASSWORD}"
    )
    words += f" --tls-cert-file {certificate} --tls-key-file {key} --tls-auth-clients no"
    words += f" --tls-ca-cert-file {certificate}"
    conf = folder / "sentinel.conf"
    conf.write_text(
        _SENTINEL.format(
            port=port,
            folder=folder,
            certificate=certificate,
            key=key,
            password=PASSWORD,
            primary=primary,
        )
    )
    with ExitStack() as stack:
        for name, command, own in (
            ("primary", [program, *words.split()], primary),
            ("sentinel", [program, str(conf), "--sentinel"], port),
        ):
            stack.enter_context(Server(name, command, folder, own, certificate))
        yield port, certificate, other


def url_of(port: int, authority: Path, scheme: str = "sentinels") -> str:
    options = f"sentinel_password={PASSWORD}"
    if scheme == "sentinels":
        options += f"&ssl_ca_certs={authority}"
    return f"{scheme}://:{PASSWORD}@127.0.0.1:{port}/mymaster/0?{options}"


async def test_clients_and_wake_ups(group: tuple[int, Path, Path]) -> None:
    port, authority, _ = group
    url = url_of(port, authority)
    async with aclosing(connect(url, timeout_s=5.0)) as client:
        acquire = script(client, "redis/acquire")
        assert await acquire(keys=["lease:a", "fence:a", "epoch"], args=[1000])
    broker = WakeUpBroker(next_database(url), timeout_s=5.0)
    broker.enqueue(message(drain(Lane.MESSAGES)))
    broker.close()
    with blocking_redis.Redis.from_url(url_of_primary(port, authority)) as primary:
        assert primary.dbsize() > 0


def url_of_primary(port: int, authority: Path) -> str:
    """Return where Dramatiq's database is, by what the Sentinel says."""
    address = f"rediss://:{PASSWORD}@127.0.0.1:{port}/0?ssl_ca_certs={authority}"
    with blocking_redis.Redis.from_url(address, protocol=2) as sentinel:
        host, found = sentinel.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "mymaster")
    server = f"{host.decode()}:{found.decode()}"
    return f"rediss://:{PASSWORD}@{server}/1?ssl_ca_certs={authority}"


@pytest.mark.parametrize("how", ["without TLS", "another authority"])
async def test_who_does_not_fit_is_not_spoken_to(group: tuple[int, Path, Path], how: str) -> None:
    port, authority, other = group
    url = url_of(port, authority, "sentinel") if how == "without TLS" else url_of(port, other)
    async with aclosing(connect(url, timeout_s=2.0)) as client:
        with pytest.raises(RedisUnavailable) as caught:
            await client.ping()
    reason = reason_of(caught.value)
    assert f"127.0.0.1:{port}" in reason
    assert how == "without TLS" or "CERTIFICATE_VERIFY_FAILED" in reason
