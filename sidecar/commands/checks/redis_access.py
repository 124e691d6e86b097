"""Who can reach Redis, and whether they need a password: what is in it can be read and made up."""

from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, cast

from redis.exceptions import ResponseError

from sidecar.commands.checks.line import Line, ok, warn
from sidecar.redis.client import Redis

WHAT = "redis access"

_SETTINGS = ("bind", "port", "tls-port", "protected-mode", "requirepass")


@dataclass(frozen=True, slots=True)
class Access:
    """``bind``, ``port`` and so on as CONFIG has them; ``is_open``: whoever connects is let in."""

    settings: dict[str, str]
    is_open: bool

    @property
    def listens_to(self) -> list[str]:
        """Addresses other than the machine's own at which Redis takes connections."""
        if self.settings.get("port", "0") == self.settings.get("tls-port", "0") == "0":
            return []  # a socket in the file system, no more
        names = self.settings.get("bind", "").split() or ["*"]
        return [name for name in (name.removeprefix("-") for name in names) if not _is_own(name)]


async def read_access(redis: Redis) -> Access | None:
    """Return None where Redis does not tell. Raises what redis-py raises."""
    try:
        found = cast("dict[Any, Any]", await redis.config_get(*_SETTINGS))
    except ResponseError:
        return None
    settings = {_text(name): _text(value) for name, value in found.items()}
    try:
        user = cast("dict[Any, Any]", await redis.acl_getuser("default"))
        flags = {_text(flag) for flag in user["flags"]}
        is_open = {"on", "nopass"} <= flags
    except ResponseError:
        is_open = not settings.get("requirepass")
    return Access(settings, is_open)


def judge_access(access: Access | None) -> Line:
    if access is None:
        return warn(
            WHAT,
            "Redis refuses CONFIG, so this cannot tell whether it needs a password",
            "make sure with its provider that it does, and that nobody else can reach it",
        )
    if not access.is_open:
        return ok(WHAT, "needs a password")
    if not access.listens_to:
        return ok(WHAT, "accepts connections from this machine only")
    if access.settings.get("protected-mode") == "yes":
        return ok(WHAT, "has no password, but refuses other machines (protected-mode)")
    return warn(
        WHAT,
        f"needs no password at {', '.join(access.listens_to)}: whoever reaches it can read, forge "
        "and delete webhooks and effects",
        "bind it to 127.0.0.1, or set requirepass and put the password into redis_url",
    )


def _is_own(name: str) -> bool:
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
