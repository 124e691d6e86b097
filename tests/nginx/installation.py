"""The real sidecar, worker and backend behind a real nginx, and Meta in front of it."""

import asyncio
import gzip
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import orjson

from contracts.backend import PROCESS_WEBHOOK
from contracts.cloud_api.webhook import SIGNATURE_HEADER, sign
from contracts.signing import Audience, Signer
from sidecar.ops.accounting import Accounting, Counters
from sidecar.redis.client import connect
from simulator.backend.database import open_database
from simulator.backend.seed import SeededVendor
from simulator.backend.stored_modes import MODES
from simulator.embedded import EmbeddedInstallation
from simulator.ports import free_ports
from simulator.stack.nginx import IMPATIENT, Nginx
from tests.sidecar.payloads import message_webhook

PHONE_NUMBER_ID = "110000000000001"
#: Longest that anything may take to arrive.
WAIT_S = 30.0
#: How long Meta is taken to wait before it comes again. The real pauses are longer.
PAUSE_S = 0.1
LEASE_TTL_MS = 2000
#: Between two webhooks of one connection, where they come all the time.
LULL_S = 0.05

_numbers = itertools.count()


@dataclass
class Site:
    """A whole installation. ``vendor`` is its only one."""

    installation: EmbeddedInstallation
    nginx: Nginx
    vendor: SeededVendor

    @property
    def webhook_url(self) -> str:
        return f"{self.nginx.url}/whatsapp-webhook/{self.vendor.uid}"

    def applied(self) -> Counter[str]:
        """The wamids of the customers' messages in PHP's log, with how often each is there."""
        return Counter(self.installation.tables.incoming_wamids())

    def _read(self, sql: str) -> list[tuple[Any, ...]]:
        with self.installation.tables.snapshot() as query:
            return query(sql, [])

    def stored(self) -> dict[str, tuple[bytes, str]]:
        """What PHP's own webhook table holds: by wamid, the payload and Meta's signature."""
        found: dict[str, tuple[bytes, str]] = {}
        for payload, headers in self._read("SELECT payload, headers FROM whatsapp_webhook_queue"):
            wamid = wamid_of(payload)
            assert wamid not in found, f"{wamid} is twice in PHP's table"
            found[wamid] = (payload.encode(), orjson.loads(headers)[SIGNATURE_HEADER.lower()])
        return found

    def stored_so_far(self) -> int:
        """How many rows PHP's own webhook table has ever got."""
        rows = self._read("SELECT seq FROM sqlite_sequence WHERE name = 'whatsapp_webhook_queue'")
        return int(rows[0][0]) if rows else 0

    @contextmanager
    def left_to_php(self) -> Iterator[None]:
        """Take the vendor off the sidecar: what PHP stores is its cron's."""
        with closing(open_database(self.installation.database)) as database:
            database.execute(
                "INSERT INTO vendor_settings (_uid, created_at, vendors__id, name, value)"
                " VALUES ('left', datetime(), ?, ?, '{\"webhooks\": \"php\"}')",
                (self.vendor.id, MODES),
            )
            try:
                yield
            finally:
                database.execute("DELETE FROM vendor_settings WHERE _uid = 'left'")

    def sidecar_connections(self) -> int:
        """Connections to the sidecar, those that were closed in the last minute included."""
        port = f":{self.installation.processes['sidecar'].port:04X}"
        lines = Path("/proc/net/tcp").read_text().splitlines()
        return sum(line.split()[2].endswith(port) for line in lines[1:])

    async def run_cron(self, session: aiohttp.ClientSession) -> None:
        """Have PHP work off its own table, as its cron does."""
        key_id, secret = EmbeddedInstallation.SIGNING_KEY
        path = PROCESS_WEBHOOK.format(vendor_uid=self.vendor.uid)
        rows = self._read("SELECT payload FROM whatsapp_webhook_queue")
        bodies = iter([payload.encode() for (payload,) in rows])

        async def post_in_turn() -> None:
            for body in bodies:
                headers = Signer(Audience.BACKEND, key_id, secret.encode()).headers(
                    "POST", path, body
                )
                url = self.nginx.internal_url + path
                async with session.post(url, data=body, headers=headers) as answer:
                    assert answer.status == 200, await answer.text()

        await asyncio.gather(*(post_in_turn() for _ in range(8)))
        with closing(open_database(self.installation.database)) as database:
            database.execute("DELETE FROM whatsapp_webhook_queue")


