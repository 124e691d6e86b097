"""Who calls: Pusher's signatures, in the query of every request."""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass

#: How far a request's time may be from this machine's, in seconds.
WINDOW_S = 600


@dataclass(frozen=True, slots=True)
class Signed:
    """A request as it came."""

    method: str
    path: str
    query: Mapping[str, str]
    body: bytes


def fault_of(request: Signed, key: str, secret: str, now: float) -> str | None:
    """Return what is wrong with a request's authentication, if something is.

    The signature is over method, path and the sorted query without itself, each on a line of its
    own, as SHA-256 HMAC in lower-case hexadecimal.
    """
    query = request.query
    if query.get("auth_version") != "1.0":
        return "auth_version must be 1.0"
    if query.get("auth_key") != key:
        return f"there is no app with the key {query.get('auth_key')!r}"
    timestamp = query.get("auth_timestamp", "")
    if not timestamp.isascii() or not timestamp.isdigit():
        return "auth_timestamp must be unix seconds"
    if abs(now - int(timestamp)) > WINDOW_S:
        return f"auth_timestamp {timestamp} is not within {WINDOW_S} s of {int(now)}"
    if query.get("body_md5") != hashlib.md5(request.body, usedforsecurity=False).hexdigest():
        return "body_md5 is not the body's"
    given = query.get("auth_signature", "")
    signed = {name.lower(): value for name, value in query.items() if name != "auth_signature"}
    text = "&".join(f"{name}={value}" for name, value in sorted(signed.items()))
    signed_text = f"{request.method}\n{request.path}\n{text}"
    wanted = hmac.digest(secret.encode(), signed_text.encode(), "sha256").hex()
    if not hmac.compare_digest(given.encode(), wanted.encode()):
        return "auth_signature does not fit"
    return None
