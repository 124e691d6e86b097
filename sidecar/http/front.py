"""The application's front: webhooks go to their endpoint without Starlette's middleware and router.

These cost as much as the endpoint does, and do nothing for it: it raises no HTTP errors, and what
it does not expect is logged and answered with 500 by uvicorn. Under ``sidecar serve`` most webhooks
do not come here at all: see sidecar/http/direct.py.
"""

from typing import Any

from starlette.applications import Starlette
from starlette.types import Receive, Scope, Send

from contracts import sidecar_api as api
from sidecar.http.direct import Take
from sidecar.http.webhook import WebhookEndpoint

_PREFIXES = tuple(path.removesuffix("{vendor_uid}") for path in api.WEBHOOK_PATHS)


class Front(Starlette):
    """A Starlette application whose webhooks ``webhook`` answers. Its route has to stand among the
    others, for requests that are no POST."""

    def __init__(self, webhook: WebhookEndpoint, **options: Any) -> None:
        super().__init__(**options)
        self._webhook = webhook

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if vendor_uid := _vendor_of(scope):
            scope["path_params"] = {"vendor_uid": vendor_uid}
            await self._webhook(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)

    def direct(self, scope: Scope) -> Take | None:
        """Return what takes a request without the application, if it is a webhook."""
        vendor_uid = _vendor_of(scope)
        return self._webhook.direct(vendor_uid, scope) if vendor_uid else None


def _vendor_of(scope: Scope) -> str:
    """Return the vendor that a posted webhook names, or nothing if this is none."""
    if scope["type"] == "http" and scope["method"] == "POST" and not scope.get("root_path"):
        path: str = scope["path"]
        for prefix in _PREFIXES:
            vendor_uid = path[len(prefix) :]
            if path.startswith(prefix) and "/" not in vendor_uid:
                return vendor_uid
    return ""
