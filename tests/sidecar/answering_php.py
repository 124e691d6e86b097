"""A PHP side that answers what a test wants, and remembers what it was asked.

What it answers and what it is asked is held against the OpenAPI document of the PHP side, and
every internal call must be signed.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import web

from contracts.campaigns import CampaignState, allows_write
from contracts.cloud_api.webhook import verify_token
from contracts.signing import Audience, SignatureRefused, Verifier
from tests import trust
from tests.contracts.conformance import assert_conforms, assert_request_conforms, load

DOCUMENT = load("backend")

Answer = web.Response
Override = Callable[["Call"], Answer | None]
Webhook = Callable[["web.Request", "Call"], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Call:
    """One request as it arrived. ``target`` is the path with its query, as it was sent."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)


@dataclass
class Php:
    """``vendors`` by uid, as ``vendor-config`` gives them; ``bots`` by uid, as ``bots`` does;
    ``campaigns`` by uid, as ``due-campaigns`` does; ``unknown`` as ``unknown-messages`` does.
    ``histories`` of vendors' modes by uid, of which the last change is what holds; ``pending``
    webhooks, as often as they are counted. ``override`` may answer a call instead. ``webhook``
    answers webhooks, which PHP gets where it handles them. While ``open`` is not set, answers
    wait."""

    vendors: dict[str, dict[str, Any]] = field(default_factory=dict)
    bots: dict[str, dict[str, Any]] = field(default_factory=dict)
    campaigns: dict[str, dict[str, Any]] = field(default_factory=dict)
    unknown: list[dict[str, Any]] = field(default_factory=list)
    histories: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    modes_version: int = 0
    pending: list[int] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    override: Override | None = None
    webhook: Webhook | None = None
    url: str = ""
    problems: list[str] = field(default_factory=list)
    open: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self._verifier = Verifier(Audience.BACKEND, {trust.KEY_ID: trust.SIGNING_SECRET.encode()})
        self._runner: web.AppRunner | None = None
        self._port = 0
        self.open.set()

    def add_vendor(self, uid: str, *app_secrets: str) -> str:
        self.vendors[uid] = {"vendor_uid": uid, "app_secrets": list(app_secrets)}
        return uid

    def add_bots(self, uid: str, *triggers: str, vendor_id: int | None = None) -> None:
        """Have the vendor's bots be one for each trigger, named after it: ``is``, or ``welcome``
        where the trigger is empty."""
        bots = [
            {
                "bot_uid": f"bot-{trigger}",
                "trigger_type": "is" if trigger else "welcome",
                "reply_trigger": trigger or None,
            }
            for trigger in triggers
        ]
        self.bots[uid] = {"vendor_uid": uid, "vendor_id": vendor_id, "bots": bots}

    def add_campaign(self, uid: str, vendor_uid: str, **values: Any) -> str:
        self.campaigns[uid] = {"campaign_uid": uid, "vendor_uid": vendor_uid, **values}
        return uid

    def asked(self, path: str) -> list[Call]:
        """Return the calls whose target begins with this."""
        return [call for call in self.calls if call.target.startswith(path)]

    async def start(self) -> None:
        """Listen; after :meth:`stop` on the same port again."""
        app = web.Application(client_max_size=16 * 1024 * 1024)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, auto_decompress=False)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port, reuse_address=True)
        await site.start()
        self._port = self._runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{self._port}"

    async def stop(self) -> None:
        """Refuse connections from now on."""
        if self._runner is not None:
            self.open.set()
            await self._runner.cleanup()
            self._runner = None

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        call = Call(request.method, request.raw_path, dict(request.headers), await request.read())
        self.calls.append(call)
        await self.open.wait()
        if self.override is not None and (answer := self.override(call)) is not None:
            return answer
        if call.target.startswith("/internal/"):
            return self._internal(call)
        if call.method == "POST":
            return await self._webhook(request, call)
        return self._verification(request)

    @property
    def webhooks(self) -> list[Call]:
        """Return the webhooks that have come, as Meta sent them."""
        return [c for c in self.asked("/whatsapp-webhook/") if c.method == "POST"]

    async def _webhook(self, request: web.Request, call: Call) -> web.StreamResponse:
        if self.webhook is None:
            return web.Response(text="done")
        return await self.webhook(request, call)

    def _internal(self, call: Call) -> Answer:
        try:
            self._verifier.verify(call.method, call.target, call.headers, call.body)
            assert_request_conforms(DOCUMENT, call.method, call.target, call.json)
            if self._forbids(call):
                return refusal(409, "campaign_cancelled")
            answer = self._answer(call)
            assert_conforms(DOCUMENT, call.method, call.target, 200, answer)
        except (AssertionError, SignatureRefused) as error:
            self.problems.append(f"{call.target}: {error}")
            return web.Response(status=500)
        return json_answer(answer)

    def _answer(self, call: Call) -> dict[str, Any]:
        match call.target.rpartition("/")[2]:
            case "vendor-config":
                uids = call.json["vendor_uids"]
                return {
                    "vendors": [self.vendors[uid] for uid in uids if uid in self.vendors],
                    "unknown": [uid for uid in uids if uid not in self.vendors],
                }
            case "bots":
                uids = call.json.get("vendor_uids", [])
                ids = call.json.get("vendor_ids", [])
                found = self.bots.values()
                named = [b for b in found if b["vendor_uid"] in uids or b["vendor_id"] in ids]
                return {"vendors": named}
            case "due-campaigns":
                uids = call.json.get("campaign_uids", list(self.campaigns))
                return {"campaigns": [self.campaigns[u] for u in uids if u in self.campaigns]}
            case "release-messages":
                campaign = self.campaigns[call.json["campaign_uid"]]
                campaign["state"] = call.json["campaign_state"]
                campaign["reason"] = call.json.get("reason")
                return {"released": 0}
            case "modes":
                return self._modes(call.json)
            case "pending-webhooks":
                return {"webhooks": [], "pending": self.pending.pop(0) if self.pending else 0}
            case "unknown-messages":
                return {"messages": self.unknown, "next": None}
        raise AssertionError("nobody expected this call")

    def _forbids(self, call: Call) -> bool:
        if not call.target.endswith("/release-messages"):
            return False
        now = CampaignState(self.campaigns[call.json["campaign_uid"]].get("state", "running"))
        wanted = CampaignState(call.json["campaign_state"])
        return not allows_write(now, wanted, restart=call.json.get("restart", False))

    def _modes(self, request: dict[str, Any]) -> dict[str, Any]:
        if changes := request.get("changes", []):
            assert request["version"] == self.modes_version
            self.modes_version += 1
        for change in changes:
            uid = change.pop("vendor_uid")
            before = self.modes_of(uid)
            after = before | {name: mode for name, mode in change.items() if mode}
            said = {"by": request["by"], "reason": request["reason"], "before": before}
            past = {"at": 1, "version": self.modes_version, "after": after, **said}
            self.histories.setdefault(uid, []).append(past)
        vendors = []
        for uid in self.vendors:
            history = self.histories.get(uid, []) if request.get("history") else []
            modes = self.modes_of(uid)
            vendors.append({"vendor_uid": uid, "title": None, "modes": modes, "history": history})
        return {"version": self.modes_version, "vendors": vendors}

    def modes_of(self, uid: str) -> dict[str, str]:
        past = self.histories.get(uid)
        default = dict.fromkeys(("webhooks", "campaigns", "bots"), "php")
        return dict(past[-1]["after"]) if past else default

    def _verification(self, request: web.Request) -> Answer:
        vendor_uid = request.path.rpartition("/")[2]
        query = request.query
        right = query.get("hub.verify_token") == verify_token(vendor_uid)
        if right and vendor_uid in self.vendors:
            return web.Response(text=query["hub.challenge"])
        return web.Response(status=403, text="Forbidden")


def json_answer(value: Any, status: int = 200) -> Answer:
    return web.Response(status=status, body=orjson.dumps(value), content_type="application/json")


def refusal(status: int, code: str) -> Answer:
    return json_answer({"error": {"code": code, "message": "as the test wants it"}}, status)
