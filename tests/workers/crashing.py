"""A worker process whose power can be cut, or that stands still, in the middle of anything.

What it does to the outside (a command of Redis, a call to PHP, a send) is an operation. At the
n-th one, before it or after it was done, the power goes: nothing gets out any more and no answer
comes in; its tasks are then dropped, and with nothing to reach they can tidy nothing up.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import ContextVar
from typing import Any, TypeVar

from sidecar.php.client import Backend
from sidecar.redis.client import Redis, connect
from tests.workers import php as php_side
from tests.workers.stage import Stage
from workers.sending.cloud_api import CloudApi

T = TypeVar("T")

_process: ContextVar["Process | None"] = ContextVar("process", default=None)


class Process:
    """One worker process, which sends a campaign of :class:`Stage`.

    ``fails_at``: number of the operation at which it fails, or 0; ``done``: whether that
    operation is done all the same. ``failed`` is set then. ``operations`` counts them.
    """

    def __init__(self, stage: Stage, redis_url: str, fails_at: int = 0, *, done: bool) -> None:
        self.stage = stage
        self.operations = 0
        self.failed = asyncio.Event()
        self._fails_at = fails_at
        self._done = done
        self._goes_on = asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._main: asyncio.Task[bool] | None = None
        self.redis = self._plugged_redis(redis_url)
        self.backend = self._plugged_backend(stage)
        self.cloud_api = self._plugged_cloud_api(stage)

    async def start(self) -> None:
        """Begin to send."""
        loop: Any = asyncio.get_running_loop()
        loop.set_task_factory(_make_task)
        _process.set(self)
        self._main = asyncio.create_task(self._send())
        _process.set(None)

    async def ended_or_failed(self) -> None:
        """Wait until it has sent everything, or its time has come."""
        assert self._main is not None
        failed = asyncio.create_task(self.failed.wait())
        await asyncio.wait([self._main, failed], return_when=asyncio.FIRST_COMPLETED)
        failed.cancel()

    def fail(self) -> None:
        """Cut the power now, or stand still."""
        self.failed.set()

    def go_on(self) -> None:
        """Go on after standing still."""
        self._goes_on.set()

    async def end(self) -> bool:
        """Wait until it has ended by itself. Return what the actor does: whether somebody is to be
        woken for the rest."""
        assert self._main is not None
        more = await asyncio.wait_for(self._main, 20)
        await self._close()
        return more

    async def drop(self) -> None:
        """Drop what is left of it, as the kernel does."""
        while left := [task for task in self._tasks if not task.done()]:
            for task in left:
                task.cancel()  # and whatever it awaits to tidy up
            await asyncio.sleep(0)
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._close()

    async def _close(self) -> None:
        await self.redis.aclose()
        await self.backend.close()
        await self.cloud_api.close()

    async def _send(self) -> bool:
        async with self.stage.holding(redis=self.redis) as lease:
            if lease is None:
                return False  # it stood still before it had it
            run = self.stage.make_run(lease, self)
            return await run.run()

    async def _operate(self, operation: Callable[[], Awaitable[T]]) -> T:
        self.operations += 1
        mine = self.operations == self._fails_at
        if mine and not self._done:
            self.fail()
        await self._powered()
        answer = await operation()
        if mine and self._done:
            self.fail()
        await self._powered()
        return answer

    async def _powered(self) -> None:
        if self.failed.is_set():
            await self._goes_on.wait()

    def _plug(self, function: Callable[..., Awaitable[T]]) -> Callable[..., Coroutine[Any, Any, T]]:
        def plugged(*args: Any, **more: Any) -> Coroutine[Any, Any, T]:
            return self._operate(lambda: function(*args, **more))

        return plugged

    def _plugged_redis(self, url: str) -> Redis:
        client: Any = connect(url, timeout_s=5.0)
        make_pipeline = client.pipeline

        def pipeline(*args: Any, **more: Any) -> Any:
            made = make_pipeline(*args, **more)
            made.execute = self._plug(made.execute)
            return made

        client.execute_command = self._plug(client.execute_command)
        client.pipeline = pipeline
        plugged: Redis = client
        return plugged

    def _plugged_backend(self, stage: Stage) -> Backend:
        backend: Any = php_side.client(stage.php.url, timeout_s=stage.settings.backend_timeout_s)
        backend._exchange = self._plug(backend._exchange)
        plugged: Backend = backend
        return plugged

    def _plugged_cloud_api(self, stage: Stage) -> CloudApi:
        api: Any = CloudApi(stage.cloud.url, "v26.0", timeout_s=stage.settings.send_timeout_s)
        api.send = self._plug(api.send)
        plugged: CloudApi = api
        return plugged


def _make_task(
    loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, T], **more: Any
) -> asyncio.Task[T]:
    """Make a task that belongs to the process which made it."""
    task = asyncio.Task(coroutine, loop=loop, **more)
    process = _process.get()
    if process is not None:
        process._tasks.add(task)
    return task
