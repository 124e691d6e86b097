"""The vendor's own webhook."""

import hmac
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from contracts.cloud_api.webhook import SIGNATURE_HEADER, sign
from simulator.outside.app import Outside, json_answer, running
from simulator.vendor_webhook.facts import facts_of

_PATH = "/hook"
#: The same for every attempt at a post.
_ID = "webhook-id"


@dataclass(frozen=True, slots=True)
class Forwarded:
    """A post that was taken. Names of ``headers`` are in lower case."""

    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)


class VendorWebhook(Outside[Forwarded]):
    """``secret``: what posts must be signed with; None takes unsigned ones. ``refused``: how many
    were not taken because their signature does not fit. ``facts``: how often each was told, but
    for posts that came again under their id, of which ``retried`` counts the repetitions."""

    paths = (_PATH,)

    def __init__(self, secret: str | None = None) -> None:
        super().__init__()
        self.secret = secret
        self.refused = 0
        self.retried = 0
        self.facts: Counter[str] = Counter()
        self._ids: set[str] = set()

    @property
    def repeated(self) -> list[str]:
        """The facts that were told more than once."""
        return [fact for fact, times in self.facts.items() if times > 1]

    @property
    def hook(self) -> str:
        """The whole URL to post to."""
        return self.url + _PATH

    async def handle(self, request: Request, body: bytes) -> Response:
        if self.secret is not None:
            given = request.headers.get(SIGNATURE_HEADER, "")
            if not hmac.compare_digest(given.encode(), sign(self.secret.encode(), body).encode()):
                self.refused += 1
                return json_answer(b'{"error": "the signature does not fit"}', 401)
        self._take(Forwarded(dict(request.headers), body))
        return json_answer(b'{"result": "taken"}')

    def _take(self, forwarded: Forwarded) -> None:
        self.requests.append(forwarded)
        post = forwarded.headers.get(_ID, f"post {len(self.requests)}")
        if post in self._ids:
            self.retried += 1
            return
        self._ids.add(post)
        self.facts.update(facts_of(forwarded.body))

    def kept_as_json(self, kept: Forwarded) -> Any:
        return {"headers": kept.headers, "body": kept.body.decode(errors="replace")}

    def report(self) -> dict[str, Any]:
        told = {"facts": len(self.facts), "repeated": len(self.repeated), "retried": self.retried}
        return {**super().report(), "refused": self.refused, **told}


@asynccontextmanager
async def receiving_forwards(secret: str | None = None) -> AsyncIterator[VendorWebhook]:
    """Serve a vendor's webhook on a free port while the context is open."""
    async with running(VendorWebhook(secret)) as webhook:
        yield webhook
