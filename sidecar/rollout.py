"""Which vendors belong to a percentage."""

import hashlib

_BUCKETS = 10_000


def percentile(vendor_uid: str) -> float:
    """Return where a vendor stands, from 0 up to 100 and always the same: those below 10 are the
    first ten percent, and belong to every larger percentage."""
    digest = hashlib.blake2b(vendor_uid.encode(), digest_size=8).digest()
    return int.from_bytes(digest) % _BUCKETS * 100 / _BUCKETS
