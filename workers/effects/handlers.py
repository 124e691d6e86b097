"""The effect handlers of a worker process."""

from contracts.effects import EffectKind
from sidecar.effects.outbound import Outbound
from sidecar.php.client import Backend
from sidecar.settings import Settings
from workers.effects.ai_client import AiClient
from workers.effects.ai_reply import AiReplies
from workers.effects.broadcast import TIMEOUT_S, Broadcasts
from workers.effects.forward import Forwarder
from workers.effects.handler import Handler
from workers.effects.media import MediaFetcher, MediaPolicy, make_folder
from workers.effects.media_client import MediaClient
from workers.effects.pusher import Pusher
from workers.effects.reports import ai_answers, media_reports


def make_handlers(settings: Settings, backend: Backend) -> dict[EffectKind, Handler]:
    """Return a handler for every kind of effect but ``send_message``. Each has connections of its
    own, which the caller closes. ``backend`` stays open."""
    client = AiClient(Outbound(settings.outbound_allow), timeout_s=settings.ai_timeout_s)
    replies = AiReplies(
        client,
        ai_answers(backend),
        # Otherwise PHP would never learn of questions that are given up.
        max_attempts=min(settings.ai_max_attempts, settings.effect_max_attempts),
        at_once=settings.ai_concurrency,
    )
    forwarder = Forwarder(
        Outbound(settings.outbound_allow),
        timeout_s=settings.forward_timeout_s,
        at_once=settings.forward_concurrency,
    )
    broadcasts = Broadcasts(Pusher(Outbound.anywhere(), timeout_s=TIMEOUT_S))
    media = MediaFetcher(
        MediaClient(
            settings.cloud_api_url,
            settings.cloud_api_version,
            settings.media_hosts,
            timeout_s=settings.media_timeout_s,
        ),
        make_folder(settings),
        media_reports(backend),
        MediaPolicy.of(settings),
    )
    return {handler.kind: handler for handler in (replies, forwarder, broadcasts, media)}
