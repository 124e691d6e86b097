"""Marks that are kept for a window of time, a million of them in some 12 MB.

A mark is 77 bits of a name's digest: 13 name a bucket, and 64 are kept in it. A bucket is a set of
integers, which Redis keeps as an array of 8 bytes each while it has up to 512 members. The window
is divided into slices with buckets of their own, which expire as a whole. So a slice holds up to
four million marks at that price; beyond, a mark takes more, and nothing else changes.

A name that was not marked is taken for one that was with a chance of one in 10^23 for each mark
that is kept: of a million messages a day beside a million marks, once in some 400 million years.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

from sidecar.redis.client import Redis, script

#: Slices that a window is divided into, and how long one is at most. More slices keep a mark for
#: less time beyond the window, and one more is to be looked at for each.
SLICES = 4
LONGEST_SLICE_S = 6 * 3600

_BUCKET_BITS = 13

Command = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Window:
    """The slices of a window of time that ends now: what the keys of their buckets begin with, the
    newest first. Marks are set in that one, whose buckets expire then (unix seconds)."""

    slices: list[str]
    expires_at: int


class Marks:
    """Marks names for ``window_s`` seconds (at least that, and at most a slice longer). ``key``
    gives the key of a slice's bucket."""

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
        """Return the commands of Redis that set a mark."""
        begins = self._begins(now_s)
        bucket, mark = bucket_and_mark(name)
        key = self._key(begins, bucket)
        return ("SADD", key, mark), ("EXPIREAT", key, begins + self._slice_s + self._window_s)

    async def known(self, names: Sequence[bytes], now_s: float) -> list[bool]:
        """Tell of each name whether it is marked."""
        if not names:
            return []
        words = [word for name in names for word in bucket_and_mark(name)]
        found = await self._marked(keys=self.window(now_s).slices, args=words)
        return [bool(one) for one in cast("list[int]", found)]

    def _begins(self, at_s: float) -> int:
        """Return when the slice of a time has begun (unix seconds)."""
        return int(at_s // self._slice_s) * self._slice_s


def bucket_and_mark(name: bytes) -> tuple[str, int]:
    """Return in which bucket of a slice a name is marked, and how."""
    digest = hashlib.blake2b(name, digest_size=16).digest()
    bucket = int.from_bytes(digest[8:10]) & ((1 << _BUCKET_BITS) - 1)
    return f"{bucket:x}", int.from_bytes(digest[:8], signed=True)
