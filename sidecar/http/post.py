"""A webhook that was posted, and its signature."""

import hmac
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from contracts.cloud_api.webhook import sign

_PREFIX = b"sha256="
#: The form of a signature. Meta writes lower case; the digits mean the same in either.
_SIGNATURE = re.compile(rb"sha256=[0-9a-fA-F]{64}")


def is_signature(value: bytes) -> bool:
    return _SIGNATURE.fullmatch(value) is not None


def signature_holds(signature: bytes, body: bytes, secrets: Iterable[bytes]) -> bool:
    """Return whether Meta's signature matches the body under one of the app secrets. Empty secrets
    are ignored: anybody could sign with them."""
    return _signing_secret(signature, body, secrets) is not None


def _signing_secret(signature: bytes, body: bytes, secrets: Iterable[bytes]) -> bytes | None:
    given = _lower(signature)
    for secret in secrets:
        if hmac.compare_digest(sign(secret, body).encode(), given) and secret:
            return secret
    return None


def _lower(signature: bytes) -> bytes:
    """Return a signature as Meta writes it, and what is none as it is."""
    if signature.islower() or not is_signature(signature):
        return signature
    return _PREFIX + signature.removeprefix(_PREFIX).lower()


@dataclass(slots=True)
class Post:
    """One POST. ``body`` is without the encoding in which it was ``sent``. ``here_at``: when it was
    complete, by ``time.perf_counter``."""

    vendor_uid: str
    signature: bytes
    body: bytes
    sent: bytes
    here_at: float

    def __post_init__(self) -> None:
        self.signature = _lower(self.signature)

    @property
    def fault(self) -> str:
        """Return what is wrong with an invalid signature, in a word."""
        return "signature_wrong" if self.signature else "signature_missing"

    def holds(self, secrets: Collection[bytes]) -> bool:
        """Return whether the signature is right: the body's, or that of the bytes as they were
        sent. That one becomes the body's, so that it is right for whoever checks it next."""
        if signature_holds(self.signature, self.body, secrets):
            return True
        if self.sent is self.body:
            return False
        secret = _signing_secret(self.signature, self.sent, secrets)
        if secret is not None:
            self.signature = sign(secret, self.body).encode()
        return secret is not None

    def headers(self, given: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        """Return the request's headers as they fit the body."""
        return [
            (name, self.signature if name == b"x-hub-signature-256" else value)
            for name, value in given
            if name != b"content-encoding"
        ]
