"""A webhook that somebody else has written."""

import asyncio
from enum import StrEnum

from contracts.cloud_api.webhook import sign
from simulator.cloud_api.post import Acknowledgements


class Signature(StrEnum):
    VALID = "valid"
    #: Its hexadecimal digits as capitals.
    UPPER = "upper"
    WRONG = "wrong"
    MISSING = "missing"


class RawPost:
    """Any bytes, signed as asked for."""

    __slots__ = ("_body", "_signature", "answer", "created_at", "encoding", "retries", "retry_ms")

    def __init__(
        self,
        body: bytes,
        signature: Signature,
        created_at: float,
        *,
        retries: bool,
        encoding: str | None = None,
    ) -> None:
        self.encoding = encoding
        self._body = body
        self._signature = signature
        self.retries = retries
        self.created_at = created_at
        self.retry_ms = 0.0
        self.answer: asyncio.Future[int | None] | None = None

    def body(self) -> bytes:
        return self._body

    def signature(self, app_secret: str, body: bytes) -> str | None:
        if self._signature is Signature.MISSING:
            return None
        if self._signature is Signature.WRONG:
            return sign(b"not " + app_secret.encode(), body)
        right = sign(app_secret.encode(), body)
        if self._signature is Signature.UPPER:
            method, _, digest = right.partition("=")
            return f"{method}={digest.upper()}"
        return right

    def acknowledge(self, ledger: Acknowledgements) -> None:
        """Nothing of ours is in it."""
