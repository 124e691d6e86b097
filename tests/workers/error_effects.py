"""What an error of the Cloud API does, code by code, and how it shows."""

from typing import cast

from sidecar.redis import keys
from sidecar.redis.client import Redis
from sidecar.sending.pauses import Pauses

#: What is done, for each code that is documented. ``counted``: many in a row stop the campaign.
_ACTIONS: list[tuple[set[int], set[str]]] = [
    ({368, 131031, 131042, 134011}, {"account paused"}),
    ({0, 3, 10, 190, 131005}, {"token paused"}),
    ({33, 131037, 131045, 131048, 133000, 133005, 133006, 133008}, {"number paused"}),
    ({133009, 133010, 133015, 133016}, {"number paused"}),
    ({1, 135000}, {"message retried", "counted"}),
    ({2, 131000, 131016, 133004}, {"message retried"}),
    ({131056}, {"message retried", "recipient held"}),
    ({4}, {"app held"}),
    ({80007, 131064}, {"account held"}),
    ({130429}, {"number held", "number slowed"}),
    ({131057, 2494100}, {"number held"}),
    ({132069, 134101}, {"campaign rests"}),
    ({130403, 131026, 131050}, {"message failed", "recipient suppressed"}),
    ({130472, 130497, 131021, 131030, 131047, 131049}, {"message failed"}),
    ({131052, 131062, 132005, 137000}, {"message failed"}),
    ({100, 131008, 131009, 131051, 131053}, {"message failed", "counted"}),
    ({132000, 132008, 132012, 132018}, {"message failed", "counted"}),
    ({131055, 131063, 132001, 132007, 132015}, {"campaign stopped"}),
    ({132016, 132068, 134100, 134102}, {"campaign stopped"}),
]

ACTIONS = {code: actions for codes, actions in _ACTIONS for code in codes}

#: What concerns the message alone. A status tells of a message that was accepted: it has failed,
#: whatever the code is.
OF_THE_MESSAGE = {"message failed", "message retried"}


async def effects(
    redis: Redis, *, vendor: str, campaign: str, number: str, account: str, path: str
) -> set[str]:
    """Return what stands in Redis."""
    found = {f"{paused.scope} paused" for paused in await Pauses(redis).all()}
    assert {paused.id for paused in await Pauses(redis).all()} <= {number, account, vendor}
    assert {paused.vendor_uid for paused in await Pauses(redis).all()} <= {vendor}
    signs = {
        "account held": keys.hold("account", account),
        "app held": keys.hold("app", "*"),
        "campaign rests": keys.wait(campaign),
        "recipient suppressed": keys.suppressed(vendor, "*"),
        "campaign stopped": keys.halt(campaign),
        "counted": keys.errors(campaign, path),
    }
    for sign, pattern in signs.items():
        if await redis.keys(pattern):
            found.add(sign)
    if await redis.hexists(keys.number(number), "reason"):
        found.add("number held")
    if await redis.hexists(keys.number(number), "ceiling"):
        found.add("number slowed")
    for key in await redis.keys(keys.pair(number, "*")):
        if (cast("bytes | None", await redis.get(key)) or b"").startswith(b"0."):
            found.add("recipient held")
    return found
