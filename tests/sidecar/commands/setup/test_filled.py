"""The shipped files, filled in."""

import pwd
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from sidecar.commands.setup import files, filled
from tests.sidecar.commands.setup.made import SECRET, answers, place


def test_phps_lines() -> None:
    told = answers(port=8700)
    assert filled.php_env(told).splitlines() == [
        "",
        "# The WhatsApp sidecar",
        "WHATSAPP_SIDECAR_URL=http://127.0.0.1:8700",
        f"WHATSAPP_SIDECAR_KEYS=first:{told.signing_secret}",
        f'WHATSAPP_SIDECAR_APP_SECRETS="{SECRET}"',
    ]
    assert "APP_SECRETS" not in filled.php_env(answers(app_secret=None))


@pytest.mark.parametrize("secret", [SECRET, None, "aB1._~+/=-,another-one"])
def test_the_command_adds_the_same_lines_and_shows_no_secret(
    tmp_path: Path, secret: str | None
) -> None:
    told = answers(app_secret=secret)
    here = place(config=tmp_path / "sidecar.toml", application=tmp_path)
    files.write(here.config, files.toml(told.settings()), files.SECRET, replace=False)
    (tmp_path / ".env").write_text("APP_NAME=x")
    command = filled.php_env_command(told, here)
    assert told.signing_secret not in command
    assert secret is None or secret not in command
    subprocess.run(["sh", "-c", command], check=True, timeout=10)
    assert (tmp_path / ".env").read_text() == "APP_NAME=x" + filled.php_env(told)


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, ("listen 80;", "server_name wa.example.com;", "listen 127.0.0.1:8601;")),
        ({"port": 8700}, ("server 127.0.0.1:8700 max_fails",)),
        ({"public_url": None}, ("server_name _;", "listen 80;")),
        ({"public_url": "http://h:8080"}, ("server_name h;", "listen 8080;")),
        ({"public_url": "https://h:8443"}, ("listen 80;",)),
        ({"backend_url": "http://localhost:9601"}, ("listen 127.0.0.1:9601;",)),
        ({"backend_url": "http://[::1]"}, ("listen 127.0.0.1:80;",)),
        ({"backend_url": "http://10.0.0.7:9601"}, ("listen 127.0.0.1:8601;",)),
    ],
)
def test_nginx(changed: dict[str, Any], expected: tuple[str, ...]) -> None:
    site = filled.nginx_site(answers(**changed), place())
    assert all(f"    {line}" in site for line in expected)
    assert site.count("root /srv/whatsapp/public;") == 2
    assert "    server unix:/run/php/php8.3-fpm.sock;" in site
    assert "/var/www" not in site


@pytest.mark.parametrize("name", filled.UNITS)
def test_units(name: str) -> None:
    here = place(program=Path("/opt/wa/.venv/bin/sidecar"), user="wa")
    lines = filled.unit(name, answers(), here).splitlines()
    [start] = [line for line in lines if line.startswith("ExecStart=")]
    assert start.startswith("ExecStart=/opt/wa/.venv/bin/sidecar ")
    assert {
        "User=wa",
        "Group=wa",
        "LoadCredential=sidecar.toml:/etc/whatsapp-sidecar/sidecar.toml",
        "Environment=SIDECAR_CONFIG=%d/sidecar.toml",
        "ProtectHome=yes",
    } <= set(lines)
    assert not any(line.startswith("EnvironmentFile") for line in lines)
    shipped = (filled.CHECKOUT / "deploy" / "systemd" / name).read_text().splitlines()
    assert len(lines) == len(shipped) + 1, "nothing else has changed"


@pytest.mark.parametrize(
    ("data_dir", "redis_url", "writes"),
    [
        ("/srv/data", None, True),
        ("/var/lib/whatsapp-sidecar", None, False),
        ("/srv/data", "redis://h", False),
    ],
)
def test_where_the_embedded_redis_writes(
    data_dir: str, redis_url: str | None, writes: bool
) -> None:
    told = answers(data_dir=Path(data_dir), redis_url=redis_url)
    lines = filled.unit("sidecar.service", told, place()).splitlines()
    assert (f"ReadWritePaths={data_dir}" in lines) is writes


@pytest.mark.parametrize("place_in", ["program", "data_dir"])
def test_a_home_can_be_read(place_in: str) -> None:
    path = Path("/home/ada/wa")
    here = place(**({"program": path} if place_in == "program" else {}))
    told = answers(redis_url=None, **({"data_dir": path} if place_in == "data_dir" else {}))
    assert "ProtectHome=read-only" in filled.unit("sidecar.service", told, here).splitlines()


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd here")
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    program = tmp_path / "sidecar"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    here, told = place(program=program, user=pwd.getpwuid(1).pw_name), answers(redis_url=None)
    for name in filled.UNITS:
        (tmp_path / name).write_text(filled.unit(name, told, here))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *(str(tmp_path / name) for name in filled.UNITS)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert [line for line in done.stderr.splitlines() if str(tmp_path) in line] == []


def test_a_shipped_file_that_has_changed(tmp_path: Path) -> None:
    (tmp_path / "site.conf").write_text("listen 81;")
    with pytest.raises(LookupError, match=r"there is no 'listen 80;' in .*site\.conf"):
        filled._filled(tmp_path / "site.conf", {"listen 80;": "listen 1;"})


def test_what_was_installed_from_the_wheel_has_no_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert filled.has_templates()
    monkeypatch.setattr(filled, "CHECKOUT", tmp_path)
    assert not filled.has_templates()


def test_several_hosts() -> None:
    told = answers(hosts=("10.0.0.1", "10.0.0.2"), port=8700)
    site = filled.nginx_site(told, place())
    one, two = (f"    server 10.0.0.{n}:8700 max_fails=3 fail_timeout=2s;" for n in (1, 2))
    assert site.count(f"\n{one}\n{two}\n") == 2, "for Meta, and for PHP"
    assert "\n    include sidecar/from-php.conf;\n" in site
    assert "127.0.0.1:8600" not in site
    assert "WHATSAPP_SIDECAR_URL=http://127.0.0.1:8602" in filled.php_env(told)
    assert told.settings()["host"] == "10.0.0.1"
    alone = filled.nginx_site(answers(), place())
    assert "\n#    include sidecar/from-php.conf;\n" in alone
    assert "host" not in answers().settings()
