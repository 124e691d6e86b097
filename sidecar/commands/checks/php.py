"""PHP: versions, limits, keys, and whether it reaches the sidecar."""

from collections.abc import Iterable, Iterator

from contracts.diagnosis import CallBack, DatabaseFacts, DiagnosisAnswer, PhpFacts
from sidecar.commands.checks.line import Line, fail, ok, warn
from sidecar.commands.checks.tested import TRY, untested
from sidecar.format import Version, size, version_of
from sidecar.version import VERSION

#: What the embedded backend calls itself.
_EMBEDDED = "embedded"

_OLDEST_PHP = (8, 0)
_OLDEST_LARAVEL = (8, 83)
_OLDEST_DATABASE = {"mariadb": (10, 6), "mysql": (8, 0, 30)}

#: As nginx's client_max_body_size for internal calls, and the largest that a batch may come to.
_POST_BYTES = 32 * 1024**2
#: A batch is one parameter of one statement.
_PACKET_BYTES = 16 * 1024**2
_MEMORY_BYTES = 128 * 1024**2


def judge_php(answer: DiagnosisAnswer, key_ids: Iterable[str]) -> Iterator[Line]:
    """``key_ids``: the signing keys on this side, the one that signs first."""
    yield from _versions(answer.php, answer.database)
    yield from _limits(answer.php, answer.database)
    yield _keys(answer.php.signing_key_ids, list(key_ids))
    for error in answer.errors:
        yield fail(
            "php's statements",
            error,
            "see the tables below; PHP's database user may lack a privilege",
        )


def _versions(php: PhpFacts, database: DatabaseFacts) -> Iterator[Line]:
    if php.package == _EMBEDDED:
        yield ok("php package", f"the embedded backend, on {php.php} and SQLite {database.version}")
        return
    if version_of(php.package)[:2] != version_of(VERSION)[:2]:
        yield warn(
            "php package",
            f"is {php.package}, but the sidecar is {VERSION}",
            "update the older one",
        )
    else:
        yield ok("php package", php.package)
    yield _version("php", "php", php.php, _OLDEST_PHP)
    yield _version("laravel", "laravel", php.laravel or "unknown", _OLDEST_LARAVEL)
    oldest = _OLDEST_DATABASE.get(database.product)
    name = f"database ({database.product})"
    if oldest is None:
        yield warn(name, f"{database.version} is neither MySQL nor MariaDB")
    else:
        yield _version(name, database.product, database.version, oldest)


def _version(what: str, product: str, found: str, oldest: Version) -> Line:
    wanted = ".".join(map(str, oldest))
    if version_of(found) < oldest:
        return fail(what, f"is {found}", f"the package needs {wanted} or newer")
    if (why := untested(product, found)) is not None:
        return warn(what, f"is {found}, {why}", TRY)
    return ok(what, found)


def _limits(php: PhpFacts, database: DatabaseFacts) -> Iterator[Line]:
    for what, found, wanted, do in (
        ("post_max_size", php.post_max_bytes, _POST_BYTES, "set it in php.ini"),
        ("memory_limit", php.memory_limit_bytes, _MEMORY_BYTES, "set it in php.ini"),
        (
            "max_allowed_packet",
            database.max_allowed_packet_bytes,
            _PACKET_BYTES,
            "set it in the database's configuration",
        ),
    ):
        if found is None:
            continue  # no limit, or nothing of the kind
        if found < wanted:
            yield warn(
                f"php {what}" if "packet" not in what else f"database {what}",
                f"is {size(found)}: large batches are refused, and split at every attempt",
                f"{do} to at least {size(wanted)}",
            )
        else:
            yield ok(f"php {what}" if "packet" not in what else f"database {what}", size(found))


def _keys(theirs: list[str], ours: list[str]) -> Line:
    what = "signing keys"
    if theirs[:1] and theirs[0] not in ours:
        return fail(
            what,
            f"PHP signs with {theirs[0]!r}, which is not in signing_keys",
            "add it here, and restart the sidecar",
        )
    if set(theirs) != set(ours):
        return warn(
            what,
            f"PHP has {', '.join(theirs)} and the sidecar {', '.join(ours)}",
            "finish the key rotation",
        )
    return ok(what, f"{', '.join(ours)} on both sides")


def judge_call_back(found: CallBack | None, php: PhpFacts) -> Line:
    """PHP has called the sidecar, signed, with a token that is in our Redis."""
    what = "php to sidecar"
    where = php.sidecar_url or "nowhere"
    if found is None:
        return warn(what, "PHP did not try", "update the package")
    if found.code is not None:
        return fail(
            what,
            f"the sidecar at {where} refused PHP's signed call: {found.error or found.code}",
            "compare WHATSAPP_SIDECAR_KEYS with signing_keys, and the clocks",
        )
    if found.answer is None:
        return fail(
            what,
            f"PHP cannot reach the sidecar at {where}: {found.error}",
            "check that sidecar serve runs, and that PHP reaches WHATSAPP_SIDECAR_URL",
        )
    if not found.answer.known:
        return fail(
            what,
            f"the sidecar at {where} uses another Redis than this command",
            "set WHATSAPP_SIDECAR_URL to this installation's sidecar, or redis_url to its Redis",
        )
    return ok(
        what,
        f"{where} accepted PHP's signed call in {found.took_ms} ms",
    )
