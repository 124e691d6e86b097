"""Lifting what keeps a number, an account or an app from sending for a while, because a person says
so.

What only a person ends is paused instead (``pauses.py``).
"""

from typing import cast

from sidecar.redis import keys
from sidecar.redis.client import Hash, Redis, script
from sidecar.sending.numbers import Outage

#: What may be held.
SCOPES = ("number", "account", "app")


async def lift(redis: Redis, scope: str, name: str) -> list[str]:
    """Lift the hold of a ``number``, an ``account`` or an ``app``, and of a number its outage of
    the Cloud API and its slowed rate as well. ``name`` is what Redis knows it by: a line, or an
    account or app of :class:`sidecar.sending.numbers.NumberState`. Campaigns that wait for it look
    again at once. Return what was lifted, in words; nothing if nothing held. If the cause stands,
    the next message holds it again. Raises :class:`ValueError` for another scope."""
    if scope not in SCOPES:
        raise ValueError(f"nothing of the scope {scope} is held")
    of_number = [keys.number(name), keys.outage(name)]
    found = await script(redis, "sending/lift")(
        keys=of_number if scope == "number" else [keys.hold(scope, name)]
    )
    words = [word.decode(errors="replace") for word in cast("list[bytes]", found)]
    lifted = dict(zip(words[::2], words[1::2], strict=True))
    reasons = {lifted.get("hold"), str(Outage(lifted.get("outage", ""), 0.0))}
    await _wake(redis, reasons)
    return [_text(what, reason) for what, reason in lifted.items()]


def _text(what: str, reason: str) -> str:
    return "the slowed rate" if what == "rate" else f"the {what}: {reason}"


async def _wake(redis: Redis, reasons: set[str | None]) -> None:
    """Have campaigns look again that wait for one of these reasons."""
    campaigns = cast(Hash, await redis.hgetall(keys.CAMPAIGNS))
    waits = [keys.wait(campaign.decode()) for campaign in campaigns]
    values = cast("list[bytes | None]", await redis.mget(waits)) if waits else []
    over = [
        key
        for key, value in zip(waits, values, strict=True)
        if value is not None and value.decode(errors="replace") in reasons
    ]
    if over:
        await redis.delete(*over)
