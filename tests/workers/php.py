"""A PHP side that does as it is told, in front of a real one or alone.

Every request that it gets is held against the OpenAPI document of the backend.
"""

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import orjson
from aiohttp import web
from yarl import URL

from contracts import backend as contract
from contracts.signing import Audience, Signer
from sidecar.php.client import Backend
from tests import trust
from tests.contracts.conformance import assert_request_conforms, load

#: A larger request is not held against the document: that would take seconds.
_CONFORMANCE_LIMIT = 100_000


@dataclass(frozen=True, slots=True)
class Call:
    path: str
    body: bytes
    headers: dict[str, str]
    transport: asyncio.BaseTransport | None = field(default=None, repr=False, compare=False)
    #: Path and query as they came.
    target: str = ""

    @property
    def gone(self) -> bool:
        """Whether the caller has closed the connection."""
        return self.transport is None or self.transport.is_closing()

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)


@dataclass(frozen=True, slots=True)
class Answer:
    """``drop``: the connection is closed instead."""

    status: int = 200
    content: bytes = b""
    drop: bool = False


DROP = Answer(drop=True)
HTML_500 = Answer(500, b"<!DOCTYPE html><title>Server Error</title>")

#: Looks at a call, and answers it or leaves it (None) to the rule before.
Rule = Callable[[Call], Answer | Awaitable[Answer | None] | None]


def answer(value: Any, status: int = 200) -> Answer:
    return Answer(status, orjson.dumps(value))


def refusal(status: int, code: str) -> Answer:
    return answer({"error": {"code": code, "message": "a test said so"}}, status)


def results(call: Call, result: str = "done", **more: Any) -> Answer:
    """Answer a batch of updates or results of sends, all alike."""
    batch = call.json.get("updates") or call.json.get("results")
    ids = [one.get("id") or one["uid"] for one in batch]
    return answer({"results": [{"id": one, "result": result, **more} for one in ids]})


def wanting_again(*names: str, **more: Any) -> Rule:
    """Make a rule that takes all updates but those in which one of these names stands, and those
    that have to stay behind them."""

    def rule(call: Call) -> Answer | None:
        if call.path != contract.PROCESS_WEBHOOKS:
            return None
        given = []
        stuck = set()
        for update in call.json["updates"]:
            order = update.get("order")
            again = any(name in str(update["payload"]) for name in names) or order in stuck
            if again and order is not None:
                stuck.add(order)
            word = {"result": "retry", "reason": "locked", **more} if again else {"result": "done"}
            given.append({"id": update["id"], **word})
        return answer({"results": given})

    return rule


