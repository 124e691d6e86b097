"""How the messages of one campaign, or of a vendor's replies, are sent."""

from dataclasses import dataclass, field
from typing import Any

from contracts.backend import SendOutcome, SendResult, VendorConfig
from contracts.modes import Mode
from sidecar.clock import now_ms
from sidecar.effects.outbox import replies_of
from sidecar.settings import Settings
from workers.sending.limits import Limits
from workers.sending.send_queue import ClaimedSend

#: How long results of replies wait for others, at most: somebody may be looking on.
MAX_REPLY_WAIT_S = 0.4
#: The same while PHP takes the vendor's webhooks: its routine drops a status that it finds no
#: message for, and Meta sends the first within 100 ms.
MAX_WAIT_FOR_PHP_S = 0.05


@dataclass(frozen=True, slots=True)
class Way:
    """What a row is sent with, as far as a refusal may be due to it."""

    number: str
    access_token: str = field(repr=False)
    line: str
    account: str
    marketing_messages: str


@dataclass(slots=True)
class SendConfig:
    """Of a campaign; without ``campaign_uid`` of the vendor's replies, which go before campaigns
    and have little in common: what stops one stops no other.

    ``vendor`` is replaced while messages are sent, by what PHP says of the vendor now
    (``Pipeline.follow``). So nothing that is taken from here is kept for longer than a send."""

    settings: Settings
    vendor: VendorConfig
    campaign_uid: str | None = None
    #: What follows from ``vendor``, by number, as long as it is that one.
    _limits: dict[str, Limits] = field(default_factory=dict, init=False, repr=False)
    _limits_are_of: VendorConfig | None = field(default=None, init=False, repr=False)

    @property
    def vendor_uid(self) -> str:
        return self.vendor.vendor_uid

    @property
    def name(self) -> str:
        """What ledger, limiter and lease know the messages by."""
        return self.campaign_uid or replies_of(self.vendor_uid)

    @property
    def of_campaign(self) -> bool:
        return self.campaign_uid is not None

    @property
    def result_wait_s(self) -> float:
        """How long results may wait for others before they go to PHP."""
        wait_s = self.settings.result_wait_ms / 1000
        if not self.of_campaign:
            wait_s = min(wait_s, MAX_REPLY_WAIT_S)
        if self.vendor.modes.webhooks is not Mode.SIDECAR:
            wait_s = min(wait_s, MAX_WAIT_FOR_PHP_S)
        return wait_s

    def number_of(self, row: ClaimedSend) -> str:
        """Return the number that a row is sent from."""
        return row.row.from_phone_number_id or self.vendor.current_phone_number_id or ""

    def limits_of(self, number: str) -> Limits:
        if self._limits_are_of is not self.vendor:
            self._limits_are_of, self._limits = self.vendor, {}
        limits = self._limits.get(number)
        if limits is None:
            limits = self._limits[number] = Limits.of(self.vendor, number, self.settings)
        return limits

    def way_of(self, row: ClaimedSend) -> Way:
        """Return what a row is sent with."""
        limits = self.limits_of(self.number_of(row))
        return Way(
            number=limits.number,
            access_token=self.vendor.access_token or "",
            line=limits.line,
            account=limits.account,
            marketing_messages=self.vendor.marketing_messages,
        )

    def result(
        self, row_uid: str, claim_uid: str, number: str, outcome: SendOutcome, **more: Any
    ) -> SendResult:
        """Return what PHP is told of a row, as of now. What is null is left out: a PHP package from
        before a field was added refuses it."""
        facts = {"at": now_ms(), **more}
        return SendResult(
            uid=row_uid,
            vendor_uid=self.vendor_uid,
            campaign_uid=self.campaign_uid,
            claim_uid=claim_uid,
            outcome=outcome,
            phone_number_id=number,
            **{name: fact for name, fact in facts.items() if fact is not None},
        )
