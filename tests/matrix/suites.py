"""The Debian suites of the matrix, and the packages of each that make the stack."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

_EVERYWHERE = (
    *("nginx-light", "php-laravel-framework", "phpunit", "php-cli", "php-fpm"),
    *("php-mysql", "php-xml", "php-mbstring", "php-curl", "php-redis"),
)


@dataclass(frozen=True, slots=True)
class Suite:
    """``database`` and ``redis`` are packages. ``links``: what to link where in the chroot."""

    name: str
    database: tuple[str, ...]
    redis: str
    links: Mapping[str, str] = field(default_factory=dict)

    @property
    def packages(self) -> tuple[str, ...]:
        return (*_EVERYWHERE, *self.database, self.redis)


SUITES = {
    suite.name: suite
    for suite in (
        Suite("bookworm", ("mariadb-server",), "redis-server"),
        Suite("trixie", ("mariadb-server",), "redis-server"),
        Suite(
            "sid",
            ("mysql-server",),
            "valkey-server",
            # Laravel 13's package looks for its default configuration where it does not put it.
            links={"/usr/share/config": "php/Illuminate/config"},
        ),
    )
}


def machine() -> str:
    """Return the suite that this machine runs, by its code name; empty if it has none."""
    for line in Path("/etc/os-release").read_text().splitlines():
        name, _, value = line.partition("=")
        if name == "VERSION_CODENAME":
            return value.strip('"')
    return ""
