"""Whether this worker leaves PHP's work to others: PHP does not answer it, and may answer them.

Where a single host is cut off from PHP, its leases on lanes and campaigns would keep the other
hosts from going on. So a worker that PHP has not answered for a while, and does not answer a probe,
gives them up, if another one has the same queues and does not say so of itself. It takes part again
when PHP answers it, or nobody else is left. If PHP is away for all, at most one of them steps
aside, and nothing is lost by it.
"""

import asyncio
import os
import socket
from collections.abc import Callable

from sidecar.logs import LogOnce
from sidecar.ops.processes import read_processes
from sidecar.php.client import Backend
from sidecar.redis.client import Redis, RedisUnavailable
from sidecar.tasks import tick

#: How often it looks.
LOOK_S = 1.0
#: For so long nothing of PHP's has worked: restarts of PHP, and its slow answers, are no reason.
AWAY_S = 5.0


class Aside:
    """``queues`` are the process's. ``stepped`` is set while it leaves its work to others, and
    ``leave`` is called when it begins to."""

    def __init__(
        self,
        redis: Redis,
        backend: Backend,
        queues: tuple[str, ...],
        stepped: asyncio.Event,
        leave: Callable[[], None],
    ) -> None:
        self._redis = redis
        self._backend = backend
        self._queues = set(queues)
        self._stepped = stepped
        self._leave = leave
        self._log = LogOnce("worker.stepped_aside")

    @property
    def php_away(self) -> bool:
        """Whether nothing of PHP's works for this process, as far as it knows."""
        return self._stepped.is_set() or self._backend.failures.away_s() >= AWAY_S

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await tick(LOOK_S)
            if self.php_away:
                await self.look()

    async def look(self) -> None:
        """Step aside, or take part again."""
        reason = await self._reason()
        if reason is None:
            self._log.worked()
            self._stepped.clear()
            return
        self._log.failed(reason)
        if not self._stepped.is_set():
            self._stepped.set()
            self._leave()

    async def _reason(self) -> str | None:
        """Return why this process has to step aside; None if it has not to."""
        if await self._backend.answers():
            return None
        try:
            others = await self._others()
        except RedisUnavailable:
            return None  # nobody can take anything over
        return f"PHP does not answer here, and may answer {others[0]}" if others else None

    async def _others(self) -> list[str]:
        """Return the workers that do the same and do not say that PHP is away."""
        me = (socket.gethostname(), os.getpid())
        return [
            one.name
            for one in await read_processes(self._redis)
            if one.alive and not one.php_away
            if self._queues <= set(one.queues) and (one.host, one.pid) != me
        ]
