"""Notifications by HTTP: signed JSON, or a Slack message. The operator's URL may lead anywhere."""

from collections.abc import Callable

import orjson
from yarl import URL

from contracts.notifications import Notification
from contracts.signing import Audience, Signer
from sidecar.effects.outbound import Outbound, OutboundFailed, OutboundRefused
from sidecar.notify.target import TIMEOUT_S, NotTaken
from sidecar.notify.text import body, title

#: Longest text of a Slack message, in characters.
MAX_TEXT = 3000

#: Makes of a notification the body and the headers of the post.
Made = Callable[[Notification], tuple[bytes, dict[str, str]]]


class PostTarget:
    """A URL that is posted to. It is named nowhere, because it may hold a token."""

    def __init__(self, url: str, make: Made, outbound: Outbound | None = None) -> None:
        self._url = url
        self._make = make
        self._outbound = outbound or Outbound.anywhere()

    async def send(self, notification: Notification) -> None:
        content, headers = self._make(notification)
        try:
            reply = await self._outbound.post(self._url, content, headers, timeout_s=TIMEOUT_S)
        except (OutboundFailed, OutboundRefused) as error:
            raise NotTaken(str(error)) from None
        if not 200 <= reply.status < 300:
            raise NotTaken(f"{URL(self._url).host} answers {reply.status}")

    async def close(self) -> None:
        await self._outbound.close()


def signed(url: str, key_id: str, secret: bytes) -> Made:
    """Return what makes signed JSON (:mod:`contracts.notifications`)."""
    signer = Signer(Audience.NOTIFICATION, key_id, secret)
    target = URL(url).raw_path_qs  # as it is posted

    def make(notification: Notification) -> tuple[bytes, dict[str, str]]:
        content = notification.model_dump_json().encode()
        return content, signer.headers("POST", target, content)

    return make


def slack(notification: Notification) -> tuple[bytes, dict[str, str]]:
    """Make what Slack's incoming webhooks take."""
    text = f"*{_escaped(title(notification))}*\n{_escaped(body(notification))}"
    cut = text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]} ...\nsidecar status says all."
    return orjson.dumps({"text": cut}), {}


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
