"""Marks that are kept for a window of time: a million take about 12 MB.

A mark is 77 bits of a name's digest: 13 select a bucket, and 64 are stored in it. A bucket is a set
of integers, which Redis stores as an array of 8 bytes each up to 512 members. The window is divided
into slices with buckets of their own, which expire as a whole. So a slice holds up to four million
marks at that price; beyond that a mark takes more, and nothing else changes.

The probability that an unmarked name is taken for a marked one is 10^-23 for each stored mark: with
a million messages a day and a million marks, once in some 400 million years.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

from sidecar.redis.client import Redis, script

#: Slices of a window, and the maximum length of one. With more slices a mark outlives the window
#: by less, but each costs one more lookup.
SLICES = 4
LONGEST_SLICE_S = 6 * 3600

_BUCKET_BITS = 13

Command = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Window:
    """The slices of a window that ends now: the key prefixes of their buckets, the newest first.
    Marks are set in the newest, whose buckets expire at ``until`` (unix seconds)."""

    slices: list[str]
    expires_at: int


class Marks:
    """Marks names for ``window_s`` seconds, or up to a slice longer. ``key`` returns the key of a
    slice's bucket."""

    def __init__(self, redis: Redis, window_s: int, key: Callable[[int, str], str]) -> None:
        self._window_s = window_s
        self._slice_s = max(1, min(window_s // SLICES, LONGEST_SLICE_S))
        self._key = key
        self._marked = script(redis, "redis/marked")

    def window(self, now_s: float) -> Window:
        """Return the window that ends now."""
        first, last = self._begins(now_s - self._window_s), self._begins(now_s)
        slices = [self._key(begins, "") for begins in range(last, first - 1, -self._slice_s)]
        return Window(slices, last + self._slice_s + self._window_s)

    def commands(self, name: bytes, now_s: float) -> tuple[Command, Command]:
        """Return the Redis commands that set a mark."""
        begins = self._begins(now_s)
        bucket, mark = bucket_and_mark(name)
        key = self._key(begins, bucket)
        return ("SADD", key, mark), ("EXPIREAT", key, begins + self._slice_s + self._window_s)

    async def known(self, names: Sequence[bytes], now_s: float) -> list[bool]:
        """Return, for each name, whether it is marked."""
        if not names:
            return []
        words = [word for name in names for word in bucket_and_mark(name)]
        found = await self._marked(keys=self.window(now_s).slices, args=words)
        return [bool(one) for one in cast("list[int]", found)]

    def _begins(self, at_s: float) -> int:
        """Return when the slice of a time began (unix seconds)."""
        return int(at_s // self._slice_s) * self._slice_s


def bucket_and_mark(name: bytes) -> tuple[str, int]:
    """Return a name's bucket in a slice, and its mark."""
    digest = hashlib.blake2b(name, digest_size=16).digest()
    bucket = int.from_bytes(digest[8:10]) & ((1 << _BUCKET_BITS) - 1)
    return f"{bucket:x}", int.from_bytes(digest[:8], signed=True)
