"""What a number may do, and with whom it shares further limits."""

import hashlib
import math
from dataclasses import dataclass
from functools import lru_cache

import structlog

from contracts.backend import PhoneNumber, VendorConfig
from sidecar.settings import Settings
from workers.holds import Scope

log = structlog.get_logger()

#: Meta's limit of a number that is also used in the WhatsApp Business app, messages per second.
COEXISTENCE_RATE = 20.0
#: What a configured rate may be; anything else is taken for a mistake.
LEAST_RATE = 0.1
HIGHEST_RATE = 1000.0


@dataclass(frozen=True, slots=True)
class Limits:
    """``rate`` is messages per second. ``account``, ``app`` and ``portfolio`` name what the number
    belongs to; numbers with the same name share its holds, and its ``daily_recipients`` (None: no
    limit is kept)."""

    number: str
    rate: float
    account: str
    app: str
    portfolio: str
    daily_recipients: int | None = None

    def name(self, scope: Scope) -> str:
        """Return which number, account or app it is."""
        return {
            Scope.NUMBER: self.number,
            Scope.ACCOUNT: self.account,
            Scope.APP: self.app,
        }[scope]

    @classmethod
    def of(cls, config: VendorConfig, number: str, settings: Settings) -> "Limits":
        """Return the limits of a vendor's number."""
        account = config.whatsapp_business_account_id or f"of-vendor-{config.vendor_uid}"
        daily = config.daily_recipients
        if daily is not None and daily < 1:
            _say_once("daily_recipients_wrong_and_ignored", config.vendor_uid, daily)
            daily = None
        return cls(
            number=number,
            rate=_rate(config, number, settings) * settings.rate_share,
            account=account,
            app=_app(config),
            portfolio=config.portfolio_id or account,
            daily_recipients=daily,
        )


def _rate(config: VendorConfig, number: str, settings: Settings) -> float:
    known = {one.phone_number_id: one for one in config.phone_numbers}
    one = known.get(number, PhoneNumber(phone_number_id=number))
    rate = one.messages_per_second
    if rate is not None and not (math.isfinite(rate) and LEAST_RATE <= rate <= HIGHEST_RATE):
        _say_once("rate_wrong_and_ignored", number, rate)
        rate = None
    if one.coexistence:
        return min(rate or COEXISTENCE_RATE, COEXISTENCE_RATE)
    return rate or settings.messages_per_second


def _app(config: VendorConfig) -> str:
    """Name the vendor's Meta app. Nobody tells its id; but vendors with the same app secret have
    the same app, and those without one have the installation's."""
    if not config.app_secrets:
        return "of-installation"
    return hashlib.sha256(config.app_secrets[0].encode()).hexdigest()[:16]


@lru_cache(maxsize=1024)
def _say_once(event: str, of: str, value: object) -> None:
    # NaN is not equal to itself, but this one is kept as text.
    log.warning(event, of=of, value=str(value), using="the default")
