"""What ``sidecar init`` has been told, and how each answer is read."""

import grp
import os
import pwd
import re
import secrets
import sys
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from pydantic import TypeAdapter, ValidationError

from sidecar.url import HttpUrl, RedisUrl

#: nginx, systemd and PHP's ``.env`` would each want other characters quoted in a way of their own.
_PLAIN_PATH = re.compile(r"/[A-Za-z0-9/._@+-]*")
_FPM = re.compile(r"unix:/[A-Za-z0-9/._@+-]+|[A-Za-z0-9.-]+:[0-9]{1,5}|\[[0-9a-f:]+\]:[0-9]{1,5}")
_HOST = re.compile(r"[A-Za-z0-9.-]+")
_USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
_METAS_SECRET = re.compile(r"[0-9a-f]{32}")
_SECRET = re.compile(r"[A-Za-z0-9._~+/=-]{8,256}")


@dataclass(frozen=True, slots=True)
class Answers:
    """``redis_url`` is None for the embedded Valkey, which keeps its data in ``data_dir``.
    ``app_secret``: several are separated by commas."""

    backend_url: str
    port: int
    public_url: str | None
    redis_url: str | None = field(repr=False)
    app_secret: str | None = field(repr=False)
    data_dir: Path
    #: Private addresses of all hosts with a `serve`, this one's first; none: it is the only one.
    hosts: tuple[str, ...] = ()
    #: Of a fresh key, for calls between PHP and the sidecar.
    signing_secret: str = field(default_factory=lambda: secrets.token_hex(32), repr=False)

    @property
    def signing_keys(self) -> str:
        return f"first:{self.signing_secret}"

    def settings(self) -> dict[str, Any]:
        """Return the settings that they come to. What is not named has its default."""
        values: dict[str, Any] = {"backend_url": self.backend_url, "port": self.port}
        if self.hosts:
            values["host"] = self.hosts[0]
        if self.public_url is not None:
            values["public_url"] = self.public_url
        if self.redis_url is not None:
            values["redis_url"] = self.redis_url
        else:
            values["data_dir"] = str(self.data_dir)
        values["signing_keys"] = self.signing_keys
        if self.app_secret is not None:
            values["app_secrets"] = self.app_secret
        return values


@dataclass(frozen=True, slots=True)
class Place:
    """Where things are on this machine: the settings file, the program, the Laravel application,
    its PHP-FPM, and whom the services run as. ``elsewhere``: the application is on another
    machine."""

    config: Path
    program: Path
    application: Path
    fpm: str
    user: str
    elsewhere: bool = False

    @property
    def group(self) -> str:
        try:
            return grp.getgrgid(pwd.getpwnam(self.user).pw_gid).gr_name
        except KeyError:  # there is no such user yet
            return self.user


def this_program() -> Path:
    """Return the path of ``sidecar`` in the Python that runs."""
    return Path(sys.executable).with_name("sidecar")


def service_user() -> str:
    """Return whom the services should run as: never root."""
    return "whatsapp-sidecar" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name


def found_fpm(folder: Path = Path("/run/php")) -> str:
    """Return the address of this machine's PHP-FPM: of several, the newest PHP's."""
    sockets = sorted(folder.glob("php*-fpm.sock"), key=_version)
    return f"unix:{sockets[-1]}" if sockets else "unix:/run/php/php8.2-fpm.sock"


def _version(socket: Path) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", socket.name)]


# -- reading an answer: each raises ValueError with what is wrong --


def read_http_url(text: str) -> str:
    return str(_validated(HttpUrl, text))


def read_public_url(text: str) -> str:
    parts = urlsplit(url := read_http_url(text))
    if parts.path or not _HOST.fullmatch(parts.hostname or ""):
        raise ValueError("write it as https:// and a host name, without a path")
    return url


def is_public(url: str) -> bool:
    """Tell whether Meta may reach an address, by its host."""
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_global
    except ValueError:
        return "." in host


def read_redis_url(text: str) -> str:
    return str(_validated(RedisUrl, text))


def with_password(redis_url: str, password: str) -> str:
    """Return the address with a password in it, in place of any that it has."""
    scheme, _, rest = redis_url.partition("://")
    known, _, host = rest.rpartition("@")
    return f"{scheme}://{known.partition(':')[0]}:{quote(password, safe='')}@{host}"


def has_password(redis_url: str) -> bool:
    parts = urlsplit(redis_url)
    return parts.password is not None or "password=" in parts.query


def read_secret(text: str) -> str:
    secrets_ = [secret.strip() for secret in text.split(",")]
    if not all(_SECRET.fullmatch(secret) for secret in secrets_):
        raise ValueError("that is no app secret: copy it from App settings, Basic, at Meta")
    return ",".join(secrets_)


def is_metas(secret: str) -> bool:
    """Tell whether app secrets look as Meta's do."""
    return all(_METAS_SECRET.fullmatch(one) for one in secret.split(","))


def read_hosts(text: str) -> tuple[str, ...]:
    hosts = tuple(text.split(","))
    if not all(_HOST.fullmatch(host) for host in hosts) or len(set(hosts)) < max(2, len(hosts)):
        raise ValueError("write the private addresses of all hosts: 10.0.0.1,10.0.0.2")
    return hosts


def read_path(text: str) -> Path:
    path = Path(text).expanduser().absolute()
    if not _PLAIN_PATH.fullmatch(str(path)):
        raise ValueError(
            "nginx and systemd want a path of letters, digits and . _ @ + - only; move it, or make "
            "a link to it"
        )
    return path


def has_application(folder: Path) -> bool:
    """Tell whether a Laravel application is there, as far as we may look."""
    try:
        return (folder / "public" / "index.php").is_file()
    except PermissionError:
        return True


def read_user(text: str) -> str:
    if not _USER.fullmatch(text) or text == "root":
        raise ValueError("the services need a user of their own, who is not root")
    return text


def read_fpm(text: str) -> str:
    if not _FPM.fullmatch(text):
        raise ValueError("write it as unix:/run/php/php8.2-fpm.sock, or 127.0.0.1:9000")
    return text


def _validated(kind: Any, text: str) -> Any:
    try:
        return TypeAdapter(kind).validate_python(text)
    except ValidationError as error:
        found = error.errors(include_input=False, include_url=False)[0]["msg"]
        raise ValueError(found.removeprefix("Value error, ")) from None
