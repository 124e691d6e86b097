"""The epoch: how far Redis has come, so that a Redis that has gone back in time is noticed.

A replica that lagged is promoted, or an old snapshot restored: Redis then calls rows *claimed* that
were sent since, and has replies in its outbox that customers have got. So each write of rows that
are about to be sent has a number that only grows, and PHP is told of it about once a second. After
each restart and each failover nothing is sent (``lua/redis/epoch.lua``) until a worker has compared
the two (``workers/sending/epoch_watch.py``).
"""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, cast

from sidecar.clock import now_ms
from sidecar.redis import keys
from sidecar.redis.client import Hash, Redis

#: Claims and results take the number along to PHP this often: results go once a second.
CARRIED_EVERY_S = 0.9

#: A Redis that has gone back in time is named for so long.
NAMED_MS = 86_400_000


class Why(StrEnum):
    """Why Redis is said to have gone back in time.

    - ``behind``: PHP or a worker knows of sends that Redis does not;
    - ``failover``: a replica took over, and nothing says that it had everything.
    """

    BEHIND = "behind"
    FAILOVER = "failover"


@dataclass(frozen=True, slots=True)
class WentBack:
    """Redis has gone back in time, which was found ``at`` (times are unix ms): from the last write
    that is known of (``known_at``) to the last that it has (``kept_at``; 0: it has none). ``rows``
    of campaigns and ``replies`` count as being sent since then."""

    at: int
    kept_at: int
    known_at: int
    why: Why
    rows: int
    replies: int

    @property
    def by_s(self) -> float:
        """How far, as far as is known."""
        return max(0, self.known_at - self.kept_at) / 1000 if self.kept_at else 0.0


@dataclass(frozen=True, slots=True)
class Epoch:
    """``run``: the id of this run of Redis. ``compared``: the run that was compared last; None:
    nothing was ever sent. ``failed_over``: a replica has taken over since then. ``begun`` is the
    number of the last write of rows about to be sent."""

    run: str
    compared: str | None
    failed_over: bool
    begun: int
    went_back: WentBack | None

    @property
    def unchecked(self) -> bool:
        """Whether nothing is sent until it is compared."""
        return self.compared is not None and self.compared != self.run

    def went_back_lately(self, now: int) -> WentBack | None:
        """Return what people are to know. ``now``: unix ms."""
        back = self.went_back
        return back if back is not None and now - back.at < NAMED_MS else None

    @classmethod
    def load(cls, replication: Mapping[str, Any], kept: Hash) -> "Epoch":
        """Return what ``INFO replication`` and the hash say."""
        number = {name.decode(): int(value) for name, value in kept.items() if value.isdigit()}
        went_back = None
        if b"back_why" in kept:
            went_back = WentBack(
                at=number["back_at"],
                kept_at=number["back_from"],
                known_at=number["back_to"],
                why=Why(kept[b"back_why"].decode()),
                rows=number["back_rows"],
                replies=number["back_replies"],
            )
        compared = kept.get(b"run")
        run = str(replication["master_replid"])
        # Who was a replica names the primary that it followed last. There may have been more of
        # them since the one that was compared.
        followed = str(replication.get("master_replid2", "")).strip("0") != ""
        unchecked = compared is not None and compared.decode() != run
        return cls(
            run=run,
            compared=None if compared is None else compared.decode(),
            failed_over=unchecked and (followed or b"failed_over" in kept),
            begun=number.get("begun", 0),
            went_back=went_back,
        )


@dataclass(slots=True)
class Begun:
    """The last write of rows about to be sent that this process knows of, and when it was (unix
    ms); and what of it PHP was told."""

    number: int = 0
    at: int = 0
    _told: int = 0
    _telling_since: float = -math.inf

    def note(self, number: int) -> None:
        if number > self.number:
            self.number, self.at = number, now_ms()

    def is_news(self, every_s: float) -> bool:
        """Return whether PHP is to be told, if it is told this often."""
        return self.number > self._told and time.monotonic() >= self._telling_since + every_s

    def telling(self) -> tuple[int, int]:
        """Return number and time for a call to PHP that begins now."""
        self._telling_since = time.monotonic()
        return self.number, self.at

    def told(self, number: int) -> None:
        """Note that PHP has a number."""
        self._told = max(self._told, number)

    def due(self) -> tuple[int, int] | None:
        """Return what a claim or results take along to PHP, which :meth:`told` is told of then."""
        return self.telling() if self.is_news(CARRIED_EVERY_S) else None


#: A Redis that has never sent.
NEW = Epoch(run="", compared=None, failed_over=False, begun=0, went_back=None)


async def read_epoch(redis: Redis) -> Epoch:
    pipeline = redis.pipeline(transaction=False)
    pipeline.info("replication")
    pipeline.hgetall(keys.EPOCH)
    replication, kept = await pipeline.execute()
    return Epoch.load(replication, cast(Hash, kept))


async def remember_failover(redis: Redis) -> None:
    """Note that a replica took over. A restart before Redis is compared would hide it."""
    await redis.hset(keys.EPOCH, "failed_over", "1")
