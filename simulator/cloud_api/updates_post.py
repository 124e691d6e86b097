"""A webhook that carries updates."""

import asyncio

from contracts.cloud_api.webhook import sign
from simulator.cloud_api.envelope import EnvelopeWriter, Layout
from simulator.cloud_api.message import Update
from simulator.cloud_api.post import Acknowledgements


class UpdatesPost:
    """Statuses and customers' messages. The bytes are made for each try, so that webhooks that
    wait for long take little memory."""

    __slots__ = ("_writer", "answer", "created_at", "layout", "retry_ms", "updates")

    retries = True
    encoding: str | None = None

    def __init__(
        self,
        writer: EnvelopeWriter,
        updates: tuple[Update, ...],
        layout: Layout,
        created_at: float,
    ) -> None:
        self._writer = writer
        self.updates = updates
        self.layout = layout
        self.created_at = created_at
        self.retry_ms = 0.0
        self.answer: asyncio.Future[int | None] | None = None

    def body(self) -> bytes:
        return self._writer.write(self.updates, self.layout)

    def signature(self, app_secret: str, body: bytes) -> str:
        return sign(app_secret.encode(), body)

    def acknowledge(self, ledger: Acknowledgements) -> None:
        for update in self.updates:
            update.acknowledge(ledger)
