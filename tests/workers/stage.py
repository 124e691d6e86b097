"""A campaign under test: real Redis, the embedded backend, and the simulated Cloud API."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from contracts import backend as contract
from contracts.backend import CampaignState, PhoneNumber, VendorConfig, Verified
from contracts.modes import Mode, Modes
from sidecar.clock import now_ms
from sidecar.ops.accounting import Counters
from sidecar.php.client import Backend
from sidecar.redis import keys
from sidecar.redis.client import Redis
from sidecar.redis.lease import Lease, Leases
from sidecar.sending.campaigns import campaign_lease
from sidecar.sending.halts import Halt, Halts
from sidecar.settings import Settings
from simulator.cloud_api.config import CloudApiConfig, PhoneNumberConfig
from simulator.cloud_api.fault import FaultKind, FaultSpec
from simulator.cloud_api.server import Running, running
from tests.contract.embedded import EmbeddedBackend
from tests.contract.under_test import Campaign, Row, Vendor
from tests.eventually import eventually
from tests.simulator.cloud_api.helpers import QUIET
from tests.workers.php import Php
from workers.sending.campaign import CampaignRun
from workers.sending.cloud_api import CloudApi
from workers.sending.ledger import Ledger
from workers.sending.limiter import Limiter
from workers.sending.services import Services, VendorConfigs

if TYPE_CHECKING:
    from tests.workers.crashing import Process

#: Fast enough to send a small campaign at once, and known to the backend for every vendor.
RATE = 1000.0


@dataclass
class Stage:
    """``settings`` are the workers'. ``stopping`` is what the process wishes. ``more_config`` is
    of the vendor, whose account Meta has confirmed; ``other_account``: as another one.
    ``vendors``: whom runs ask whether a setting has changed."""

    embedded: EmbeddedBackend
    php: Php
    backend: Backend
    redis: Redis
    cloud: Running
    vendor: Vendor
    campaign: Campaign
    settings: Settings
    rate: float = RATE
    without_token: bool = False
    more_config: dict[str, Any] = field(default_factory=dict)
    other_account: str | None = None
    vendors: VendorConfigs | None = None
    ledger: Ledger = field(init=False)
    cloud_api: CloudApi = field(init=False)
    process_ends: asyncio.Event = field(init=False, default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.ledger = Ledger(self.redis, self.campaign.uid, self.vendor.uid)
        self.cloud_api = CloudApi(self.cloud.url, "v26.0", timeout_s=self.settings.send_timeout_s)

    @property
    def stopping(self) -> bool:
        return self.process_ends.is_set()

    @stopping.setter
    def stopping(self, wish: bool) -> None:
        self.process_ends.set() if wish else self.process_ends.clear()

    @property
    def account(self) -> str:
        return self.other_account or self.vendor.business_account_id

    @property
    def config(self) -> VendorConfig:
        numbers = self.vendor.phone_number_ids
        return VendorConfig(
            vendor_uid=self.vendor.uid,
            modes=Modes(campaigns=Mode.SIDECAR),
            access_token=None if self.without_token else self.vendor.access_token,
            current_phone_number_id=numbers[0],
            phone_numbers=[
                PhoneNumber(
                    phone_number_id=number,
                    messages_per_second=self.rate,
                    verified=Verified(account_id=self.account, app_id="app-1"),
                )
                for number in numbers
            ],
            **self.more_config,
        )

    def services(self, process: "Process | None" = None) -> Services:
        """Return what a worker process shares, this one or that."""
        of = process or self
        return Services(
            self.settings,
            of.redis,
            of.backend,
            of.cloud_api,
            Limiter(of.redis),
            self.process_ends,
            vendors=self.vendors or self,
        )

    async def get_since(self, key: str, since: float) -> VendorConfig | None:
        """Return what PHP says of a vendor now, as ``Vendors`` does: of the stage's what runs are
        given here."""
        if key == self.vendor.uid:
            return self.config
        request = contract.VendorConfigRequest(vendor_uids=[key])
        answer = await self.backend.call(
            contract.VENDOR_CONFIG, request, contract.VendorConfigAnswer
        )
        return next(iter(answer.vendors), None)

    def make_run(self, lease: Lease, process: "Process | None" = None) -> CampaignRun:
        return CampaignRun(self.services(process), self.config, lease, self.campaign.uid)

    @asynccontextmanager
    async def held(self, ttl_ms: int = 10_000) -> AsyncIterator[Lease]:
        """Hold the campaign's lease, and have it on the list."""
        async with self.holding(self.redis, ttl_ms) as lease:
            assert lease is not None, "somebody holds the campaign"
            yield lease

    @asynccontextmanager
    async def holding(self, redis: Redis, ttl_ms: int = 10_000) -> AsyncIterator[Lease | None]:
        """The same; None if somebody holds it."""
        await self.redis.hset(keys.CAMPAIGNS, self.campaign.uid, self.vendor.uid)
        async with Leases(redis, ttl_ms).hold(campaign_lease(self.campaign.uid)) as lease:
            yield lease

    async def run(self) -> bool:
        """Run once, as an actor does. Return whether somebody is to be woken for the rest."""
        async with self.held() as lease:
            return await self.make_run(lease).run()

    async def run_to_the_end(self) -> None:
        """Run as often as the reconciler would, until the campaign leaves the list."""

        async def left() -> bool:
            await self.run()
            return not await self.listed()

        await eventually(left, 20)

    async def listed(self) -> bool:
        return bool(await self.redis.hexists(keys.CAMPAIGNS, self.campaign.uid))

    async def token(self) -> int:
        """Return the newest fencing token."""
        return int(await self.redis.get(keys.fence(campaign_lease(self.campaign.uid))) or 0)

    async def drop_lease(self) -> None:
        """Let the time pass until a dead holder's lease has expired."""
        await self.redis.delete(keys.lease(campaign_lease(self.campaign.uid)))

    # -- what arrived where --

    def queue(self) -> list[Row]:
        return self.embedded.rows("whatsapp_message_queue", campaigns__id=self.campaign.id)

    def statuses(self) -> Counter[int]:
        """Count the rows of the queue by their status."""
        return Counter(row["status"] for row in self.queue())

    def status_of(self, row_uid: str) -> int | None:
        rows = self.embedded.rows("whatsapp_message_queue", _uid=row_uid)
        return rows[0]["status"] if rows else None

    def process_response(self, row_uid: str) -> dict[str, Any]:
        """Return what PHP has written to a row about how its send failed."""
        [row] = self.embedded.rows("whatsapp_message_queue", _uid=row_uid)
        found: dict[str, Any] = row["__data"]["process_response"]
        return found

    def campaign_data(self) -> dict[str, Any]:
        """Return what PHP keeps of the campaign for the sidecar."""
        [row] = self.embedded.rows("campaigns", _uid=self.campaign.uid)
        found: dict[str, Any] = row["__data"]["sidecar"]
        return found

    def logged(self) -> list[str]:
        """Return the rows that PHP has in its log as sent, as often as they stand there."""
        logs = self.embedded.rows("whatsapp_message_logs", campaigns__id=self.campaign.id)
        return [row["__data"]["sidecar"]["queue_row_uid"] for row in logs]

    def accepts(self) -> dict[str, int]:
        """Return how often the Cloud API has accepted each row."""
        return dict(self.cloud.engine.ledger.accepts)

    def assert_nothing_sent_twice(self) -> None:
        assert self.cloud.engine.ledger.sent_twice == 0, self.accepts()
        logged = self.logged()
        assert len(set(logged)) == len(logged)

    def assert_settled(self) -> None:
        """Every row has ended, and what PHP says of it is true."""
        self.assert_nothing_sent_twice()
        statuses = {row["_uid"]: row["status"] for row in self.queue()}
        assert set(statuses.values()) <= {2, 4, 5, 6}, Counter(statuses.values())
        accepted = set(self.accepts())
        logged = set(self.logged())
        assert logged <= accepted
        for uid in self.campaign.row_uids:
            status = statuses.get(uid)
            if status == 4:
                assert uid in accepted & logged
            elif status == 2:
                assert uid not in accepted
            elif status is None:
                assert uid in logged, "a row leaves the queue when a status came for it"

    async def assert_balanced(self) -> None:
        """What was claimed has ended, or is in the ledger."""
        for accounting in await Counters(self.redis).read():
            assert accounting.balanced, accounting

    def all_accepted(self) -> bool:
        return self.statuses() == {4: len(self.campaign.row_uids)}

    # -- what goes wrong --

    def fault(self, kind: FaultKind, **more: Any) -> None:
        self.cloud.engine.faults.add(FaultSpec(kind=kind, **more))

    def no_faults(self) -> None:
        self.cloud.engine.faults.clear()

    async def halt(self, state: str = "paused", *, php_knows: bool = True) -> None:
        """Halt the campaign as a person would."""
        halt = Halt(CampaignState(state), "by hand", now_ms() if php_knows else None)
        await Halts(self.redis).put(self.campaign.uid, self.vendor.uid, halt)


@asynccontextmanager
async def cloud_for(vendor: Vendor, **config: Any) -> AsyncIterator[Running]:
    """Run a Cloud API that knows the vendor, and does nothing by chance."""
    numbers = [PhoneNumberConfig(phone_number_id=number) for number in vendor.phone_number_ids]
    values = {
        **QUIET,
        "access_token": vendor.access_token,
        "app_secret": vendor.app_secret,
        "phone_numbers": numbers,
        **config,
    }
    async with running(CloudApiConfig(**values)) as cloud:
        yield cloud