@dataclass
class Php:
    """``rules`` are asked, the last one first; what none of them answers is done: by the backend
    that stands behind, or else as if it were done."""

    behind: str | None = None
    url: str = ""
    calls: list[Call] = field(default_factory=list, repr=False)
    rules: list[Rule] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0
    #: The ids of the messages and statuses that were answered as done, in order.
    taken: list[str] = field(default_factory=list)
    _runner: web.ServerRunner | None = None
    _session: aiohttp.ClientSession | None = None

    def to(self, path: str) -> list[Call]:
        """Return the calls to an endpoint."""
        return [call for call in self.calls if call.path == path]

    @property
    def wamids(self) -> list[str]:
        """The ids of the messages and statuses that came, in order."""
        return [_wamid(update) for batch in self.batches for update in batch]

    @property
    def batches(self) -> list[list[Any]]:
        """The updates of every batch that came."""
        return [call.json["updates"] for call in self.to(contract.PROCESS_WEBHOOKS)]

    def when(self, path: str, rule: Rule) -> Rule:
        """Have a rule asked for one endpoint. Returns what to give to :meth:`forget`."""

        def only(call: Call) -> Any:
            return rule(call) if call.path == path else None

        self.rules.append(only)
        return only

    def always(self, path: str, given: Answer) -> Rule:
        return self.when(path, lambda _call: given)

    def once(self, path: str, given: Answer) -> None:
        """Answer the next call so."""
        left = [given]
        self.when(path, lambda _call: left.pop() if left else None)

    def do_and_drop(self, path: str, times: int = 1) -> None:
        """Do what the next calls ask for, and lose the answers."""
        left = [DROP] * times

        async def rule(call: Call) -> Answer | None:
            if not left:
                return None
            left.pop()
            await self._forward(call)
            return DROP

        self.when(path, rule)

    def forget(self, rule: Rule) -> None:
        self.rules.remove(rule)

    async def start(self) -> None:
        """Listen, on the port that it had before if it had one."""
        port = int(self.url.rpartition(":")[2]) if self.url else 0
        self._session = aiohttp.ClientSession(auto_decompress=False)
        self._runner = web.ServerRunner(web.Server(self._handle), shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", port, reuse_address=True)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        """Refuse connections from now on."""
        if self._runner is not None and self._session is not None:
            await self._runner.cleanup()
            await self._session.close()
            self._runner = self._session = None

    def assert_conforms(self) -> None:
        document = load("backend")
        for call in self.calls:
            if len(call.body) > _CONFORMANCE_LIMIT:
                continue
            raw = call.path.startswith("/internal/process-webhook/")
            body = call.body if raw else call.json
            assert_request_conforms(document, "POST", call.path, body)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.read()
        target = request.raw_path
        path = target.partition("?")[0]
        call = Call(path, body, dict(request.headers), request.transport, target)
        self.calls.append(call)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            given = await self._answer(call)
        finally:
            self.at_once -= 1
        if given.drop and request.transport is not None:
            request.transport.abort()
        elif given.status == 200 and call.path == contract.PROCESS_WEBHOOKS:
            self.taken += _taken(call, given)
        return web.Response(status=given.status, body=given.content)

    async def _answer(self, call: Call) -> Answer:
        for rule in reversed(self.rules):
            given = rule(call)
            if inspect.isawaitable(given):
                given = await given
            if given is not None:
                return given
        return await self._forward(call)

    async def _forward(self, call: Call) -> Answer:
        if self.behind is None:
            return _done(call)
        assert self._session is not None
        headers = {
            name: value
            for name, value in call.headers.items()
            if name.lower().startswith("x-") or name.lower() == "content-type"
        }
        async with self._session.post(
            URL(self.behind + call.target, encoded=True), data=call.body, headers=headers
        ) as response:
            return Answer(response.status, await response.read())


def _wamid(update: Any) -> str:
    value = update["payload"]["entry"][0]["changes"][0]["value"]
    [one] = value.get("messages") or value.get("statuses") or [{"id": ""}]
    found: str = one["id"]
    return found


def _taken(call: Call, given: Answer) -> list[str]:
    """Return the ids of what was taken, if the answer is one."""
    try:
        done = {
            one["id"] for one in orjson.loads(given.content)["results"] if one["result"] == "done"
        }
        return [_wamid(update) for update in call.json["updates"] if update["id"] in done]
    except (ValueError, KeyError, TypeError, AttributeError):
        return []  # it is no answer, or about what has no id


def _done(call: Call) -> Answer:
    if call.path in (contract.PROCESS_WEBHOOKS, contract.UPDATE_MESSAGE_STATUSES):
        return results(call)
    if call.path == contract.RELEASE_MESSAGES:
        return answer({"released": len(call.json.get("row_uids", []))})
    if call.path == contract.CLAIM_MESSAGES:
        return answer({"rows": []})
    if call.path == contract.DUE_CAMPAIGNS:
        return answer({"campaigns": []})
    if call.path == contract.EPOCH:
        return answer({"epoch": call.json["epoch"]})
    return answer({"id": "", "result": "done"})


def client(url: str, *, timeout_s: float = 5.0) -> Backend:
    """Return the workers' client of a PHP side."""
    signer = Signer(Audience.BACKEND, trust.KEY_ID, trust.SIGNING_SECRET.encode())
    return Backend(url, signer, timeout_s=timeout_s)


@asynccontextmanager
async def running(behind: str | None = None) -> AsyncIterator[Php]:
    """Run one, and check at the end what it was asked."""
    php = Php(behind)
    await php.start()
    try:
        yield php
    finally:
        await php.stop()
    php.assert_conforms()


async def hang(call: Call) -> Answer:
    """Answer nothing, until the caller has gone."""
    while not call.gone:
        await asyncio.sleep(0.01)
    return DROP
