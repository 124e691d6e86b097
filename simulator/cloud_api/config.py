"""Everything about the simulated Cloud API that can be set."""

from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from contracts.cloud_api.errors import RULES
from contracts.lenient import StrictModel
from simulator.cloud_api.fault import FaultSpec
from simulator.cloud_api.inbound_content import MESSAGE_TYPES
from simulator.cloud_api.template import TemplateConfig

DEFAULT_ACCOUNT_ID = "102290129340398"
DEFAULT_PHONE_NUMBER_ID = "106540352242922"
DEFAULT_ACCESS_TOKEN = "simulated-access-token"
DEFAULT_APP_SECRET = "simulated-app-secret"


def _ordered(limits: tuple[float, float]) -> tuple[float, float]:
    if not 0 <= limits[0] <= limits[1]:
        raise ValueError("give the least and the most, not below 0: [50, 600]")
    return limits


def _ordered_bytes(limits: tuple[int, int]) -> tuple[int, int]:
    if not 1 <= limits[0] <= limits[1]:
        raise ValueError("give the least and the most, at least 1: [500, 50000]")
    return limits


def _known_codes(shares: dict[int, float]) -> dict[int, float]:
    if unknown := sorted(code for code in shares if code not in RULES):
        raise ValueError(f"no documented error codes: {unknown}")
    if sum(shares.values()) > 1:
        raise ValueError("the shares add up to more than 1")
    return shares


def _known_type(name: str) -> str:
    if name not in MESSAGE_TYPES:
        raise ValueError(f"no known type of message; known: {list(MESSAGE_TYPES)}")
    return name


def _not_all_zero(weights: dict[Any, float]) -> dict[Any, float]:
    if not sum(weights.values()) > 0:
        raise ValueError("at least one weight must be above 0")
    return weights


def _http_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("give a whole URL: http://127.0.0.1:8000/webhook/vendor-uid")
    return url


HttpUrl = Annotated[str, AfterValidator(_http_url)]
Share = Annotated[float, Field(ge=0, le=1)]
#: Least and most milliseconds, drawn evenly.
DelayMs = Annotated[tuple[float, float], AfterValidator(_ordered)]
KnownType = Annotated[str, AfterValidator(_known_type)]
CodeShares = Annotated[dict[int, Share], AfterValidator(_known_codes)]
Weight = Annotated[float, Field(ge=0)]
TypeWeights = Annotated[dict[KnownType, Weight], AfterValidator(_not_all_zero)]
SizeWeights = Annotated[
    dict[Annotated[int, Field(ge=1, le=1000)], Weight], AfterValidator(_not_all_zero)
]


class AccountConfig(StrictModel):
    """A WhatsApp business account that differs from the defaults. Null: the default."""

    account_id: str
    webhook_url: HttpUrl | None = None
    app_secret: str | None = Field(default=None, repr=False)
    access_token: str | None = Field(default=None, repr=False)
    marketing_messages_onboarded: bool | None = None
    disable_marketing_messages_on_cloud_api: bool | None = None


class PhoneNumberConfig(StrictModel):
    """A business number. Null: the account's, or the default."""

    phone_number_id: str = Field(min_length=1, pattern=r"^[A-Za-z0-9_-]+$")
    #: Digits; null: made from the id.
    display_phone_number: str | None = Field(default=None, pattern=r"^[0-9]{5,15}$")
    account_id: str | None = None
    #: Throughput of this number, messages per second.
    messages_per_s: float | None = Field(default=None, gt=0)
    webhook_url: HttpUrl | None = None


class BatchLayout(StrictModel):
    """Weights of the ways to put several updates of one number into one POST."""

    one_change: Weight = 6
    several_changes: Weight = 3
    several_entries: Weight = 1


