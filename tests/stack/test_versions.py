"""What the programs say of their versions."""

from pathlib import Path

import pytest

from simulator.stack import packages
from simulator.stack import versions as module
from simulator.stack.versions import Versions, versions
from tests.stack.packages import require_stack
from tests.stack.test_packages import put

DEBIAN_13 = {
    "php": "8.4.27-1~deb13u1 10.48.29",
    "nginx": "nginx version: nginx/1.26.3",
    "mariadbd": "mariadbd  Ver 11.8.9-MariaDB-0+deb13u1 from Debian for debian-linux-gnu",
    "redis-server": "Redis server v=8.0.2 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64",
}
SID = {
    "php": "8.4.27 13.31.0",
    "nginx": "nginx version: nginx/1.30.1 (Debian)",
    "mysqld": "/usr/sbin/mysqld  Ver 9.7.0-1 for Linux on x86_64 ((Debian))",
    "redis-server": "Valkey server v=9.1.0 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64",
}


@pytest.mark.parametrize(
    ("programs", "expected"),
    [
        (DEBIAN_13, Versions("10.48.29", "8.4.27", "MariaDB 11.8.9", "Redis 8.0.2", "1.26.3")),
        (SID, Versions("13.31.0", "8.4.27", "MySQL 9.7.0", "Valkey 9.1.0", "1.30.1")),
        (
            {**SID, "redis-server": None},
            Versions("13.31.0", "8.4.27", "MySQL 9.7.0", "Valkey (embedded)", "1.30.1"),
        ),
    ],
)
def test_versions(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    programs: dict[str, str | None],
    expected: Versions,
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(packages, "_SERVERS", ())
    for name, says in programs.items():
        if says is not None:
            put(tmp_path, name, says)
    assert module._asked() == expected


def test_the_stacks_own() -> None:
    require_stack()
    found = str(versions())
    assert "?" not in found
    assert [part.split()[0] for part in found.split(", ")][:3] == ["nginx", "Laravel", "PHP"]
