"""One webhook on its way: delivered, or tried again until it is."""

import asyncio
from typing import Any, Protocol


class Acknowledgements(Protocol):
    """Where it is written down what has reached its receiver: the ledger."""

    def acknowledge_status(self, message: Any, kind: int) -> None: ...
    def acknowledge_inbound(self, inbound: Any) -> None: ...


class Post(Protocol):
    """``retry_ms`` is the delay before the next try, 0 before the first failure. ``answer`` is
    told how the first try ended: the HTTP status, or None where no answer came. ``encoding``: the
    Content-Encoding of the body, which is signed as it is sent."""

    encoding: str | None
    retries: bool
    retry_ms: float
    created_at: float
    answer: "asyncio.Future[int | None] | None"

    def body(self) -> bytes: ...
    def signature(self, app_secret: str, body: bytes) -> str | None: ...
    def acknowledge(self, ledger: Acknowledgements) -> None: ...
