"""Signing in by a link of PHP's admin (``contracts/console.py``)."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from contracts.console import LINK_TTL_S, Role, read_link
from contracts.signing import Audience, Refusal, SignatureRefused, Verifier
from sidecar.redis.client import AnyRedisError, Redis, reason_of
from sidecar.redis.nonces import Nonces

#: How far PHP's clock may be ahead of this one, in seconds.
AHEAD_S = 10

_AGAIN = "Open the console from the admin once more."
_COMPARE_KEYS = "compare WHATSAPP_SIDECAR_KEYS with signing_keys."
_WORDS = {
    Refusal.SIGNATURE_MISSING: f"This link is incomplete. {_AGAIN}",
    Refusal.SIGNATURE_MALFORMED: f"This link is incomplete, or was changed. {_AGAIN}",
    Refusal.KEY_UNKNOWN: "This link is signed with a key that the sidecar does not know: "
    f"{_COMPARE_KEYS}",
    Refusal.TIMESTAMP_STALE: f"This link is older than {LINK_TTL_S} seconds, or of the future. "
    f"{_AGAIN} If it is refused again, compare the clocks of PHP's machine and the sidecar's.",
    Refusal.SIGNATURE_MISMATCH: "This link was changed, or signed for something else. "
    f"{_AGAIN} If it is refused again, {_COMPARE_KEYS}",
    Refusal.NONCE_REPEATED: f"This link has been used. {_AGAIN}",
    Refusal.NONCES_LOST: f"This link may have been used: Redis was emptied since. {_AGAIN}",
}


class LinkRefused(Exception):
    """A link by which nobody is signed in. ``str()`` says why to the person who has followed it,
    ``code`` in one word."""

    def __init__(self, code: str, words: str) -> None:
        super().__init__(words)
        self.code = code


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who has come by a link. ``name`` is PHP's: text of one line, to be escaped like any other."""

    name: str
    role: Role


class Links:
    """Opens links, each once. ``keys``: the signing keys that are valid now."""

    def __init__(
        self, redis: Redis, keys: Mapping[str, bytes], clock: Callable[[], float] = time.time
    ) -> None:
        self._verifier = Verifier(Audience.CONSOLE, keys, LINK_TTL_S, clock)
        self._nonces = Nonces(redis, clock)
        self._clock = clock

    async def open(self, query: str) -> Visitor:
        """Return whom a link signs in; ``query`` as it came. Raises :class:`LinkRefused`."""
        try:
            return await self._open(query)
        except SignatureRefused as refused:
            raise LinkRefused(refused.code, _WORDS[refused.code]) from None
        except AnyRedisError as error:
            reason = reason_of(error).rstrip(".")
            words = f"Redis, which knows the used links, does not answer: {reason}. {_AGAIN}"
            raise LinkRefused("redis_unavailable", words) from None

    async def _open(self, query: str) -> Visitor:
        try:
            link = read_link(query)
        except ValueError:
            raise SignatureRefused(Refusal.SIGNATURE_MALFORMED) from None
        verified = self._verifier.verify("GET", link.target, link.headers, b"")
        if verified.signed_at > self._clock() + AHEAD_S:
            raise SignatureRefused(Refusal.TIMESTAMP_STALE)
        await self._nonces.claim(verified, self._verifier.nonce_ttl_s)
        return Visitor(_one_line(link.name), link.role)


def _one_line(name: str) -> str:
    """Drop what cannot be seen: control characters, and those that turn a line around."""
    return " ".join("".join(c if c.isprintable() else " " for c in name).split()) or "unnamed"
