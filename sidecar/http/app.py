"""The HTTP application."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, cast

import structlog
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from contracts import sidecar_api as api
from contracts.jobs import drain
from contracts.signing import Audience, Verifier
from sidecar.bots.cache import make_bots
from sidecar.effects.outbox import make_outbox
from sidecar.http.front import Front
from sidecar.http.proxy import Proxy
from sidecar.http.routes.campaigns import Campaigns
from sidecar.http.routes.effects import EffectsEndpoint
from sidecar.http.routes.match_bot import MatchBot
from sidecar.http.routes.metrics import Metrics
from sidecar.http.routes.modes import ModesEndpoint
from sidecar.http.routes.ping import Ping
from sidecar.http.routes.shadow import ShadowEndpoint
from sidecar.http.signed_route import Internal, parse
from sidecar.http.verification import Verification
from sidecar.http.webhook import WebhookEndpoint, WebhookPolicy
from sidecar.inbox.store import Inbox
from sidecar.inbox.wakeups import WakeUpBroker, Wakeups
from sidecar.migration.cutover import Cutover
from sidecar.notify.notifier import make_notifier
from sidecar.ops.audit import Audit
from sidecar.ops.publisher import Telemetry
from sidecar.php.client import make_backend
from sidecar.php.config_feed import ConfigChanges
from sidecar.php.vendors import Vendors, make_vendors
from sidecar.redis import keys
from sidecar.redis.client import Members, Redis, RedisUnavailable, connect
from sidecar.redis.replicas import Replicas, with_replicas
from sidecar.sending.campaign_control import CampaignControl
from sidecar.settings import Settings, dramatiq_url
from sidecar.shadow.recorder import ShadowRecorder
from sidecar.spans import make_exporter
from sidecar.tasks import cancel, keep_running

log = structlog.get_logger()


def create_app(settings: Settings, redis_url: str) -> Front:
    """Return the application. ``redis_url`` is where the inbox is."""
    timeout_s = settings.inbox_write_timeout_ms / 1000
    redis = connect(redis_url, timeout_s=timeout_s)
    replicas = with_replicas(redis, settings)
    wakeups = Wakeups(WakeUpBroker(dramatiq_url(settings, redis_url), timeout_s=timeout_s))
    backend = make_backend(settings)
    vendors = make_vendors(settings, backend)
    inbox = Inbox(
        redis,
        timeout_s=timeout_s,
        pending_limit_bytes=settings.inbox_pending_limit_bytes,
        wake=lambda lane: wakeups.send(drain(lane)),
        memory_share=settings.inbox_memory_share,
        vendor_share=settings.vendor_memory_share,
    )
    shadow = ShadowRecorder(redis, memory_share=settings.inbox_memory_share)
    proxy = Proxy(
        settings.backend_url,
        timeout_s=settings.proxy_timeout_s,
        concurrency=settings.proxy_concurrency,
        limit_bytes=settings.proxy_pending_limit_bytes,
    )
    policy = WebhookPolicy.of(settings)
    verification = Verification(backend, settings.backend_url)
    webhook = WebhookEndpoint(policy, vendors, verification, inbox, proxy, shadow)
    mirrored = ShadowEndpoint(policy, vendors, shadow)
    verifier = Verifier(Audience.SIDECAR, settings.signing_secrets, settings.signing_window_s)
    internal = Internal(verifier, redis)
    control = CampaignControl(redis, backend, vendors, wakeups.send)
    audit = Audit(redis, settings.audit_entries)
    campaigns = Campaigns(control, audit)
    effects = EffectsEndpoint(make_outbox(settings, redis), vendors, wakeups)
    bots = make_bots(settings, backend)
    changes = ConfigChanges(
        redis, {api.InvalidateScope.SETTINGS: vendors, api.InvalidateScope.BOTS: bots}
    )
    modes = ModesEndpoint(partial(Cutover, settings, redis, backend, changes), audit)

    def facts() -> dict[str, Any]:
        """Return what operators want to know about this process (sidecar/ops/processes.py)."""
        return {
            "php_failures": backend.failures.report(),
            "wakeups": wakeups.failing,
            "replicas": replicas and replicas.missing,
        }

    telemetry = Telemetry(redis, "serve", facts)
    notifier = make_notifier(settings, redis, redis_url, backend, stand_by=True)
    exporter = make_exporter(settings.otlp_url, settings.otlp_share, "serve")

    console_redis: Redis | None = None
    console_routes: list[BaseRoute] = []
    if settings.console:
        # Of its own: webhooks never wait for a connection that a page has, nor a page as little.
        console_redis = connect(redis_url, timeout_s=5.0, max_connections=16)
        # Loaded only where it is on: nothing else needs templates or sign-in.
        from sidecar.console.app import make_console
        from sidecar.console.console import Console

        console_routes = make_console(
            Console(
                settings=settings,
                redis=console_redis,
                redis_url=redis_url,
                backend=backend,
                vendors=vendors,
                control=control,
                wakeups=wakeups,
                changes=changes,
            )
        )

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        signature = settings.webhook_signature
        log.info("serve.started", backend=settings.backend_url, signature=signature)
        await changes.look()  # before anything is asked for
        await internal.begin()
        await _meet(vendors, redis)
        background = [
            keep_running(changes.run, "configuration"),
            keep_running(internal.run, "nonces"),
            keep_running(telemetry.run, "telemetry"),
        ]
        if notifier is not None:
            background.append(keep_running(notifier.run, "notifier"))
        if exporter is not None:
            background.append(keep_running(exporter.run, "spans"))
        try:
            yield
        finally:
            await cancel(background)
            if notifier is not None:
                await notifier.close()
            if exporter is not None:
                await exporter.close()
            await control.close()
            await proxy.close()
            await inbox.close()
            await shadow.close()
            await telemetry.close()
            wakeups.close()
            await bots.close()
            await vendors.close()
            await backend.close()
            if replicas is not None:
                await replicas.close()
            await redis.aclose()
            if console_redis is not None:
                await console_redis.aclose()
            log.info("serve.stopped")

    app = Front(
        webhook,
        routes=[
            *(Route(path, webhook, methods=["GET", "POST"]) for path in api.WEBHOOK_PATHS),
            Route(api.SHADOW_WEBHOOK, mirrored, methods=["POST"]),
            Route(api.CAMPAIGN_SEND, internal.route(campaigns.send), methods=["POST"]),
            Route(
                api.CAMPAIGN_PAUSE, internal.route(campaigns.pause, stops=True), methods=["POST"]
            ),
            Route(api.CAMPAIGN_RESUME, internal.route(campaigns.resume), methods=["POST"]),
            Route(
                api.CAMPAIGN_CANCEL, internal.route(campaigns.cancel, stops=True), methods=["POST"]
            ),
            Route(api.CAMPAIGN, internal.route(campaigns.show), methods=["GET"]),
            Route(api.INVALIDATE, internal.route(_Invalidation(changes).take), methods=["POST"]),
            Route(api.MATCH_BOT, internal.route(MatchBot(bots).match), methods=["POST"]),
            Route(api.EFFECTS, internal.route(effects.take), methods=["POST"]),
            Route(api.MODES, internal.route(modes.change), methods=["POST"]),
            Route(api.PING, internal.route(Ping(redis).answer), methods=["POST"]),
            Route(api.HEALTHZ, _healthz, methods=["GET"]),
            Route(api.READYZ, _Readiness(redis, replicas).show, methods=["GET"]),
            Route(
                api.METRICS, Metrics(redis, telemetry, settings, redis_url).show, methods=["GET"]
            ),
            *console_routes,
        ],
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    app.state.inbox = inbox
    app.state.webhook = webhook
    app.state.shadow = shadow
    return app


async def _meet(vendors: Vendors, redis: Redis) -> None:
    """Make vendors known whose webhooks have arrived before."""
    with suppress(*RedisUnavailable):
        found = cast(Members, await redis.smembers(keys.VENDORS))
        vendors.meet(member.decode() for member in found)


class _Invalidation:
    def __init__(self, changes: ConfigChanges) -> None:
        self._changes = changes

    async def take(self, request: Request, body: bytes) -> api.InvalidateAnswer:
        """Announce the change, and answer when every process will learn of it."""
        await self._changes.announce(parse(api.InvalidateRequest, body))
        return api.InvalidateAnswer()


async def _healthz(request: Request) -> Response:
    """Answer 200: the process runs and its event loop is not stuck."""
    return JSONResponse({"status": "ok", "checks": {}})


class _Readiness:
    def __init__(self, redis: Redis, replicas: Replicas | None) -> None:
        self._redis = redis
        self._replicas = replicas

    async def show(self, request: Request) -> Response:
        """Answer 200 if webhooks can be accepted: Redis answers and takes writes, and replicas
        have them if they must."""
        reason = self._replicas and self._replicas.refusal
        try:
            await self._redis.set(keys.PROBE, 1, ex=60)
        except RedisUnavailable as error:
            reason = str(error) or type(error).__name__
        if reason:
            checks = {"redis": reason}
            return JSONResponse({"status": "unavailable", "checks": checks}, 503)
        return JSONResponse({"status": "ok", "checks": {"redis": "ok"}})
