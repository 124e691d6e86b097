"""When the statuses of messages were set, as Meta says: of the last so many, for the timeline.

PHP keeps a message's highest status. That it also writes when each was set doubles what a status
costs its database; here it costs one command for all that a batch has for a bucket.

A record is 13 bytes: 64 bits of the digest of vendor and wamid, the status, and the unix second.
Other bits of the digest select one of 16 buckets, strings that records are appended to. A bucket
that is full loses its older half, and one that gets nothing for a week expires. So between half and
all of ``status_times_limit`` statuses are known, for 13 to 26 bytes each.

The probability that a search takes another message's record for its own is 10^-14: a bucket has
tens of thousands of them, and each is one of 2^64.
"""

import hashlib
import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, cast

from sidecar.redis import keys
from sidecar.redis.client import Redis

BUCKETS = 16
#: How long a bucket is kept that gets nothing.
KEEP_S = 7 * 86_400

#: A status stands in a record as its place here. Never change one's place: add behind the last.
NAMES = ("accepted", "held_for_quality_assessment", "sent", "failed", "delivered", "read", "played")
_PLACES = {name: place for place, name in enumerate(NAMES)}
_RECORD = struct.Struct(">8sBI")
_MAX_SECOND = 2**32 - 1

#: A vendor and a wamid.
Message = tuple[str, str]


def second_of(timestamp: Any) -> int | None:
    """Return one of Meta's timestamps (unix seconds, text or number); None if a record cannot hold
    it."""
    if isinstance(timestamp, str) and timestamp.isascii() and timestamp.isdigit():
        timestamp = int(timestamp) if len(timestamp) <= 10 else None
    if isinstance(timestamp, bool) or not isinstance(timestamp, int):
        return None
    return timestamp if 0 <= timestamp <= _MAX_SECOND else None


def record_of(message: Message, status: str | None, second: int) -> tuple[int, bytes] | None:
    """Return a status's bucket and its record; None of a status that means nothing to us."""
    place = _PLACES.get(status or "")
    if place is None:
        return None
    bucket, mark = _bucket_and_mark(message)
    return bucket, _RECORD.pack(mark, place, second)


def bucket_bytes(limit: int) -> int:
    """Return how long a bucket may become if so many statuses are kept: a multiple of two
    records."""
    return max(1, limit // (2 * BUCKETS)) * 2 * _RECORD.size


async def read_status_times(redis: Redis, messages: Sequence[Message]) -> list[dict[str, int]]:
    """Return for each message when its statuses were set (unix ms) by their names, as far as it is
    known. Of one that was said more than once it is the earliest time."""
    places = [_bucket_and_mark(message) for message in messages]
    buckets = list(dict.fromkeys(bucket for bucket, _ in places))
    if not buckets:
        return []
    values = await redis.mget([keys.status_times(bucket) for bucket in buckets])
    found = dict(zip(buckets, cast("list[bytes | None]", values), strict=True))
    return [_earliest(_records(found[bucket] or b"", mark)) for bucket, mark in places]


def _bucket_and_mark(message: Message) -> tuple[int, bytes]:
    digest = hashlib.blake2b("\0".join(message).encode(), digest_size=9).digest()
    return digest[8] % BUCKETS, digest[:8]


def _records(bucket: bytes, mark: bytes) -> Iterator[tuple[str, int]]:
    """Yield what a bucket says of a message."""
    at = bucket.find(mark)
    while at >= 0:
        if at % _RECORD.size == 0:  # else it is the end of one record and the beginning of the next
            _, place, second = _RECORD.unpack_from(bucket, at)
            if place < len(NAMES):  # a later version may know more
                yield NAMES[place], 1000 * second
        at = bucket.find(mark, at + 1)


def _earliest(statuses: Iterable[tuple[str, int]]) -> dict[str, int]:
    times: dict[str, int] = {}
    for name, at in statuses:
        times[name] = min(at, times.get(name, at))
    return times
