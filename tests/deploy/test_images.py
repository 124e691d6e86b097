"""What the images are made of."""

import re
from fnmatch import fnmatch
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from simulator.stack.nginx import SHIPPED, substitute
from tests.deploy.compose import load, services
from tests.deploy.files import DEPLOY, ROOT

DOCKER = DEPLOY / "docker"
DOCKERFILES = sorted(DOCKER.glob("*.Dockerfile"))


def instructions(dockerfile: Path) -> list[tuple[str, str]]:
    """Return the instructions with their arguments."""
    text = re.sub(r"\\\n\s*", "", dockerfile.read_text())
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(line.partition(" ")[0], line.partition(" ")[2]) for line in lines]


def addresses() -> dict[str, str]:
    """The fixed addresses of the stack's containers."""
    return {
        name: service["networks"]["stack"]["ipv4_address"]
        for name, service in services().items()
        if isinstance(service["networks"], dict)
    }


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.stem)
def test_an_image(dockerfile: Path) -> None:
    found = instructions(dockerfile)
    for keyword, argument in found:
        if keyword == "FROM" and argument != "scratch":
            assert re.match(r"[a-z/]+:\d+\.\d+", argument), "an image that is not pinned"
    users = [argument for keyword, argument in found if keyword == "USER"]
    assert users
    assert users[-1] not in ("root", "0")
    assert [keyword for keyword, _ in found].count("CMD") == 1
    # Earlier stages are thrown away.
    last = dockerfile.read_text().rpartition("\nFROM ")[2]
    assert "apt-get install" not in last or "/var/lib/apt/lists" in last


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.stem)
def test_what_is_copied_exists_and_is_not_ignored(dockerfile: Path) -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    allowed = [line[1:] for line in ignored if line.startswith("!")]
    for keyword, argument in instructions(dockerfile):
        if keyword != "COPY" or argument.startswith("--from"):
            continue
        for source in argument.split()[:-1]:
            assert (ROOT / source).exists(), source
            parents = [source, *map(str, Path(source).parents)]
            assert any(fnmatch(parent, rule) for parent in parents for rule in allowed), source


def test_the_sidecars_image_has_nothing_to_build_or_install_with() -> None:
    """It begins empty, and is given Debian's packages by name, and what pip has left."""
    found = instructions(DOCKER / "sidecar.Dockerfile")
    last = max(n for n, (keyword, _) in enumerate(found) if keyword == "FROM")
    assert found[last] == ("FROM", "scratch")
    assert not [argument for keyword, argument in found[last:] if keyword in ("RUN", "ADD")]
    [wanted] = [a for keyword, a in found if keyword == "RUN" and a.startswith("sidecar-root ")]
    assert not {"apt", "bash", "dash", "dpkg", "coreutils"} & set(wanted.split())
    [installed] = [argument for _, argument in found if "pip check" in argument]
    assert "pip uninstall --yes setuptools pip" in installed


def test_nothing_else_gets_into_an_image() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    assert "**/.env" in rules


def _without_comments(text: str) -> str:
    lines = (line for line in text.splitlines() if not re.match(r"\s*#(?!include)", line))
    return "\n".join(line for line in lines if line)


def test_nginx_is_set_up_as_shipped() -> None:
    """But for the addresses, that is what the tests in tests/nginx run on."""
    address = addresses()
    expected = substitute(
        (SHIPPED / "site.conf").read_text(),
        {
            "server 127.0.0.1:8600 ": f"server {address['sidecar']}:8600 ",
            "server unix:/run/php/php8.2-fpm.sock;": f"server {address['php']}:9000;",
            "listen 80;": "listen 8080;",
            "listen 127.0.0.1:8601;": f"listen {address['nginx']}:8601;",
            "/var/www/whatsapp/public": "/srv/whatsapp/simulator/stack/laravel_app/public",
            "/var/log/nginx/whatsapp.log": "/dev/stdout",
            "/var/log/nginx/whatsapp-internal.log": "/dev/stdout",
        },
    )
    shipped = (DOCKER / "site.conf").read_text()
    assert _without_comments(shipped) == _without_comments(expected)


def test_addresses_are_the_same_everywhere() -> None:
    address = addresses()
    assert len(set(address.values())) == 3
    [pool] = load()["networks"]["stack"]["ipam"]["config"]
    for fixed in map(ip_address, address.values()):
        assert fixed in ip_network(pool["subnet"])
        assert fixed not in ip_network(pool["ip_range"]), "somebody else may be given it"
    url = services()["sidecar"]["environment"]["SIDECAR_BACKEND_URL"]
    assert url == f"http://{address['nginx']}:8601"
    assert (
        f"listen.allowed_clients = 127.0.0.1,{address['nginx']}"
        in (DOCKER / "php-fpm.conf").read_text()
    )


def test_php_takes_what_nginx_lets_through() -> None:
    internal = (SHIPPED / "sidecar" / "internal.conf").read_text()
    limit = re.search(r"client_max_body_size (\d+)m;", internal)
    assert limit is not None
    assert f"php_admin_value[post_max_size] = {limit[1]}M" in (DOCKER / "php-fpm.conf").read_text()
