"""Looks at the stack while it is attacked: when the victim's messages are in the database, and how
much memory Redis uses."""

import time
from threading import Event, Thread
from types import TracebackType
from typing import Self

import redis

from simulator.adversary.stage import AdversaryStage
from simulator.stack.database import SqlError

_LOOK_S = 0.05

_ROWS = """
SELECT wamid FROM whatsapp_message_logs
WHERE vendors__id = ? AND is_incoming_message = 1"""


class Watch:
    """Use as a context manager. ``seen_at`` are the victim's messages by wamid, in unix seconds,
    ``redis_bytes`` the most that Redis has used."""

    def __init__(self, stage: AdversaryStage, vendor_id: int) -> None:
        self._database = stage.installation.mariadb.connect()
        self._redis = stage.redis()
        self._vendor_id = vendor_id
        self._over = Event()
        self._thread = Thread(target=self._run, name="watch", daemon=True)
        self.seen_at: dict[str, float] = {}
        self.redis_bytes = 0

    def __enter__(self) -> Self:
        self._look()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()
        self._database.close()
        self._redis.close()

    def _run(self) -> None:
        while not self._over.wait(_LOOK_S):
            self._look()

    def _look(self) -> None:
        try:
            rows = self._database.rows(_ROWS, [self._vendor_id])
            used = self._redis.info("memory")["used_memory"]
        except (SqlError, redis.RedisError):
            return  # a part has ended by itself; the verdict will say so
        now = time.time()
        for row in rows:
            self.seen_at.setdefault(row["wamid"], now)
        self.redis_bytes = max(self.redis_bytes, int(used))
