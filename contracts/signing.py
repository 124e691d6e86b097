"""How internal calls between the sidecar and PHP are signed, in both directions.

A signature covers whom the call is for (``sidecar``; ``backend``, which is PHP; ``console``, see
``contracts/console.py``; ``notification``, see ``contracts/notifications.py``), the method, the
request target (path and query, exactly as sent), the time, an id that is used once, and the exact
bytes of the body::

    v2 \n AUDIENCE \n METHOD \n TARGET \n TIMESTAMP \n NONCE \n hex(sha256(BODY))

It is HMAC-SHA256 under a shared secret, sent as lowercase hex in four headers::

    X-Sidecar-Key:        the id of the secret; several may be valid at once, for rotation
    X-Sidecar-Timestamp:  unix time in seconds, with three decimals
    X-Sidecar-Nonce:      8 to 64 characters of A-Z a-z 0-9 _ -, never used twice
    X-Sidecar-Signature:  v2=<hex>

A retry of a call is a new request: it carries a new time and a new nonce.

No call is accepted twice. The sidecar remembers nonces in Redis, with the time since when it does;
a call that was signed before is refused with ``nonces_lost``, so a Redis that was emptied accepts
nothing again that was accepted before. PHP remembers them in a cache of its own; where that is
emptied, a repeated call does nothing new, since each of PHP's endpoints may be repeated.
"""

import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

KEY_HEADER = "X-Sidecar-Key"
TIMESTAMP_HEADER = "X-Sidecar-Timestamp"
NONCE_HEADER = "X-Sidecar-Nonce"
SIGNATURE_HEADER = "X-Sidecar-Signature"

#: How far the two clocks may be apart, in seconds. A nonce is remembered for twice as long.
DEFAULT_WINDOW_S = 300

_VERSION = "v2"
_NONCE = re.compile(r"[A-Za-z0-9_-]{8,64}")
_TIMESTAMP = re.compile(r"[0-9]{1,12}\.[0-9]{3}")


class Audience(StrEnum):
    """Whom a call is for."""

    SIDECAR = "sidecar"
    BACKEND = "backend"
    CONSOLE = "console"
    NOTIFICATION = "notification"


class Refusal(StrEnum):
    """Why a call was refused. The value is the reason code in the 401's body."""

    SIGNATURE_MISSING = "signature_missing"
    SIGNATURE_MALFORMED = "signature_malformed"
    KEY_UNKNOWN = "key_unknown"
    TIMESTAMP_STALE = "timestamp_stale"
    SIGNATURE_MISMATCH = "signature_mismatch"
    NONCE_REPEATED = "nonce_repeated"
    NONCES_LOST = "nonces_lost"


_EXPLANATIONS = {
    Refusal.SIGNATURE_MISSING: f"the call carries no {SIGNATURE_HEADER}, {KEY_HEADER}, "
    f"{TIMESTAMP_HEADER} and {NONCE_HEADER} headers; sign it",
    Refusal.SIGNATURE_MALFORMED: "a signing header is not of the documented form",
    Refusal.KEY_UNKNOWN: "the key id is not configured on this side; compare signing_keys",
    Refusal.TIMESTAMP_STALE: "the call's time is too far from this machine's; compare the clocks",
    Refusal.SIGNATURE_MISMATCH: "the signature does not fit this receiver, method, path, body, "
    "time and nonce; compare the secrets, and look for a proxy that rewrites the path or the body",
    Refusal.NONCE_REPEATED: "this call has been made before; sign every attempt anew",
    Refusal.NONCES_LOST: "the call was signed before this side began to remember calls (it was "
    "emptied, or started, since); sign it anew",
}


class SignatureRefused(Exception):
    """A call that must be answered with 401. ``code`` is its reason code."""

    def __init__(self, code: Refusal) -> None:
        super().__init__(_EXPLANATIONS[code])
        self.code = code


@dataclass(frozen=True, slots=True)
class VerifiedCall:
    """A call whose signature holds. Its nonce has still to be checked against earlier ones."""

    key_id: str
    nonce: str
    signed_at: float


def _signed_text(
    audience: Audience, method: str, target: str, timestamp: str, nonce: str, body: bytes
) -> str:
    digest = hashlib.sha256(body).hexdigest()
    return "\n".join((_VERSION, audience, method.upper(), target, timestamp, nonce, digest))


def _signature(secret: bytes, text: str) -> str:
    return f"{_VERSION}={hmac.digest(secret, text.encode(), 'sha256').hex()}"


@dataclass(frozen=True, slots=True, repr=False)
class Signer:
    """Signs calls to one side with one key."""

    audience: Audience
    key_id: str
    secret: bytes
    clock: Callable[[], float] = time.time

    def headers(self, method: str, target: str, body: bytes) -> dict[str, str]:
        """Return the four headers for one attempt of one call.

        ``target`` is the path with its query, percent-encoded as it goes over the wire.
        """
        timestamp = f"{int(self.clock() * 1000) / 1000:.3f}"
        nonce = secrets.token_hex(16)
        text = _signed_text(self.audience, method, target, timestamp, nonce, body)
        return {
            KEY_HEADER: self.key_id,
            TIMESTAMP_HEADER: timestamp,
            NONCE_HEADER: nonce,
            SIGNATURE_HEADER: _signature(self.secret, text),
        }


@dataclass(frozen=True, slots=True, repr=False)
class Verifier:
    """Checks calls to one side against every key that is valid now."""

    audience: Audience
    keys: Mapping[str, bytes]
    window_s: int = DEFAULT_WINDOW_S
    clock: Callable[[], float] = time.time

    @property
    def nonce_ttl_s(self) -> int:
        """How long a nonce must be remembered so that no call is accepted twice, in seconds."""
        return 2 * self.window_s + 1

    def verify(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes
    ) -> VerifiedCall:
        """Return what was verified, or raise :class:`SignatureRefused`.

        ``headers`` must look names up without regard to case, or hold them in lower case. The
        caller must then claim the nonce (once, atomically) and refuse with ``nonce_repeated`` if
        it was there already.
        """
        key_id, timestamp, nonce, signature = (
            headers.get(name) or headers.get(name.lower())
            for name in (KEY_HEADER, TIMESTAMP_HEADER, NONCE_HEADER, SIGNATURE_HEADER)
        )
        if not (key_id and timestamp and nonce and signature):
            raise SignatureRefused(Refusal.SIGNATURE_MISSING)
        if not (_NONCE.fullmatch(nonce) and _TIMESTAMP.fullmatch(timestamp)):
            raise SignatureRefused(Refusal.SIGNATURE_MALFORMED)
        secret = self.keys.get(key_id)
        if secret is None:
            raise SignatureRefused(Refusal.KEY_UNKNOWN)
        if abs(self.clock() - float(timestamp)) > self.window_s:
            raise SignatureRefused(Refusal.TIMESTAMP_STALE)
        text = _signed_text(self.audience, method, target, timestamp, nonce, body)
        expected = _signature(secret, text)
        if not hmac.compare_digest(expected.encode(), signature.encode()):
            raise SignatureRefused(Refusal.SIGNATURE_MISMATCH)
        return VerifiedCall(key_id, nonce, float(timestamp))