class CloudApiConfig(StrictModel):
    # -- who is there --

    #: Token that sends must carry.
    access_token: str = Field(default=DEFAULT_ACCESS_TOKEN, repr=False)
    #: Key of the webhooks' signatures.
    app_secret: str = Field(default=DEFAULT_APP_SECRET, repr=False)
    #: Where webhooks go; null: nowhere, until one is set by the control call.
    webhook_url: HttpUrl | None = None
    #: Business account of numbers that name none.
    account_id: str = DEFAULT_ACCOUNT_ID
    #: Accounts with settings of their own; others need not be listed.
    accounts: list[AccountConfig] = []
    phone_numbers: list[PhoneNumberConfig] = Field(
        default=[PhoneNumberConfig(phone_number_id=DEFAULT_PHONE_NUMBER_ID)], min_length=1
    )
    #: Version of the webhooks' bodies: statuses carry `conversation` below 24.
    webhook_version: int = Field(default=25, ge=15)
    #: Category in the statuses' `pricing`, but for what goes by the Marketing Messages API.
    pricing_category: str = "marketing"
    #: With the same seed, messages accepted in the same order go the same way. Ids do not follow
    #: it, and delays only roughly. Null: any.
    seed: int | None = None

    # -- limits --

    #: Throughput of a number that has none of its own.
    messages_per_s: float = Field(default=80, gt=0)
    #: Seconds of throughput that may go at once; never less than one message.
    burst_s: float = Field(default=0.2, ge=0)
    #: Whether customers' messages use up throughput, as Meta says they do. Off by default, so
    #: that a test of sends is not disturbed by what customers do.
    inbound_counts: bool = False
    #: One message to the same recipient in so many seconds; 0: no limit for pairs.
    pair_interval_s: float = Field(default=6, ge=0)
    #: Most messages to one recipient at once, borrowed from the future.
    pair_burst: int = Field(default=45, ge=1)

    #: Templates whose state is known. Others are approved in every language, unless only those
    #: that are listed exist.
    templates: list[TemplateConfig] = []
    only_listed_templates: bool = False
    #: Whether accounts are onboarded to the Marketing Messages API, and whether they have
    #: `/messages` refuse marketing templates (:mod:`simulator.cloud_api.marketing`).
    marketing_messages_onboarded: bool = True
    disable_marketing_messages_on_cloud_api: bool = False
    #: How long after a customer's message anything but a template may be sent; 0: always.
    service_window_s: float = Field(default=24 * 3600, ge=0)

    # -- what goes wrong --

    #: Share of the messages outside that window that are accepted and fail, instead of being
    #: refused.
    window_failed_share: Share = 0

    #: By code: share of sends that are refused with it.
    error_shares: CodeShares = {}
    #: By code: share of accepted messages that end as failed with it.
    failed_shares: CodeShares = {}
    #: Share of failing messages that are `sent` first.
    failed_after_sent_share: Share = 0.5
    #: Share of accepted messages that are held for quality assessment and released later.
    held_share: Share = 0
    #: How long a message is held.
    held_delay_ms: DelayMs = (500, 2_000)
    #: Rules that are in force from the start.
    faults: list[FaultSpec] = []

    # -- statuses --

    #: Share of messages that are delivered, and share of those that are read.
    delivered_share: Share = 1
    read_share: Share = 1
    #: Share of read messages whose `delivered` is left out, as with an open chat.
    delivered_omitted_share: Share = 0
    #: Delay of each status after the one before it.
    sent_delay_ms: DelayMs = (50, 600)
    delivered_delay_ms: DelayMs = (100, 2_000)
    read_delay_ms: DelayMs = (300, 5_000)
    failed_delay_ms: DelayMs = (100, 1_000)

    # -- customers --

    #: Share of delivered messages that are answered by a customer's message.
    reply_share: Share = 0
    #: Delay of the reply after the delivery.
    reply_delay_ms: DelayMs = (1_000, 8_000)
    #: Customers' messages per second that nobody asked for, over all numbers.
    inbound_per_s: float = Field(default=0, ge=0)
    #: They end after so many; null: never. The report is not idle before the end.
    inbound_total: int | None = Field(default=None, ge=0)
    #: How many different customers write unasked.
    inbound_customers: int = Field(default=1_000, ge=1)
    #: Share of those customers who hide their number.
    hidden_share: Share = 0
    #: Weights of the types of customers' messages.
    inbound_types: TypeWeights = {
        "text": 70,
        "button": 8,
        "interactive": 5,
        "image": 4,
        "reaction": 4,
        "audio": 3,
        "document": 1,
        "video": 1,
        "sticker": 1,
        "location": 1,
        "contacts": 1,
        "order": 0.5,
        "unsupported": 0.5,
    }

    #: Least and most bytes of the media that customers send, where an order names no size.
    inbound_media_bytes: Annotated[tuple[int, int], AfterValidator(_ordered_bytes)] = (500, 50_000)
    #: How long the address of a medium is valid. Meta: five minutes.
    media_url_s: float = Field(default=300, gt=0)

    #: Time between the payloads of an odd use that has several.
    odd_gap_ms: float = Field(default=1_500, ge=0)

    # -- webhooks --

    #: Weights of the number of updates in one POST.
    batch_sizes: SizeWeights = {1: 88, 2: 5, 3: 3, 5: 2, 10: 1.5, 25: 0.5}
    #: Longest wait for a batch to fill.
    batch_wait_ms: float = Field(default=50, ge=0)
    batch_layout: BatchLayout = BatchLayout()
    #: Share of POSTs that are made twice, although the first one may have been acknowledged.
    duplicate_share: Share = 0.02
    duplicate_delay_ms: DelayMs = (20, 2_000)
    #: Share of statuses that are overtaken by the next one of their message.
    reorder_share: Share = 0.02
    reorder_delay_ms: DelayMs = (20, 500)
    #: Share of messages whose first status is posted before the send is answered.
    early_share: Share = 0.01
    #: Longest that the answer to a send waits for such a webhook.
    early_wait_ms: float = Field(default=500, ge=0)
    #: Connections to one webhook URL, kept alive.
    webhook_connections: int = Field(default=32, ge=1)
    #: After this, a webhook without an answer counts as failed.
    webhook_timeout_ms: float = Field(default=20_000, gt=0)
    #: Webhooks not answered exactly 200 come again: first delay, its growth, and its limit.
    retry_first_ms: float = Field(default=500, gt=0)
    retry_factor: float = Field(default=2, ge=1)
    retry_max_ms: float = Field(default=30_000, gt=0)
    #: Webhooks older than this are given up. Meta: seven days.
    retry_age_s: float = Field(default=7 * 24 * 3600, gt=0)
    #: Whether certificates of https webhook URLs are checked.
    webhook_tls_verify: bool = True

    @model_validator(mode="after")
    def _unique(self) -> "CloudApiConfig":
        _refuse_twice("phone_numbers", [number.phone_number_id for number in self.phone_numbers])
        _refuse_twice("accounts", [account.account_id for account in self.accounts])
        return self


def _refuse_twice(field: str, ids: list[str]) -> None:
    if twice := sorted({one for one in ids if ids.count(one) > 1}):
        raise ValueError(f"`{field}` names more than once: {twice}")
