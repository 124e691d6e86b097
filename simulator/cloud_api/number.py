"""The business's numbers, their accounts, and where their webhooks go."""

import json
from collections.abc import Callable, Iterator

from simulator.cloud_api.bucket import TokenBucket
from simulator.cloud_api.config import AccountConfig, CloudApiConfig, PhoneNumberConfig
from simulator.cloud_api.pairs import PairLimit
from simulator.cloud_api.subscription import Subscription
from simulator.cloud_api.throughput import Throughput


class Number:
    """One business number with its limits. ``metadata`` and ``account_json`` stand in webhooks as
    they are."""

    __slots__ = (
        "account_id",
        "account_json",
        "app_secret",
        "authorization",
        "bucket",
        "display_phone_number",
        "metadata",
        "pairs",
        "phone_number_id",
        "subscription",
        "throttled",
        "throughput",
        "webhook_url",
    )

    def __init__(
        self,
        config: CloudApiConfig,
        number: PhoneNumberConfig,
        account: AccountConfig,
        now: float,
    ) -> None:
        self.phone_number_id = number.phone_number_id
        self.display_phone_number = number.display_phone_number or _display(number.phone_number_id)
        self.account_id = account.account_id
        self.account_json = json.dumps(account.account_id)
        self.app_secret = account.app_secret or config.app_secret
        self.authorization = f"Bearer {account.access_token or config.access_token}".encode()
        self.webhook_url = number.webhook_url or account.webhook_url or config.webhook_url
        rate_per_s = number.messages_per_s or config.messages_per_s
        self.bucket = TokenBucket(rate_per_s, config.burst_s, now)
        self.pairs = PairLimit(config.pair_interval_s, config.pair_burst)
        self.throughput = Throughput()
        self.throttled = 0
        self.subscription: Subscription | None = None
        self.metadata = json.dumps(
            {
                "display_phone_number": self.display_phone_number,
                "phone_number_id": self.phone_number_id,
            },
            separators=(",", ":"),
        )


def _display(phone_number_id: str) -> str:
    digits = "".join(filter(str.isdigit, phone_number_id))
    # Customers who are made up begin with 1555.
    return "1556" + digits[-7:].rjust(7, "0")


class Numbers:
    """All numbers. Those with the same webhook URL and app secret share a subscription, so that
    their updates can share a POST.

    ``subscribe`` makes a subscription of a URL and an app secret.
    """

    def __init__(
        self,
        config: CloudApiConfig,
        now: float,
        subscribe: Callable[[str, str], Subscription],
    ) -> None:
        self._subscribe = subscribe
        self._subscriptions: dict[tuple[str, str], Subscription] = {}
        #: Given up for another URL; what was under way there is finished.
        self._retired: list[Subscription] = []
        accounts = {account.account_id: account for account in config.accounts}
        self._numbers: dict[str, Number] = {}
        for number in config.phone_numbers:
            account_id = number.account_id or config.account_id
            account = accounts.get(account_id) or AccountConfig(account_id=account_id)
            self._numbers[number.phone_number_id] = Number(config, number, account, now)
        for one in self:
            self._connect(one)

    def __iter__(self) -> Iterator[Number]:
        return iter(self._numbers.values())

    def get(self, phone_number_id: str) -> Number | None:
        return self._numbers.get(phone_number_id)

    def first(self) -> Number:
        return next(iter(self._numbers.values()))

    def subscriptions(self) -> list[Subscription]:
        """Return all of them, the retired ones included."""
        return [*self._subscriptions.values(), *self._retired]

    def move_webhooks(self, url: str, numbers: list[Number]) -> None:
        """Send the webhooks of these numbers to ``url`` from now on, those that wait included."""
        before = {one.subscription for one in numbers}
        for one in numbers:
            one.webhook_url = url
            self._connect(one)
        for subscription in before - {one.subscription for one in self}:
            if subscription is not None:
                successor = self._subscription(url, subscription.app_secret)
                self._subscriptions.pop((subscription.url, subscription.app_secret), None)
                self._retired.append(subscription)
                subscription.move_to(successor)

    def _connect(self, number: Number) -> None:
        if number.webhook_url is not None:
            number.subscription = self._subscription(number.webhook_url, number.app_secret)

    def _subscription(self, url: str, app_secret: str) -> Subscription:
        key = (url, app_secret)
        if key not in self._subscriptions:
            self._subscriptions[key] = self._subscribe(url, app_secret)
        return self._subscriptions[key]
