"""The versions that our tests have run on, as README's "Tested on" says in more words."""

from sidecar.format import Version, version_of

#: By product, the numbers that versions begin with.
TESTED: dict[str, tuple[Version, ...]] = {
    "php": ((8, 0), (8, 1), (8, 2), (8, 3), (8, 4), (8, 5)),
    "laravel": ((8,), (9,), (10,), (11,), (12,), (13,)),
    "mariadb": ((10, 11), (11, 8)),
    "mysql": ((9, 7),),
    "redis": ((7,), (8,)),
    "valkey": ((9,),),
}

#: What to do about one that was not.
TRY = "try the migration on a copy of your installation first"


def untested(product: str, version: str) -> str | None:
    """Return what to say of a version that was never tested; None of one that was."""
    tested = TESTED[product]
    found = version_of(version)
    if any(found[: len(one)] == one for one in tested):
        return None
    *others, last = (".".join(map(str, one)) for one in tested)
    return f"which was never tested: {', '.join(others)}{' and ' if others else ''}{last} " + (
        "were" if others else "was"
    )
