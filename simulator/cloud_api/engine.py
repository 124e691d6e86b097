"""The simulated platform behind the HTTP endpoints."""

import asyncio
from dataclasses import dataclass
from random import Random

from simulator.cloud_api.access import Access
from simulator.cloud_api.account_block import AccountBlocks
from simulator.cloud_api.clock import Clock
from simulator.cloud_api.config import CloudApiConfig
from simulator.cloud_api.customer import CustomerBook
from simulator.cloud_api.customers import Customers
from simulator.cloud_api.delivery import Delivery
from simulator.cloud_api.fault import Faults
from simulator.cloud_api.ledger import Ledger
from simulator.cloud_api.lifecycle import Lifecycle, drawn_code
from simulator.cloud_api.marketing import MarketingAccounts
from simulator.cloud_api.media import MediaLibrary
from simulator.cloud_api.media_fault import MediaFaults
from simulator.cloud_api.message import Message
from simulator.cloud_api.number import Number, Numbers
from simulator.cloud_api.odd.posting import OddPosts
from simulator.cloud_api.outage import Outages
from simulator.cloud_api.outbox import Outbox
from simulator.cloud_api.platform import Platform
from simulator.cloud_api.recipient import Magic, MagicKind
from simulator.cloud_api.refusal import Refusal
from simulator.cloud_api.request import SendRequest
from simulator.cloud_api.scheduler import Scheduler
from simulator.cloud_api.service_window import ServiceWindows
from simulator.cloud_api.subscription import Subscription
from simulator.cloud_api.template import Templates
from simulator.cloud_api.wamid import WamidMint

_THROUGHPUT = 130429
_PAIR = 131056
_WINDOW = 131047
_UNDELIVERABLE = 131026


@dataclass(slots=True)
class Accepted:
    """``early`` ends when the message's first status, posted already, was answered or failed."""

    message: Message
    held: bool
    early: "asyncio.Future[int | None] | None"


class Engine:
    def __init__(self, config: CloudApiConfig) -> None:
        self.config = config
        self.clock = Clock()
        rng = Random(config.seed)
        # What is drawn when a message is accepted may not depend on what happens meanwhile.
        self._rng = Random(None if config.seed is None else config.seed + 1)
        self._mint = WamidMint()
        self.scheduler = Scheduler(self.clock)
        self.ledger = Ledger()
        self.delivery = Delivery(config, self.clock, self.scheduler, self.ledger)
        self.numbers = Numbers(config, self.clock.now(), self._subscribe)
        self.access = Access(self.numbers, self.clock)
        self.blocks = AccountBlocks()
        self.outbox = Outbox(config, self.clock, rng, self.scheduler, self.delivery)
        self.media = MediaLibrary(self.clock, rng, config.media_url_s)
        self.media_faults = MediaFaults(rng)
        self.people = CustomerBook()
        self.windows = ServiceWindows(config.service_window_s)
        self.templates = Templates(config.templates, only_listed=config.only_listed_templates)
        self.marketing = MarketingAccounts(config)
        platform = Platform(
            config,
            self.clock,
            rng,
            self.ledger,
            self.outbox,
            self.media,
            self.people,
            self.windows,
        )
        self.customers = Customers(platform, self._mint, self.numbers)
        self.odd = OddPosts(platform, self.scheduler, self._mint)
        self._lifecycle = Lifecycle(platform, self.scheduler, self._rng, self.customers)
        self.faults = Faults(self.clock, rng)
        self.outages = Outages(self.clock, rng)
        for spec in config.faults:
            self.faults.add(spec)

    def start(self) -> None:
        """Begin to send statuses and customers' messages. Needs a running loop."""
        loop = asyncio.get_running_loop()
        self.scheduler.start(loop)
        self.customers.start(loop)

    async def stop(self) -> None:
        """Drop whatever is still to come."""
        self.customers.stop()
        self.scheduler.stop()
        for subscription in self.numbers.subscriptions():
            await subscription.stop()

    def is_idle(self) -> bool:
        """Whether nothing is scheduled, waiting or under way."""
        return not len(self.scheduler) and not self.delivery.pending and self.customers.is_finished

    def pause_webhooks(self, *, paused: bool) -> None:
        """Hold webhooks back, or let them go. Those under way are finished."""
        self.delivery.paused = paused
        for subscription in self.numbers.subscriptions():
            subscription.pump()

    def accept(self, number: Number, request: SendRequest, magic: Magic | None) -> Accepted:
        """Accept a message, or raise :class:`Refusal`."""
        if magic is not None and magic.kind is MagicKind.ERROR:
            raise Refusal(magic.code)
        if self.config.error_shares:
            self._refuse_by_chance()
        now = self.clock.now()
        magic = self.blocks.check(number.account_id) or self._checked(number, request, now) or magic
        if not number.bucket.has_token(now):
            number.throttled += 1
            raise Refusal(_THROUGHPUT, "Too many messages from this phone number in a short time.")
        if not number.pairs.allows(request.address, now):
            raise Refusal(_PAIR, "Too many messages to this recipient in a short time.")
        number.bucket.take()
        number.pairs.count(request.address, now)
        return self._accepted(number, request, magic, now)

    def _checked(self, number: Number, request: SendRequest, now: float) -> Magic | None:
        """Check a message as Meta does. Return how it fails where it is accepted all the same."""
        address = request.address
        if request.template is not None:
            to_user_id = request.user_id is not None
            account_id = number.account_id
            template = self.templates.check(account_id, request.template, to_user_id=to_user_id)
            request.lite = self.marketing.check(account_id, template, request.policy)
        elif not self.windows.is_open(number.phone_number_id, address, now):
            share = self.config.window_failed_share
            if not share or self._rng.random() >= share:
                raise Refusal(_WINDOW, "More than 24 hours have passed since the customer wrote.")
            return Magic(MagicKind.FAILED, _WINDOW)
        return Magic(MagicKind.FAILED, _UNDELIVERABLE) if self.people.is_gone(address) else None

    def _accepted(
        self, number: Number, request: SendRequest, magic: Magic | None, now: float
    ) -> Accepted:
        message = Message(self._mint.outgoing(request.address), number, request)
        if len(self.people) and message.user_id is None:
            message.user_id = self.people.find(request.address).user_id
        self.ledger.accept(message, now)
        held = self._lifecycle.begin(message, magic)
        share = self.config.early_share
        if share and not held and self._rng.random() < share:
            return Accepted(message, held, self._lifecycle.start_early(message))
        self._lifecycle.start(message, held=held)
        return Accepted(message, held, None)

    def _refuse_by_chance(self) -> None:
        code = drawn_code(self._rng, self.config.error_shares)
        if code is not None:
            raise Refusal(code)

    def _subscribe(self, url: str, app_secret: str) -> Subscription:
        return Subscription(url, app_secret, self.config, self.delivery)
