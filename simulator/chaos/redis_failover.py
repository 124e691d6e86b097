"""Failovers: Redis's primary is lost or cut off, and a replica takes its place."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from enum import StrEnum
from pathlib import Path
from typing import Any

import httpx
import redis

from contracts.cloud_api.webhook import SIGNATURE_HEADER, sign
from simulator.chaos.fault import Fault
from simulator.chaos.stage import Stage
from simulator.redis_group import PATIENCE_S, RedisGroup
from simulator.redis_server import RedisServer

RECOVERY_S = 15.0
_POLL_S = 0.05
#: What a webhook says that is about nothing.
_NOTHING = b'{"object":"whatsapp_business_account","entry":[]}'


class How(StrEnum):
    """What becomes of the primary."""

    #: SIGKILL, and its disk is thrown away.
    KILLED = "killed"
    #: SIGSTOP, and SIGCONT after another one has taken its place.
    HUNG = "hung"
    #: Neither Sentinels nor replicas reach it for a while; the sidecar and the workers do.
    ISOLATED = "isolated"


class FailoverStage(Stage):
    """The stage, on a group of Redis servers that Sentinels watch. After the primary has gone
    webhooks are to be taken, and messages sent, within ``recovery_s``."""

    def __init__(
        self,
        folder: Path,
        settings: dict[str, Any] | None = None,
        *,
        recovery_s: float = RECOVERY_S,
    ) -> None:
        super().__init__(folder, settings)
        self.recovery_s = recovery_s
        self.group = RedisGroup(folder / "group")

    def __exit__(self, *error: object) -> None:
        try:
            super().__exit__(*error)
        finally:
            self.group.__exit__(*error)

    def _start_redis(self) -> None:
        self.group.__enter__()
        self.installation.configure(redis_url=self.group.url)

    def redis(self, database: int = 0) -> "redis.Redis":
        return self.group.client(self.group.primary, database)

    def ended(self) -> list[str]:
        return super().ended() + self.group.ended()


class Failovers:
    """Brings failovers. ``vendor_uid`` is one whose webhooks the sidecar takes."""

    def __init__(self, stage: Stage, vendor_uid: str) -> None:
        assert isinstance(stage, FailoverStage), "there is one Redis only"
        self._group = stage.group
        self._recovery_s = stage.recovery_s
        self._installation = stage.installation
        self._vendor_uid = vendor_uid

    def bring(self, fault: Fault) -> dict[str, Any]:
        """Take the primary away, give the one that takes its place a new replica, and have the old
        one back. Return when there was another one, and when the sidecar took a webhook."""
        old = self._group.primary
        began = time.monotonic()
        with ThreadPoolExecutor(1) as threads, ExitStack() as cut_off:
            for context in self._cut_off(How(fault.target), old):
                cut_off.enter_context(context)
            self._group.wait_for_failover(old)
            switched_at = time.time()
            webhook_at = threads.submit(self._first_webhook)
            self._group.add_replica()
            webhook_at.result()
            time.sleep(max(0.0, began + fault.for_s - time.monotonic()))
        self._group.settle()
        return {
            "switched_at": switched_at,
            "webhook_at": webhook_at.result(),
            "recovery_s": self._recovery_s,
        }

    def _cut_off(self, how: How, old: RedisServer) -> Iterator[AbstractContextManager[None]]:
        if how is How.KILLED:
            self._group.lose(old)
        else:
            yield self._group.hung(old) if how is How.HUNG else self._group.isolated(old)

    def _first_webhook(self) -> float | None:
        """Return when the sidecar takes a webhook: itself, for nginx has PHP take it meanwhile."""
        sidecar = self._installation.processes["sidecar"]
        signature = sign(self._installation.APP_SECRET.encode(), _NOTHING)
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            try:
                answer = httpx.post(
                    f"{sidecar.url}/webhook/{self._vendor_uid}",
                    content=_NOTHING,
                    headers={SIGNATURE_HEADER: signature},
                    trust_env=False,
                )
            except httpx.HTTPError:
                continue  # no answer in time
            if answer.status_code == 200:
                return time.time()
            time.sleep(_POLL_S)
        return None
