"""How numbers stand: which are known, in words, and resuming those that are paused."""

import time
from collections.abc import Sequence

from contracts.backend import VendorConfig
from sidecar.clock import utc_text
from sidecar.format import duration
from sidecar.redis.client import Redis
from sidecar.sending.numbers import NumberState, number_of, number_states, numbers
from sidecar.sending.pauses import Paused, Pauses

#: A line, and how it stands: None if nobody has asked for slots of it lately.
Line = tuple[str, NumberState | None]

#: Numbers that are read at once.
AT_ONCE = 200


async def read_lines(redis: Redis, lines: Sequence[str] | None = None) -> list[Line]:
    """Return how these lines stand, or all that were used within a day; some at a time."""
    lines = await numbers(redis) if lines is None else lines
    found: list[Line] = []
    for start in range(0, len(lines), AT_ONCE):
        some = lines[start : start + AT_ONCE]
        found += zip(some, await number_states(redis, some), strict=True)
    return found


async def lines_of(redis: Redis, config: VendorConfig) -> list[Line]:
    """Return how the lines stand that a vendor sends from, of those that were used within a
    day."""
    own = {
        config.current_phone_number_id,
        *(number.phone_number_id for number in config.phone_numbers),
    }
    lines = [
        line
        for line in await numbers(redis)
        for number, vendor_uid in [number_of(line)]
        if number in own and vendor_uid in (None, config.vendor_uid)
    ]
    return await read_lines(redis, lines)


async def resume(redis: Redis, names: Sequence[str]) -> tuple[list[Paused], list[str]]:
    """Have what is paused tried again. A name is that of a pause, of a number or an account, or of
    a vendor, which names all that is paused for it alone. Return what was paused, and the names of
    which nothing was."""
    pauses = Pauses(redis)
    standing = await pauses.all()
    named = {
        one: {one.name, one.id} | (set() if one.shared else {one.vendor_uid}) for one in standing
    }
    resumed = [one for one, own in named.items() if own & {*names}]
    await pauses.lift(resumed)
    return resumed, [name for name in names if not any(name in named[one] for one in resumed)]


def resumed_text(one: Paused) -> str:
    return f"resumed {one.what}, which was paused for: {one.reason}"


def state_text(state: NumberState) -> str:
    """Return how a number stands: why it is slow or silent, and until when or since when."""
    paused = state.paused
    if paused is not None:
        return f"paused{':' if paused.scope == 'number' else ','} {why_text(state)}"
    if state.outage is None and state.holds:
        return f"held {why_text(state)}"
    return why_text(state)


def why_text(state: NumberState) -> str:
    """Return the same where it is said already that a number is paused or held, and which."""
    now = time.time()
    if state.paused is not None:
        return _paused_text(state.paused)
    if state.outage is not None:
        age = duration(max(0.0, now - state.outage.since))
        return f"{state.outage}, for {age}; one message at a time is tried until it answers"
    if state.holds:
        longest = max(state.holds, key=lambda one: one.until)
        left = duration(max(0.0, longest.until - now))
        return f"for {left}, until {utc_text(round(1000 * longest.until))}: {longest.reason}"
    doing = "idle" if state.idle else "sends at full rate"
    return (state.reason or doing) + last_outage_text(state)


def _paused_text(paused: Paused) -> str:
    if paused.scope == "number":
        return paused.reason
    which = "the access token" if paused.scope == "token" else f"its account {paused.id}".rstrip()
    return f"as {which} is: {paused.reason}"


def last_outage_text(state: NumberState) -> str:
    """Return when the Cloud API worked again and how long it had not, or nothing."""
    last = state.last_outage
    if last is None:
        return ""
    took = duration(max(0.0, last.until - last.since))
    return f"; the Cloud API was down for {took} until {utc_text(round(1000 * last.until))}"
