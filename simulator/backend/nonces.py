"""Ids of signed calls that have been seen, so that none is accepted twice."""

from contracts.signing import Refusal, SignatureRefused
from simulator.backend.database import Database

#: How often ids that have expired are deleted, in calls.
_PRUNE_EVERY = 500


class Nonces:
    """Remembers every id for ``ttl_s`` seconds, over restarts too."""

    def __init__(self, db: Database, ttl_s: int) -> None:
        self._db = db
        self._ttl_s = ttl_s
        self._until_prune = 0

    def claim(self, nonce: str, now_s: int) -> None:
        """Remember the id, or raise :class:`SignatureRefused` if it was there already."""
        if self._until_prune == 0:
            self._db.execute("DELETE FROM sidecar_nonces WHERE expires_at < ?", (now_s,))
            self._until_prune = _PRUNE_EVERY
        self._until_prune -= 1
        inserted = self._db.execute(
            "INSERT OR IGNORE INTO sidecar_nonces (nonce, expires_at) VALUES (?, ?)",
            (nonce, now_s + self._ttl_s),
        ).rowcount
        if not inserted:
            raise SignatureRefused(Refusal.NONCE_REPEATED)
