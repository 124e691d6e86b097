"""Media that customers send: made up from their id whenever they are read, and never held."""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from simulator.cloud_api.clock import Clock
from simulator.cloud_api.number import Number

#: Bytes that are made at once.
CHUNK = 64 * 1024


@dataclass(slots=True)
class Media:
    """``addresses`` and ``downloads`` count what was answered; ``downloads`` those to the end."""

    id: str
    number: Number
    mime_type: str
    size: int
    sha256: bytes
    addresses: int = 0
    downloads: int = 0

    @property
    def webhook_sha256(self) -> str:
        """As webhooks have it: Base64. The answer with the address has it in hexadecimal."""
        return base64.b64encode(self.sha256).decode()

    def chunks(self) -> Iterator[bytes]:
        return chunks(self.id, self.size)


def chunks(media_id: str, size: int) -> Iterator[bytes]:
    """Yield the content of a medium, the same for the same id."""
    block = hashlib.shake_256(media_id.encode()).digest(CHUNK)
    for at in range(0, size, CHUNK):
        yield (at.to_bytes(8) + block[8:])[: size - at]


def sha256_of(media_id: str, size: int) -> bytes:
    digest = hashlib.sha256()
    for chunk in chunks(media_id, size):
        digest.update(chunk)
    return digest.digest()


class MediaLibrary:
    """What there is to fetch, and the addresses where it can be fetched for a while."""

    def __init__(self, clock: Clock, rng: Random, url_s: float) -> None:
        self._clock = clock
        self._rng = rng
        self._url_s = url_s
        self._key = secrets.token_bytes(16)
        self._media: dict[str, Media] = {}

    def __iter__(self) -> Iterator[Media]:
        return iter(self._media.values())

    def get(self, media_id: str) -> Media | None:
        return self._media.get(media_id)

    def new_id(self) -> str:
        return str(self._rng.randrange(10**14, 10**15))

    def add(self, number: Number, mime_type: str, size: int) -> Media:
        """Make a medium. A large one takes a while: see :meth:`keep`."""
        media_id = self.new_id()
        return self.keep(Media(media_id, number, mime_type, size, sha256_of(media_id, size)))

    def keep(self, media: Media) -> Media:
        """Take a medium whose digest was made elsewhere."""
        self._media[media.id] = media
        return media

    def address_query(self, media: Media, *, expired: bool = False) -> str:
        """Return the query of an address that is valid for a while, or was."""
        expires = int(self._clock.now() + (-1 if expired else self._url_s))
        return f"mid={media.id}&ext={expires}&hash={self._hash(media.id, expires)}"

    def at_address(self, media_id: str, expires: str, given: str) -> Media | None:
        """Return the medium at an address, or None where it is wrong or has expired."""
        if not expires.isdecimal() or self._clock.now() >= int(expires):
            return None
        if not hmac.compare_digest(self._hash(media_id, int(expires)).encode(), given.encode()):
            return None
        return self.get(media_id)

    def _hash(self, media_id: str, expires: int) -> str:
        return hmac.digest(self._key, f"{media_id} {expires}".encode(), "sha256").hex()[:32]