def wamid_of(body: bytes | str) -> str:
    """Return the id of the message in one of our webhooks."""
    wamid: str = orjson.loads(body)["entry"][0]["changes"][0]["value"]["messages"][0]["id"]
    return wamid


async def accounting(redis_url: str) -> Accounting | None:
    """Return the only vendor's accounting, which must balance; None before its first webhook."""
    async with aclosing(connect(redis_url, timeout_s=5.0)) as redis:
        found = await Counters(redis).read()
    assert len(found) <= 1
    assert all(accounting.balanced for accounting in found), found
    return found[0] if found else None


@contextmanager
def running_site(folder: Path) -> Iterator[Site]:
    """Start everything. PHP is reached as shipped: over nginx, the sidecar's calls too."""
    with EmbeddedInstallation(folder) as installation:
        installation.start_redis()
        backend = installation.start_backend()
        [vendor] = installation.seed_vendors(phone_number_ids=[PHONE_NUMBER_ID])
        public, internal = free_ports(2)
        installation.configure(
            backend_url=f"http://127.0.0.1:{internal}",
            # Stored webhooks are taken over soon, also after a worker was killed.
            due_campaigns_interval_s=0.5,
            reconcile_interval_s=0.1,
            lease_ttl_ms=LEASE_TTL_MS,
        )
        sidecar = installation.start_sidecar()
        with Nginx(
            folder / "nginx",
            sidecar=f"127.0.0.1:{sidecar.port}",
            php=f"127.0.0.1:{backend.port}",
            ports=(public, internal),
            files=IMPATIENT,
        ) as nginx:
            installation.start_worker()
            yield Site(installation, nginx, vendor)


@dataclass
class Meta:
    """Posts webhooks, each with one customer's message, and comes again with what did not get
    exactly 200. ``acknowledged`` holds each that did, by its wamid. ``packed``: with gzip, signed
    over the compressed bytes."""

    url: str
    session: aiohttp.ClientSession
    acknowledged: dict[str, bytes] = field(default_factory=dict)
    #: Answers by status, 0 for none at all.
    answers: Counter[int] = field(default_factory=Counter)
    packed: bool = False

    async def send(self, count: int, *, concurrency: int = 16) -> None:
        """Have so many new webhooks acknowledged."""
        left = iter(range(count))

        async def post_in_turn() -> None:
            for _ in left:
                await self.send_one()

        await asyncio.gather(*(post_in_turn() for _ in range(min(concurrency, count))))

    async def send_one(self) -> str:
        """Have one webhook acknowledged, and return its wamid."""
        return await self._deliver(message_webhook(next(_numbers), "Grüße"))

    @asynccontextmanager
    async def sending(self, *, concurrency: int) -> AsyncIterator[None]:
        """Send all the time, until the block ends and what was begun is acknowledged."""
        ended = asyncio.Event()

        async def post_in_turn() -> None:
            while not ended.is_set():
                await self.send_one()
                await asyncio.sleep(LULL_S)

        tasks = [asyncio.create_task(post_in_turn()) for _ in range(concurrency)]
        try:
            yield
        finally:
            ended.set()
            await asyncio.gather(*tasks)

    async def _deliver(self, body: bytes) -> str:
        while True:
            code = await self._post(body)
            self.answers[code] += 1
            if code == 200:
                break
            await asyncio.sleep(PAUSE_S)
        wamid = wamid_of(body)
        self.acknowledged[wamid] = body
        return wamid

    async def _post(self, body: bytes) -> int:
        body = gzip.compress(body) if self.packed else body
        headers = {SIGNATURE_HEADER: sign(EmbeddedInstallation.APP_SECRET.encode(), body)}
        if self.packed:
            headers["Content-Encoding"] = "gzip"
        try:
            async with self.session.post(self.url, data=body, headers=headers) as answer:
                return answer.status
        except aiohttp.ClientError:
            return 0
