"""The simulated Pusher."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from simulator.outside.app import Outside, json_answer, read_object, running
from simulator.pusher.events import PusherRefused, Triggered, read_batch, read_event
from simulator.pusher.signature import Signed, fault_of

_BATCHES = "/apps/{app_id}/batch_events"


class Pusher(Outside[Triggered]):
    """One app. ``clock`` gives unix seconds. ``batches`` counts batches that were taken."""

    paths = ("/apps/{app_id}/events", _BATCHES)

    def __init__(
        self,
        app_id: str = "1001",
        key: str = "simulated-key",
        secret: str = "simulated-secret",
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__()
        self.app_id = app_id
        self.key = key
        self.secret = secret
        self.batches = 0
        self._clock = clock

    @property
    def events(self) -> list[Triggered]:
        return self.requests

    async def handle(self, request: Request, body: bytes) -> Response:
        try:
            self._check(request, body)
            asked = read_object(body)
            if request.url.path.endswith("/batch_events"):
                taken = read_batch(asked, self.batches + 1)
                self.batches += 1
            else:
                taken = [read_event(asked, None)]
        except PusherRefused as refused:
            return json_answer(orjson.dumps({"error": str(refused)}), refused.status)
        self.requests += taken
        return json_answer(b"{}")

    def _check(self, request: Request, body: bytes) -> None:
        if request.path_params["app_id"] != self.app_id:
            raise PusherRefused(404, f"there is no app {request.path_params['app_id']!r}")
        path = request.scope["raw_path"].decode("latin-1")
        query = dict(request.query_params)
        signed = Signed(request.method, path, query, body)
        fault = fault_of(signed, self.key, self.secret, self._clock())
        if fault is not None:
            raise PusherRefused(401, fault)

    def kept_as_json(self, kept: Triggered) -> Any:
        return asdict(kept)

    def report(self) -> dict[str, Any]:
        return {**super().report(), "events": len(self.requests), "batches": self.batches}


@asynccontextmanager
async def simulating_pusher(
    app_id: str = "1001", key: str = "simulated-key", secret: str = "simulated-secret"
) -> AsyncIterator[Pusher]:
    """Serve an app on a free port while the context is open."""
    async with running(Pusher(app_id, key, secret)) as pusher:
        yield pusher
