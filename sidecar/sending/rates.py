"""How fast a number may send, as its vendor's configuration says."""

import math
from functools import lru_cache

import structlog

from contracts.backend import PhoneNumber, VendorConfig
from sidecar.settings import Settings

log = structlog.get_logger()

#: Meta's limit of a number that is also used in the WhatsApp Business app, messages per second.
COEXISTENCE_RATE = 20.0
#: What a configured rate may be; anything else is taken for a mistake.
LEAST_RATE = 0.1
HIGHEST_RATE = 10_000.0


def rate_of(config: VendorConfig, number: str, settings: Settings) -> float:
    """Return messages per second of a vendor's number, where nothing slows it."""
    known = {one.phone_number_id: one for one in config.phone_numbers}
    one = known.get(number, PhoneNumber(phone_number_id=number))
    rate = one.messages_per_second
    if rate is not None and not (math.isfinite(rate) and LEAST_RATE <= rate <= HIGHEST_RATE):
        say_once("rate_wrong_and_ignored", number, rate)
        rate = None
    if one.coexistence:
        return min(rate or COEXISTENCE_RATE, COEXISTENCE_RATE) * settings.rate_share
    return (rate or settings.messages_per_second) * settings.rate_share


@lru_cache(maxsize=1024)
def say_once(event: str, of: str, value: object) -> None:
    # NaN is not equal to itself, but this one is kept as text.
    log.warning(event, of=of, value=str(value), using="the default")
